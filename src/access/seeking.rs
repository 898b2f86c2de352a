//! The keys by which tokens are verified, taken up again and looked for: a key that is not known may be a new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Access;
use super::outside::OutsideKeys;
use super::tokens::{claimed_client, claimed_issuer, own_keys};
use crate::domain::ids::ClientId;
use crate::limits::{Asker, Work};

/// How long a caller waits for keys of an outside issuer to be fetched before its token is one by an unknown key.
const SEEK_MAX: Duration = Duration::from_secs(2);

/// How often keys were fetched: of this service, and of outside issuers.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenKeys {
    own: u64,
    outside: u64,
}

impl Access {
    /// Takes up this service's own keys after a rotation.
    pub fn reload_keys(&self) {
        let own = own_keys(&self.options.issuer, &self.keyring.signing().published_tokens);
        let now_s = self.clock.now_s();
        let all = std::iter::once(own).chain(self.outside.iter().filter_map(|one| one.current(now_s))).collect();
        self.issuers.store(Arc::new(all));
    }

    /// For a signature by an unknown key, which another node may have found first: looks into the key folder where a file came or went,
    /// else at most once a second. True where there are other keys than when `Keyring::signing_count` was `seen`.
    pub async fn seek_keys(&self, asker: Asker, seen: u64) -> bool {
        let now_s = self.clock.now_s();
        if self.keys_sought_s.swap(now_s, Ordering::AcqRel) != now_s || self.keyring.is_signing_stale() {
            let keyring = Arc::clone(&self.keyring);
            // A folder that cannot be read, or no turn: the keys in memory stay.
            let _ = self.options.workshop.run(Work::Short, asker, move || keyring.reload_signing()).await;
        }
        let are_other = self.keyring.signing_count() != seen;
        if are_other {
            self.reload_keys();
        }
        are_other
    }

    /// Reads or fetches the outside issuers' keys again, and finds the provider of persons. An issuer whose fetch fails keeps its keys for
    /// an hour; after that its tokens are refused.
    pub async fn refresh_outside(&self) {
        if let Some(sign_in) = &self.sign_in {
            sign_in.load(self.clock.now_s()).await;
        }
        for issuer in &self.outside {
            issuer.refresh(self.clock.now_s()).await;
            // At once: the next issuer may let this wait.
            self.reload_keys();
        }
        self.reload_keys();
    }

    /// What there is before a token is looked at.
    pub(super) fn seen_keys(&self) -> SeenKeys {
        SeenKeys { own: self.keyring.signing_count(), outside: self.outside_loads() }
    }

    fn outside_loads(&self) -> u64 {
        self.outside.iter().map(|issuer| issuer.loads()).sum()
    }

    /// For a token by an unknown key: its issuer may have a new one. True if it is worth another look.
    pub(super) async fn seek_keys_of(&self, token: &str, asker: Asker, seen: SeenKeys) -> bool {
        let Some(name) = claimed_issuer(token) else { return false };
        let Some(issuer) = self.outside.iter().find(|one: &&Arc<OutsideKeys>| one.name() == name) else {
            return name == self.options.issuer && self.seek_keys(asker, seen.own).await;
        };
        // It continues for those who come later; a caller is not kept waiting by a server that hangs.
        let _ = tokio::time::timeout(SEEK_MAX, issuer.seek(self.clock.now_s())).await;
        let are_other = self.outside_loads() != seen.outside;
        if are_other {
            self.reload_keys();
        }
        are_other
    }

    /// The client that a token names, which it may not be: nothing is verified.
    pub fn claimed_client(&self, token: &str) -> Option<ClientId> {
        claimed_client(token, &self.issuers.load())
    }
}
