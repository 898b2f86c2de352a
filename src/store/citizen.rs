//! What the service holds on one person, over all organizations, read at one moment; and whose a report is. Of a sighting only
//! what kind of organization saw the card and in which region: which one it was stays with the registrars.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::aggregate::{Aggregate, CitizenList, Shown};
use super::aggregates::{self, SIGHTING_DAYS};
use super::key_versions::get_key_versions;
use super::offices::known_offices;
use super::report_rows::read_taken;
use super::reports::{StoredReport, places};
use super::sightings::LAST_CHECK;
use super::{Store, StoreError, WriteTx, get_id, get_id_opt, get_parsed, get_u64, parse_date};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::certificate::CertificatePurpose;
use crate::domain::client::{OrganizationKind, RegionCode};
use crate::domain::found_card::FoundCardState;
use crate::domain::ids::{CertificateId, CheckId, FoundCardId, OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::office::Office;
use crate::domain::report::{Channel, OfficeCode};
use crate::domain::verdict::Purpose;

/// The records of one person, each list newest first.
#[derive(Debug, Default)]
pub struct PersonRecords {
    pub reports: Vec<StoredReport>,
    pub sightings: Vec<AnonymousSighting>,
    pub found_cards: Vec<WaitingCard>,
    pub certificates: Vec<PersonCertificate>,
    /// Of the offices that the others name, those that are known.
    pub offices: Vec<Office>,
}

/// Checks of one client, day and place that found a listing of the person, without their organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnonymousSighting {
    /// The first check: its place in the list, told to nobody.
    pub check_id: CheckId,
    pub organization_kind: OrganizationKind,
    pub region: RegionCode,
    pub purpose: Purpose,
    pub checks: u64,
    pub first_seen_at_ms: UnixMs,
    pub seen_at_ms: UnixMs,
}

/// Which sightings of a person.
#[derive(Debug, Clone, Copy)]
pub struct SightingsPage {
    /// Those of earlier checks; none: the newest, with all else that is recorded of the person.
    pub before: Option<CheckId>,
    pub count_max: usize,
}

/// A found card, as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingCard {
    pub found_card_id: FoundCardId,
    pub state: FoundCardState,
    pub office: OfficeCode,
    pub found_on: jiff::civil::Date,
    pub registered_at_ms: UnixMs,
}

/// A temporary certificate, as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonCertificate {
    pub certificate_id: CertificateId,
    pub office: OfficeCode,
    pub purpose: CertificatePurpose,
    pub issued_at_ms: UnixMs,
    pub expires_at_ms: UnixMs,
    pub is_revoked: bool,
}

/// By whom and how a report was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportOrigin {
    pub organization: Option<OrganizationId>,
    pub channel: Channel,
}

/// Of each kind of record but sightings, which come in pages: registrars alone make these.
const RECORDS_MAX: usize = 100;

impl Store {
    /// Everything on the person whose number has these keys, and by which peppers rows were keyed at that moment: if the keys do
    /// not cover these, records may be missing.
    pub async fn person_records(
        &self,
        keys: &[LookupKey],
        page: SightingsPage,
    ) -> Result<(KeyVersions, PersonRecords), StoreError> {
        let mut tx = self.begin_with(self.dialect.begin_read()).await?;
        let head = sqlx::query("SELECT key_version, key_version_from FROM feed_head").fetch_one(&mut *tx).await?;
        let keyed = places(1, keys.len());
        let mut records = PersonRecords::default();
        let shown = aggregates::ALL.into_iter().filter_map(|of| of.citizen.as_ref().map(|shown| (of, shown)));
        for (of, shown) in shown.filter(|_| page.before.is_none()) {
            let Shown { list, columns, newest } = shown;
            let text = format!(
                "SELECT {columns} FROM {} WHERE lookup_key IN ({keyed}) ORDER BY {newest} DESC, {} DESC LIMIT {RECORDS_MAX}",
                of.table, of.id
            );
            for row in keyed_query(text, keys).fetch_all(&mut *tx).await? {
                match list {
                    CitizenList::Reports => records.reports.push(read_taken(&row)?),
                    CitizenList::FoundCards => records.found_cards.push(read_waiting_card(&row)?),
                    CitizenList::Certificates => records.certificates.push(read_certificate(&row)?),
                }
            }
        }
        let listing = |of: &Aggregate| format!("SELECT {} FROM {} WHERE lookup_key IN ({keyed})", of.id, of.table);
        let listings: Vec<_> = aggregates::listings().map(listing).collect();
        // A check is a sighting under every record that made the number listed: told once. Of rows of before that, none counts the checks
        // of another one again: the most is the least that they can be. No database but SQLite has a least of bytes.
        let sightings = format!(
            "SELECT s.check_id AS check_id, s.purpose AS purpose, o.kind AS kind, o.region AS region, s.checks AS checks, \
             s.first_seen_at AS first_seen_at, s.last_seen_at AS seen_at FROM ( \
               SELECT organization_id, ROW_NUMBER() OVER (PARTITION BY client_id, day, site ORDER BY check_id) AS nth, check_id, \
               FIRST_VALUE(purpose) OVER (PARTITION BY client_id, day, site ORDER BY seen_at DESC, check_id DESC) AS purpose, \
               CAST(COALESCE(SUM(own_checks) OVER (PARTITION BY client_id, day, site), 0) AS BIGINT) + \
               MAX(CASE WHEN own_checks IS NULL THEN checks ELSE 0 END) OVER (PARTITION BY client_id, day, site) AS checks, \
               MIN(first_seen_at) OVER (PARTITION BY client_id, day, site) AS first_seen_at, \
               MAX(seen_at) OVER (PARTITION BY client_id, day, site) AS last_seen_at \
               FROM {} WHERE listing_id IN ({}) \
             ) s JOIN organizations o ON o.organization_id = s.organization_id \
             WHERE s.nth = 1 AND s.checks > 0 AND s.check_id < ${} ORDER BY s.check_id DESC LIMIT {}",
            SIGHTING_DAYS.table,
            listings.join(" UNION ALL "),
            keys.len() + 1,
            page.count_max
        );
        let before = page.before.unwrap_or(LAST_CHECK).as_bytes().to_vec();
        for row in keyed_query(sightings, keys).bind(before).fetch_all(&mut *tx).await? {
            records.sightings.push(read_sighting(&row)?);
        }
        records.offices = known_offices(&mut *tx, &records.office_codes()).await?;
        tx.rollback().await?;
        Ok((get_key_versions(&head)?, records))
    }
}

