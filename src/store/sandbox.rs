//! What a store is for, told at its first start; and the deletion by which a sandbox is reset: the records of one organization, and
//! all records of the magic numbers. Columns without an index are searched: a sandbox is small.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::reports::places;
use super::{Store, StoreError, WriteTx, get_bytes, get_parsed};
use crate::crypto::digest::LookupKey;
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

    async fn known_environment(&self) -> Result<Option<Environment>, StoreError> {
        let row = sqlx::query("SELECT name FROM environment").fetch_optional(&mut *self.connection().await?).await?;
        row.map(|row| get_parsed(&row, "name", Environment::parse)).transpose()
    }
}

/// Statements on what the organization $1 wrote, and on what stands under the keys from $2 on (`{}` holds that condition). Rows
/// that name others go before these.
const REMOVALS: &[&str] = &[
    "UPDATE found_cards SET matched_report_id = NULL \
     WHERE matched_report_id IN (SELECT report_id FROM loss_reports WHERE {})",
    "DELETE FROM sightings WHERE organization_id = $1 OR listing_id IN (SELECT report_id FROM loss_reports WHERE {}) \
     OR listing_id IN (SELECT replacement_id FROM replacements WHERE {})",
    "DELETE FROM temporary_cards WHERE application_id IN (SELECT application_id FROM replacement_applications WHERE {})",
    "DELETE FROM replacement_applications WHERE {}",
    "DELETE FROM temporary_certificates WHERE {}",
    "DELETE FROM misuse_reports WHERE {}",
    "DELETE FROM found_cards WHERE {}",
    "DELETE FROM watches WHERE {}",
    "DELETE FROM replacements WHERE {}",
    "DELETE FROM loss_reports WHERE {}",
];
/// The same of an organization alone.
const OWN_REMOVALS: [&str; 2] = [
    "DELETE FROM deliveries WHERE alert_id IN (SELECT alert_id FROM alerts WHERE organization_id = $1)",
    "DELETE FROM alerts WHERE organization_id = $1",
];

impl WriteTx {
    /// Removes what an organization wrote, and what anybody wrote about some numbers, given by all keys that their rows may stand
    /// under. What ends a listing leaves its change in the feed.
    pub async fn remove_for_reset(&mut self, organization: Uuid, keys: &[LookupKey]) -> Result<(), StoreError> {
        self.take_turn().await?;
        let condition = format!("(organization_id = $1 OR lookup_key IN ({}))", places(2, keys.len()));
        let listed = format!(
            "SELECT lookup_key FROM loss_reports WHERE {condition} UNION ALL SELECT lookup_key FROM replacements WHERE {condition}"
        );
        let mut query = sqlx::query(AssertSqlSafe(listed)).bind(organization.as_bytes().as_slice());
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.tx).await?;
        let listed = rows.iter().map(|row| get_bytes::<16>(row, "lookup_key")).collect::<Result<BTreeSet<_>, _>>()?;
        if !listed.is_empty() {
            let keys: Vec<_> = listed.into_iter().map(LookupKey::from_bytes).collect();
            self.record_listings(&keys).await?;
        }
        for removal in REMOVALS {
            let mut query = sqlx::query(AssertSqlSafe(removal.replace("{}", &condition)));
            query = query.bind(organization.as_bytes().as_slice());
            for key in keys {
                query = query.bind(key.as_bytes().as_slice());
            }
            query.execute(&mut *self.tx).await?;
        }
        for removal in OWN_REMOVALS {
            sqlx::query(removal).bind(organization.as_bytes().as_slice()).execute(&mut *self.tx).await?;
        }
        Ok(())
    }
}
