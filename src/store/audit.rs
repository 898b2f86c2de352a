//! The audit log: rows are added, never changed (triggers in `schema.rs` see to it). Each is written in the transaction of what
//! it records, or, for a read, before the answer goes out. What a chain must look like is `crypto::audit`'s.

use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::aggregate::Aggregate;
use super::aggregates;
use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_bytes_opt, get_id, get_id_opt, get_u64};
use crate::crypto::audit::{End, Entry};
use crate::domain::audit::{Deed, SubjectTag};
use crate::domain::ids::RecordId;
use crate::domain::instant::UnixMs;

/// Entries of one page.
const PAGE_ENTRIES_MAX: i64 = 1000;
/// Values of one statement.
const TAGS_MAX: usize = 500;
static ENTRIES: RowsInsert = RowsInsert::new(
    "audit",
    "seq, at, organization_id, client_id, action, subject, old_start, hash, person, os_user, reason, keyed_hash, origin",
);
static TAGS: RowsInsert = RowsInsert::new("audit_subjects", "seq, subject_tag");

impl Store {
    /// The entries behind a sequence, in order; none at the end of the log. They are read as they are: whether they follow
    /// from one another is for the caller to see.
    pub async fn list_audit(&self, after: u64) -> Result<Vec<Entry>, StoreError> {
        let mut connection = self.connection().await?;
        let rows = sqlx::query(
            "SELECT seq, at, organization_id, client_id, action, subject, old_start, person, os_user, reason, origin, hash, \
             keyed_hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(as_i64(after))
        .bind(PAGE_ENTRIES_MAX)
        .fetch_all(&mut *connection)
        .await?;
        let mut entries = rows.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
        let Some(last) = entries.last().map(|last| last.sequence) else { return Ok(entries) };
        // Committed with their entries, so all of them are there.
        let tags = sqlx::query(
            "SELECT seq, subject_tag FROM audit_subjects WHERE seq > $1 AND seq <= $2 ORDER BY seq, subject_tag",
        )
        .bind(as_i64(after))
        .bind(as_i64(last))
        .fetch_all(&mut *connection)
        .await?;
        let mut tags = tags.iter().map(read_tag).peekable();
        for entry in &mut entries {
            while let Some(tag) = tags.next_if(|tag| !matches!(tag, Ok((of, _)) if *of > entry.sequence)) {
                let (of, tag) = tag?;
                // One of no entry there is left out: the gap between the entries tells.
                if of == entry.sequence {
                    entry.persons.push(tag);
                }
            }
        }
        Ok(entries)
    }
}

impl WriteTx {
    /// The end of the log, as long as the transaction has its turn.
    pub async fn audit_end(&mut self) -> Result<End, StoreError> {
        let last =
            sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(&mut *self.tx).await?;
        let read = |row: &AnyRow| Ok(End { sequence: get_u64(row, "seq")?, hash: get_bytes(row, "hash")? });
        last.as_ref().map_or(Ok(End::BEGINNING), read)
    }

    /// Adds an entry. It takes the lock that orders all writers, so that the chain has one end.
    pub async fn record_deed(&mut self, deed: &Deed, now_ms: UnixMs) -> Result<(), StoreError> {
        self.record_deeds(std::slice::from_ref(deed), now_ms).await
    }

    /// Adds entries, in this order.
    pub async fn record_deeds(&mut self, deeds: &[Deed], now_ms: UnixMs) -> Result<(), StoreError> {
        if deeds.iter().any(|deed| deed.subject.is_none() && aggregates::subject_of(deed.action).is_some()) {
            return Err(StoreError::Misused("the audit log is not told which record"));
        }
        self.take_turn().await?;
        let audit_key = Arc::clone(&self.audit_key);
        let key = audit_key.get().ok_or(StoreError::Misused("the audit log has no key"))?;
        let mut end = self.audit_end().await?;
        let mut entries = Vec::with_capacity(deeds.len());
        for deed in deeds {
            let mut entry = end.next(now_ms, deed);
            entry.keyed_hash = Some(key.keyed_hash(&entry));
            end = entry.end();
            entries.push(entry);
        }
        let bind = |values: &mut Values, entry: &Entry| {
            values
                .push(as_i64(entry.sequence))
                .push(entry.at_ms)
                .push(entry.organization.map(|id| id.as_bytes().to_vec()))
                .push(entry.client.map(|id| id.as_bytes().to_vec()))
                .push(entry.action.as_str())
                .push(entry.subject.map(|id| id.as_bytes().to_vec()))
                .push(entry.old_start.clone())
                .push(entry.hash.to_vec())
                .push(entry.person.clone())
                .push(entry.os_user.clone())
                .push(entry.reason.clone())
                .push(entry.keyed_hash.map(|keyed| keyed.to_vec()))
                .push(entry.origin.clone());
        };
        ENTRIES.execute(&mut self.tx, self.dialect, &entries, bind).await?;
        let tags = entries.iter().flat_map(|entry| entry.persons.iter().map(|tag| (entry.sequence, *tag)));
        let tags: Vec<_> = tags.collect();
        let bind = |values: &mut Values, (sequence, tag): &(u64, SubjectTag)| {
            values.push(as_i64(*sequence)).push(tag.as_bytes().as_slice());
        };
        TAGS.execute(&mut self.tx, self.dialect, &tags, bind).await?;
        self.note_acts(deeds, now_ms).await
    }

    /// The sealed digests of records of one table, each with the id that it is sealed for: that of the record, or of the one that it
    /// belongs to. A record that is not there, or that is nobody's, has none.
    pub async fn sealed_digests(
        &mut self,
        of: &'static Aggregate,
        records: &[RecordId],
    ) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError> {
        let Some((holder, join)) = aggregates::holder_of_number(of) else { return Ok(Vec::new()) };
        let (table, id, holder_id) = (of.table, of.id, holder.id);
        let from = match join {
            None => format!("{table} o"),
            Some(column) => format!("{table} r JOIN {} o ON o.{holder_id} = r.{column}", holder.table),
        };
        let named = if join.is_none() { "o" } else { "r" };
        let mut found = Vec::new();
        for piece in records.chunks(TAGS_MAX) {
            let places: Vec<_> = (1..=piece.len()).map(|n| self.dialect.place(n)).collect();
            let text = format!(
                "SELECT o.{holder_id} AS id, o.sealed_digest AS sealed_digest FROM {from} WHERE {named}.{id} IN ({})",
                places.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for record in piece {
                query = query.bind(record.as_bytes().as_slice());
            }
            for row in query.fetch_all(&mut *self.tx).await? {
                found.push((get_id(&row, "id")?, row.try_get("sealed_digest")?));
            }
        }
        Ok(found)
    }
}

fn read_tag(row: &AnyRow) -> Result<(u64, SubjectTag), StoreError> {
    Ok((get_u64(row, "seq")?, get_bytes(row, "subject_tag")?.into()))
}

/// Without whom it concerns.
fn read_entry(row: &AnyRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        sequence: get_u64(row, "seq")?,
        at_ms: row.try_get("at")?,
        organization: get_id_opt(row, "organization_id")?,
        client: get_id_opt(row, "client_id")?,
        action: row.try_get("action")?,
        subject: get_id_opt(row, "subject")?,
        old_start: row.try_get("old_start")?,
        person: row.try_get("person")?,
        os_user: row.try_get("os_user")?,
        reason: row.try_get("reason")?,
        origin: row.try_get("origin")?,
        persons: Vec::new(),
        hash: get_bytes(row, "hash")?,
        keyed_hash: get_bytes_opt(row, "keyed_hash")?,
    })
}
