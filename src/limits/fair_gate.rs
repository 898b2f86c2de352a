//! Places for what waits in tasks, in turns by asker: the fair queue with somebody to wake. What the places are for, its users say.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::fair_queue::{Bounds, FairQueue, Ticket};

/// Places that are given in turns by asker.
pub struct FairGate<A: Copy + Eq + Hash> {
    queue: Mutex<FairQueue<A, oneshot::Sender<Turn<A>>>>,
}

/// A place, free again when dropped.
pub struct Turn<A: Copy + Eq + Hash> {
    asker: A,
    /// None: given back already.
    gate: Option<Arc<FairGate<A>>>,
}

impl<A: Copy + Eq + Hash> fmt::Debug for FairGate<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FairGate")
    }
}

impl<A: Copy + Eq + Hash> fmt::Debug for Turn<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

impl<A: Copy + Eq + Hash> FairGate<A> {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(FairQueue::new(bounds)) })
    }

    /// A place, once there is one. None: more wait already than may.
    pub async fn enter(self: &Arc<Self>, asker: A) -> Option<Turn<A>> {
        let (given, turn) = oneshot::channel();
        let ticket = self.lock().push(asker, given)?;
        let mut waiting = Waiting { gate: self, asker, ticket: Some(ticket) };
        self.give();
        let turn = turn.await.ok();
        waiting.ticket = None;
        turn
    }

    /// Gives the places that are free.
    fn give(self: &Arc<Self>) {
        loop {
            // Not held while one is given: a receiver that is gone drops it here.
            let Some((asker, given)) = self.lock().take_next() else { return };
            if let Err(mut turn) = given.send(Turn { asker, gate: Some(Arc::clone(self)) }) {
                turn.gate = None;
                self.lock().done(asker);
            }
        }
    }

    /// Those that wait, and places that are taken.
    pub fn counts(&self) -> (usize, usize) {
        self.lock().counts()
    }

    /// A thread that panicked has left a whole queue.
    fn lock(&self) -> MutexGuard<'_, FairQueue<A, oneshot::Sender<Turn<A>>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Copy + Eq + Hash> Drop for Turn<A> {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        gate.lock().done(self.asker);
        gate.give();
    }
}

/// One that waits, taken out of the queue when it gives up.
struct Waiting<'a, A: Copy + Eq + Hash> {
    gate: &'a FairGate<A>,
    asker: A,
    ticket: Option<Ticket>,
}

impl<A: Copy + Eq + Hash> Drop for Waiting<'_, A> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.lock().withdraw(self.asker, ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_crowd_of_one_asker_lets_another_have_the_next_place() {
        let gate = FairGate::new(Bounds { places: 2, waiting_max: 4 });
        let first = gate.enter(1).now_or_never().flatten().unwrap();
        let (mut second, mut third) = (Box::pin(gate.enter(1)), Box::pin(gate.enter(1)));
        assert!((&mut second).now_or_never().is_none(), "half of the places are its share");
        assert!((&mut third).now_or_never().is_none());
        let other = gate.enter(2).now_or_never().flatten().unwrap();
        let mut later = Box::pin(gate.enter(2));
        assert!((&mut later).now_or_never().is_none());
        assert_eq!(gate.counts(), (3, 2));
        drop(second);
        drop(first);
        assert!((&mut third).now_or_never().flatten().is_some(), "who gave up keeps no place");
        drop(other);
        assert!((&mut later).now_or_never().flatten().is_some());
        drop((third, later));
        assert_eq!(gate.counts(), (0, 0));
    }

    #[test]
    fn more_than_may_wait_are_refused_at_once() {
        let gate = FairGate::new(Bounds { places: 1, waiting_max: 1 });
        let _held = gate.enter(1).now_or_never().flatten().unwrap();
        let mut waits = Box::pin(gate.enter(1));
        assert!((&mut waits).now_or_never().is_none());
        assert!(gate.enter(1).now_or_never().is_some_and(|turn| turn.is_none()));
    }
}
