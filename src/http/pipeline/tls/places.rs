//! The places of handshakes: so many at a time, in turns by address, and of one address no more than its share. Knows no TLS.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::limits::fair_gate::{self, FairGate};
use crate::limits::fair_queue::Bounds;

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
    gate: Arc<FairGate<Asker>>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// What a handshake has while it is made.
#[derive(Debug)]
pub(super) struct Held {
    _place: fair_gate::Turn<Asker>,
    _share: Share,
}

/// What an address has of its share, until it is dropped.
#[derive(Debug)]
struct Share {
    asker: Asker,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(at_a_time: usize) -> Self {
        // Who waits is bounded by the connections of the node.
        let gate = FairGate::new(Bounds { places: at_a_time, waiting_max: usize::MAX });
        Self { of_address_max: (at_a_time / SHARE).max(1), gate, by_address: Mutex::default() }
    }

    /// A place, once there is one. None: the address has its share.
    pub(super) async fn enter(self: &Arc<Self>, asker: Asker) -> Option<Held> {
        let share = self.share_of(asker)?;
        let place = self.gate.enter(asker).await?;
        Some(Held { _place: place, _share: share })
    }

    fn share_of(self: &Arc<Self>, asker: Asker) -> Option<Share> {
        if let Asker::Address(address) = asker {
            let mut by_address = self.lock();
            let count = by_address.entry(address).or_default();
            if *count >= self.of_address_max {
                return None;
            }
            *count += 1;
        }
        Some(Share { asker, places: Arc::clone(self) })
    }

    /// A thread that panicked has left whole counts.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Asker::Address(address) = self.asker else { return };
        let mut by_address = self.places.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// Polls a future only in turns by asker: what its polls compute keeps a newcomer waiting for one poll of each other asker, however
/// many futures each has brought. Between polls it holds nothing.
pub(super) async fn in_turns<F: Future>(gate: &Arc<FairGate<Asker>>, asker: Asker, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    loop {
        let turn = gate.enter(asker).await?;
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        drop(turn);
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        // Woken when it has something to do.
        let mut has_waited = false;
        poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
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
        assert_eq!(places.gate.counts(), (0, 0));
        assert!(places.lock().is_empty());
    }

    #[test]
    fn a_trusted_proxy_has_no_share_of_its_own() {
        let places = Arc::new(Places::new(8));
        let held: Vec<_> = (0..8).map(|at| places.enter(Asker::Unshared(at)).now_or_never().flatten()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.enter(Asker::Unshared(8)).now_or_never().is_none(), "it waits as others do");
    }

    #[test]
    fn polls_are_made_in_turns_by_address() {
        let gate = FairGate::new(Bounds { places: 1, waiting_max: usize::MAX });
        let order = std::cell::RefCell::new(Vec::new());
        let held = gate.enter(address(9)).now_or_never().flatten();
        let mut futures: Vec<_> = [1, 1, 1, 1, 2]
            .iter()
            .map(|of| Box::pin(in_turns(&gate, address(*of), async { order.borrow_mut().push(*of) })))
            .collect();
        assert!(futures.iter_mut().all(|future| future.now_or_never().is_none()), "none has its turn");
        drop(held);
        while !futures.is_empty() {
            futures.retain_mut(|future| future.now_or_never().is_none());
        }
        drop(futures);
        assert_eq!(order.into_inner(), [1, 2, 1, 1, 1], "the newcomer waits for one of each other address");
    }
}
