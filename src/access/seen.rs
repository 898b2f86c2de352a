//! How much clients are seen: when a token of theirs was last met, and how many of their requests limits have refused. Counted in memory
//! and noted in the store once a minute, so that no request waits for it: a node that is killed loses a minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::store::Store;
use crate::store::administration::Seen;

/// How often it is noted.
const NOTE_EVERY: Duration = Duration::from_mins(1);
/// Clients of one transaction.
const NOTED_MAX: usize = 500;

/// What a node has seen since it was last noted, by client.
#[derive(Debug, Default)]
pub struct SeenClients(Mutex<BTreeMap<ClientId, (Option<UnixMs>, u64)>>);

impl SeenClients {
    /// A token of the client was met, for the first time or after clients changed.
    pub fn note_used(&self, client: ClientId, now_ms: UnixMs) {
        self.change(client, |(last, _)| *last = (*last).max(Some(now_ms)));
    }

    /// A limit has refused a request of the client.
    pub fn note_refused(&self, client: ClientId) {
        self.change(client, |(_, refused)| *refused += 1);
    }

    fn change(&self, client: ClientId, change: impl FnOnce(&mut (Option<UnixMs>, u64))) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(client).or_default());
    }

    /// Notes what is new, until the task is dropped.
    pub async fn run(self: Arc<Self>, store: Store) {
        loop {
            tokio::time::sleep(NOTE_EVERY).await;
            self.flush(&store).await;
        }
    }

    /// Notes what is new. What the store does not take is kept for the next time.
    pub async fn flush(&self, store: &Store) {
        let seen = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
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
        assert_eq!(seen.0.lock().unwrap().get(&client), Some(&(Some(UnixMs::new(9)), 2)));
    }
}
