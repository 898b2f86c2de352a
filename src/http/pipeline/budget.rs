//! How many bytes of heads and bodies a node holds, and who holds them: reserved as they arrive and before they are kept, given
//! back when they are wiped. No address and no client holds more than its share, so that nobody else is refused for it. Reads no
//! request.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::domain::ids::ClientId;
use crate::http::contract::problem::{self, Problem};
use crate::limits::{Asker, CallerAddress};
use crate::telemetry::Metrics;

/// The seconds after which refused callers come back, spread so that they do not come back together.
const RETRY_AFTER_S_MAX: u32 = 5;
/// The part of the budget that one address or client may hold.
const SHARES: i64 = 8;

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub struct BudgetOptions {
    /// Heads and bodies of the node that are in flight.
    pub bytes_max: i64,
    /// Open connections of one address.
    pub connections_max: i64,
    /// Requests of one caller whose bodies are still coming in.
    pub bodies_max: i64,
}

/// Who has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Node,
    /// An address or a client holds its share.
    Share,
}

impl Full {
    /// A caller that is known learns that the node cannot do more now, an address that it holds its share.
    pub fn problem(self, is_known: bool) -> Problem {
        let (kind, detail) = match self {
            Self::Share if !is_known => {
                (problem::ADDRESS_SHARE_HELD, "this address holds its share of what the node takes on")
            }
            Self::Share => (problem::REDUCED_CAPACITY, "this client holds its share of what the node takes on"),
            Self::Node => (problem::REDUCED_CAPACITY, "the node has no room for more requests now"),
        };
        let problem = Problem::retry_within(kind, detail, RETRY_AFTER_S_MAX);
        if self == Self::Share { problem.of_own_load() } else { problem }
    }
}

/// What one address or client holds.
#[derive(Debug, Default)]
pub struct Share {
    bytes: AtomicI64,
    connections: AtomicI64,
    bodies: AtomicI64,
}

/// The budget of a node: one for all its workers. Its gauge of reserved bytes is the count itself.
#[derive(Debug)]
pub struct Budget {
    options: BudgetOptions,
    metrics: Arc<Metrics>,
    addresses: Mutex<HashMap<IpAddr, Weak<Share>>>,
    clients: Mutex<HashMap<ClientId, Weak<Share>>>,
}

/// Shares that are looked through for those that nobody holds any more.
const SHARES_SWEPT_FROM: usize = 1024;

impl Budget {
    pub fn new(options: BudgetOptions, metrics: Arc<Metrics>) -> Self {
        Self { options, metrics, addresses: Mutex::default(), clients: Mutex::default() }
    }

    /// The other end of a new connection, by the address that it counts towards, if it is not one that is trusted and speaks for
    /// many; none where that address has as many as it may.
    pub fn enter(self: &Arc<Self>, address: Option<CallerAddress>) -> Option<Rc<Peer>> {
        let share = address.map(|address| share_of(&self.addresses, address.network()));
        let peer = Peer { budget: Arc::clone(self), share };
        let open = peer.share.as_ref().map_or(0, |share| share.connections.fetch_add(1, Ordering::Relaxed));
        if open >= self.options.connections_max {
            self.metrics.budget_refused.with_label_values(&["connections"]).inc();
            return None;
        }
        Some(Rc::new(peer))
    }

    fn share_max(&self) -> i64 {
        (self.options.bytes_max / SHARES).max(1)
    }
}

fn share_of<K: Eq + Hash>(shares: &Mutex<HashMap<K, Weak<Share>>>, key: K) -> Arc<Share> {
    let mut shares = lock(shares);
    if let Some(share) = shares.get(&key).and_then(Weak::upgrade) {
        return share;
    }
    if shares.len() >= SHARES_SWEPT_FROM && shares.len().is_power_of_two() {
        shares.retain(|_, share| share.strong_count() > 0);
    }
    let share = Arc::new(Share::default());
    shares.insert(key, Arc::downgrade(&share));
    share
}

/// A thread that panicked has left a whole map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other end of an open connection, as far as it counts.
#[derive(Debug)]
pub struct Peer {
    budget: Arc<Budget>,
    share: Option<Arc<Share>>,
}

impl Peer {
    /// Nothing reserved yet.
    pub fn hold(self: &Rc<Self>) -> Hold {
        Hold { peer: Rc::clone(self), owner: None, bytes: 0, unshared: 0, is_waiting: false }
    }

    /// Counts a connection that is refused, or ended, because a head has not come in its time.
    pub fn note_late_head(&self) {
        self.budget.metrics.budget_refused.with_label_values(&["heads"]).inc();
    }

