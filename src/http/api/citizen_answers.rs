//! What a person reads in their records: reports, sightings, found cards, certificates, each with its office and how to reach it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{CertificateId, FoundCardId, ReportId};
use crate::domain::report::OfficeCode;
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::instant;
use crate::http::contract::schema::{
    CertificatePurposeCode, ChannelCode, FoundCardStateCode, OrganizationKindCode, PurposeCode, ReasonCode,
    ReportStateCode,
};
use crate::store::citizen::{AnonymousSighting, PersonCertificate, PersonRecords, WaitingCard};
use crate::store::reports::StoredReport;

/// What the service holds about the person, over all organizations. Each list newest first; sightings in pages, of the others at most 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenRecords {
    reports: Vec<CitizenLossReport>,
    sightings: Vec<CitizenSighting>,
    found_cards: Vec<CitizenFoundCard>,
    certificates: Vec<CitizenCertificate>,
    /// Where the next sightings begin; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A loss report of the person, and where to ask about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenLossReport {
    /// Part of the path of its withdrawal.
    #[schema(value_type = Uuid)]
    report_id: ReportId,
    #[schema(value_type = ReportStateCode)]
    state: &'static str,
    /// The start of validity of the lost card; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    #[schema(value_type = ReasonCode)]
    reason: &'static str,
    /// When the registry took the report.
    #[schema(format = DateTime)]
    reported_at: String,
    /// The registry's sequence at the report's last change.
    #[schema(value_type = u64)]
    registry_sequence: Sequence,
    /// Where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = ChannelCode)]
    channel: Option<&'static str>,
    /// The office that took it; `online`: a portal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "110105-03")]
    office: Option<String>,
    /// What it is called; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Harbour police station")]
    office_name: Option<String>,
    /// How to reach it; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00")]
    office_reach: Option<String>,
}

/// Where a card of the person was shown while it was listed, each client's day at a place as one. It does not say which organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenSighting {
    #[schema(value_type = OrganizationKindCode)]
    organization_kind: &'static str,
    /// Six digits of GB/T 2260.
    #[schema(example = "310104")]
    region: String,
    /// How many checks.
    #[schema(minimum = 1)]
    count: u64,
    /// When the first was answered.
    #[schema(format = DateTime)]
    first_seen_at: String,
    /// When the last was answered.
    #[schema(format = DateTime)]
    seen_at: String,
    #[schema(value_type = PurposeCode)]
    purpose: &'static str,
}

/// A card of the person that was handed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenFoundCard {
    #[schema(value_type = Uuid)]
    found_card_id: FoundCardId,
    #[schema(value_type = FoundCardStateCode)]
    state: &'static str,
    /// The office that has it, or had it last.
    office: String,
    /// What it is called; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Harbour police station")]
    office_name: Option<String>,
    /// How to reach it; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00")]
    office_reach: Option<String>,
    #[schema(format = Date)]
    found_on: String,
    #[schema(format = DateTime)]
    registered_at: String,
}

/// A temporary identification certificate of the person.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenCertificate {
    #[schema(value_type = Uuid)]
    certificate_id: CertificateId,
    #[schema(value_type = CertificatePurposeCode)]
    purpose: &'static str,
    #[schema(format = DateTime)]
    issued_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    revoked: bool,
    /// The office that issued it.
    #[schema(example = "110105-03")]
    office: String,
    /// What it is called; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Harbour police station")]
    office_name: Option<String>,
    /// How to reach it; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1 Quay Road, +86 10 1234 5678, Monday to Friday 9:00 to 17:00")]
    office_reach: Option<String>,
}

impl CitizenRecords {
    pub(super) fn of(records: &PersonRecords, next_cursor: Option<String>) -> Self {
        Self {
            reports: records.reports.iter().map(|stored| CitizenLossReport::of(stored, records)).collect(),
            sightings: records.sightings.iter().map(CitizenSighting::of).collect(),
            found_cards: records.found_cards.iter().map(|card| CitizenFoundCard::of(card, records)).collect(),
            certificates: records
                .certificates
                .iter()
                .map(|certificate| CitizenCertificate::of(certificate, records))
                .collect(),
            next_cursor,
        }
    }
}

/// Name of an office and how to reach it, as far as it is known.
fn known(records: &PersonRecords, code: Option<&OfficeCode>) -> (Option<String>, Option<String>) {
    let found = code.and_then(|code| records.offices.iter().find(|office| office.code == *code));
    found.map(|office| (office.name.as_str().to_owned(), office.reach.as_str().to_owned())).unzip()
}

