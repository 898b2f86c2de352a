//! The address of a caller: the one that was found for a request, whatever proxies stand between. Nobody else takes an address for
//! a caller's; how it is found is `http`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::client::Origin;

/// The address of a caller. An IPv4 address that came in IPv6's form is that IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerAddress(IpAddr);

impl CallerAddress {
    /// Where none is known.
    pub const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// What kind of address it is; none where none is known.
    pub fn origin(self) -> Option<Origin> {
        let is_private = match self.0 {
            IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        match self.0 {
            ip if ip.is_unspecified() => None,
            ip if ip.is_loopback() => Some(Origin::Loopback),
            _ if is_private => Some(Origin::Private),
            _ => Some(Origin::Public),
        }
    }

    /// What counts as one caller: an IPv6 host has a /64 of its own (RFC 4291, 2.5.1).
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// Of a provider's network, behind which many are (RFC 6598, 7).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

impl Default for CallerAddress {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_kind() {
        for (address, origin) in [
            ("127.0.0.1", Some("loopback")),
            ("::1", Some("loopback")),
            ("10.1.2.3", Some("private")),
            ("192.168.1.1", Some("private")),
            ("172.31.0.1", Some("private")),
            ("172.32.0.1", Some("public")),
            ("169.254.1.1", Some("private")),
            ("100.64.0.1", Some("private")),
            ("100.128.0.1", Some("public")),
            ("fd00::1", Some("private")),
            ("fe80::1", Some("private")),
            ("::ffff:10.0.0.1", Some("private")),
            ("2001:db8::1", Some("public")),
            ("203.0.113.7", Some("public")),
            ("0.0.0.0", None),
        ] {
            let found = CallerAddress::new(address.parse().unwrap()).origin();
            assert_eq!(found.map(Origin::as_str), origin, "{address}");
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let network = |text: &str| CallerAddress::new(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
