//! What answers have in common: JSON, instants, ids in paths, and answers that are remembered as text.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::web::Path;
use serde::Serialize;
use uuid::Uuid;

use super::problem::Problem;
use crate::clock::Rfc3339;
use crate::store::idempotency::StoredAnswer;

/// The answer to a write, the first or a repeated one.
pub fn respond(answer: StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED);
    let mut response = HttpResponse::build(status);
    if !answer.location.is_empty() {
        response.insert_header((LOCATION, answer.location));
    }
    response.content_type(ContentType::json()).body(answer.body)
}

/// 200 with an object.
pub fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(to_json(value))
}

/// An object as text.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The id in a path. What is no UUID names nothing.
pub fn path_id(path: &Path<String>) -> Result<Uuid, Problem> {
    Uuid::try_parse(path.as_str()).map_err(|_| Problem::not_found())
}

/// An instant as answers write it.
pub fn instant(at_ms: i64) -> String {
    Rfc3339::of(at_ms).as_str().to_owned()
}
