//! Where a webhook may be sent: to public addresses over HTTPS, and nowhere near this service. An endpoint's name may mean another
//! address tomorrow, so its addresses are looked up and judged at each delivery, and only a judged one is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What is no public address, by the IANA registries of special-purpose addresses, and what answers questions about a machine
/// to the machine itself under a public one.
const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    // "This network".
    Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8),
    // Private (RFC 1918).
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    // Carrier-grade NAT (RFC 6598), and with it the metadata of one cloud.
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback.
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, and with it the metadata of most clouds.
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    // The platform service of one cloud, under a public address.
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
    // Protocol assignments, 6to4 relays.
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 88, 99, 0), 24),
    // Documentation (RFC 5737).
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24),
    // Benchmarks (RFC 2544).
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, reserved, broadcast.
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Global unicast: all else is loopback, link-local, unique local, multicast, IPv4-mapped, NAT64, or not assigned.
const GLOBAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What of it is not public, or stands for an IPv4 address.
const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    // Protocol assignments, among them Teredo, benchmarks and ORCHID.
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4.
    Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Ports that an endpoint may have, whatever the operator adds.
const PORTS: &[u16] = &[443, 8443];

/// Which endpoints are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, over HTTPS.
    Public,
    /// Loopback addresses too, over plain HTTP: for tests of receivers on one machine.
    LoopbackToo,
}

/// An endpoint cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("an endpoint is an https:// URL with a host")]
    NotHttps,
    #[error("an endpoint's URL has no user name, no password and no fragment")]
    Credentials,
    #[error(
        "an endpoint's URL is written as it is meant: https://, the host in ASCII, nothing that is read as something else"
    )]
    Folded,
    #[error("an endpoint's port is 443, 8443 or one of webhooks.ports")]
    Port,
    #[error("an endpoint's address must be public: not private, loopback, link-local, multicast or reserved")]
    NotPublic,
}

impl Reach {
    /// Whether a webhook may be sent to this address.
    pub fn allows(self, address: IpAddr) -> bool {
        let is_loopback = self == Self::LoopbackToo && address.is_loopback();
        is_loopback
            || match address {
                IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&v4)),
                IpAddr::V6(v6) => GLOBAL_V6.contains(&v6) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&v6)),
            }
    }

    /// An endpoint's URL. A host that is an address is judged here, for it is never looked up.
    pub fn parse(self, text: &str, ports: &[u16]) -> Result<Url, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotHttps)?;
        let host = url.host_str().ok_or(EndpointError::NotHttps)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_here = literal.map_or_else(|| is_localhost(host), |address| address.is_loopback());
        let is_plain = self == Self::LoopbackToo && url.scheme() == "http" && is_here;
        if url.scheme() != "https" && !is_plain {
            return Err(EndpointError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Credentials);
        }
        if literal.is_some_and(|address| !self.allows(address)) || self == Self::Public && is_localhost(host) {
            return Err(EndpointError::NotPublic);
        }
        if !is_as_read(text, &url) {
            return Err(EndpointError::Folded);
        }
        // Other services listen on other ports, and read what they get in ways of their own.
        let port = url.port_or_known_default().unwrap_or_default();
        if !is_plain && !PORTS.contains(&port) && !ports.contains(&port) {
            return Err(EndpointError::Port);
        }
        Ok(url)
    }

    /// Every address of a name, if each of them may be sent to: one that may not makes the name suspect.
    fn judge(self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EndpointError> {
        let all_allowed = !addresses.is_empty() && addresses.iter().all(|address| self.allows(address.ip()));
        if all_allowed { Ok(addresses) } else { Err(EndpointError::NotPublic) }
    }
}

/// Names that mean the machine itself at every resolver (RFC 6761, 6.3).
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a URL's text is the URL that is read from it, but for the case of scheme and host, the port that its scheme has, and a path of
/// nothing. Browsers' rules, by which URLs are read, fold a great deal: lacking and backward slashes, line breaks, percent signs and
/// other scripts in hosts, addresses as one number, ports with zeros or of nothing, steps up and down in paths.
fn is_as_read(text: &str, url: &Url) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let known = match url.scheme() {
        "https" => ":443",
        _ => ":80",
    };
    let authority = authority.strip_suffix(known).unwrap_or(authority).to_ascii_lowercase();
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}://{authority}{slash}{path}", scheme.to_ascii_lowercase()) == url.as_str()
}

