//! What a store is for, told at its first start; and the deletion by which a sandbox is reset: the records of one organization, and
//! all records of the magic numbers. Columns without an index are searched: a sandbox is small.

use std::collections::BTreeSet;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::aggregate::{Aggregate, Number};
use super::aggregates;
use super::reports::places;
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_parsed};
use crate::crypto::digest::LookupKey;
use crate::domain::ids::OrganizationId;
use crate::domain::sandbox::Environment;

impl Store {
    /// What this store is for. A new one is for `of_new` from now on.
    pub async fn environment(&self, of_new: Environment) -> Result<Environment, StoreError> {
        if let Some(known) = self.known_environment().await? {
            return Ok(known);
        }
        let tell = "INSERT INTO environment (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
        sqlx::query(tell).bind(of_new.as_str()).execute(&mut *self.connection().await?).await?;
        self.known_environment().await?.ok_or(StoreError::Corrupt("environment"))
    }

    /// The same, where it was told; nothing is remembered.
    pub async fn known_environment(&self) -> Result<Option<Environment>, StoreError> {
        let row = sqlx::query("SELECT name FROM environment").fetch_optional(&mut *self.connection().await?).await?;
        row.map(|row| get_parsed(&row, "name", Environment::parse)).transpose()
    }
}

impl WriteTx {
    /// Removes what an organization wrote, and what anybody wrote about some numbers, given by all keys that their rows may be
    /// under. What ends a listing leaves its change in the feed.
    pub async fn remove_for_reset(
        &mut self,
        organization: OrganizationId,
        keys: &[LookupKey],
    ) -> Result<(), StoreError> {
        self.take_turn().await?;
        let own = |of: &Aggregate| condition(of, keys.len());
        let listed: Vec<_> = aggregates::listings()
            .map(|of| {
                let (id, table) = (of.id, of.table);
                format!("SELECT {id} AS id, lookup_key, sealed_digest FROM {table} WHERE {}", own(of))
            })
            .collect();
        let rows = bound(listed.join(" UNION ALL "), organization, keys).fetch_all(&mut *self.tx).await?;
        for row in &rows {
            let lookup_key = LookupKey::from_bytes(get_bytes(row, "lookup_key")?);
            self.leaves.know(get_id(row, "id")?, lookup_key, &row.try_get::<Vec<u8>, _>("sealed_digest")?);
        }
        let listed = rows.iter().map(|row| get_bytes::<16>(row, "lookup_key")).collect::<Result<BTreeSet<_>, _>>()?;
        if !listed.is_empty() {
            let keys: Vec<_> = listed.into_iter().map(LookupKey::from_bytes).collect();
            self.record_listings(&keys).await?;
        }
        let reset = || aggregates::ALL.into_iter().filter(|of| of.is_reset);
        // Rows that name others go before these.
        for of in reset() {
            for (other, reference) in aggregates::naming(of) {
                let (statement, column) = (reference.statement(other.table), reference.column);
                let text =
                    format!("{statement} WHERE {column} IN (SELECT {} FROM {} WHERE {})", of.id, of.table, own(of));
                self.execute_bound(of, text, organization, keys).await?;
            }
        }
        for of in reset().filter(|of| of.is_owned) {
            let text = format!("DELETE FROM {} WHERE {}", of.table, own(of));
            self.execute_bound(of, text, organization, keys).await?;
        }
        Ok(())
    }

    /// A statement with the condition of a table.
    async fn execute_bound(
        &mut self,
        of: &Aggregate,
        text: String,
        organization: OrganizationId,
        keys: &[LookupKey],
    ) -> Result<(), StoreError> {
        let keys = if of.number == Number::None { &[] } else { keys };
        bound(text, organization, keys).execute(&mut *self.tx).await?;
        Ok(())
    }
}

/// What the organization $1 wrote, and what stands under the keys from $2 on where there is a number.
fn condition(of: &Aggregate, keys: usize) -> String {
    match of.number {
        Number::None => "organization_id = $1".to_owned(),
        Number::Keyed | Number::Rekeyed => {
            format!("(organization_id = $1 OR lookup_key IN ({}))", places(2, keys))
        }
    }
}

fn bound(text: String, organization: OrganizationId, keys: &[LookupKey]) -> Query<'static, Any, AnyArguments> {
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(organization.as_bytes().to_vec());
    for key in keys {
        query = query.bind(key.as_bytes().to_vec());
    }
    query
}
