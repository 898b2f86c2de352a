//! The places of handshakes: so many at a time, in turns by address, and of one address no more than its share. Knows no TLS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::fair_queue::{Bounds, FairQueue, Ticket};

/// One address may have this part of the places, those that it waits for among them.
const SHARE: usize = 4;

/// For whom a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Address(IpAddr),
    /// One connection of a trusted proxy: each is somebody else's.
    Unshared(u64),
}

#[derive(Debug)]
pub(super) struct Places {
    of_address_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: FairQueue<Asker, oneshot::Sender<Place>>,
    by_address: HashMap<IpAddr, usize>,
}

/// What a handshake has while it is made.
#[derive(Debug)]
pub(super) struct Held {
    _place: Place,
    _turn: Turn,
}

/// A place, free again when dropped.
#[derive(Debug)]
struct Place {
    asker: Asker,
    /// None: given back already.
    places: Option<Arc<Places>>,
}

/// What an address has of its share, until it is dropped.
#[derive(Debug)]
struct Turn {
    asker: Asker,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(at_a_time: usize) -> Self {
        // Who waits is bounded by the connections of the node.
        let queue = FairQueue::new(Bounds { places: at_a_time, waiting_max: usize::MAX });
        let state = State { queue, by_address: HashMap::new() };
        Self { of_address_max: (at_a_time / SHARE).max(1), state: Mutex::new(state) }
    }

    /// A place, once there is one. None: the address has its share.
    pub(super) async fn enter(self: &Arc<Self>, asker: Asker) -> Option<Held> {
        let turn = self.turn_of(asker)?;
        let (given, place) = oneshot::channel();
        let ticket = self.lock().queue.push(asker, given)?;
        let waiting = Waiting { places: self, asker, ticket: Some(ticket) };
        self.give();
        let place = place.await.ok()?;
        waiting.end();
        Some(Held { _place: place, _turn: turn })
    }

    fn turn_of(self: &Arc<Self>, asker: Asker) -> Option<Turn> {
        if let Asker::Address(address) = asker {
            let mut state = self.lock();
            let count = state.by_address.entry(address).or_default();
            if *count >= self.of_address_max {
                return None;
            }
            *count += 1;
        }
        Some(Turn { asker, places: Arc::clone(self) })
    }

    /// Gives the places that are free.
    fn give(self: &Arc<Self>) {
        loop {
            // Not held while one is given: a receiver that is gone drops it here.
            let Some((asker, given)) = self.lock().queue.take_next() else { return };
            if let Err(mut place) = given.send(Place { asker, places: Some(Arc::clone(self)) }) {
                place.places = None;
                self.lock().queue.done(asker);
            }
        }
    }

    /// A thread that panicked has left a whole queue.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        places.lock().queue.done(self.asker);
        places.give();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Asker::Address(address) = self.asker else { return };
        let mut state = self.places.lock();
        if let Some(count) = state.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&address);
            }
        }
    }
}

/// One that waits, taken out of the queue when it gives up.
struct Waiting<'a> {
    places: &'a Places,
    asker: Asker,
    ticket: Option<Ticket>,
}

impl Waiting<'_> {
    fn end(mut self) {
        self.ticket = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.places.lock().queue.withdraw(self.asker, ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(last: u8) -> Asker {
        Asker::Address([192, 0, 2, last].into())
    }

    #[test]
    fn places_are_given_in_turns_by_address_and_given_back() {
        let places = Arc::new(Places::new(8));
        let mut held: Vec<_> =
            [1, 1, 2, 2, 3, 3, 4].iter().map(|of| places.enter(address(*of)).now_or_never().flatten()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.enter(address(1)).now_or_never().is_some_and(|place| place.is_none()), "a quarter of eight");
        held.push(places.enter(address(5)).now_or_never().flatten());
        let (mut one, mut other) = (Box::pin(places.enter(address(6))), Box::pin(places.enter(address(7))));
        assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none(), "all are taken");
        drop(one);
        held.remove(0);
        assert!(other.now_or_never().flatten().is_some(), "who gave up keeps no place");
        held.clear();
        assert_eq!(places.lock().queue.counts(), (0, 0));
        assert!(places.lock().by_address.is_empty());
    }

    #[test]
    fn a_trusted_proxy_has_no_share_of_its_own() {
        let places = Arc::new(Places::new(8));
        let held: Vec<_> = (0..8).map(|at| places.enter(Asker::Unshared(at)).now_or_never().flatten()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.enter(Asker::Unshared(8)).now_or_never().is_none(), "it waits as others do");
    }
}
