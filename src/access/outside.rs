//! The keys of outside issuers as they were last had, and when they may be asked for again.

use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;

use super::jwks::{IssuerKeys, JwksError, OutsideIssuer};

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
}

impl OutsideKeys {
    pub(super) fn unknown(issuer: OutsideIssuer) -> Self {
        Self { issuer, keys: ArcSwapOption::empty(), loaded_s: AtomicI64::new(0), asked_s: AtomicI64::new(i64::MIN) }
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

    /// Reads or fetches its keys again.
    pub(super) async fn load(&self, now_s: i64) -> Result<(), JwksError> {
        self.asked_s.store(now_s, Ordering::Release);
        let keys = IssuerKeys::load(&self.issuer).await?;
        self.keys.store(Some(keys.into()));
        self.loaded_s.store(now_s, Ordering::Release);
        Ok(())
    }

    /// Whether it may be asked for a key that is not known; the next one who wants to know waits.
    pub(super) fn may_ask(&self, now_s: i64) -> bool {
        let asked_s = self.asked_s.load(Ordering::Acquire);
        let is_due = now_s.saturating_sub(asked_s) >= ASKED_EVERY_S;
        is_due && self.asked_s.compare_exchange(asked_s, now_s, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
