//! What makes a node a sandbox: the troubles that checks of magic numbers meet. A production node has none: a check finds no
//! [`SandboxNode`] to ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::access::Principal;
use crate::access::tokens::TokenError;
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::domain::client::Actor;
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::domain::sandbox::{SLOW_S, Trouble};
use crate::http::contract::problem::{self, Problem};
use crate::service::ServiceError;
use crate::service::checks::Check;
use crate::service::sandbox::{Reset, Sandbox, magic_digests};
use crate::service::writing::Writer;

/// How long a refusal for a magic number asks to wait, in seconds.
const RETRY_AFTER_S: u64 = 2;
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// For how long after that the same client is answered, in milliseconds.
const ANSWERED: Duration = Duration::from_mins(1);
/// Clients that are waiting, each with its trouble.
const WAITING_MAX: usize = 10_000;

/// The part of a node that makes it a sandbox.
#[derive(Debug)]
pub struct SandboxNode {
    sandbox: Sandbox,
    clock: Clock,
    troubles: HashMap<[u8; 32], Trouble>,
    /// Until when, in milliseconds, a client has to wait before it is answered once.
    waiting: Cache<(ClientId, Trouble), UnixMs>,
}

impl SandboxNode {
    pub fn new(writer: &Arc<Writer>) -> Result<Self, ServiceError> {
        let clock = writer.clock.clone();
        let magic = magic_digests(clock.today())?;
        let troubles =
            magic.into_iter().filter_map(|(magic, digest)| Some((*digest.expose(), magic.trouble?))).collect();
        Ok(Self { sandbox: Sandbox::new(Arc::clone(writer)), clock, troubles, waiting: Cache::new(WAITING_MAX) })
    }

    /// What comes before the answer to a check.
    pub async fn meet(&self, principal: &Principal, digest: &IdDigest) -> Result<(), Problem> {
        match self.trouble(principal, digest) {
            None => Ok(()),
            Some(Trouble::Slow) => {
                be_slow().await;
                Ok(())
            }
            Some(trouble) => Err(refusal(trouble, principal)),
        }
    }

    /// The same for the items of a batch, each for itself; however many are slow, the batch is slow once.
    pub async fn meet_all(&self, principal: &Principal, checks: &mut [Result<Check, Problem>]) {
        let mut is_slow = false;
        for item in checks {
            let Ok(check) = item else { continue };
            match self.trouble(principal, &check.digest) {
                None => {}
                Some(Trouble::Slow) => is_slow = true,
                Some(trouble) => *item = Err(refusal(trouble, principal)),
            }
        }
        if is_slow {
            be_slow().await;
        }
    }

    /// Puts back what a caller's organization changed; what its clients had to wait for is forgotten.
    pub async fn reset(&self, actor: Actor) -> Result<Reset, ServiceError> {
        let done = self.sandbox.reset(actor).await?;
        self.waiting.retain(|(client, _), _| *client != actor.client);
        Ok(done)
    }

    fn trouble(&self, principal: &Principal, digest: &IdDigest) -> Option<Trouble> {
        let trouble = *self.troubles.get(digest.expose())?;
        let is_over = trouble.is_once() && self.is_over((principal.client.client_id, trouble));
        (!is_over).then_some(trouble)
    }

    /// Whether a client has waited as asked. If not, it has to from now on.
    fn is_over(&self, of: (ClientId, Trouble)) -> bool {
        let now_ms = self.clock.now_ms();
        if self.waiting.get(&of).is_some_and(|until_ms| (until_ms..until_ms.plus(ANSWERED)).contains(&now_ms)) {
            self.waiting.remove(&of);
            return true;
        }
        // The client can get a new token at once.
        let wait = if of.1 == Trouble::TokenExpiredOnce { Duration::ZERO } else { RETRY_AFTER };
        self.waiting.insert(of, now_ms.plus(wait));
        false
    }
}

async fn be_slow() {
    tokio::time::sleep(Duration::from_secs(SLOW_S)).await;
}

/// The refusal as production words it.
fn refusal(trouble: Trouble, principal: &Principal) -> Problem {
    match trouble {
        Trouble::LimitSpent | Trouble::LimitSpentOnce => principal.client.limits.as_if_spent(RETRY_AFTER_S).into(),
        Trouble::TokenExpiredOnce => Problem::unauthorized(TokenError::Expired.to_string()),
        Trouble::Internal => Problem::new(problem::INTERNAL, "the request could not be handled"),
        Trouble::Unavailable | Trouble::UnavailableOnce | Trouble::Slow => {
            Problem::retry_after(problem::REGISTRY_UNAVAILABLE, "the store does not answer", RETRY_AFTER_S)
        }
    }
}
