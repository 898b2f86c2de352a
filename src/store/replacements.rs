//! Replacements: new cards by which the cards before them are listed. Every writer here takes the change that the feed has of it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::feed::RecordedChange;
use super::lists::{Listed, Part, Wanted};
use super::report_rows::in_force;
use super::reports::{SealedNumber, places};
use super::{
    Store, StoreError, WriteTx, as_i64, get_bytes, get_id, get_parsed, get_parsed_opt, get_sequence, parse_date,
};
use crate::crypto::digest::LookupKey;
use crate::domain::card::Threshold;
use crate::domain::ids::{OrganizationId, ReplacementId};
use crate::domain::instant::UnixMs;
use crate::domain::report::OfficeCode;
use crate::domain::sequence::Sequence;

/// A replacement to be stored.
#[derive(Debug, Clone)]
pub struct NewReplacement {
    pub replacement_id: ReplacementId,
    pub organization: OrganizationId,
    pub number: SealedNumber,
    pub card_valid_from: Date,
    pub office: OfficeCode,
    pub recorded_at_ms: UnixMs,
}

/// A stored replacement.
#[derive(Debug, Clone)]
pub struct StoredReplacement {
    pub replacement_id: ReplacementId,
    pub number: SealedNumber,
    pub card_valid_from: Date,
    pub recorded_at_ms: UnixMs,
}

/// A replacement as it is listed.
#[derive(Debug, Clone)]
pub struct ListedReplacement {
    pub replacement_id: ReplacementId,
    pub card_valid_from: Date,
    pub office: OfficeCode,
    pub recorded_at_ms: UnixMs,
    /// Of its last change.
    pub sequence: Sequence,
}

/// How replacements are listed.
pub static LISTED: Listed = Listed {
    select: "SELECT replacement_id, card_valid_from, office, recorded_at, sequence FROM replacements",
    prefix: "",
    id: "replacement_id",
    office: "office",
};

impl Store {
    /// A page of an organization's own replacements, which have no state.
    pub async fn page_of_replacements(
        &self,
        organization: OrganizationId,
        wanted: &Wanted<Infallible, ReplacementId>,
    ) -> Result<Vec<ListedReplacement>, StoreError> {
        self.page(&LISTED, Some(organization), wanted, &[Part::whole()], read_listed).await
    }
}