    /// Counts a refusal because there is no room.
    pub fn note_refusal(&self, full: Full) {
        let whose = match full {
            Full::Node => "node",
            Full::Share => "share",
        };
        self.budget.metrics.budget_refused.with_label_values(&[whose]).inc();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let Some(share) = self.share.take() else { return };
        share.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reserved bytes; free again when dropped.
#[derive(Debug)]
pub struct Hold {
    peer: Rc<Peer>,
    /// Whose share it is, once that is known: a client's, or that of an address behind a proxy.
    owner: Option<Arc<Share>>,
    bytes: i64,
    /// What counts towards nobody yet.
    unshared: i64,
    /// Whether it is one of the owner's bodies that are coming in.
    is_waiting: bool,
}

impl Hold {
    fn share(&self) -> Option<&Share> {
        self.owner.as_deref().or(self.peer.share.as_deref())
    }

    /// The same for what is small and of a caller that is not known yet: it counts towards the node alone until it is assigned to
    /// somebody, so that nobody is refused for what an address holds that others share.
    pub fn grow_unshared(&mut self, more: usize) -> Result<(), Full> {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        let reserved = &self.peer.budget.metrics.reserved_bytes;
        reserved.add(more);
        if reserved.get() > self.peer.budget.options.bytes_max {
            reserved.sub(more);
            return Err(Full::Node);
        }
        self.unshared += more;
        Ok(())
    }

    /// Reserves so many bytes more, or none.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        let budget = &self.peer.budget;
        // Added first: two that come at once may both miss the last place, never both take it.
        let reserved = &budget.metrics.reserved_bytes;
        reserved.add(more);
        let full = if reserved.get() > budget.options.bytes_max {
            Some(Full::Node)
        } else if let Some(share) = self.share() {
            let held = share.bytes.fetch_add(more, Ordering::Relaxed) + more;
            (held > budget.share_max()).then(|| {
                share.bytes.fetch_sub(more, Ordering::Relaxed);
                Full::Share
            })
        } else {
            None
        };
        if let Some(full) = full {
            reserved.sub(more);
            return Err(full);
        }
        self.bytes += more;
        Ok(())
    }

    /// Gives all back.
    pub fn clear(&mut self) {
        let unshared = std::mem::take(&mut self.unshared);
        if self.bytes + unshared == 0 {
            return;
        }
        self.peer.budget.metrics.reserved_bytes.sub(self.bytes + unshared);
        if let Some(share) = self.share() {
            share.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = 0;
    }

    /// Whether somebody is known whose it is.
    pub fn is_assigned(&self) -> bool {
        self.owner.is_some()
    }

    /// What is held counts towards this asker from here on, whatever connection it came by.
    pub fn assign(&mut self, asker: Asker) -> Result<(), Full> {
        let budget = Arc::clone(&self.peer.budget);
        let share = match asker {
            Asker::Client(client) => share_of(&budget.clients, client),
            Asker::Address(network) => share_of(&budget.addresses, network),
        };
        if let Some(before) = self.share() {
            before.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes += std::mem::take(&mut self.unshared);
        let held = share.bytes.fetch_add(self.bytes, Ordering::Relaxed) + self.bytes;
        self.owner = Some(share);
        if held <= budget.share_max() { Ok(()) } else { Err(Full::Share) }
    }

    /// The same, and its body is waited for.
    pub fn charge(&mut self, asker: Asker) -> Result<(), Full> {
        self.arrived();
        let fits = self.assign(asker);
        let waiting = self.owner.as_ref().map_or(0, |owner| owner.bodies.fetch_add(1, Ordering::Relaxed));
        self.is_waiting = self.owner.is_some();
        fits?;
        if waiting < self.peer.budget.options.bodies_max { Ok(()) } else { Err(Full::Share) }
    }

    /// The body has come.
    pub fn arrived(&mut self) {
        if std::mem::take(&mut self.is_waiting)
            && let Some(owner) = &self.owner
        {
            owner.bodies.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// As much as is asked for, and no more than half of a share: what is larger is held once at a time.
    pub fn grow_within_share(&mut self, more: usize) -> Result<(), Full> {
        let half = usize::try_from(self.peer.budget.share_max() / 2).unwrap_or(usize::MAX);
        self.grow(more.min(half))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.arrived();
        self.clear();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn budget(bytes_max: i64, connections_max: i64) -> Arc<Budget> {
        let options = BudgetOptions { bytes_max, connections_max, bodies_max: 2 };
        Arc::new(Budget::new(options, Arc::new(Metrics::new().unwrap())))
    }

    fn enter(budget: &Arc<Budget>, address: &str) -> Option<Rc<Peer>> {
        budget.enter(Some(CallerAddress::new(address.parse().unwrap())))
    }

    #[test]
    fn an_address_holds_its_share_and_no_more() {
        let budget = budget(800, 3);
        let (one, two) = (enter(&budget, "192.0.2.1").unwrap(), enter(&budget, "192.0.2.2").unwrap());
        let (mut first, mut second, mut other) = (one.hold(), one.hold(), two.hold());
        assert_eq!((first.grow(60), second.grow(41)), (Ok(()), Err(Full::Share)));
        assert_eq!((second.grow(40), other.grow(100)), (Ok(()), Ok(())));
        assert_eq!(budget.metrics.reserved_bytes.get(), 200);
        first.clear();
        assert_eq!((second.grow(60), second.grow(1)), (Ok(()), Err(Full::Share)));
        drop((first, second, other));
        assert_eq!(budget.metrics.reserved_bytes.get(), 0);
    }

    #[test]
    fn all_together_hold_the_budget_and_no_more() {
        let budget = budget(800, 3);
        let peers: Vec<_> = (0..9).map(|at| enter(&budget, &format!("192.0.2.{at}")).unwrap()).collect();
        let mut holds: Vec<_> = peers.iter().map(Peer::hold).collect();
        let grown: Vec<_> = holds.iter_mut().map(|hold| hold.grow(100)).collect();
        assert!(grown[..8].iter().all(Result::is_ok) && grown[8] == Err(Full::Node), "{grown:?}");
    }

    #[test]
    fn a_known_client_has_a_share_of_its_own() {
        let budget = budget(800, 9);
        let client = Asker::Client(ClientId::from_u128(1));
        let (one, two) = (enter(&budget, "192.0.2.1").unwrap(), enter(&budget, "192.0.2.2").unwrap());
        let (mut first, mut stranger) = (one.hold(), one.hold());
        first.grow(90).unwrap();
        first.charge(client).unwrap();
        assert_eq!((stranger.grow(100), first.grow(11)), (Ok(()), Err(Full::Share)));
        // Over another address it is the same client.
        let mut second = two.hold();
        second.grow(20).unwrap();
        assert_eq!(second.charge(client), Err(Full::Share));
        drop(second);
        let mut small = [two.hold(), two.hold()];
        assert_eq!((small[0].charge(client), small[1].charge(client)), (Ok(()), Err(Full::Share)), "bodies, too");
        first.arrived();
        assert_eq!(two.hold().charge(client), Err(Full::Share), "two are still held to be coming in");
        drop(small);
        assert_eq!(two.hold().charge(client), Ok(()));
    }

    #[test]
    fn an_address_behind_a_proxy_has_a_share_of_its_own() {
        let budget = budget(800, 9);
        let proxy = budget.enter(None).unwrap();
        let [one, other] = [1, 2].map(|last| Asker::Address([192, 0, 2, last].into()));
        let mut bodies = [proxy.hold(), proxy.hold(), proxy.hold(), proxy.hold()];
        let taken: Vec<_> = bodies.iter_mut().zip([one, one, one, other]).map(|(body, of)| body.charge(of)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Err(Full::Share), Ok(())]);
        assert_eq!((bodies[0].grow(100), bodies[1].grow(1), bodies[3].grow(100)), (Ok(()), Err(Full::Share), Ok(())));
        let mut answer = proxy.hold();
        answer.assign(Asker::Address([192, 0, 2, 3].into())).unwrap();
        assert_eq!((answer.grow_within_share(1000), answer.grow(51)), (Ok(()), Err(Full::Share)), "half of it");
        drop((bodies, answer));
        assert_eq!(budget.metrics.reserved_bytes.get(), 0);
    }

    #[test]
    fn what_is_small_counts_towards_nobody_until_its_caller_is_known() {
        let budget = budget(800, 9);
        let one = enter(&budget, "192.0.2.1").unwrap();
        let (mut flood, mut small) = (one.hold(), one.hold());
        flood.grow(100).unwrap();
        assert_eq!((small.grow(1), small.grow_unshared(60)), (Err(Full::Share), Ok(())));
        assert_eq!(small.assign(Asker::Client(ClientId::from_u128(1))), Ok(()));
        assert_eq!((small.grow(40), small.grow(1)), (Ok(()), Err(Full::Share)), "from here on its client's");
        assert_eq!(one.hold().grow_unshared(601), Err(Full::Node));
        drop((flood, small));
        assert_eq!(budget.metrics.reserved_bytes.get(), 0);
    }

    #[test]
    fn connections_are_counted_by_address() {
        let budget = budget(800, 2);
        let open = [enter(&budget, "2001:db8::1").unwrap(), enter(&budget, "2001:db8::2").unwrap()];
        assert!(enter(&budget, "2001:db8::3").is_none() && enter(&budget, "192.0.2.1").is_some());
        drop(open);
        assert!(enter(&budget, "2001:db8::3").is_some());
    }
}
