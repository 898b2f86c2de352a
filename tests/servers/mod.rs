//! Real servers for tests, as child processes on free loopback ports and in temporary folders: PostgreSQL, Redis, the node
//! itself, and a proxy that spoils what passes through it; and a look at a store's tables. A test binary takes this folder in with
//! `#[path = "../servers/mod.rs"] mod servers;`. Every child ends with its value, every wait has an end, and no case or
//! assertion about the service is here.

pub(crate) mod front;
pub(crate) mod node;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod shared;
pub(crate) mod tables;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// How long anything here may take to come up, to answer or to end.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits for a condition of another process, within [`WAIT_MAX`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {WAIT_MAX:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client for plain HTTP: it reads none of the machine's root certificates, which would take longer than most of a test.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
