//! What a service manager (systemd, `Type=notify`) hears: that the node is ready, that it stops, and as long as it is asked for, that
//! it lives. Nobody listens where `NOTIFY_SOCKET` is not set.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::interval;

/// The registry is loaded and connections are answered.
pub(super) fn tell_ready() {
    tell(NotifyState::Ready);
}

/// The node drains: it still answers, and must not be killed for the time that this takes.
pub(super) fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// How often the manager wants to hear that the node lives; none if it does not ask. Twice in its time, so that one that is late is
/// no end.
pub(super) fn watchdog() -> Option<Duration> {
    watchdog_enabled().map(|within| within / 2).filter(|every| !every.is_zero())
}

/// Says so for as long as tasks get their turns: a lease that ran out, or a store that is gone, is no reason to restart a node.
pub(super) async fn tell_alive(every: Duration) {
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        tracing::warn!(error = %error, "the service manager could not be told how this node is");
    }
}
