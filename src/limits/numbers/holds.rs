//! Clients that are held here and not yet in the store: at most one entry for each client.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::client::Actor;
use crate::domain::numbers::HeldFor;

/// A client to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub client: Actor,
    pub why: HeldFor,
}

/// What waits for the task that writes it.
#[derive(Debug, Default)]
pub struct Holds {
    waiting: Mutex<Vec<Hold>>,
    came: Notify,
}

impl Holds {
    pub(super) fn push(&self, hold: Hold) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(hold);
        self.came.notify_one();
    }

    /// All that wait; waits until there is one.
    pub async fn next(&self) -> Vec<Hold> {
        loop {
            let waiting = self.take();
            if !waiting.is_empty() {
                return waiting;
            }
            self.came.notified().await;
        }
    }

    /// All that wait now.
    pub fn take(&self) -> Vec<Hold> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
