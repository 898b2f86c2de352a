//! What is kept of the numbers that clients ask about: how many each declares, which are held, whether limits of numbers refuse. No
//! number is kept, nor anything made of one.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, get_parsed, get_parsed_opt};
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::domain::numbers::{Digests, Guests, HeldFor, NumbersMode};

/// Whose numbers a client may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredNumbers {
    /// None: the configured default.
    pub guests: Option<Guests>,
    pub digests: Digests,
    pub held: Option<Held>,
    pub released_at_ms: Option<UnixMs>,
}

impl Default for StoredNumbers {
    fn default() -> Self {
        Self { guests: None, digests: Digests::Taken, held: None, released_at_ms: None }
    }
}

/// Since when and why a client is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub at_ms: UnixMs,
    pub why: HeldFor,
}

/// How many clients of each kind there are that an operator should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCounts {
    pub held: i64,
    /// Whose numbers nobody counts.
    pub uncounted: i64,
}

impl Store {
    /// Whether limits of numbers refuse in this store.
    pub async fn numbers_mode(&self) -> Result<NumbersMode, StoreError> {
        let row = sqlx::query("SELECT mode FROM numbers_mode").fetch_optional(&mut *self.connection().await?).await?;
        let row = row.ok_or(StoreError::Corrupt("numbers_mode"))?;
        get_parsed(&row, "mode", NumbersMode::parse)
    }

    /// The clients that are held, and those that nobody counts; without those that are disabled.
    pub async fn count_clients(&self) -> Result<ClientCounts, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(held_at) AS held, COUNT(CASE WHEN numbers = 'none' THEN 1 END) AS uncounted \
             FROM clients WHERE disabled_at IS NULL",
        )
        .fetch_one(&mut *self.connection().await?)
        .await?;
        Ok(ClientCounts { held: row.try_get("held")?, uncounted: row.try_get("uncounted")? })
    }
}

impl WriteTx {
    /// Declares how many guests a client has, and whether it may send digests; what is not given stays. False if there is none.
    pub async fn declare_numbers(
        &mut self,
        client: ClientId,
        guests: Option<Guests>,
        digests: Option<Digests>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE clients SET numbers = COALESCE($1, numbers), digests = COALESCE($2, digests) WHERE client_id = $3",
        )
        .bind(guests.map(|guests| guests.to_string()))
        .bind(digests.map(Digests::as_str))
        .bind(client.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Holds a client; false where it is held already, or there is none.
    pub async fn hold_client(&mut self, client: ClientId, why: HeldFor, now_ms: UnixMs) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE clients SET held_at = $1, held_for = $2 WHERE client_id = $3 AND held_at IS NULL")
                .bind(now_ms)
                .bind(why.as_str())
                .bind(client.as_bytes().as_slice())
                .execute(&mut *self.tx)
                .await?;
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Releases a client, which has its full budget then; false if there is none.
    pub async fn release_client(&mut self, client: ClientId, now_ms: UnixMs) -> Result<bool, StoreError> {
        let text = "UPDATE clients SET held_at = NULL, held_for = NULL, released_at = $1 WHERE client_id = $2";
        self.date_client(text, client, now_ms).await
    }
}

pub(super) fn read(row: &AnyRow) -> Result<StoredNumbers, StoreError> {
    let at_ms: Option<UnixMs> = row.try_get("held_at")?;
    let why = get_parsed_opt(row, "held_for", HeldFor::parse)?;
    Ok(StoredNumbers {
        guests: get_parsed_opt(row, "numbers", Guests::parse)?,
        digests: get_parsed(row, "digests", Digests::parse)?,
        held: at_ms.zip(why).map(|(at_ms, why)| Held { at_ms, why }),
        released_at_ms: row.try_get("released_at")?,
    })
}
