//! Citizen portals: `/v1/citizen/...`. The portal has authenticated the person and sends the number in the body, each time. Bodies
//! to domain types, domain types to answers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reports::{Contact, LossReportAnswer, contact_text};
use crate::crypto::digest::IdDigest;
use crate::domain::ids::{CertificateId, CheckId, FoundCardId};
use crate::domain::redacted::IdNumberText;
use crate::domain::report::{Channel, OfficeCode, Reporter, WithdrawalReason};
use crate::http::contract::answers::{created, instant, json, path_id, respond};
use crate::http::contract::fields::{Fields, ObjectMember, present};
use crate::http::contract::page::{List, Page};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{
    CertificatePurposeCode, FoundCardStateCode, OrganizationKindCode, PurposeCode, ReasonName, WithdrawalReasonName,
};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::filing::{Filing, FilingText};
use crate::store::citizen::{AnonymousSighting, PersonCertificate, PersonRecords, SightingsPage, WaitingCard};
use crate::store::reports::StoredReport;

/// Whose records are asked for: the person that the portal authenticated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenRecordsRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The `next_cursor` of the answer before: the sightings that follow, and nothing else.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 256)]
    cursor: Option<String>,
    /// How many sightings at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<i32>,
}

/// What the service holds about the person, over all organizations. Each list newest first; sightings in pages, of the others at most 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct CitizenRecords {
    reports: Vec<LossReportAnswer>,
    sightings: Vec<CitizenSighting>,
    found_cards: Vec<CitizenFoundCard>,
    certificates: Vec<CitizenCertificate>,
    /// Where the next sightings begin; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
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
    /// The office that registered it.
    office: String,
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
}

/// A loss that the holder reports online.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id_number": "11010519491231002X", "card_valid_from": "2016-05-01", "reason": "lost",
    "lost_on": "2026-11-01"}))]
pub struct CitizenLossReportRequest {
    /// The 18 characters of GB 11643.
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    /// The start of validity of the lost card. Without it the registry cannot tell the lost card from a later one.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    /// The end of validity; absent for long-term cards.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_until: Option<String>,
    #[schema(value_type = ReasonName)]
    reason: String,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    lost_on: Option<String>,
    /// How to reach the holder. Stored sealed under a key of its own.
    #[serde(default)]
    #[schema(nullable = false, value_type = Contact)]
    contact: ObjectMember<Contact>,
}

/// The holder has the card again, or it was never lost.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenWithdrawalRequest {
    #[schema(value_type = String, example = "11010519491231002X")]
    id_number: IdNumberText,
    #[schema(value_type = WithdrawalReasonName)]
    reason: String,
}

/// A place is the first check of a sighting.
const LIST: List<CheckId> = List::new("readCitizenRecords", 100);

