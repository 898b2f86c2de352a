//! Sightings: rows under the records that made a number listed, and what is asked to find those. No number is with them.

use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::key_versions::get_key_versions;
use super::reports::places;
use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_parsed, get_parsed_opt, get_sequence, parse_date};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::client::{OrganizationKind, OrganizationName, RegionCode};
use crate::domain::ids::{CheckId, ListingId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::{Label, ReportState};
use crate::domain::sighting::Candidate;
use crate::domain::verdict::{Purpose, Verdict};

/// A sighting to be stored under one listing.
#[derive(Debug, Clone)]
pub struct NewSighting {
    /// The report or replacement that made the card listed.
    pub listing: ListingId,
    pub check_id: CheckId,
    pub organization: OrganizationId,
    pub site: Option<Label>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    pub seen_at_ms: UnixMs,
}

/// A stored sighting, with the organization that saw the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSighting {
    pub listing: ListingId,
    pub check_id: CheckId,
    pub organization_name: OrganizationName,
    pub organization_kind: OrganizationKind,
    pub region: RegionCode,
    pub site: Option<Label>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    pub seen_at_ms: UnixMs,
}

static SIGHTINGS: RowsInsert =
    RowsInsert::of_new("sightings", "listing_id, check_id, organization_id, site, purpose, verdict, seen_at");

impl Store {
    /// Every record that a sighting of some numbers may belong to, each with its number's key (at most
    /// [`super::reports::KEYS_MAX`]), and by which peppers rows were keyed at that moment.
    pub async fn sighting_candidates(
        &self,
        keys: &[LookupKey],
    ) -> Result<(KeyVersions, Vec<(LookupKey, Candidate)>), StoreError> {
        let keyed = places(1, keys.len());
        let text = format!(
            "SELECT h.key_version AS key_version, h.key_version_from AS key_version_from, r.kind AS kind, r.id AS id, \
             r.lookup_key AS lookup_key, r.state AS state, r.card_valid_from AS card_valid_from, r.sequence AS sequence \
             FROM feed_head h LEFT JOIN ( \
               SELECT 'report' AS kind, report_id AS id, lookup_key, state, card_valid_from, sequence \
                 FROM loss_reports WHERE lookup_key IN ({keyed}) \
               UNION ALL \
               SELECT 'replacement' AS kind, replacement_id AS id, lookup_key, '' AS state, card_valid_from, sequence \
                 FROM replacements WHERE lookup_key IN ({keyed})) r ON TRUE"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        let versions = get_key_versions(rows.first().ok_or(StoreError::Corrupt("feed_head"))?)?;
        let candidates = rows.iter().filter_map(|row| read_candidate(row).transpose());
        Ok((versions, candidates.collect::<Result<_, _>>()?))
    }

    /// The newest sightings of some listings, newest first; of those before a check, where one is named.
    pub async fn list_sightings(
        &self,
        listings: &[ListingId],
        before: Option<CheckId>,
        count_max: usize,
    ) -> Result<Vec<StoredSighting>, StoreError> {
        if listings.is_empty() {
            return Ok(Vec::new());
        }
        // The ids of checks begin with their time.
        let text = format!(
            "SELECT s.listing_id AS listing_id, s.check_id AS check_id, o.name AS name, o.kind AS kind, o.region AS region, \
             s.site AS site, s.purpose AS purpose, s.verdict AS verdict, s.seen_at AS seen_at \
             FROM sightings s JOIN organizations o ON o.organization_id = s.organization_id \
             WHERE s.listing_id IN ({}) AND s.check_id < ${} ORDER BY s.check_id DESC, s.listing_id LIMIT {count_max}",
            places(1, listings.len()),
            listings.len() + 1
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for listing in listings {
            query = query.bind(listing.as_bytes().as_slice());
        }
        query = query.bind(before.unwrap_or(CheckId::from_bytes([0xff; 16])).as_bytes().as_slice().to_vec());
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_sighting).collect()
    }
}

impl WriteTx {
    /// Stores sightings. Those that are stored already stay as they are.
    pub async fn insert_sightings(&mut self, sightings: &[NewSighting]) -> Result<(), StoreError> {
        let bind = |values: &mut Values, sighting: &NewSighting| {
            values
                .push(sighting.listing.as_bytes().as_slice())
                .push(sighting.check_id.as_bytes().as_slice())
                .push(sighting.organization.as_bytes().as_slice())
                .push(sighting.site.as_ref().map(|site| site.as_str().to_owned()))
                .push(sighting.purpose.as_str())
                .push(sighting.verdict.as_str())
                .push(sighting.seen_at_ms);
        };
        SIGHTINGS.execute(&mut self.tx, self.dialect, sightings, bind).await
    }
}

fn read_candidate(row: &AnyRow) -> Result<Option<(LookupKey, Candidate)>, StoreError> {
    let Some(kind) = row.try_get::<Option<&str>, _>("kind")? else { return Ok(None) };
    let card_valid_from: Option<Date> = get_parsed_opt(row, "card_valid_from", parse_date)?;
    let candidate = match (kind, card_valid_from) {
        ("report", card_valid_from) => Candidate::Report {
            id: get_id(row, "id")?,
            state: get_parsed(row, "state", ReportState::parse)?,
            card_valid_from,
            sequence: get_sequence(row, "sequence")?,
        },
        ("replacement", Some(card_valid_from)) => Candidate::Replacement { id: get_id(row, "id")?, card_valid_from },
        _ => return Err(StoreError::Corrupt("card_valid_from")),
    };
    Ok(Some((LookupKey::from_bytes(get_bytes(row, "lookup_key")?), candidate)))
}

fn read_sighting(row: &AnyRow) -> Result<StoredSighting, StoreError> {
    Ok(StoredSighting {
        listing: get_id(row, "listing_id")?,
        check_id: get_id(row, "check_id")?,
        organization_name: get_parsed(row, "name", OrganizationName::parse)?,
        organization_kind: get_parsed(row, "kind", OrganizationKind::parse)?,
        region: get_parsed(row, "region", RegionCode::parse)?,
        site: get_parsed_opt(row, "site", Label::parse)?,
        purpose: get_parsed(row, "purpose", Purpose::parse)?,
        verdict: get_parsed(row, "verdict", Verdict::parse)?,
        seen_at_ms: row.try_get("seen_at")?,
    })
}
