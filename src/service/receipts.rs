//! Signing receipts in batches, and verifying them. The signer takes whatever waits when the worker's event loop comes round,
//! signs one head, and hands every waiter its path: a lone check is signed at once, a busy worker spreads one signature
//! (about 8 us) over many checks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use jiff::civil::{Date, date};
use tokio::sync::oneshot;

use super::registry_log::latest::Latest;
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::{self, Claims, ReceiptError, Signed, commitment, sign_batch};
use crate::crypto::salt::Salt;
use crate::crypto::signing::from_base64url;
use crate::domain::redacted::SaltText;
use crate::telemetry::Metrics;

/// Beyond this a longer path costs every waiter more than another signature, and signing keeps the event loop too long.
pub const HEAD_RECEIPTS_MAX: usize = 64;

type Waiter = (String, oneshot::Sender<Signed>);

/// Signs heads: one for all workers of a node.
#[derive(Debug)]
pub struct HeadSigner {
    /// The issuer as a JSON string.
    pub issuer_json: String,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub metrics: Arc<Metrics>,
    /// What heads name of the registry log; none where there is no log.
    pub log: Option<Arc<Latest>>,
}

impl HeadSigner {
    /// The receipts of claims under one head, in their order.
    pub fn sign(&self, claims: Vec<String>) -> Vec<Signed> {
        self.metrics.receipt_heads.inc();
        self.metrics.receipts.inc_by(claims.len() as u64);
        let checkpoint = self.log.as_ref().map(|log| log.member());
        let checkpoint = checkpoint.as_ref().map_or("", |member| member.as_str());
        sign_batch(&self.keyring.signing().receipt, &self.issuer_json, self.clock.now_s(), checkpoint, claims)
    }
}

/// Signs the receipts of one worker.
#[derive(Debug)]
pub struct ReceiptSigner {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    heads: Arc<HeadSigner>,
    waiting: RefCell<Vec<Waiter>>,
}

impl ReceiptSigner {
    pub fn new(heads: Arc<HeadSigner>) -> Self {
        let waiting = RefCell::new(Vec::with_capacity(HEAD_RECEIPTS_MAX));
        Self { shared: Rc::new(Shared { heads, waiting }) }
    }

    /// The receipt of one check, signed together with those that wait at the same moment. None if the worker is going down.
    pub async fn sign(&self, claims: String) -> Option<Signed> {
        let (sender, receiver) = oneshot::channel();
        let waiting = {
            let mut waiting = self.shared.waiting.borrow_mut();
            waiting.push((claims, sender));
            waiting.len()
        };
        if waiting >= HEAD_RECEIPTS_MAX {
            self.shared.sign_waiting();
        } else if waiting == 1 {
            // Runs after the tasks that are ready now: what they ask for joins this head.
            let shared = Rc::clone(&self.shared);
            tokio::task::spawn_local(async move { shared.sign_waiting() });
        }
        receiver.await.ok()
    }

    /// The receipts of one batch request, under one head: at most [`HEAD_RECEIPTS_MAX`].
    pub fn sign_all(&self, claims: Vec<String>) -> Vec<Signed> {
        if claims.is_empty() { Vec::new() } else { self.shared.heads.sign(claims) }
    }
}

impl Shared {
    fn sign_waiting(&self) {
        let (claims, senders): (Vec<_>, Vec<_>) = self.waiting.borrow_mut().drain(..).unzip();
        if claims.is_empty() {
            return;
        }
        for (receipt, sender) in self.heads.sign(claims).into_iter().zip(senders) {
            // A client that went away does not wait for its receipt any more.
            let _ = sender.send(receipt);
        }
    }
}

/// What a verification found.
#[derive(Debug)]
pub struct Verification {
    pub claims: Claims,
    /// Whether number and salt open the commitment; None where they were not given.
    pub opens: Option<bool>,
    /// The start of validity that the check named, where number and salt open it.
    pub card_valid_from: Option<Date>,
}

/// What may open a receipt.
#[derive(Debug)]
pub struct Opening {
    pub digest: IdDigest,
    pub salt: SaltText,
    /// The card of the check, if known; otherwise every day that a card can have started on is tried.
    pub card_valid_from: Option<Date>,
}

impl Opening {
    /// Whether opening takes thousands of hashes.
    pub fn tries_every_day(&self) -> bool {
        self.card_valid_from.is_none()
    }
}

/// Verifies a receipt, and opens it where number and salt are given.
pub fn verify(
    receipt: &str,
    keys: &[crate::crypto::signing::PublicKey],
    opening: Option<&Opening>,
) -> Result<Verification, ReceiptError> {
    let claims = receipt::verify(receipt, keys)?;
    let (opens, card_valid_from) = opening.map(|opening| open(&claims, opening)).unzip();
    Ok(Verification { claims, opens, card_valid_from: card_valid_from.flatten() })
}

/// Days tried for the card's start: from the first cards (1984-04-06) on. About 42,000 hashes, 5 ms.
const STARTS: (Date, Date) = (date(1984, 4, 6), date(2100, 1, 1));

/// Whether number and salt open a receipt, and with which start of validity: none, where the check named none.
fn open(claims: &Claims, opening: &Opening) -> (bool, Option<Date>) {
    let salt = Salt::parse(&opening.salt);
    let (Some(salt), Some(cm)) = (salt, from_base64url(&claims.cm)) else { return (false, None) };
    let fits = |start: &Option<Date>| commitment(&salt, &opening.digest, *start).as_slice() == cm;
    let found = if opening.card_valid_from.is_some() {
        Some(opening.card_valid_from).filter(fits)
    } else {
        let days = STARTS.0.series(jiff::Span::new().days(1)).take_while(|day| *day < STARTS.1);
        std::iter::once(None).chain(days.map(Some)).find(fits)
    };
    (found.is_some(), found.flatten())
}