/// Read a person's own records
///
/// Loss reports, sightings, found cards and temporary certificates of the person, over all organizations. A sighting shows kind
/// and region of the organization, not which it was; `next_cursor` leads to all of them. Scope `citizen`; costs one unit.
#[utoipa::path(
    post, path = "/v1/citizen/records", operation_id = "readCitizenRecords", tag = "citizen", security(("bearer" = [])),
    request_body = CitizenRecordsRequest,
    responses(
        (status = 200, description = "The records, newest first.", body = CitizenRecords),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn records(
    caller: Caller,
    body: JsonBody<CitizenRecordsRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let limit = request.limit.map(|limit| limit.to_string());
    let (cursor, limit) = (request.cursor.as_deref(), limit.as_deref());
    let (digest, page) = read_page(&caller, &state, &LIST, &request.id_number, cursor, limit)?;
    let sightings = SightingsPage { before: page.after, count_max: page.limit + 1 };
    let mut records = state.read_in_time(state.citizen.records(caller.actor(), &digest, sightings)).await??;
    let next_cursor = LIST.end(&page, &mut records.sightings, |sighting| sighting.check_id);
    Ok(json(&CitizenRecords::of(&records, next_cursor)))
}

/// Whose records are read, and which page of them.
pub(super) fn read_page<P: Serialize + DeserializeOwned>(
    caller: &Caller,
    state: &AppState,
    list: &List<P>,
    id_number: &IdNumberText,
    cursor: Option<&str>,
    limit: Option<&str>,
) -> Result<(IdDigest, Page<P>), Problem> {
    let mut fields = Fields::default();
    let digest = fields.id_number(id_number, state.clock.today());
    let page = list.read(&mut fields, cursor, limit);
    caller.finish(fields, digest.zip(page))
}

/// Report a person's own card lost or stolen
///
/// The report has channel `online`, reporter `holder` and office `online`. Scope `citizen`; costs one unit. Once 201 is sent, no
/// check that starts anywhere answers `not_listed` for the number. `Idempotency-Key` as for loss reports.
#[utoipa::path(
    post, path = "/v1/citizen/loss-reports", operation_id = "createCitizenLossReport", tag = "citizen",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new report.")),
    request_body = CitizenLossReportRequest,
    responses(
        (status = 201, description = "Filed, durable, and known to every node.", body = LossReportAnswer,
            headers(("Location" = String, description = "The report's path; reading it takes scope `registry`."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<CitizenLossReportRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (filed, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let office = OfficeCode::online();
    let text = FilingText {
        id_number: &filed.id_number,
        card_valid_from: filed.card_valid_from.as_deref(),
        card_valid_until: filed.card_valid_until.as_deref(),
        reason: &filed.reason,
        lost_on: filed.lost_on.as_deref(),
        reporter: Reporter::Holder.as_str(),
        office: office.as_str(),
        channel: Channel::Online.as_str(),
        contact: contact_text(&filed.contact),
    };
    let mut fields = Fields::default();
    let filing = Filing::read(&mut fields, &text, state.clock.today());
    let filing = caller.finish(fields, filing)?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let render =
        |stored: &StoredReport| created(caller.route().location(stored.report.id), &LossReportAnswer::of(stored));
    Ok(respond(state.write_in_time(state.reports.file(caller.actor(), filing, repeatable, render)).await??))
}

/// Withdraw a person's own online report
///
/// Scope `citizen`; costs one unit. Only a report of this number: another's is 404. Only one that was made online through
/// the same organization and is active: 409 otherwise. An office withdraws a report that was made there.
#[utoipa::path(
    post, path = "/v1/citizen/loss-reports/{report_id}/withdrawal", operation_id = "withdrawCitizenLossReport", tag = "citizen",
    security(("bearer" = [])),
    params(("report_id" = Uuid, Path, description = "The report's id.")),
    request_body = CitizenWithdrawalRequest,
    responses(
        (status = 200, description = "The report, withdrawn.", body = LossReportAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn withdraw(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<CitizenWithdrawalRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report_id = path_id(&path)?;
    let request = body.read().await?;
    let mut fields = Fields::default();
    let digest = fields.id_number(&request.id_number, state.clock.today());
    let reason = fields.word("/reason", &request.reason, WithdrawalReason::parse, "found, mistaken");
    let (digest, reason) = caller.finish(fields, digest.zip(reason))?;
    let withdrawn = state.citizen.withdraw(caller.actor(), report_id, &digest, reason);
    let withdrawn = state.write_in_time(withdrawn).await??;
    withdrawn.map(|stored| json(&LossReportAnswer::of(&stored))).ok_or_else(Problem::not_found)
}

impl CitizenRecords {
    fn of(records: &PersonRecords, next_cursor: Option<String>) -> Self {
        Self {
            reports: records.reports.iter().map(LossReportAnswer::of).collect(),
            sightings: records.sightings.iter().map(CitizenSighting::of).collect(),
            found_cards: records.found_cards.iter().map(CitizenFoundCard::of).collect(),
            certificates: records.certificates.iter().map(CitizenCertificate::of).collect(),
            next_cursor,
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
    fn of(card: &WaitingCard) -> Self {
        Self {
            found_card_id: card.found_card_id,
            state: card.state.as_str(),
            office: card.office.as_str().to_owned(),
            found_on: card.found_on.to_string(),
            registered_at: instant(card.registered_at_ms),
        }
    }
}

impl CitizenCertificate {
    fn of(certificate: &PersonCertificate) -> Self {
        Self {
            certificate_id: certificate.certificate_id,
            purpose: certificate.purpose.as_str(),
            issued_at: instant(certificate.issued_at_ms),
            expires_at: instant(certificate.expires_at_ms),
            revoked: certificate.is_revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::certificate::CertificatePurpose;
    use crate::domain::client::{OrganizationKind, RegionCode};
    use crate::domain::instant::UnixMs;
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
            purpose: CertificatePurpose::Rail,
            issued_at_ms: UnixMs::EPOCH,
            expires_at_ms: UnixMs::new(1),
            is_revoked: true,
        };
        let records =
            PersonRecords { sightings: vec![sighting], certificates: vec![certificate], ..PersonRecords::default() };
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
                "expires_at": "1970-01-01T00:00:00.001Z", "revoked": true}])
        );
    }
}
