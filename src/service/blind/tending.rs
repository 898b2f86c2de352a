//! What a node does about blind keys by itself: the first one, a new one each week, their bases, the end of old ones. One node does
//! each step for all, by the store's word.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::building::BuildError;
use super::{Blind, KEY, PREVIOUS, keys};
use crate::domain::instant::UnixMs;
use crate::domain::registry_log::LogEpoch;
use crate::service::ServiceError;
use crate::store::blind_keys::{BlindKeys, StoredBlindKey};

const TEND_EVERY: Duration = Duration::from_secs(1);
/// After a base that could not be built: all rows are read for it.
const BUILD_AGAIN: Duration = Duration::from_mins(1);

impl Blind {
    /// Tends keys and bases until the task is dropped.
    pub async fn tend(self: Arc<Self>) {
        let mut ticks = interval(TEND_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_complaining = false;
        loop {
            ticks.tick().await;
            match self.turn().await {
                Ok(()) => is_complaining = false,
                // The follower reports a store that does not answer.
                Err(ServiceError::Store(error)) if error.is_passing() => {}
                Err(error) if !std::mem::replace(&mut is_complaining, true) => {
                    tracing::error!(error = %error, "blind keys cannot be tended; it will be tried again");
                }
                Err(_) => {}
            }
        }
    }

    /// One turn of it.
    pub async fn turn(&self) -> Result<(), ServiceError> {
        let (store, keyring) = (&self.writer.store, &self.writer.keyring);
        let stored = store.blind_keys().await?;
        let now_ms = self.writer.clock.now_ms();
        match stored.versions {
            None => {
                if let Some(epoch) = keys::begin(store, keyring, &self.issuer, None, now_ms).await? {
                    tracing::info!(epoch, "blind checks begin");
                }
            }
            Some(versions) => {
                let current = stored.keys.iter().find(|key| key.epoch == versions.current);
                let is_older = |than| current.is_some_and(|key| key.begun_at.plus(than) < now_ms);
                let has_base = current.is_some_and(|key| key.base.is_some());
                if stored.is_cut {
                    if let Some(epoch) = keys::begin(store, keyring, &self.issuer, Some(versions), now_ms).await? {
                        tracing::warn!(epoch, "the feed began another epoch: so do the log and the blind checks");
                    }
                } else if versions.previous.is_some() && has_base && is_older(PREVIOUS) {
                    keys::end_previous(store, keyring, versions, now_ms).await?;
                } else if versions.previous.is_none() && !versions.is_behind && has_base && is_older(KEY) {
                    keys::begin(store, keyring, &self.issuer, Some(versions), now_ms).await?;
                }
            }
        }
        let stored = store.blind_keys().await?;
        self.destroy_old(&stored, now_ms).await?;
        let wanted: Vec<_> = stored.versions.map(|versions| versions.all().collect()).unwrap_or_default();
        for epoch in &wanted {
            let key = stored.keys.iter().find(|key| key.epoch == *epoch);
            let own = keyring.blind().get(*epoch).map(|own| own.public_key());
            // A file of that number may be what is left of a key that never came in force.
            if own != key.map(|key| key.public_key)
                && let Some(sealed) = store.sealed_blind_seed(*epoch).await?
            {
                keyring.learn_blind(*epoch, &sealed).map_err(crate::crypto::KeyError::from).map_err(registry)?;
            }
        }
        // Also what other nodes ended: their files are theirs.
        for over in stored.keys.iter().filter(|key| key.ended_at.is_some() && keyring.blind().get(key.epoch).is_some())
        {
            keys::forget(keyring, over.epoch)?;
        }
        keyring.blind().keep(&wanted);
        if let Some(versions) = stored.versions.filter(|_| !stored.is_cut) {
            let seen = (versions.current, keyring.signing_count());
            if **self.published.load() != Some(seen) {
                keys::publish(store, keyring, LogEpoch::new(versions.current)).await?;
                self.published.store(Arc::new(Some(seen)));
            }
        }
        let is_behind = stored.is_cut || stored.versions.is_some_and(|versions| versions.is_behind);
        let due: Vec<_> = stored.keys.iter().filter(|key| wanted.contains(&key.epoch)).cloned().collect();
        self.note(stored);
        for key in due {
            self.tend_base(&key, is_behind).await?;
        }
        Ok(())
    }

    async fn tend_base(&self, key: &StoredBlindKey, is_behind: bool) -> Result<(), ServiceError> {
        let (store, epoch) = (&self.writer.store, key.epoch);
        if let Some(base) = &key.base {
            if !self.known.load().bases.contains_key(&epoch) {
                self.fetch_base(epoch, base).await?;
            }
            return Ok(());
        }
        let (node, now_ms) = (self.writer.registry.node(), self.writer.clock.now_ms());
        let Some(own) = self.writer.keyring.blind().get(epoch).filter(|_| !is_behind) else { return Ok(()) };
        if !store.claim_base(epoch, node, now_ms).await? {
            return Ok(());
        }
        let began_ns = self.writer.clock.boot_ns();
        match self.build(own).await {
            Ok(base) => {
                let seconds = self.writer.clock.boot_ns().saturating_sub(began_ns) / 1_000_000_000;
                tracing::info!(epoch, bytes = base.bytes, sequence = base.sequence.get(), seconds, "a base is built");
                let stored = store.blind_keys().await?;
                self.note(stored);
            }
            Err(BuildError::Others) => {}
            Err(BuildError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(epoch, error = %error, "a base cannot be built; it will be tried again");
                tokio::time::sleep(BUILD_AGAIN).await;
            }
        }
        Ok(())
    }

    async fn destroy_old(&self, stored: &BlindKeys, now_ms: UnixMs) -> Result<(), ServiceError> {
        let before = self.audit_keep.before(now_ms);
        if !stored.keys.iter().any(|key| key.has_seed && key.ended_at.is_some_and(|ended| ended < before)) {
            return Ok(());
        }
        let mut tx = self.writer.store.begin().await?;
        tx.destroy_blind_seeds(before).await?;
        Ok(tx.commit_unlisted().await?)
    }
}

fn registry(error: crate::crypto::KeyError) -> ServiceError {
    crate::registry::RegistryError::from(error).into()
}
