//! `POST /v1/receipts/verify`: whether a receipt is this service's, and whether it is about a given number.

use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Rfc3339;
use crate::crypto::receipt::ReceiptError;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Scope;
use crate::domain::ids::{OrganizationId, RecordId};
use crate::domain::redacted::{DigestText, IdNumberText, SaltText};
use crate::domain::sandbox::Environment;
use crate::domain::sequence::Sequence;
use crate::domain::usage::Outcome;
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::route::{Class, TEN};
use crate::http::pipeline::body::JsonBody;
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::limits::Work;
use crate::service::receipts::{Opening, Verification, verify};

/// A receipt to be verified. With number (or digest) and salt it is opened as well.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationRequest {
    /// `<head>~<claims>~<path>`, see docs/RECEIPTS.md: of a check, a blind check, or a write.
    receipt: String,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_number: Option<IdNumberText>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    id_digest: Option<DigestText>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>)]
    receipt_salt: Option<SaltText>,
    /// The start of validity that was checked, if known: spares the service trying every day, and you nine units.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
}

impl VerificationRequest {
    /// Trying every day costs as much as ten checks.
    fn cost(&self) -> NonZeroU32 {
        let opens = (self.id_number.is_some() || self.id_digest.is_some()) && self.receipt_salt.is_some();
        if opens && self.card_valid_from.is_none() { TEN } else { NonZeroU32::MIN }
    }
}

/// What a receipt says. Only `authentic` if it is not this service's.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct VerificationAnswer {
    /// Signed by this service and unchanged.
    authentic: bool,
    /// Whether number and salt open it; absent where they were not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    opens: Option<bool>,
    /// The start of validity that was checked; absent where it did not open, or where the check named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    card_valid_from: Option<String>,
    /// The organization that asked, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    organization: Option<OrganizationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(value_type = Option<Uuid>)]
    check_id: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    checked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false)]
    registry_sequence: Option<Sequence>,
    /// What was done, where it is the receipt of a write: `report`, `withdrawal`, `replacement` or `correction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    act: Option<String>,
    /// The report or replacement that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    record_id: Option<RecordId>,
    /// The registry log's newest checkpoint when it was signed, as `size.root`; absent where there was no log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checkpoint: Option<String>,
}

/// Verify a receipt
///
/// Is this receipt authentic, what does it say, and is it about this number? Scope `checks` or `audit`; costs one unit, and ten
/// where it is opened without `card_valid_from`: the service tries every day that a card can have started on. An auditor's verification leaves an entry in the audit log.
/// Anybody can do the same offline with the published keys: `lostcard receipt verify`.
#[utoipa::path(
    post, path = "/v1/receipts/verify", operation_id = "verifyReceipt", tag = "receipts", security(("bearer" = [])),
    request_body = VerificationRequest,
    responses(
        (status = 200, description = "What was found, also where the receipt is not authentic.", body = VerificationAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn verify_receipt(
    caller: Caller,
    body: JsonBody<VerificationRequest>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let request = caller.charge(body.read().await, VerificationRequest::cost).await?;
    let mut fields = Fields::default();
    let digest = match (request.id_number.as_ref(), request.id_digest.as_ref()) {
        (None, None) => None,
        (number, digest) => fields.number_or_digest(number, digest, state.clock.today()),
    };
    let card_valid_from = fields.date("/card_valid_from", request.card_valid_from.as_deref());
    caller.finish(fields, Some(()))?;
    let opening = digest.zip(request.receipt_salt).map(|(digest, salt)| Opening { digest, salt, card_valid_from });
    let work = if opening.as_ref().is_some_and(Opening::tries_every_day) { Work::Long } else { Work::Short };
    let asked = Arc::new((request.receipt, opening));
    let verify = async || {
        let (asked, keys) = (Arc::clone(&asked), state.keyring.signing());
        caller.work(work, move || verify(&asked.0, &keys.published_receipts, asked.1.as_ref())).await
    };
    let seen = state.keyring.signing_count();
    let verified = match verify().await? {
        Err(ReceiptError::UnknownKey) if state.access.seek_keys(caller.asker(), seen).await => verify().await?,
        verified => verified,
    };
    // Also where both environments have the same keys, which they must not.
    let is_ours = |found: &Verification| {
        Environment::of_issuer(&found.claims.iss) == Environment::of_issuer(state.access.issuer())
    };
    let verified = verified.and_then(|found| if is_ours(&found) { Ok(found) } else { Err(ReceiptError::NotAuthentic) });
    if let Ok(found) = &verified
        && caller.has_scope(Scope::Audit)
    {
        caller.enter(Class::Checks)?;
        // Whom a receipt is about only its salt and the right number tell.
        let number = asked.1.as_ref().filter(|_| found.opens == Some(true)).map(|opening| &opening.digest);
        let deed = Deed::of(caller.actor(), Action::ReceiptVerified, found.claims.jti)
            .about(number.map(|digest| state.writer.tag(digest)));
        state.read_in_time(state.writer.note(&deed)).await??;
    }
    let answer = match verified {
        Ok(found) => VerificationAnswer {
            authentic: true,
            opens: found.opens,
            card_valid_from: found.card_valid_from.map(|start| start.to_string()),
            organization: Some(found.claims.aud),
            check_id: found.claims.says.act().is_none().then_some(found.claims.jti),
            checked_at: Some(Rfc3339::of(found.claims.checked_at_ms()).as_str().to_owned()),
            verdict: found.claims.says.verdict().map(str::to_owned),
            as_of: found.claims.says.as_of().map(str::to_owned),
            registry_sequence: Some(found.claims.seq),
            act: found.claims.says.act().map(|act| act.as_str().to_owned()),
            record_id: found.claims.says.act().map(|_| found.claims.jti),
            checkpoint: found.claims.cp,
        },
        Err(ReceiptError::Malformed) => {
            let mut fields = Fields::default();
            fields.refuse("/receipt", "malformed_receipt", ReceiptError::Malformed.to_string());
            return fields.finish(None);
        }
        Err(ReceiptError::UnknownKey | ReceiptError::NotAuthentic) => VerificationAnswer::default(),
    };
    state.counter.count(caller.organization_id(), Outcome::ReceiptsVerified, state.clock.now_ms());
    Ok(HttpResponse::Ok().json(answer))
}