/// The system's look-up of names, whose answers are judged before anything is connected to.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            // The port is that of the URL, whatever is here.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let judged = reach.judge(found)?;
            Ok(Box::new(judged.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_PUBLIC: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:5ef5::1",
        "2001:2::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "114.114.114.114",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2400:3200::1",
        "2606:4700:4700::1111",
        "2a00:1450::1",
    ];

    #[test]
    fn only_public_addresses_are_sent_to() {
        for address in NOT_PUBLIC {
            assert!(!Reach::Public.allows(address.parse().unwrap()), "{address}");
        }
        for address in PUBLIC {
            assert!(Reach::Public.allows(address.parse().unwrap()), "{address}");
            assert!(Reach::LoopbackToo.allows(address.parse().unwrap()), "{address}");
        }
        let for_tests: Vec<_> =
            NOT_PUBLIC.iter().filter(|text| Reach::LoopbackToo.allows(text.parse().unwrap())).collect();
        assert_eq!(for_tests, [&"127.0.0.1", &"127.255.255.254", &"::1"], "and nothing else");
    }

    #[test]
    fn one_address_that_is_not_public_spoils_a_name() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        assert_eq!(Reach::Public.judge(addresses(&["1.1.1.1", "2606:4700::1"])).unwrap().len(), 2);
        for bad in [&[][..], &["127.0.0.1"], &["1.1.1.1", "10.0.0.1"], &["::1", "1.1.1.1"]] {
            assert_eq!(Reach::Public.judge(addresses(bad)), Err(EndpointError::NotPublic), "{bad:?}");
        }
    }

    #[test]
    fn endpoints_are_https_and_public() {
        use EndpointError::{Credentials, Folded, NotHttps, NotPublic, Port};
        for (text, expected) in [
            ("https://bank.example/hooks", None),
            ("https://bank.example:8443/hooks?team=7", None),
            ("https://8.8.8.8/", None),
            ("https://[2606:4700::1]/", None),
            ("http://bank.example/", Some(NotHttps)),
            ("http://127.0.0.1/", Some(NotHttps)),
            ("ftp://bank.example/", Some(NotHttps)),
            ("file:///etc/passwd", Some(NotHttps)),
            ("data:text/plain,x", Some(NotHttps)),
            ("bank.example", Some(NotHttps)),
            ("https://", Some(NotHttps)),
            ("https://bank.example:443/", None),
            ("https://bank.example:9443/", None),
            ("HTTPS://Bank.Example/", None),
            ("https://bank.example", None),
            ("https://bank.example?team=7", None),
            ("https://Bank.Example:443/Hooks?Team=7%2f8", None),
            ("https://[2606:4700::1]:443", None),
            ("https://bank.example/a%20b/~c;d=e,f/(g)?h=[i]|j", None),
            ("https://bank.example/..a/b..", None),
            ("https://bank.example:/", Some(Folded)),
            ("https://bank.example:", Some(Folded)),
            ("https://bank.example:00443/", Some(Folded)),
            ("https://bank.example:08443/", Some(Folded)),
            ("https://bank.example:443:443/", Some(NotHttps)),
            ("https://bank.example/a/../b", Some(Folded)),
            ("https://bank.example/a/./b", Some(Folded)),
            ("https://bank.example/a/..", Some(Folded)),
            ("https://bank.example/%2e%2e/b", Some(Folded)),
            ("https://bank.example/.%2E/b", Some(Folded)),
            ("https://bank.example/a\"b", Some(Folded)),
            ("https://bank.example/a b", Some(Folded)),
            ("https://bank.example/a?b='c'", Some(Folded)),
            ("https://bank.example/<a>", Some(Folded)),
            ("https://bank.example/{a}", Some(Folded)),
            ("https://bank.example/\u{e9}", Some(Folded)),
            ("https://bank.example/?\u{e9}", Some(Folded)),
            ("https://bank.example/a\tb", Some(Folded)),
            ("https://bank.example/ ", Some(Folded)),
            ("https://[2606:4700:0::1]/", Some(Folded)),
            ("https://bank.example/a\u{0}b", Some(Folded)),
            ("https:///x", Some(Folded)),
            ("https:/bank.example/", Some(Folded)),
            ("https:bank.example/", Some(Folded)),
            ("https:\\\\bank.example/", Some(Folded)),
            ("https://bank.example\\@127.0.0.1/", Some(Folded)),
            ("https://bank.example/a\\b", Some(Folded)),
            ("https://bank.exa\nmple/", Some(Folded)),
            (" https://bank.example/", Some(Folded)),
            ("https://bank%2Eexample/", Some(Folded)),
            ("https://b\u{fc}cher.example/", Some(Folded)),
            ("https://134744072/", Some(Folded)),
            ("https://8.8.2056/", Some(Folded)),
            ("https://bank.example:0/", Some(Port)),
            ("https://bank.example:22/", Some(Port)),
            ("https://bank.example:80/", Some(Port)),
            ("https://bank.example:6379/", Some(Port)),
            ("https://user@bank.example/", Some(Credentials)),
            ("https://user:word@bank.example/", Some(Credentials)),
            ("https://bank.example/#part", Some(Credentials)),
            ("https://127.0.0.1/", Some(NotPublic)),
            ("https://0x7f.1/", Some(NotPublic)),
            ("https://2130706433/", Some(NotPublic)),
            ("https://0177.0.0.1/", Some(NotPublic)),
            ("https://１２７.0.0.1/", Some(NotPublic)),
            ("https://10.1.2.3/", Some(NotPublic)),
            ("https://[::1]/", Some(NotPublic)),
            ("https://[::ffff:10.0.0.1]/", Some(NotPublic)),
            ("https://169.254.169.254/latest/meta-data", Some(NotPublic)),
            ("https://LocalHost/", Some(NotPublic)),
            ("https://hooks.localhost./", Some(NotPublic)),
            ("https://localhost.example/", None),
        ] {
            assert_eq!(Reach::Public.parse(text, &[9443]).err(), expected, "{text}");
        }
        for (text, is_good) in [
            ("http://127.0.0.1:9/", true),
            ("http://localhost:9/", true),
            ("http://[::1]:9/", true),
            ("http://10.0.0.1/", false),
            ("http://bank.example/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(Reach::LoopbackToo.parse(text, &[]).is_ok(), is_good, "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let localhost = || "localhost".parse().unwrap();
        let refused = Reach::Public.resolve(localhost()).await.err().unwrap();
        assert_eq!(refused.to_string(), EndpointError::NotPublic.to_string());
        assert!(Reach::LoopbackToo.resolve(localhost()).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
