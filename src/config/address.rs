//! Where a node listens: an IP address and a port, or `localhost` and a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::raw::Fault;
use super::value::{Value, texts};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The first one that this machine has is used.
    candidates: Vec<SocketAddr>,
    /// As it was written.
    text: String,
    is_default: bool,
}

impl Address {
    /// The default: nobody chose it.
    pub(super) fn default_at(port: u16) -> Self {
        Self { is_default: true, ..Self::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) }
    }

    /// `localhost` is loopback without asking anybody (RFC 6761, 6.3), IPv4 before IPv6.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self { text: text.to_owned(), ..Self::from(address) });
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = if is_plain { port.parse().ok()? } else { return None };
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        host.eq_ignore_ascii_case("localhost").then(|| Self {
            candidates: loopback.map(|ip| SocketAddr::from((ip, port))).to_vec(),
            text: text.to_owned(),
            is_default: false,
        })
    }

    /// What to try, in order.
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// The address that is tried first.
    pub fn first(&self) -> SocketAddr {
        self.candidates.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.candidates.iter().all(|address| address.ip().is_loopback())
    }

    /// Whether nobody chose it. Who writes the default down has chosen it.
    pub fn is_default(&self) -> bool {
        self.is_default
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { candidates: vec![address], text: address.to_string(), is_default: false }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

texts! {
    Address: "an IP address and a port, or localhost and a port: 127.0.0.1:8080", Self::parse, Self::to_string;
}
