//! What only a sandbox has: the troubles that checks of magic numbers meet, and `POST /v1/sandbox/reset`. A production node has
//! neither: the path is not routed there, and a check finds no [`SandboxNode`] to ask.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use quick_cache::sync::Cache;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppState;
use super::answers::{instant, json};
use super::extract::{AnyScope, Caller, Checks};
use super::problem::{self, Problem};
use crate::access::tokens::TokenError;
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::domain::sandbox::{SLOW_S, Trouble};
use crate::service::checks::Check;
use crate::service::sandbox::{Sandbox, magic_digests};
use crate::service::writing::Writer;

/// What a refusal for a magic number tells to wait, in seconds.
const RETRY_AFTER_S: u64 = 2;
const RETRY_AFTER_MS: i64 = 2000;
/// For how long after that the same client is answered, in milliseconds.
const ANSWERED_MS: i64 = 60_000;
/// Clients that are waiting, each with its trouble.
const WAITING_MAX: usize = 10_000;

/// The part of a node that makes it a sandbox.
#[derive(Debug)]
pub struct SandboxNode {
    sandbox: Sandbox,
    clock: Clock,
    troubles: HashMap<[u8; 32], Trouble>,
    /// Until when, in milliseconds, a client has to wait before it is answered once.
    waiting: Cache<(Uuid, Trouble), i64>,
}

impl SandboxNode {
    pub fn new(writer: &Arc<Writer>) -> Self {
        let clock = writer.clock.clone();
        let magic = magic_digests(clock.today());
        let troubles = magic.filter_map(|(magic, digest)| Some((*digest.expose(), magic.trouble?))).collect();
        Self { sandbox: Sandbox::new(Arc::clone(writer)), clock, troubles, waiting: Cache::new(WAITING_MAX) }
    }

    /// What stands before the answer to a check.
    pub async fn meet(&self, caller: &Caller<Checks>, digest: &IdDigest) -> Result<(), Problem> {
        match self.trouble(caller, digest) {
            None => Ok(()),
            Some(Trouble::Slow) => {
                be_slow().await;
                Ok(())
            }
            Some(trouble) => Err(refusal(trouble, caller)),
        }
    }

    /// The same for the items of a batch, each for itself; however many are slow, the batch is slow once.
    pub async fn meet_all(&self, caller: &Caller<Checks>, checks: &mut [Result<Check, Problem>]) {
        let mut is_slow = false;
        for item in checks {
            let Ok(check) = item else { continue };
            match self.trouble(caller, &check.digest) {
                None => {}
                Some(Trouble::Slow) => is_slow = true,
                Some(trouble) => *item = Err(refusal(trouble, caller)),
            }
        }
        if is_slow {
            be_slow().await;
        }
    }

    fn trouble(&self, caller: &Caller<Checks>, digest: &IdDigest) -> Option<Trouble> {
        let trouble = *self.troubles.get(digest.expose())?;
        let is_over = trouble.is_once() && self.is_over((caller.actor().client, trouble));
        (!is_over).then_some(trouble)
    }

    /// Whether a client has waited as it was told. If not, it has to from now on.
    fn is_over(&self, of: (Uuid, Trouble)) -> bool {
        let now_ms = self.clock.now_ms();
        if self.waiting.get(&of).is_some_and(|until_ms| (until_ms..until_ms + ANSWERED_MS).contains(&now_ms)) {
            self.waiting.remove(&of);
            return true;
        }
        // A new token is to be had at once.
        let wait_ms = if of.1 == Trouble::TokenExpiredOnce { 0 } else { RETRY_AFTER_MS };
        self.waiting.insert(of, now_ms + wait_ms);
        false
    }
}

async fn be_slow() {
    tokio::time::sleep(Duration::from_secs(SLOW_S)).await;
}

/// The refusal as production words it.
fn refusal(trouble: Trouble, caller: &Caller<Checks>) -> Problem {
    match trouble {
        Trouble::LimitSpent | Trouble::LimitSpentOnce => {
            caller.principal.client.limits.as_if_spent(RETRY_AFTER_S).into()
        }
        Trouble::TokenExpiredOnce => Problem::unauthorized(TokenError::Expired.to_string()),
        Trouble::Internal => Problem::new(problem::INTERNAL, "the request could not be handled"),
        Trouble::Unavailable | Trouble::UnavailableOnce | Trouble::Slow => {
            Problem::retry_after(problem::REGISTRY_UNAVAILABLE, "the store does not answer", RETRY_AFTER_S)
        }
    }
}

/// A reset that is done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"reset_at": "2026-11-23T09:00:00.123Z", "registry_sequence": 1234}))]
pub struct SandboxResetAnswer {
    #[schema(format = DateTime)]
    reset_at: String,
    /// Of the last change that it made. Every check from now on knows it.
    #[schema(minimum = 0)]
    registry_sequence: u64,
}

/// Units of the client's limit that a reset costs.
const RESET_COST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Reset the sandbox
///
/// Only in a sandbox; a production answers 404. Removes everything that the caller's organization wrote, and puts the magic numbers
/// back as they were, whoever changed them. Records of other organizations about other numbers stay. Clients, their limits, the
/// audit log, webhooks' endpoints and `Idempotency-Key`s stay, too. Any scope; costs ten units.
#[utoipa::path(
    post, path = "/v1/sandbox/reset", operation_id = "resetSandbox", tag = "sandbox", security(("bearer" = [])),
    responses(
        (status = 200, description = "Reset, durable, and known to every node.", body = SandboxResetAnswer),
        super::openapi::CallRefusals,
        (status = 404, response = super::openapi::Refused),
        (status = 507, response = super::openapi::Refused),
    )
)]
pub async fn reset(caller: Caller<AnyScope>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let node = state.sandbox.as_ref().ok_or_else(Problem::not_found)?;
    caller.spend_rest(RESET_COST).await?;
    let actor = caller.actor();
    let done = state.write_in_time(node.sandbox.reset(actor)).await??;
    node.waiting.retain(|(client, _), _| *client != actor.client);
    Ok(json(&SandboxResetAnswer { reset_at: instant(done.at_ms), registry_sequence: done.sequence }))
}
