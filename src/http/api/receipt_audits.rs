//! `POST /v1/receipts/audit`: what the registry log says of a receipt, with everything by which others see that for themselves.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::crypto::blind::judging::Judged;
use crate::crypto::receipt::ReceiptError;
use crate::crypto::salt::Salt;
use crate::crypto::signing::base64url;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Scope;
use crate::domain::redacted::{DigestText, IdNumberText, SaltText};
use crate::domain::sandbox::Environment;
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::json;
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::route::Class;
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::limits::Work;
use crate::service::blind::auditing::{Audit, AuditAsked, AuditedKey, BasePart, ProvenEntry};
use crate::service::receipts::{Opening, Verification, verify};

/// That of the examples of `POST /v1/receipts/verify`.
const EXAMPLE_RECEIPT: &str = "\
    eyJ0eXAiOiJsb3N0Y2FyZC1yZWNlaXB0K2p3dCIsImFsZyI6IkVkRFNBIiwia2lkIjoiMnBoSHhDd0U5YzI2b1c5dyJ9.eyJpc3MiOiJodHRwc\
    zovL2xvc3RjYXJkLmV4YW1wbGUiLCJpYXQiOjE3OTU0NzcxNDYsInNpemUiOjEsInJvb3QiOiJEWGZDN2sycWUyNnp6cXJwYUF1NVk0MTJBSkV\
    xSnRQcTV5dTRxd0VUZjNNIn0.iy5jE1uecsZhD63VRQILS2fo3Ep2mgg2aEG2WBYv0q77xCuIgZxGrAj3gsuRM_g-sPY8Rh3CmEOkTbE1BUHBC\
    Q~eyJpc3MiOiJodHRwczovL2xvc3RjYXJkLmV4YW1wbGUiLCJhdWQiOiIwMWEyMGFjNy0wNmQ4LTc5OTYtOTBkMS1jZDRlNzlhNzEyZTMiLCJp\
    YXQiOjE3OTU0NzcxNDYsImp0aSI6IjAxYTIwYWM3LTBiODAtNzk0OS1hNGQ0LTMxOWQ4YTMzN2I5YSIsInZlcmRpY3QiOiJjYXJkX2xpc3RlZC\
    IsImFzX29mIjoiMjAyNi0xMS0yM1QyMzozOTowNi40OTJaIiwic2VxIjoxNSwiY20iOiJva3FoUWpFZFR5Ml9TV25RTjl2VUN3NnBkNHd6aVRt\
    bmI0Mlh1bkEySWpvIiAgICAgIH0~AAAAAA";
const EXAMPLE_CHECKPOINT: &str = "lostcard.example/registry-log/1\n2\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\
    \u{2014} lostcard.example/registry-log/1 EjRWeDnFpBc8xdX07qk3qGJ2wTnbMmVh7wVbS5a8MeOe8bUrZ2aGvQ==\n";

/// A receipt to be audited, with what opens it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "receipt": EXAMPLE_RECEIPT, "receipt_salt": "vRYHWpH389Y2KWWmO8WgYNrzOno5tNpQTpIyZpPG9fA",
    "id_number": "11010519491231002X", "card_valid_from": "2016-05-01"
}))]
pub struct ReceiptAuditRequest {
    /// `<head>~<claims>~<path>`: of a check, a blind check, or a write.
    receipt: String,
    #[schema(value_type = String)]
    receipt_salt: SaltText,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_number: Option<IdNumberText>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_digest: Option<DigestText>,
    /// The start of validity that the receipt is about, if known; else the service tries every day.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
}

/// What the log has of the number, and what follows for the receipt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "outcome": "consistent", "reason": "the last entry of the number up to the receipt says the same", "complete": false, "key": "1",
    "public_key": "2HJGxW2spaB-sMYZuHdCsK-ucg7GOQLQwNuBNwkPl2o", "element": "JLAHJpn3iu9N7T0a9N1WN1y1mUB8UXlt90DyAHLI1VI",
    "proof": "wHxOhUcEtQZUJ4bWuHKHw4OyKy0D0R-ZEoHXQ8ql6gaQ2JcNtEB5WjoYH9rEpoJrIGuIGKmVWfYuh0F4Bf0OAw", "s0": 0,
    "checkpoint": EXAMPLE_CHECKPOINT,
    "entries": [{"index": 1, "entry": "AQo-JiuTOeg5vTsBYHR6hPTDCgE", "path": ["47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"]}],
    "base": {"epoch": "1", "index": "TENCMQAcEBIAAAAAAAAAAwAAADSTYQ", "part": "AAA"}
}))]
pub struct ReceiptAuditAnswer {
    /// `consistent`, `contradicted` or `cannot_tell`.
    #[schema(example = "consistent")]
    outcome: &'static str,
    /// Why, in a sentence.
    reason: &'static str,
    /// Always false: paths show that entries are in the log, and not that there is no other. Read the bundles, as `lostcard receipt
    /// audit` does.
    complete: bool,
    /// The epoch of the blind key and of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    /// The key's public half, 32 bytes: the log has it among its first leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    public_key: Option<String>,
    /// The key times the number's element (RFC 9497: `HashToGroup`), 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    element: Option<String>,
    /// That it is: c and s, 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    proof: Option<String>,
    /// The sequence at which the log began: leaf `i` belongs to the sequence `s0` + `i` + 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<u64>)]
    s0: Option<Sequence>,
    /// The signed note that the paths lead to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checkpoint: Option<String>,
    /// The number's entries up to the receipt and to the base.
    entries: Vec<AuditedEntryAnswer>,
    /// What the base has in the place of the number, where no entry decides, and for the first log of a store always: where that one
    /// began only its base bears out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base: Option<AuditedBaseAnswer>,
}

