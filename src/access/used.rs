//! Proofs that this node has seen used, in memory: a replay is refused before anybody pays for it, and one that Redis took passes no
//! second time when Redis fails within its life. What other nodes have seen is Redis's or the store's to say.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::dpop::AGE_S_MAX;

/// The longest that a proof lives, in seconds: a clock may be ahead.
const LIFE_S: i64 = 2 * AGE_S_MAX + 1;
/// Proofs of one life: 32 MB at most, and more than the signatures of a node in that time.
const PROOFS_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct UsedProofs(Mutex<Generations>);

/// What was used in this life, and in the one before.
#[derive(Debug, Default)]
struct Generations {
    begun_s: i64,
    new: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl UsedProofs {
    /// Whether it was used here.
    pub(super) fn has(&self, fingerprint: &[u8; 32], now_s: i64) -> bool {
        self.with(now_s, |all| all.has(&short(fingerprint)))
    }

    /// Marks it as used. False: it was before.
    pub(super) fn claim(&self, fingerprint: &[u8; 32], now_s: i64) -> bool {
        self.with(now_s, |all| !all.has(&short(fingerprint)) && all.new.insert(short(fingerprint)))
    }

    fn with<T>(&self, now_s: i64, act: impl FnOnce(&mut Generations) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age_s = now_s.saturating_sub(all.begun_s);
        // A clock that was set back begins a life, too.
        if !(0..LIFE_S).contains(&age_s) || all.new.len() >= PROOFS_MAX {
            let is_gone = !(0..2 * LIFE_S).contains(&age_s);
            let last = std::mem::take(&mut all.new);
            all.old = if is_gone && age_s > 0 { HashSet::new() } else { last };
            all.begun_s = now_s;
        }
        act(&mut all)
    }
}

impl Generations {
    fn has(&self, short: &[u8; 16]) -> bool {
        self.new.contains(short) || self.old.contains(short)
    }
}

/// Half of a hash is as good as the whole: nobody gains by two of their own proofs that meet.
fn short(fingerprint: &[u8; 32]) -> [u8; 16] {
    let (half, _) = fingerprint.split_at(16);
    half.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_remembered_as_long_as_it_lives_and_not_for_ever() {
        let used = UsedProofs::default();
        let now_s = 1_800_000_000;
        assert!(!used.has(&[1; 32], now_s) && used.claim(&[1; 32], now_s));
        assert!(used.has(&[1; 32], now_s) && !used.claim(&[1; 32], now_s));
        assert!(used.claim(&[2; 32], now_s + LIFE_S - 1));
        for later_s in [LIFE_S - 1, LIFE_S] {
            assert!(!used.claim(&[1; 32], now_s + later_s), "{later_s}");
        }
        assert!(!used.claim(&[2; 32], now_s + 2 * LIFE_S - 1));
        assert!(used.claim(&[1; 32], now_s + 2 * LIFE_S), "it lives no more");
        assert!(!used.claim(&[1; 32], now_s - 10 * LIFE_S), "a clock that was set back forgets nothing");
    }
}
