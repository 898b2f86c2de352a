//! What an undoing reads and writes: what one client did in a time, as the audit log has it, what was done since to the same records,
//! and the rows as they were before. Which act is countered by what is `service::undoing`'s.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::alerts::Source;
use super::feed::RecordedChange;
use super::replacements::StoredReplacement;
use super::report_rows::{read_report, report_columns};
use super::reports::{NewReport, SealedNumber, StoredReport, places};
use super::{
    Store, StoreError, WriteTx, as_i64, get_bytes, get_bytes_opt, get_id, get_id_opt, get_parsed, get_parsed_opt,
    get_sequence, get_u64, parse_date,
};
use crate::crypto::digest::LookupKey;
use crate::crypto::seal::Envelope;
use crate::domain::audit::{Action, SubjectTag};
use crate::domain::card::CardValidity;
use crate::domain::found_card::FoundCard;
use crate::domain::ids::{ClientId, ListingId, OrganizationId, RecordId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::report::{Channel, LossReport, OfficeCode, Reason, Reporter, UNDOING};
use crate::domain::sequence::Sequence;

/// A client, and the time in which it did what it should not have, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub client: ClientId,
    pub from_ms: UnixMs,
    pub to_ms: UnixMs,
}

/// What a client did to one record.
#[derive(Debug, Clone)]
pub struct Act {
    /// Of its entry in the audit log.
    pub sequence: u64,
    pub at_ms: UnixMs,
    pub action: Action,
    pub organization: OrganizationId,
    pub subject: RecordId,
    /// What a correction took away.
    pub old_start: Option<Date>,
    /// Whom it concerns; not known of entries of before tags.
    pub person: Option<SubjectTag>,
}

/// What was done to a record after an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterDeed {
    pub action: Action,
    /// None: the operator.
    pub client: Option<ClientId>,
}

impl Store {
    /// What a client did of one kind, in order.
    pub async fn acts_of(&self, span: Span, action: Action) -> Result<Vec<Act>, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let rows = sqlx::query(
            "SELECT a.seq AS seq, a.at AS at, a.organization_id AS organization_id, a.subject AS subject, \
             a.old_start AS old_start, s.subject_tag AS subject_tag \
             FROM audit a LEFT JOIN audit_subjects s ON s.seq = a.seq \
             WHERE a.client_id = $1 AND a.action = $2 AND a.at >= $3 AND a.at <= $4 \
             AND a.subject IS NOT NULL AND a.organization_id IS NOT NULL ORDER BY a.seq",
        )
        .bind(span.client.as_bytes().as_slice())
        .bind(action.as_str())
        .bind(span.from_ms)
        .bind(span.to_ms)
        .fetch_all(&mut *tx)
        .await?;
        let read = |row: &AnyRow| {
            Ok(Act {
                sequence: get_u64(row, "seq")?,
                at_ms: row.try_get("at")?,
                action,
                organization: get_id(row, "organization_id")?,
                subject: get_id(row, "subject")?,
                old_start: get_parsed_opt(row, "old_start", parse_date)?,
                person: get_bytes_opt::<16>(row, "subject_tag")?.map(SubjectTag::from),
            })
        };
        let mut acts = rows.iter().map(read).collect::<Result<Vec<Act>, StoreError>>()?;
        acts.dedup_by_key(|act| act.sequence);
        Ok(acts)
    }

    /// How often a client did what, by the action's word.
    pub async fn count_acts(&self, span: Span) -> Result<Vec<(String, u64)>, StoreError> {
        let mut tx = self.begin_long_read().await?;
        let rows = sqlx::query(
            "SELECT action, COUNT(*) AS total FROM audit WHERE client_id = $1 AND at >= $2 AND at <= $3 \
             GROUP BY action ORDER BY action",
        )
        .bind(span.client.as_bytes().as_slice())
        .bind(span.from_ms)
        .bind(span.to_ms)
        .fetch_all(&mut *tx)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("action")?, get_u64(row, "total")?))).collect()
    }
}

impl WriteTx {
    /// What was done to a record after an entry of the log, in order.
    pub async fn deeds_since(&mut self, subject: RecordId, after: u64) -> Result<Vec<LaterDeed>, StoreError> {
        self.take_turn().await?;
        let rows = sqlx::query("SELECT action, client_id FROM audit WHERE subject = $1 AND seq > $2 ORDER BY seq")
            .bind(subject.as_bytes().as_slice())
            .bind(as_i64(after))
            .fetch_all(&mut *self.tx)
            .await?;
        let read = |row: &AnyRow| {
            Ok(LaterDeed { action: get_parsed(row, "action", Action::parse)?, client: get_id_opt(row, "client_id")? })
        };
        rows.iter().map(read).collect()
    }

    /// A report as it was filed.
    pub async fn report_as_filed(&mut self, report: ReportId) -> Result<Option<NewReport>, StoreError> {
        let row = sqlx::query(
            "SELECT report_id, organization_id, lookup_key, key_version, sealed_digest, card_valid_from, card_valid_until, \
             reason, lost_on, reporter, office, channel, contact_key, contact_sealed, reported_at \
             FROM loss_reports WHERE report_id = $1",
        )
        .bind(report.as_bytes().as_slice())
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(read_filed).transpose()
    }

