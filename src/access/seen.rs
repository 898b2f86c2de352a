//! How much clients are seen: when a token of theirs was last met, and how many of their requests limits have refused; and which persons.
//! Counted in memory and noted in the store once a minute, a new person at once, so that no request waits for it: a node that is killed
//! loses a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::tokens::TokenClaims;
use crate::domain::ids::{ClientId, PersonId};
use crate::domain::instant::UnixMs;
use crate::store::Store;
use crate::store::administration::Seen;
use crate::store::persons::MetPerson;

/// How often it is noted.
const NOTE_EVERY: Duration = Duration::from_mins(1);
/// Clients of one transaction.
const NOTED_MAX: usize = 500;

/// What a node has seen since it was last noted, by client and by person.
#[derive(Debug, Default)]
pub struct SeenClients {
    clients: Mutex<BTreeMap<ClientId, (Option<UnixMs>, u64)>>,
    persons: Mutex<BTreeMap<PersonId, MetPerson>>,
    /// Persons that this node has noted before.
    known: Mutex<BTreeSet<PersonId>>,
    somebody_new: Notify,
}

impl SeenClients {
    fn note_used(&self, client: ClientId, now_ms: UnixMs) {
        self.change(client, |(last, _)| *last = (*last).max(Some(now_ms)));
    }

    /// A limit has refused a request of the client.
    pub fn note_refused(&self, client: ClientId) {
        self.change(client, |(_, refused)| *refused += 1);
    }

    fn change(&self, client: ClientId, change: impl FnOnce(&mut (Option<UnixMs>, u64))) {
        change(locked(&self.clients).entry(client).or_default());
    }

    /// A token was met, for the first time or after clients changed; it may be a person's.
    pub fn note_met(&self, claims: &TokenClaims, now_ms: UnixMs) {
        self.note_used(claims.client_id, now_ms);
        let (Some((id, role)), Some(name)) = (claims.role, claims.person) else { return };
        let group = claims.group.as_ref().map(ToString::to_string);
        locked(&self.persons).insert(id, MetPerson { id, name, role, group, at_ms: now_ms });
        if locked(&self.known).insert(id) {
            self.somebody_new.notify_one();
        }
    }

    /// Notes what is new, until the task is dropped.
    pub async fn run(self: Arc<Self>, store: Store) {
        loop {
            // Sooner where somebody is new; either way all is noted.
            let _ = tokio::time::timeout(NOTE_EVERY, self.somebody_new.notified()).await;
            self.flush(&store).await;
        }
    }

    /// Notes what is new. What the store does not take is kept for the next time.
    pub async fn flush(&self, store: &Store) {
        self.flush_persons(store).await;
        let seen = std::mem::take(&mut *locked(&self.clients));
        let seen: Vec<_> = seen
            .into_iter()
            .map(|(client, (last_used_at_ms, refused))| Seen { client, last_used_at_ms, refused })
            .collect();
        for part in seen.chunks(NOTED_MAX) {
            if let Err(error) = store.note_seen(part).await {
                tracing::debug!(error = %error, "what was seen of clients waits in memory");
                for one in part {
                    self.change(one.client, |(last, refused)| {
                        *last = (*last).max(one.last_used_at_ms);
                        *refused += one.refused;
                    });
                }
            }
        }
    }

    async fn flush_persons(&self, store: &Store) {
        let met: Vec<_> = std::mem::take(&mut *locked(&self.persons)).into_values().collect();
        if met.is_empty() {
            return;
        }
        if let Err(error) = store.note_persons(&met).await {
            tracing::debug!(error = %error, "who was met waits in memory");
            let mut all = locked(&self.persons);
            for one in met {
                // One who was met meanwhile is newer.
                all.entry(one.id).or_insert(one);
            }
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_instant_and_the_sum_are_kept() {
        let (seen, client) = (SeenClients::default(), ClientId::from_u128(7));
        for at in [5, 9, 7] {
            seen.note_used(client, UnixMs::new(at));
        }
        seen.note_refused(client);
        seen.note_refused(client);
        assert_eq!(locked(&seen.clients).get(&client), Some(&(Some(UnixMs::new(9)), 2)));
    }
}
