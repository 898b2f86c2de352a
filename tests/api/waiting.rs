//! Waiting for what other processes and threads do, and no longer than a minute.

use std::time::{Duration, Instant};

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
