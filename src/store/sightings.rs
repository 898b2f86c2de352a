//! Sightings: rows under the records that made a number listed, and what is asked to find those. No number is with them. What is
//! shown is folded: the checks of one client on one day at one place are one entry with their count.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::key_versions::get_key_versions;
use super::reports::places;
use super::rows::{RowsInsert, Values};
use super::{
    Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_parsed, get_parsed_opt, get_sequence, get_u64,
    parse_date,
};
use crate::clock::beijing_date;
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::client::{OrganizationKind, OrganizationName, RegionCode};
use crate::domain::ids::{CheckId, ClientId, ListingId, OrganizationId, RecordId};
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
    /// None: of version 0.1.
    pub client: Option<ClientId>,
    pub site: Option<Label>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    pub seen_at_ms: UnixMs,
}

/// What one client saw on one day at one place, with its organization: the strongest verdict, and the purpose of the last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSighting {
    pub listing: ListingId,
    /// The first check.
    pub check_id: CheckId,
    pub organization_name: OrganizationName,
    pub organization_kind: OrganizationKind,
    pub region: RegionCode,
    pub site: Option<Label>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    /// How many checks.
    pub checks: u64,
    pub first_seen_at_ms: UnixMs,
    /// The last one.
    pub seen_at_ms: UnixMs,
}

/// Sites of one client's day at one card that are told apart: more of them would fill the card's list.
const SITES_MAX: usize = 16;

static SIGHTINGS: RowsInsert = RowsInsert::ending(
    "sightings",
    "listing_id, check_id, organization_id, site, purpose, verdict, seen_at",
    " ON CONFLICT DO NOTHING RETURNING listing_id, check_id",
);
static DAYS: RowsInsert = RowsInsert::ending(
    "sighting_days",
    "listing_id, client_id, day, site, purpose, verdict, organization_id, check_id, checks, own_checks, first_seen_at, seen_at",
    " ON CONFLICT (listing_id, client_id, day, site) DO UPDATE SET checks = sighting_days.checks + excluded.checks, \
     own_checks = sighting_days.own_checks + excluded.own_checks, \
     purpose = CASE WHEN excluded.seen_at >= sighting_days.seen_at THEN excluded.purpose ELSE sighting_days.purpose END, \
     verdict = CASE WHEN excluded.verdict = 'card_listed' THEN excluded.verdict ELSE sighting_days.verdict END, \
     first_seen_at = CASE WHEN excluded.first_seen_at < sighting_days.first_seen_at THEN excluded.first_seen_at ELSE sighting_days.first_seen_at END, \
     seen_at = CASE WHEN excluded.seen_at > sighting_days.seen_at THEN excluded.seen_at ELSE sighting_days.seen_at END",
);

/// What is one entry. In this order, so that two nodes that write the same ones wait for each other and never in a circle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    listing: ListingId,
    /// Its organization where sightings did not name the client yet.
    client: RecordId,
    day: i64,
    site: String,
}

/// The checks of an entry.
#[derive(Debug, Clone, Copy)]
struct Seen {
    organization: OrganizationId,
    /// Of the last one.
    purpose: Purpose,
    /// The strongest.
    verdict: Verdict,
    check_id: CheckId,
    checks: u64,
    /// Those that no record before this one counts, so that a person is told each check once.
    own_checks: u64,
    first_ms: UnixMs,
    last_ms: UnixMs,
}

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
                 FROM replacements WHERE lookup_key IN ({keyed}) \
               UNION ALL \
               SELECT 'taken_back' AS kind, replacement_id AS id, lookup_key, '' AS state, card_valid_from, sequence \
                 FROM taken_back_replacements WHERE lookup_key IN ({keyed})) r ON TRUE"
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

    /// What was seen of some listings, by its first check, newest first; what came before a check, where one is named.
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
             s.site AS site, s.purpose AS purpose, s.verdict AS verdict, s.checks AS checks, \
             s.first_seen_at AS first_seen_at, s.seen_at AS seen_at \
             FROM sighting_days s JOIN organizations o ON o.organization_id = s.organization_id \
             WHERE s.listing_id IN ({}) AND s.check_id < ${} ORDER BY s.check_id DESC, s.listing_id LIMIT {count_max}",
            places(1, listings.len()),
            listings.len() + 1
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for listing in listings {
            query = query.bind(listing.as_bytes().as_slice());
        }
        query = query.bind(before.unwrap_or(LAST_CHECK).as_bytes().as_slice().to_vec());
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_sighting).collect()
    }
}

/// No check is after it.
pub(super) const LAST_CHECK: CheckId = CheckId::from_bytes([0xff; 16]);

