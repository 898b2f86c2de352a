//! The first answers to requests that carry an `Idempotency-Key`, kept in the transaction of the change they belong to.
//! Keys and requests are keyed fingerprints: a client may well put a number into its key.

use sqlx::Row;

use super::{StoreError, WriteTx, get_bytes};
use crate::domain::instant::UnixMs;

/// A request that may be repeated.
#[derive(Debug, Clone, Copy)]
pub struct IdempotentRequest {
    /// Fingerprint of client, operation and key.
    pub key: [u8; 32],
    /// Fingerprint of the body.
    pub request: [u8; 32],
}

/// The answer that a repetition gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    pub status: u16,
    pub location: String,
    pub body: String,
}

/// What the store remembers of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Remembered {
    Nothing,
    /// The same request: repeat this answer.
    Answer(StoredAnswer),
    /// Another request under the same key.
    OtherRequest,
}

impl WriteTx {
    /// Looks a key up. Inside the write transaction: of two concurrent requests the second sees the first's answer.
    pub async fn recall(&mut self, request: &IdempotentRequest) -> Result<Remembered, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query("SELECT request_hash, status, location, body FROM idempotency WHERE request_key = $1")
            .bind(request.key.as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else { return Ok(Remembered::Nothing) };
        if get_bytes::<32>(&row, "request_hash")? != request.request {
            return Ok(Remembered::OtherRequest);
        }
        let status = u16::try_from(row.try_get::<i64, _>("status")?).map_err(|_| StoreError::Corrupt("status"))?;
        Ok(Remembered::Answer(StoredAnswer { status, location: row.try_get("location")?, body: row.try_get("body")? }))
    }

    /// Keeps the answer for repetitions.
    pub async fn remember(
        &mut self,
        request: &IdempotentRequest,
        answer: &StoredAnswer,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO idempotency (request_key, request_hash, status, location, body, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(request.key.as_slice())
        .bind(request.request.as_slice())
        .bind(i64::from(answer.status))
        .bind(answer.location.as_str())
        .bind(answer.body.as_str())
        .bind(now_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
