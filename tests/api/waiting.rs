//! Waiting for what other processes and threads do, and no longer than a minute.

use std::time::{Duration, Instant};

use lostcard::crypto::random;
use lostcard::domain::sequence::Sequence;
use lostcard::store::feed::ChangeKind;

use crate::helpers::TestApp;

/// Waits until a condition of another process or thread holds; a minute without it fails the test. The longer it lasts the seldomer it is
/// looked at: who asks a node may not spend its limits with asking.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(5));
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}: not within a minute");
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(250));
    }
}

impl TestApp {
    /// How many rows the feed has but nodes' own, which may come at any time.
    pub(crate) async fn changes(&self) -> usize {
        let (mut after, mut count) = (Sequence::ZERO, 0);
        loop {
            let page = self.store.feed_after(after, random::id(self.clock.now_ms())).await.unwrap();
            let Some(last) = page.changes.last() else { return count };
            after = last.sequence;
            count += page.changes.iter().filter(|change| change.kind != ChangeKind::Node).count();
        }
    }
}