impl WriteTx {
    /// Stores a replacement.
    pub async fn insert_replacement(
        &mut self,
        new: &NewReplacement,
        change: &RecordedChange,
    ) -> Result<(), StoreError> {
        self.check_key_version(new.number.key_version)?;
        self.leaves.know(new.replacement_id.into(), new.number.lookup_key, &new.number.sealed_digest);
        sqlx::query(
            "INSERT INTO replacements (replacement_id, organization_id, lookup_key, key_version, sealed_digest, \
             card_valid_from, office, recorded_at, sequence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.replacement_id.as_bytes().as_slice())
        .bind(new.organization.as_bytes().as_slice())
        .bind(new.number.lookup_key.as_bytes().as_slice())
        .bind(i64::from(new.number.key_version))
        .bind(new.number.sealed_digest.as_slice())
        .bind(new.card_valid_from.to_string())
        .bind(new.office.as_str())
        .bind(new.recorded_at_ms)
        .bind(as_i64(change.sequence()))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// An organization's own replacement, inside a transaction that may change it.
    pub async fn find_replacement(
        &mut self,
        organization: OrganizationId,
        replacement: ReplacementId,
    ) -> Result<Option<StoredReplacement>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(
            "SELECT replacement_id, lookup_key, key_version, sealed_digest, card_valid_from, recorded_at FROM replacements \
             WHERE replacement_id = $1 AND organization_id = $2",
        )
        .bind(replacement.as_bytes().as_slice())
        .bind(organization.as_bytes().as_slice())
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(read_replacement).transpose()
    }

    /// Writes the right start of a replacement, and the office that told it.
    pub async fn correct_replacement(
        &mut self,
        replacement: ReplacementId,
        card_valid_from: Date,
        office: &OfficeCode,
        change: &RecordedChange,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE replacements SET card_valid_from = $1, office = $2, sequence = $3 WHERE replacement_id = $4",
        )
        .bind(card_valid_from.to_string())
        .bind(office.as_str())
        .bind(as_i64(change.sequence()))
        .bind(replacement.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The starts of some replacements as they are now, each with the sequence of its last change.
    pub async fn replacement_starts(
        &mut self,
        replacements: &BTreeSet<ReplacementId>,
    ) -> Result<BTreeMap<ReplacementId, (Sequence, Date)>, StoreError> {
        self.take_turn().await?;
        let text = format!(
            "SELECT replacement_id, sequence, card_valid_from FROM replacements WHERE replacement_id IN ({})",
            places(1, replacements.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for id in replacements {
            query = query.bind(id.as_bytes().as_slice());
        }
        let read = |row: &AnyRow| {
            let now = (get_sequence(row, "sequence")?, get_parsed(row, "card_valid_from", parse_date)?);
            Ok((get_id(row, "replacement_id")?, now))
        };
        query.fetch_all(&mut *self.tx).await?.iter().map(read).collect()
    }

    /// When the application was made that a replacement was issued for, if it was, and the start of its temporary card.
    pub async fn applied_for(
        &mut self,
        replacement: ReplacementId,
    ) -> Result<Option<(UnixMs, Option<Date>)>, StoreError> {
        let row = sqlx::query(
            "SELECT a.applied_at AS applied_at, t.card_valid_from AS temporary FROM replacement_applications a \
             LEFT JOIN temporary_cards t ON t.application_id = a.application_id WHERE a.replacement_id = $1",
        )
        .bind(replacement.as_bytes().as_slice())
        .fetch_optional(&mut *self.tx)
        .await?;
        let read = |row: AnyRow| Ok((row.try_get("applied_at")?, get_parsed_opt(&row, "temporary", parse_date)?));
        row.map(read).transpose()
    }

    /// Up to which start cards of a number are listed, as far as their starts are known; without what one replacement lists.
    pub async fn listed_until(
        &mut self,
        keys: &[LookupKey],
        except: Option<ReplacementId>,
    ) -> Result<Option<Threshold>, StoreError> {
        let keyed = places(2, keys.len());
        let text = format!(
            "SELECT (SELECT MAX(card_valid_from) FROM loss_reports WHERE lookup_key IN ({keyed}) AND {in_force}) AS lost, \
             (SELECT MAX(card_valid_from) FROM replacements WHERE lookup_key IN ({keyed}) AND replacement_id <> $1) AS newest",
            in_force = in_force!()
        );
        // No replacement has the id of nobody.
        let mut query =
            sqlx::query(AssertSqlSafe(text)).bind(except.unwrap_or(ReplacementId::nil()).as_bytes().to_vec());
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let row = query.fetch_one(&mut *self.tx).await?;
        let lost = get_parsed_opt(&row, "lost", parse_date)?.map(Threshold::of_lost_card);
        let newest = get_parsed_opt(&row, "newest", parse_date)?.map(Threshold::before_replacement);
        Ok(lost.max(newest))
    }
}

fn read_replacement(row: &AnyRow) -> Result<StoredReplacement, StoreError> {
    Ok(StoredReplacement {
        replacement_id: get_id(row, "replacement_id")?,
        number: SealedNumber {
            lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
            key_version: u32::try_from(row.try_get::<i64, _>("key_version")?)
                .map_err(|_| StoreError::Corrupt("key_version"))?,
            sealed_digest: row.try_get("sealed_digest")?,
        },
        card_valid_from: get_parsed(row, "card_valid_from", parse_date)?,
        recorded_at_ms: row.try_get("recorded_at")?,
    })
}

fn read_listed(row: &AnyRow) -> Result<ListedReplacement, StoreError> {
    Ok(ListedReplacement {
        replacement_id: get_id(row, "replacement_id")?,
        card_valid_from: get_parsed(row, "card_valid_from", parse_date)?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        recorded_at_ms: row.try_get("recorded_at")?,
        sequence: get_sequence(row, "sequence")?,
    })
}