    /// The reports of a number that a replacement has ended since an instant.
    pub async fn replaced_reports(
        &mut self,
        keys: &[LookupKey],
        since_ms: UnixMs,
    ) -> Result<Vec<StoredReport>, StoreError> {
        let text = format!(
            "SELECT {} FROM loss_reports WHERE lookup_key IN ({}) AND state = 'replaced' AND closed_at >= $1",
            report_columns!(),
            places(2, keys.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(since_ms);
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        query.fetch_all(&mut *self.tx).await?.iter().map(read_report).collect()
    }

    /// The replacements of a number that are in force: each one's start, and the sequence of its last change.
    pub async fn replacements_in_force(&mut self, keys: &[LookupKey]) -> Result<Vec<(Date, Sequence)>, StoreError> {
        let text = format!(
            "SELECT card_valid_from, sequence FROM replacements WHERE lookup_key IN ({})",
            places(1, keys.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        let read = |row: &AnyRow| Ok((get_parsed(row, "card_valid_from", parse_date)?, get_sequence(row, "sequence")?));
        rows.iter().map(read).collect()
    }

    /// Writes that a report is in force again.
    pub async fn reopen_report(&mut self, report: &LossReport, change: &RecordedChange) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE loss_reports SET state = $1, closed_at = NULL, closed_by_office = NULL, withdrawal_reason = NULL, \
             sequence = $2 WHERE report_id = $3",
        )
        .bind(report.state.as_str())
        .bind(as_i64(change.sequence()))
        .bind(report.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.keep_in_import(report.id, change).await
    }

    /// Takes a replacement out of what lists numbers.
    pub async fn take_back_replacement(
        &mut self,
        stored: &StoredReplacement,
        at_ms: UnixMs,
        change: &RecordedChange,
    ) -> Result<(), StoreError> {
        let (replacement, number) = (stored.replacement_id, &stored.number);
        // Its row may be the last one that holds the number, and the log says that this is listed no more.
        self.leaves.know(replacement.into(), number.lookup_key, &number.sealed_digest);
        sqlx::query(
            "INSERT INTO taken_back_replacements (replacement_id, organization_id, lookup_key, key_version, sealed_digest, \
             card_valid_from, office, recorded_at, sequence, taken_back_at) \
             SELECT replacement_id, organization_id, lookup_key, key_version, sealed_digest, card_valid_from, office, \
             recorded_at, CAST($1 AS BIGINT), CAST($2 AS BIGINT) FROM replacements WHERE replacement_id = $3",
        )
        .bind(as_i64(change.sequence()))
        .bind(at_ms)
        .bind(replacement.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        sqlx::query("DELETE FROM replacements WHERE replacement_id = $1")
            .bind(replacement.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Forgets that a client asked to withdraw a report. False where it does not wait.
    pub async fn drop_request(&mut self, report: ReportId, client: ClientId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM pending_withdrawals WHERE report_id = $1 AND client_id = $2")
            .bind(report.as_bytes().as_slice())
            .bind(client.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes that a found card is held again.
    pub async fn reopen_found_card(&mut self, card: &FoundCard) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE found_cards SET state = $1, closed_at = NULL, closed_by_office = NULL, holder_verified_by = NULL, \
             transferred_to = NULL WHERE found_card_id = $2",
        )
        .bind(card.state.as_str())
        .bind(card.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Which of these records an undoing has ended, each with the sequence at which it did.
    pub async fn undone_listings(
        &mut self,
        listings: &BTreeSet<ListingId>,
    ) -> Result<BTreeMap<ListingId, (Sequence, Source)>, StoreError> {
        self.take_turn().await?;
        let listed = places(1, listings.len());
        let text = format!(
            "SELECT 'report' AS kind, report_id AS id, sequence FROM loss_reports \
             WHERE report_id IN ({listed}) AND state = 'withdrawn' AND closed_by_office = '{UNDOING}' \
             UNION ALL SELECT 'replacement' AS kind, replacement_id AS id, sequence FROM taken_back_replacements \
             WHERE replacement_id IN ({listed})"
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for listing in listings {
            query = query.bind(listing.as_bytes().as_slice());
        }
        let read = |row: &AnyRow| {
            let source = match row.try_get::<&str, _>("kind")? {
                "report" => Source::Report(get_id(row, "id")?),
                _ => Source::Replacement(get_id(row, "id")?),
            };
            Ok((get_id(row, "id")?, (get_sequence(row, "sequence")?, source)))
        };
        query.fetch_all(&mut *self.tx).await?.iter().map(read).collect()
    }
}

fn read_filed(row: &AnyRow) -> Result<NewReport, StoreError> {
    let contact = match (row.try_get("contact_key")?, row.try_get("contact_sealed")?) {
        (Some(wrapped_key), Some(sealed)) => Some(Envelope { wrapped_key, sealed }),
        _ => None,
    };
    Ok(NewReport {
        report_id: get_id(row, "report_id")?,
        organization: get_id_opt(row, "organization_id")?,
        number: SealedNumber {
            lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
            key_version: u32::try_from(get_u64(row, "key_version")?).map_err(|_| StoreError::Corrupt("key_version"))?,
            sealed_digest: row.try_get("sealed_digest")?,
        },
        // It was judged when it was filed: no day of today may change that.
        validity: CardValidity::new(
            get_parsed_opt(row, "card_valid_from", parse_date)?,
            get_parsed_opt(row, "card_valid_until", parse_date)?,
            Date::MAX,
        )
        .map_err(|_| StoreError::Corrupt("card_valid_from"))?,
        reason: get_parsed(row, "reason", Reason::parse)?,
        lost_on: get_parsed_opt(row, "lost_on", parse_date)?,
        reporter: get_parsed(row, "reporter", Reporter::parse)?,
        office: get_parsed(row, "office", OfficeCode::parse)?,
        channel: get_parsed(row, "channel", Channel::parse)?,
        contact,
        reported_at_ms: row.try_get("reported_at")?,
    })
}