/// An entry of the number.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditedEntryAnswer {
    /// Its place in the log.
    index: u64,
    /// 20 bytes.
    entry: String,
    /// The hashes beside its way to the root (RFC 9162, 2.1.3), bottom up.
    path: Vec<String>,
}

/// The part of a base where a number would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditedBaseAnswer {
    /// The base's epoch: the log's.
    epoch: String,
    /// The base's header and index: its SHA-256 is a leaf of the log, and the part's is in it.
    index: String,
    /// The bytes of the part.
    part: String,
}

/// Audit a receipt
///
/// Whether the registry log bears a receipt out: the number's element with its proof, every entry of the number with its path to a signed
/// checkpoint, and the part of the base where no entry decides. Scope `checks` or `audit`; costs ten units. An auditor's audit leaves an
/// entry in the audit log, as a verification does. Take the outcome as the service's word: `lostcard receipt audit` judges by itself. 422
/// where the receipt is not this service's or is not about this number.
#[utoipa::path(
    post, path = "/v1/receipts/audit", operation_id = "auditReceipt", tag = "receipts", security(("bearer" = [])),
    request_body = ReceiptAuditRequest,
    responses(
        (status = 200, description = "What the log says.", body = ReceiptAuditAnswer),
        (status = 404, response = crate::http::contract::openapi::Refused),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn audit(
    caller: Caller,
    body: JsonBody<ReceiptAuditRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = body.read().await?;
    let blind = state.blind.clone().ok_or_else(Problem::not_found)?;
    let mut fields = Fields::default();
    let digest = fields.number_or_digest(request.id_number.as_ref(), request.id_digest.as_ref(), state.clock.today());
    let card_valid_from = fields.date("/card_valid_from", request.card_valid_from.as_deref());
    let salt = Salt::<32>::parse(&request.receipt_salt);
    let salt = fields.take("/receipt_salt", salt, "malformed_salt", "a salt is 32 bytes as base64url without padding");
    let (digest, salt) = caller.finish(fields, digest.zip(salt))?;
    let opening = Opening { digest: digest.clone(), salt: request.receipt_salt, card_valid_from };
    let work = if opening.tries_every_day() { Work::Long } else { Work::Short };
    let asked = Arc::new((request.receipt, opening));
    let seen = state.keyring.signing_count();
    let verify = async || {
        let (asked, keys) = (Arc::clone(&asked), state.keyring.signing());
        caller.work(work, move || verify(&asked.0, &keys.published_receipts, Some(&asked.1))).await
    };
    let verified = match verify().await? {
        Err(ReceiptError::UnknownKey) if state.access.seek_keys(caller.asker(), seen).await => verify().await?,
        verified => verified,
    };
    let Verification { claims, card_valid_from, .. } = expect_opened(verified, &state)?;
    if caller.has_scope(Scope::Audit) {
        caller.enter(Class::Checks)?;
        let deed = Deed::of(caller.actor(), Action::ReceiptVerified, claims.jti).about([state.writer.tag(&digest)]);
        state.read_in_time(state.writer.note(&deed)).await??;
    }
    let asked = AuditAsked { claims, digest, salt, card_valid_from };
    let audited = state.read_in_time(blind.audit(caller.asker(), asked)).await???;
    Ok(json(&ReceiptAuditAnswer::of(audited)))
}

/// What is not the service's own, or does not open, cannot be audited.
fn expect_opened(verified: Result<Verification, ReceiptError>, state: &AppState) -> Result<Verification, Problem> {
    let mut fields = Fields::default();
    match verified {
        Ok(found) if Environment::of_issuer(&found.claims.iss) != Environment::of_issuer(state.access.issuer()) => {
            fields.refuse("/receipt", "not_authentic", "the receipt is of another environment");
        }
        Ok(found) if found.opens == Some(true) => return Ok(found),
        Ok(_) => fields.refuse("/receipt_salt", "does_not_open", "number and salt do not open the receipt"),
        Err(error @ ReceiptError::Malformed) => fields.refuse("/receipt", "malformed_receipt", error.to_string()),
        Err(error) => fields.refuse("/receipt", "not_authentic", error.to_string()),
    }
    fields.finish(None)
}

impl ReceiptAuditAnswer {
    fn of(Audit { judged: (outcome, reason), log }: Audit) -> Self {
        let mut answer = Self::saying((outcome, reason));
        let Some(log) = log else { return answer };
        answer.key = Some(log.epoch.to_string());
        answer.s0 = Some(log.s0);
        answer.checkpoint = Some(log.checkpoint);
        if let Some(AuditedKey { public_key, evaluations }) = &log.key {
            answer.public_key = Some(base64url(public_key));
            answer.element = evaluations.elements.first().map(|element| base64url(element));
            answer.proof = Some(base64url(&evaluations.proof));
        }
        answer.entries = log.entries.iter().map(AuditedEntryAnswer::of).collect();
        answer.base = log.base.map(|BasePart { index, part }| AuditedBaseAnswer {
            epoch: log.epoch.to_string(),
            index: base64url(&index),
            part: base64url(&part),
        });
        answer
    }

    fn saying((outcome, reason): Judged) -> Self {
        Self {
            outcome: outcome.as_str(),
            reason,
            complete: false,
            key: None,
            public_key: None,
            element: None,
            proof: None,
            s0: None,
            checkpoint: None,
            entries: Vec::new(),
            base: None,
        }
    }
}

impl AuditedEntryAnswer {
    fn of(ProvenEntry { index, entry, path }: &ProvenEntry) -> Self {
        Self { index: *index, entry: base64url(entry), path: path.iter().map(|hash| base64url(hash)).collect() }
    }
}
