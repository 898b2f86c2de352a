//! A load balancer as operators run one: it asks each node every 50 ms whether it is ready, and gives out only those that said
//! so last. It repeats nothing and hides nothing.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::member::Member;
use crate::tally::lock;

const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a node that says that it is ready may go unnoticed.
const NOTICED_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Balancer<'a> {
    cluster: &'a Cluster,
    /// Where each node said that it is ready.
    ready: Vec<Mutex<Option<SocketAddr>>>,
}

impl<'a> Balancer<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let ready = cluster.nodes.iter().map(|node| Mutex::new(node.address())).collect();
        Self { cluster, ready }
    }

    /// Asks one node, again and again.
    pub(crate) fn watch(&self, node: usize, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let address = self.cluster.nodes[node].address();
            let is_ready = self.cluster.nodes[node].is_ready();
            *lock(&self.ready[node]) = address.filter(|_| is_ready);
            std::thread::sleep(ASK_EVERY);
        }
    }

    pub(crate) fn ready(&self) -> Vec<SocketAddr> {
        self.ready.iter().filter_map(|ready| *lock(ready)).collect()
    }

    /// The node that a client prefers, or another one.
    pub(crate) fn ready_for(&self, client: usize) -> Option<SocketAddr> {
        let nodes = self.ready.len();
        (client..client + nodes).find_map(|node| *lock(&self.ready[node % nodes]))
    }

    pub(crate) fn wait_until_seen(&self, node: usize) {
        let deadline = Instant::now() + NOTICED_MAX;
        while *lock(&self.ready[node]) != self.cluster.nodes.get(node).and_then(Member::address) {
            assert!(Instant::now() < deadline, "a node that was ready is not, within {NOTICED_MAX:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