impl CitizenLossReport {
    fn of(stored: &StoredReport, records: &PersonRecords) -> Self {
        let taken = stored.taken.as_ref();
        let (office_name, office_reach) = known(records, taken.map(|taken| &taken.office));
        Self {
            report_id: stored.report.id,
            state: stored.report.state.as_str(),
            card_valid_from: stored.report.card_valid_from.map(|date| date.to_string()),
            reason: stored.report.reason.as_str(),
            reported_at: instant(stored.report.reported_at_ms),
            registry_sequence: stored.sequence,
            channel: taken.map(|taken| taken.channel.as_str()),
            office: taken.map(|taken| taken.office.as_str().to_owned()),
            office_name,
            office_reach,
        }
    }
}

impl CitizenSighting {
    fn of(sighting: &AnonymousSighting) -> Self {
        Self {
            organization_kind: sighting.organization_kind.as_str(),
            region: sighting.region.as_str().to_owned(),
            count: sighting.checks,
            first_seen_at: instant(sighting.first_seen_at_ms),
            seen_at: instant(sighting.seen_at_ms),
            purpose: sighting.purpose.as_str(),
        }
    }
}

impl CitizenFoundCard {
    fn of(card: &WaitingCard, records: &PersonRecords) -> Self {
        let (office_name, office_reach) = known(records, Some(&card.office));
        Self {
            found_card_id: card.found_card_id,
            state: card.state.as_str(),
            office: card.office.as_str().to_owned(),
            office_name,
            office_reach,
            found_on: card.found_on.to_string(),
            registered_at: instant(card.registered_at_ms),
        }
    }
}

impl CitizenCertificate {
    fn of(certificate: &PersonCertificate, records: &PersonRecords) -> Self {
        let (office_name, office_reach) = known(records, Some(&certificate.office));
        Self {
            certificate_id: certificate.certificate_id,
            purpose: certificate.purpose.as_str(),
            issued_at: instant(certificate.issued_at_ms),
            expires_at: instant(certificate.expires_at_ms),
            revoked: certificate.is_revoked,
            office: certificate.office.as_str().to_owned(),
            office_name,
            office_reach,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::certificate::CertificatePurpose;
    use crate::domain::client::{OrganizationKind, OrganizationName, RegionCode};
    use crate::domain::ids::CheckId;
    use crate::domain::instant::UnixMs;
    use crate::domain::office::{Office, OfficeReach};
    use crate::domain::verdict::Purpose;

    #[test]
    fn a_sighting_tells_kind_and_region_of_the_organization_and_no_more() {
        let sighting = AnonymousSighting {
            check_id: CheckId::nil(),
            organization_kind: OrganizationKind::Certifying,
            region: RegionCode::parse("310104").unwrap(),
            purpose: Purpose::Lodging,
            checks: 3,
            first_seen_at_ms: UnixMs::EPOCH,
            seen_at_ms: UnixMs::EPOCH,
        };
        let certificate = PersonCertificate {
            certificate_id: CertificateId::nil(),
            office: OfficeCode::parse("110105-03").unwrap(),
            purpose: CertificatePurpose::Rail,
            issued_at_ms: UnixMs::EPOCH,
            expires_at_ms: UnixMs::new(1),
            is_revoked: true,
        };
        let records = PersonRecords {
            sightings: vec![sighting],
            certificates: vec![certificate],
            offices: vec![Office {
                code: OfficeCode::parse("110105-03").unwrap(),
                name: OrganizationName::parse("Harbour police station").unwrap(),
                reach: OfficeReach::parse("1 Quay Road").unwrap(),
            }],
            ..PersonRecords::default()
        };
        let told = serde_json::to_value(CitizenRecords::of(&records, None)).unwrap();
        let at = "1970-01-01T00:00:00.000Z";
        assert_eq!(
            told["sightings"],
            json!([{"organization_kind": "certifying", "region": "310104", "purpose": "lodging", "count": 3,
                "first_seen_at": at, "seen_at": at}])
        );
        assert_eq!(
            told["certificates"],
            json!([{"certificate_id": CertificateId::nil(), "purpose": "rail", "issued_at": at,
                "expires_at": "1970-01-01T00:00:00.001Z", "revoked": true, "office": "110105-03",
                "office_name": "Harbour police station", "office_reach": "1 Quay Road"}])
        );
    }
}
