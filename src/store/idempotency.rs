//! The first answers to requests that carry an `Idempotency-Key`, kept in the transaction of the change they belong to.
//! Keys and requests are keyed fingerprints: a client may well put a number into its key.

use std::collections::HashMap;
use std::fmt;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::reports::{KEYS_MAX, places};
use super::rows::{RowsInsert, Values};
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

/// The answer that a repetition gets. Its body may hold what nobody but the caller may see: a certificate, a salt.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    pub status: u16,
    pub location: String,
    pub body: String,
}

impl fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, location, .. } = self;
        f.debug_struct("StoredAnswer").field("status", status).field("location", location).finish_non_exhaustive()
    }
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

static ANSWERS: RowsInsert =
    RowsInsert::new("idempotency", "request_key, request_hash, status, location, body, created_at");

impl WriteTx {
    /// Looks a key up. Inside the write transaction: of two concurrent requests the second sees the first's answer.
    pub async fn recall(&mut self, request: &IdempotentRequest) -> Result<Remembered, StoreError> {
        let mut remembered = self.recall_all(std::slice::from_ref(request)).await?;
        Ok(remembered.pop().unwrap_or(Remembered::Nothing))
    }

    /// Looks keys up, in their order.
    pub async fn recall_all(&mut self, requests: &[IdempotentRequest]) -> Result<Vec<Remembered>, StoreError> {
        self.take_turn().await?;
        let mut found = HashMap::with_capacity(requests.len());
        for some in requests.chunks(KEYS_MAX) {
            let text = format!(
                "SELECT request_key, request_hash, status, location, body FROM idempotency WHERE request_key IN ({})",
                places(1, some.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for request in some {
                query = query.bind(request.key.as_slice());
            }
            for row in query.fetch_all(&mut *self.tx).await? {
                found.insert(get_bytes::<32>(&row, "request_key")?, read_answer(&row)?);
            }
        }
        let remembered = |request: &IdempotentRequest| match found.get(&request.key) {
            None => Remembered::Nothing,
            Some((of, answer)) if *of == request.request => Remembered::Answer(answer.clone()),
            Some(_) => Remembered::OtherRequest,
        };
        Ok(requests.iter().map(remembered).collect())
    }

    /// Keeps the answer for repetitions.
    pub async fn remember(
        &mut self,
        request: &IdempotentRequest,
        answer: &StoredAnswer,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        self.remember_all(&[(request, answer)], now_ms).await
    }

    /// Keeps answers for repetitions.
    pub async fn remember_all(
        &mut self,
        answers: &[(&IdempotentRequest, &StoredAnswer)],
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let bind = |values: &mut Values, (request, answer): &(&IdempotentRequest, &StoredAnswer)| {
            values
                .push(request.key.as_slice())
                .push(request.request.as_slice())
                .push(i64::from(answer.status))
                .push(answer.location.as_str())
                .push(answer.body.as_str())
                .push(now_ms);
        };
        ANSWERS.execute(&mut self.tx, self.dialect, answers, bind).await
    }
}

/// The request that an answer was given to, and the answer.
fn read_answer(row: &AnyRow) -> Result<([u8; 32], StoredAnswer), StoreError> {
    let status = u16::try_from(row.try_get::<i64, _>("status")?).map_err(|_| StoreError::Corrupt("status"))?;
    let answer = StoredAnswer { status, location: row.try_get("location")?, body: row.try_get("body")? };
    Ok((get_bytes(row, "request_hash")?, answer))
}
