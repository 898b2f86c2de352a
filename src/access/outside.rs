//! The keys of outside issuers as they were last had, and when they may be asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::jwks::{IssuerKeys, OutsideIssuer};

/// How long keys serve that cannot be fetched again, in seconds.
const KEYS_S_MAX: i64 = 3600;
/// An unknown key asks again at once, but no issuer more often than this, in seconds.
const ASKED_EVERY_S: i64 = 10;

/// An outside issuer, and its keys.
#[derive(Debug)]
pub(super) struct OutsideKeys {
    issuer: OutsideIssuer,
    keys: ArcSwapOption<IssuerKeys>,
    loaded_s: AtomicI64,
    asked_s: AtomicI64,
    loads: AtomicU64,
    /// Held while they are fetched.
    turn: Arc<Mutex<()>>,
}

impl OutsideKeys {
    pub(super) fn unknown(issuer: OutsideIssuer) -> Self {
        Self {
            issuer,
            keys: ArcSwapOption::empty(),
            loaded_s: AtomicI64::new(0),
            asked_s: AtomicI64::new(i64::MIN),
            loads: AtomicU64::new(0),
            turn: Arc::default(),
        }
    }

    /// The `iss` of its tokens.
    pub(super) fn name(&self) -> &str {
        &self.issuer.issuer
    }

    /// Its keys, as long as they serve.
    pub(super) fn current(&self, now_s: i64) -> Option<IssuerKeys> {
        let is_current = now_s - self.loaded_s.load(Ordering::Acquire) < KEYS_S_MAX;
        self.keys.load().as_deref().filter(|_| is_current).cloned()
    }

    /// How often its keys were fetched: another number than before is other keys.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Acquire)
    }

    /// Reads or fetches its keys again.
    pub(super) async fn refresh(&self, now_s: i64) {
        let _turn = self.turn.lock().await;
        self.load(now_s).await;
    }

    /// For a token by a key that is not known: reads or fetches the keys, if that is due. Who comes meanwhile waits for what is under
    /// way; who gives up does not end it for the others.
    pub(super) async fn seek(self: &Arc<Self>, now_s: i64) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if now_s.saturating_sub(self.asked_s.load(Ordering::Acquire)) < ASKED_EVERY_S {
            return;
        }
        let issuer = Arc::clone(self);
        let loading = tokio::spawn(async move {
            let _turn = turn;
            issuer.load(now_s).await;
        });
        // One that panicked has loaded nothing.
        let _ = loading.await;
    }

    async fn load(&self, now_s: i64) {
        self.asked_s.store(now_s, Ordering::Release);
        match IssuerKeys::load(&self.issuer).await {
            Ok(keys) => {
                self.keys.store(Some(keys.into()));
                self.loaded_s.store(now_s, Ordering::Release);
                self.loads.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) => tracing::error!(error = %error, "an outside issuer's keys could not be fetched"),
        }
    }
}
