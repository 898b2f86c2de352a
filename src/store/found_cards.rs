//! Cards that were handed in, and the loss reports that they are matched to. Matching writes the found card alone: no listing
//! changes by it. Which report a card may belong to is `domain::found_card`'s; said here once more in SQL, for whole batches.

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::lists::{Listed, Part, Wanted};
use super::report_rows::in_force;
use super::reports::{SealedNumber, places};
use super::rows::Values;
use super::{
    Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_id_opt, get_parsed, get_parsed_opt, get_sequence,
    get_u64, parse_date,
};
use crate::crypto::digest::LookupKey;
use crate::crypto::seal::Envelope;
use crate::domain::client::RegionCode;
use crate::domain::found_card::{FoundCard, FoundCardState, HolderVerification, Succession};
use crate::domain::ids::{FoundCardId, OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::report::OfficeCode;
use crate::domain::sequence::Sequence;

/// A found card to be stored.
#[derive(Debug, Clone)]
pub struct NewFoundCard {
    pub found_card_id: FoundCardId,
    pub organization: OrganizationId,
    pub number: SealedNumber,
    pub card_valid_from: Option<Date>,
    pub found_on: Date,
    pub found_at_region: RegionCode,
    pub office: OfficeCode,
    pub contact: Option<Envelope>,
    pub matched_report: Option<ReportId>,
    pub registered_at_ms: UnixMs,
    /// The head of the feed at that moment.
    pub registered_sequence: Sequence,
}

/// A stored found card.
#[derive(Debug, Clone)]
pub struct StoredFoundCard {
    pub card: FoundCard,
    pub number: SealedNumber,
    pub found_on: Date,
    pub found_at_region: RegionCode,
    pub office: OfficeCode,
    pub registered_at_ms: UnixMs,
    pub registered_sequence: Sequence,
    pub leaving: Option<Leaving>,
}

/// How a card ceased to be held.
#[derive(Debug, Clone)]
pub struct Leaving {
    pub at_ms: UnixMs,
    pub office: OfficeCode,
    /// Of a return.
    pub holder_verified_by: Option<HolderVerification>,
    /// Of a transfer.
    pub to_office: Option<OfficeCode>,
}

macro_rules! select {
    () => {
        "SELECT found_card_id, lookup_key, key_version, sealed_digest, state, card_valid_from, found_on, \
         found_at_region, office, matched_report_id, registered_at, registered_sequence, closed_at, closed_by_office, \
         holder_verified_by, transferred_to FROM found_cards"
    };
}

const OWN: &str = concat!(select!(), " WHERE found_card_id = $1 AND organization_id = $2");
/// How found cards are listed.
pub static LISTED: Listed = Listed { select: select!(), prefix: "", id: "found_card_id", office: "office" };
/// A held card that no report in force is matched to. Not one whose report was replaced: that one says what must become of it.
const UNMATCHED: &str = concat!(
    "found_cards.state = 'held' AND NOT EXISTS (SELECT 1 FROM loss_reports m \
      WHERE m.report_id = found_cards.matched_report_id AND m.",
    in_force!(),
    ")"
);
/// The reports that a card may belong to.
const CANDIDATES: &str = "FROM loss_reports r WHERE r.lookup_key = found_cards.lookup_key AND r.state = 'active' \
     AND (r.card_valid_from IS NULL OR found_cards.card_valid_from IS NULL OR r.card_valid_from = found_cards.card_valid_from)";
/// Keys of one statement.
const KEYS_MAX: usize = 4_000;

impl Store {
    /// An organization's own found card.
    pub async fn find_found_card(
        &self,
        organization: OrganizationId,
        found_card: FoundCardId,
    ) -> Result<Option<StoredFoundCard>, StoreError> {
        let row = sqlx::query(OWN)
            .bind(found_card.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_found_card).transpose()
    }

    /// A page of an organization's own found cards.
    pub async fn page_of_found_cards(
        &self,
        organization: OrganizationId,
        wanted: &Wanted<FoundCardState, FoundCardId>,
    ) -> Result<Vec<StoredFoundCard>, StoreError> {
        let states = wanted.state.map_or(FoundCardState::ALL.to_vec(), |state| vec![state]);
        let parts: Vec<_> = states.iter().map(|state| Part::of_state(state.as_str())).collect();
        self.page(&LISTED, Some(organization), wanted, &parts, read_found_card).await
    }
}

impl WriteTx {
    /// Stores a found card, held.
    pub async fn insert_found_card(&mut self, new: &NewFoundCard) -> Result<(), StoreError> {
        self.check_key_version(new.number.key_version)?;
        let contact = new.contact.as_ref();
        sqlx::query(
            "INSERT INTO found_cards (found_card_id, organization_id, lookup_key, key_version, sealed_digest, state, \
             card_valid_from, found_on, found_at_region, office, contact_key, contact_sealed, matched_report_id, registered_at, \
             registered_sequence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(new.found_card_id.as_bytes().as_slice())
        .bind(new.organization.as_bytes().as_slice())
        .bind(new.number.lookup_key.as_bytes().as_slice())
        .bind(i64::from(new.number.key_version))
        .bind(new.number.sealed_digest.as_slice())
        .bind(FoundCardState::Held.as_str())
        .bind(new.card_valid_from.map(|date| date.to_string()))
        .bind(new.found_on.to_string())
        .bind(new.found_at_region.as_str())
        .bind(new.office.as_str())
        .bind(contact.map(|envelope| envelope.wrapped_key.as_slice()))
        .bind(contact.map(|envelope| envelope.sealed.as_slice()))
        .bind(new.matched_report.map(|report| report.as_bytes().to_vec()))
        .bind(new.registered_at_ms)
        .bind(as_i64(new.registered_sequence))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// An organization's own found card, inside a transaction that may change it.
    pub async fn find_found_card(
        &mut self,
        organization: OrganizationId,
        found_card: FoundCardId,
    ) -> Result<Option<StoredFoundCard>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(OWN)
            .bind(found_card.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_found_card).transpose()
    }

    /// Writes a found card's new state.
    pub async fn close_found_card(&mut self, card: &FoundCard, leaving: &Leaving) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE found_cards SET state = $1, closed_at = $2, closed_by_office = $3, holder_verified_by = $4, \
             transferred_to = $5, card_valid_from = $6, matched_report_id = $7 WHERE found_card_id = $8",
        )
        .bind(card.state.as_str())
        .bind(leaving.at_ms)
        .bind(leaving.office.as_str())
        .bind(leaving.holder_verified_by.map(HolderVerification::as_str))
        .bind(leaving.to_office.as_ref().map(|office| office.as_str().to_owned()))
        .bind(card.card_valid_from.map(|date| date.to_string()))
        .bind(card.matched_report.map(|report| report.as_bytes().to_vec()))
        .bind(card.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        sqlx::query("DELETE FROM pending_withdrawals WHERE found_card_id = $1")
            .bind(card.id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The replacements of a number, as a card that was registered at that point of the feed sees them.
    pub async fn successions(
        &mut self,
        keys: &[LookupKey],
        registered_sequence: Sequence,
    ) -> Result<Vec<Succession>, StoreError> {
        let text = format!(
            "SELECT card_valid_from, sequence FROM replacements WHERE lookup_key IN ({})",
            places(1, keys.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        let read = |row: &AnyRow| {
            Ok(Succession {
                card_valid_from: get_parsed(row, "card_valid_from", parse_date)?,
                is_later: get_sequence(row, "sequence")? > registered_sequence,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Matches the held cards of a number to a report that was just filed, unless they have one; returns how many.
    pub async fn match_to_report(
        &mut self,
        report: ReportId,
        card_valid_from: Option<Date>,
        keys: &[LookupKey],
    ) -> Result<u64, StoreError> {
        let place = keys.len() + 2;
        let of_this_card = card_valid_from.map_or_else(String::new, |_| {
            format!(" AND (found_cards.card_valid_from IS NULL OR found_cards.card_valid_from = ${place})")
        });
        let text = format!(
            "UPDATE found_cards SET matched_report_id = $1 WHERE {UNMATCHED} AND found_cards.lookup_key IN ({}){of_this_card}",
            places(2, keys.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(report.as_bytes().as_slice());
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        if let Some(date) = card_valid_from {
            query = query.bind(date.to_string());
        }
        Ok(query.execute(&mut *self.tx).await?.rows_affected())
    }

    /// Matches the held cards under these keys to the active reports under the same keys; returns the reports, one for each card. Costs one
    /// look at an index where no card is held.
    pub async fn match_held_cards(&mut self, keys: &[LookupKey]) -> Result<Vec<ReportId>, StoreError> {
        let held = sqlx::query("SELECT 1 AS held FROM found_cards WHERE state = 'held' LIMIT 1");
        if held.fetch_optional(&mut *self.tx).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut matched = Vec::new();
        for keys in keys.chunks(KEYS_MAX) {
            let places: Vec<_> = (1..=keys.len()).map(|n| self.dialect.place(n)).collect();
            // SQLite knows nothing of the card where it orders, so that the rank is a column.
            let text = format!(
                "UPDATE found_cards SET matched_report_id = (SELECT c.report_id FROM (SELECT r.report_id, r.reported_at, \
                 CASE WHEN r.card_valid_from = found_cards.card_valid_from THEN 0 ELSE 1 END AS place {CANDIDATES}) c \
                 ORDER BY c.place, c.reported_at DESC, c.report_id DESC LIMIT 1) \
                 WHERE {UNMATCHED} AND EXISTS (SELECT 1 {CANDIDATES}) AND found_cards.lookup_key IN ({}) \
                 RETURNING matched_report_id",
                places.join(",")
            );
            let mut values = Values::default();
            for key in keys {
                values.push(key.as_bytes().as_slice());
            }
            for row in values.query(text)?.fetch_all(&mut *self.tx).await? {
                matched.push(get_id(&row, "matched_report_id")?);
            }
        }
        Ok(matched)
    }
}

fn read_found_card(row: &AnyRow) -> Result<StoredFoundCard, StoreError> {
    let closed_at: Option<UnixMs> = row.try_get("closed_at")?;
    let leaving = closed_at.map(|at_ms| {
        Ok::<_, StoreError>(Leaving {
            at_ms,
            office: get_parsed(row, "closed_by_office", OfficeCode::parse)?,
            holder_verified_by: get_parsed_opt(row, "holder_verified_by", HolderVerification::parse)?,
            to_office: get_parsed_opt(row, "transferred_to", OfficeCode::parse)?,
        })
    });
    Ok(StoredFoundCard {
        card: FoundCard {
            id: get_id(row, "found_card_id")?,
            state: get_parsed(row, "state", FoundCardState::parse)?,
            card_valid_from: get_parsed_opt(row, "card_valid_from", parse_date)?,
            matched_report: get_id_opt(row, "matched_report_id")?,
        },
        number: SealedNumber {
            lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
            key_version: u32::try_from(get_u64(row, "key_version")?).map_err(|_| StoreError::Corrupt("key_version"))?,
            sealed_digest: row.try_get("sealed_digest")?,
        },
        found_on: get_parsed(row, "found_on", parse_date)?,
        found_at_region: get_parsed(row, "found_at_region", RegionCode::parse)?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        registered_at_ms: row.try_get("registered_at")?,
        registered_sequence: get_sequence(row, "registered_sequence")?,
        leaving: leaving.transpose()?,
    })
}
