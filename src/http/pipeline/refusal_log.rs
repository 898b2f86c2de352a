//! The lines of the log about failed requests, bounded: for each code and client ten a second, then a count. So nobody fills the
//! disk with refusals, and an operator still finds who makes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::client::Actor;

/// What lines are counted by: the problem's code, and the client where it is known.
type Key = (&'static str, Option<Actor>);

/// Lines of one key in a second.
const LINES_MAX: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Keys that are remembered; beyond them lines of a code count together.
const KEYS_MAX: usize = 4096;

/// The lines of this second.
#[derive(Debug, Default)]
pub struct RefusalLog {
    windows: Mutex<HashMap<Key, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begun_ns: u64,
    lines: u32,
    /// Not written.
    held_back: u64,
}

impl RefusalLog {
    /// Whether a line may be written. If not, it is counted, and the count is written when its second is over.
    pub fn admits(self: &Arc<Self>, code: &'static str, client: Option<Actor>, now_ns: u64) -> bool {
        let mut windows = self.lock();
        let second_ns = u64::try_from(SECOND.as_nanos()).unwrap_or(u64::MAX);
        let is_over = |window: &Window| now_ns.saturating_sub(window.begun_ns) >= second_ns;
        if windows.len() >= KEYS_MAX {
            windows.retain(|_, window| !is_over(window) || window.held_back > 0);
        }
        let key = if windows.len() >= KEYS_MAX { (code, None) } else { (code, client) };
        let window = windows.entry(key).or_insert(Window { begun_ns: now_ns, lines: 0, held_back: 0 });
        // A count that waits to be written has its second still.
        if is_over(window) && window.held_back == 0 {
            *window = Window { begun_ns: now_ns, lines: 0, held_back: 0 };
        }
        if window.lines < LINES_MAX {
            window.lines += 1;
            return true;
        }
        window.held_back += 1;
        if window.held_back == 1 {
            let log = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(SECOND).await;
                log.tell(key);
            });
        }
        false
    }

    /// How many were held back, once. Their second is over.
    fn tell(&self, key: Key) {
        let Some(window) = self.lock().remove(&key).filter(|window| window.held_back > 0) else { return };
        let (code, client) = key;
        let (more, organization) =
            (window.held_back, client.map(|client| tracing::field::display(client.organization)));
        let client = client.map(|client| tracing::field::display(client.client));
        tracing::warn!(code, more, client, organization, "more requests failed like those before");
    }

    /// A thread that panicked has left a whole map.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, OrganizationId};

    fn client(number: u128) -> Actor {
        Actor::new(OrganizationId::from_u128(1), ClientId::from_u128(number))
    }

    #[tokio::test]
    async fn ten_lines_a_second_for_each_code_and_client_then_a_count() {
        let (log, one, two) = (Arc::new(RefusalLog::default()), client(1), client(2));
        let lines = |code, client, ns| (0..50).filter(|_| log.admits(code, client, ns)).count();
        assert_eq!([lines("a", Some(one), 1), lines("a", Some(two), 1), lines("b", Some(one), 1)], [10; 3]);
        assert_eq!((lines("a", None, 1), lines("a", Some(one), 999_999_999)), (10, 0));
        assert_eq!(log.lock()[&("a", Some(one))].held_back, 90);
        let deadline = tokio::time::Instant::now() + SECOND * 10;
        while log.lock().values().any(|window| window.held_back > 0) {
            assert!(tokio::time::Instant::now() < deadline, "the counts are told");
            tokio::time::sleep(SECOND / 50).await;
        }
        assert_eq!(lines("a", Some(one), 1_000_000_001), 10);
    }

    #[tokio::test]
    async fn many_clients_take_no_memory() {
        let log = Arc::new(RefusalLog::default());
        for number in 0..2 * KEYS_MAX as u128 {
            log.admits("a", Some(client(number)), 1);
        }
        assert!(log.lock().len() <= KEYS_MAX + 1);
    }
}
