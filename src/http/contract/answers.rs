//! What answers have in common: JSON, instants, ids in paths, and answers that are remembered as text.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, ETag, EntityTag, IfNoneMatch, LOCATION};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::fields::parse_id;
use super::problem::{self, Problem};
use crate::clock::Rfc3339;
use crate::domain::ids::Id;
use crate::domain::instant::UnixMs;
use crate::store::idempotency::StoredAnswer;

/// The answer to a write, the first or a repeated one. One that could not be written down has no status of success.
pub fn respond(answer: StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).ok().filter(StatusCode::is_success);
    let Some(status) = status.filter(|_| !answer.body.is_empty()) else {
        return unwritten();
    };
    let mut response = HttpResponse::build(status);
    if !answer.location.is_empty() {
        response.insert_header((LOCATION, answer.location));
    }
    response.content_type(ContentType::json()).body(answer.body)
}

/// 201 with an object, as it is kept for repetitions.
pub fn created(location: String, value: &impl Serialize) -> StoredAnswer {
    match to_json(value) {
        Some(body) => StoredAnswer { status: StatusCode::CREATED.as_u16(), location, body },
        None => StoredAnswer {
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            location: String::new(),
            body: String::new(),
        },
    }
}

/// 200 with an object.
pub fn json(value: &impl Serialize) -> HttpResponse {
    written(to_json(value))
}

/// 200 with an object that was written elsewhere.
pub fn written(text: Option<String>) -> HttpResponse {
    match text {
        Some(body) => HttpResponse::Ok().content_type(ContentType::json()).body(body),
        None => unwritten(),
    }
}

/// An object as it is answered; none where it cannot be written.
pub fn to_json(value: &impl Serialize) -> Option<String> {
    let text = serde_json::to_string(value);
    // The error names the type's fault, never the value itself.
    text.inspect_err(|error| tracing::error!(error = %error, "an answer cannot be written as JSON")).ok()
}

fn unwritten() -> HttpResponse {
    Problem::new(problem::INTERNAL, "the answer could not be written").error_response()
}

/// A public text that seldom changes, with what tells one from another.
#[derive(Debug)]
pub struct Published {
    text: Bytes,
    tag: EntityTag,
}

impl Published {
    pub fn new(text: String) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let tag = EntityTag::new_strong(hex::encode(digest.get(..12).unwrap_or_default()));
        Self { text: text.into(), tag }
    }

    /// The text, or 304 for whom has it (RFC 9110, 13.1.2).
    pub fn answer(&self, known: &IfNoneMatch) -> HttpResponse {
        let is_known = match known {
            IfNoneMatch::Any => true,
            IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&self.tag)),
        };
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header(ETag(self.tag.clone())).insert_header((CACHE_CONTROL, "public, max-age=300"));
        if is_known { response.finish() } else { response.content_type(ContentType::json()).body(self.text.clone()) }
    }
}

/// The id in a path, written as it was given out. Any other text names nothing.
pub fn path_id<T: Id>(path: &Path<String>) -> Result<T, Problem> {
    parse_id(path.as_str()).ok_or_else(Problem::not_found)
}

/// An instant as answers write it.
pub fn instant(at_ms: UnixMs) -> String {
    Rfc3339::of(at_ms).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_cannot_be_written_is_a_500_and_never_a_success_without_a_body() {
        // JSON has texts as keys.
        let impossible = BTreeMap::from([([1_u8], 1)]);
        assert_eq!(json(&impossible).status(), 500);
        assert_eq!(respond(created("/v1/reports/1".to_owned(), &impossible)).status(), 500);
        let possible = BTreeMap::from([("one", 1)]);
        assert_eq!(json(&possible).status(), 200);
        let answer = respond(created("/v1/reports/1".to_owned(), &possible));
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("location")), (201, true));
    }
}