impl PersonRecords {
    /// The offices that are named, each once.
    fn office_codes(&self) -> Vec<&str> {
        let reports = self.reports.iter().filter_map(|stored| Some(stored.taken.as_ref()?.office.as_str()));
        let cards = self.found_cards.iter().map(|card| card.office.as_str());
        let certificates = self.certificates.iter().map(|certificate| certificate.office.as_str());
        reports.chain(cards).chain(certificates).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl WriteTx {
    /// By whom and how a report of this very number was made.
    pub async fn find_report_origin(
        &mut self,
        report: ReportId,
        keys: &[LookupKey],
    ) -> Result<Option<ReportOrigin>, StoreError> {
        self.take_turn().await?;
        let place = keys.len() + 1;
        let keyed = places(1, keys.len());
        let text = format!(
            "SELECT organization_id, channel FROM loss_reports WHERE lookup_key IN ({keyed}) AND report_id = ${place}"
        );
        let query = keyed_query(text, keys).bind(report.as_bytes().to_vec());
        let Some(row) = query.fetch_optional(&mut *self.tx).await? else { return Ok(None) };
        Ok(Some(ReportOrigin {
            organization: get_id_opt(&row, "organization_id")?,
            channel: get_parsed(&row, "channel", Channel::parse)?,
        }))
    }
}

fn keyed_query(text: String, keys: &[LookupKey]) -> sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments> {
    let mut query = sqlx::query(AssertSqlSafe(text));
    for key in keys {
        query = query.bind(key.as_bytes().as_slice());
    }
    query
}

fn read_sighting(row: &AnyRow) -> Result<AnonymousSighting, StoreError> {
    Ok(AnonymousSighting {
        check_id: get_id(row, "check_id")?,
        organization_kind: get_parsed(row, "kind", OrganizationKind::parse)?,
        region: get_parsed(row, "region", RegionCode::parse)?,
        purpose: get_parsed(row, "purpose", Purpose::parse)?,
        checks: get_u64(row, "checks")?,
        first_seen_at_ms: row.try_get("first_seen_at")?,
        seen_at_ms: row.try_get("seen_at")?,
    })
}

fn read_waiting_card(row: &AnyRow) -> Result<WaitingCard, StoreError> {
    Ok(WaitingCard {
        found_card_id: get_id(row, "found_card_id")?,
        state: get_parsed(row, "state", FoundCardState::parse)?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        found_on: get_parsed(row, "found_on", parse_date)?,
        registered_at_ms: row.try_get("registered_at")?,
    })
}

fn read_certificate(row: &AnyRow) -> Result<PersonCertificate, StoreError> {
    Ok(PersonCertificate {
        certificate_id: get_id(row, "certificate_id")?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        purpose: get_parsed(row, "purpose", CertificatePurpose::parse)?,
        issued_at_ms: row.try_get("issued_at")?,
        expires_at_ms: row.try_get("expires_at")?,
        is_revoked: row.try_get::<Option<i64>, _>("revoked_at")?.is_some(),
    })
}
