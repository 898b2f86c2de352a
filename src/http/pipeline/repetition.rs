//! The `Idempotency-Key` of a write (draft-ietf-httpapi-idempotency-key-header): what tells a repetition from a new request.

use actix_web::HttpRequest;

use super::caller::Caller;
use super::state::AppState;
use crate::domain::label::holds_id_number;
use crate::http::contract::problem::{self, Problem};
use crate::store::idempotency::IdempotentRequest;

/// The request's fingerprint if it carries an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
pub fn repeatable(
    caller: &Caller,
    state: &AppState,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Option<IdempotentRequest>, Problem> {
    let Some(operation) = caller.route().repeatable_as else { return Ok(None) };
    let mut all = request.headers().get_all("idempotency-key");
    let Some(key) = all.next() else { return Ok(None) };
    let key = key.as_bytes();
    let is_plain = (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if !is_plain || all.next().is_some() {
        return Err(Problem::new(
            problem::MALFORMED_REQUEST,
            "Idempotency-Key must be one value of 1 to 255 visible ASCII characters",
        ));
    }
    if std::str::from_utf8(key).is_ok_and(|key| holds_id_number(key, state.clock.today())) {
        return Err(Problem::new(
            problem::MALFORMED_REQUEST,
            "Idempotency-Key holds an identity number: make a key from something else",
        ));
    }
    Ok(Some(state.writer.repeatable(caller.actor(), operation, key, body)))
}