impl WriteTx {
    /// Stores sightings, and counts those that were not stored already in what lists show.
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
        let stored = SIGHTINGS.fetch(&mut self.tx, self.dialect, sightings, bind).await?;
        let stored = stored.iter().map(|row| Ok((get_id(row, "listing_id")?, get_id(row, "check_id")?)));
        let stored = stored.collect::<Result<BTreeSet<(ListingId, CheckId)>, StoreError>>()?;
        // All records of a check come together.
        let mut firsts = BTreeMap::<CheckId, ListingId>::new();
        for one in sightings {
            firsts.entry(one.check_id).and_modify(|first| *first = one.listing.min(*first)).or_insert(one.listing);
        }
        let mut seen = BTreeMap::<Place, Seen>::new();
        for sighting in sightings.iter().filter(|one| stored.contains(&(one.listing, one.check_id))) {
            let place = self.place_of(sighting, &seen).await?;
            let is_own = firsts.get(&sighting.check_id) == Some(&sighting.listing);
            seen.entry(place)
                .and_modify(|seen| seen.add(sighting, is_own))
                .or_insert_with(|| Seen::of(sighting, is_own));
        }
        let bind = |values: &mut Values, (place, seen): &(Place, Seen)| {
            values
                .push(place.listing.as_bytes().as_slice())
                .push(place.client.as_bytes().as_slice())
                .push(place.day)
                .push(place.site.as_str())
                .push(seen.purpose.as_str())
                .push(seen.verdict.as_str())
                .push(seen.organization.as_bytes().as_slice())
                .push(seen.check_id.as_bytes().as_slice())
                .push(as_i64(seen.checks))
                .push(as_i64(seen.own_checks))
                .push(seen.first_ms)
                .push(seen.last_ms);
        };
        let days: Vec<_> = seen.into_iter().collect();
        DAYS.execute(&mut self.tx, self.dialect, &days, bind).await
    }

    /// The entry of a sighting. A client that names site after site on one day gets no more of them told apart.
    async fn place_of(&mut self, sighting: &NewSighting, seen: &BTreeMap<Place, Seen>) -> Result<Place, StoreError> {
        let place = Place::of(sighting);
        if place.site.is_empty() || seen.contains_key(&place) {
            return Ok(place);
        }
        let rows = sqlx::query(
            "SELECT DISTINCT site FROM sighting_days WHERE listing_id = $1 AND client_id = $2 AND day = $3",
        )
        .bind(place.listing.as_bytes().as_slice())
        .bind(place.client.as_bytes().as_slice())
        .bind(place.day)
        .fetch_all(&mut *self.tx)
        .await?;
        let stored = rows.iter().map(|row| Ok(row.try_get::<String, _>("site")?));
        let mut sites = stored.collect::<Result<BTreeSet<_>, StoreError>>()?;
        let is_of_day =
            |other: &&Place| (other.listing, other.client, other.day) == (place.listing, place.client, place.day);
        sites.extend(seen.keys().filter(is_of_day).map(|other| other.site.clone()));
        sites.remove("");
        let is_one_too_many = sites.len() >= SITES_MAX && !sites.contains(&place.site);
        Ok(if is_one_too_many { Place { site: String::new(), ..place } } else { place })
    }
}

impl Place {
    fn of(sighting: &NewSighting) -> Self {
        let client = sighting.client.map_or_else(|| RecordId::from(sighting.organization), RecordId::from);
        let day = beijing_date(sighting.seen_at_ms);
        Self {
            listing: sighting.listing,
            client,
            day: Date::constant(1970, 1, 1).duration_until(day).as_hours() / 24,
            site: sighting.site.as_ref().map_or_else(String::new, |site| site.as_str().to_owned()),
        }
    }
}

impl Seen {
    fn of(sighting: &NewSighting, is_own: bool) -> Self {
        Self {
            organization: sighting.organization,
            purpose: sighting.purpose,
            verdict: sighting.verdict,
            check_id: sighting.check_id,
            checks: 1,
            own_checks: u64::from(is_own),
            first_ms: sighting.seen_at_ms,
            last_ms: sighting.seen_at_ms,
        }
    }

    fn add(&mut self, sighting: &NewSighting, is_own: bool) {
        self.check_id = self.check_id.min(sighting.check_id);
        self.checks += 1;
        self.own_checks += u64::from(is_own);
        if sighting.seen_at_ms >= self.last_ms {
            self.purpose = sighting.purpose;
        }
        if sighting.verdict == Verdict::CardListed {
            self.verdict = sighting.verdict;
        }
        self.first_ms = self.first_ms.min(sighting.seen_at_ms);
        self.last_ms = self.last_ms.max(sighting.seen_at_ms);
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
        ("replacement", Some(card_valid_from)) => {
            Candidate::Replacement { id: get_id(row, "id")?, card_valid_from, taken_back: None }
        }
        ("taken_back", Some(card_valid_from)) => Candidate::Replacement {
            id: get_id(row, "id")?,
            card_valid_from,
            taken_back: Some(get_sequence(row, "sequence")?),
        },
        _ => return Err(StoreError::Corrupt("card_valid_from")),
    };
    Ok(Some((LookupKey::from_bytes(get_bytes(row, "lookup_key")?), candidate)))
}

fn read_sighting(row: &AnyRow) -> Result<StoredSighting, StoreError> {
    Ok(StoredSighting {
        listing: get_id(row, "listing_id")?,
        check_id: get_id(row, "check_id")?,
        organization_name: get_parsed(row, "name", OrganizationName::stored)?,
        organization_kind: get_parsed(row, "kind", OrganizationKind::parse)?,
        region: get_parsed(row, "region", RegionCode::parse)?,
        site: Label::parse(row.try_get("site")?),
        purpose: get_parsed(row, "purpose", Purpose::parse)?,
        verdict: get_parsed(row, "verdict", Verdict::parse)?,
        checks: get_u64(row, "checks")?,
        first_seen_at_ms: row.try_get("first_seen_at")?,
        seen_at_ms: row.try_get("seen_at")?,
    })
}
