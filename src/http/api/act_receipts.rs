//! Receipts of writes in answers. The salt is never kept with an answer for repetitions: it is made again for each.

use actix_web::HttpResponse;
use serde::Deserialize;

use crate::crypto::act_receipt::Act;
use crate::domain::ids::RecordId;
use crate::http::contract::answers::respond;
use crate::http::pipeline::state::AppState;
use crate::service::act_receipts::ActReceipt;
use crate::store::idempotency::StoredAnswer;

/// What is read of an answer that was kept: whether it has a receipt, and the record of it.
#[derive(Deserialize)]
struct Kept {
    #[serde(alias = "replacement_id")]
    report_id: RecordId,
    report_receipt: Option<serde::de::IgnoredAny>,
}

/// The receipt alone, as it is kept with the answer.
pub(super) fn kept(receipt: Option<ActReceipt>) -> Option<String> {
    receipt.map(|receipt| receipt.text)
}

/// The answer to a write, the first or a repeated one, with the salt of its receipt.
pub(super) fn respond_salted(state: &AppState, act: Act, mut answer: StoredAnswer) -> HttpResponse {
    let kept = serde_json::from_str(&answer.body).ok().filter(|kept: &Kept| kept.report_receipt.is_some());
    if let Some(Kept { report_id, .. }) = kept
        && answer.body.ends_with('}')
    {
        let salt = state.keyring.acts().salt(act, report_id).to_text();
        answer.body.pop();
        for part in [r#","report_receipt_salt":""#, salt.expose(), r#""}"#] {
            answer.body.push_str(part);
        }
    }
    respond(answer)
}
