//! Who is asking: the one address of a caller, and the prefix under which a proxy serves. A peer that is trusted says it by a field
//! or by the preface of its connection; what anybody else says of itself is not read.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;

use super::forwarded::{FORWARDED, Hop, X_FORWARDED_FOR, hops};
use crate::config::{Forwarded, is_path};
use crate::http::contract::problem::{self, Problem};
use crate::limits::CallerAddress;

const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Longer prefixes are malformed.
const PREFIX_BYTES_MAX: usize = 256;

/// The other end of a connection, for itself or for others.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The proxies that are believed, and how they say for whom they ask.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    forwarded: Forwarded,
    /// The path of the public URL: what answers point to lies below it.
    public_prefix: Box<str>,
}

impl Proxies {
    /// `public_url` is the service's, with or without a path.
    pub fn new(trusted: Vec<IpNet>, forwarded: Forwarded, public_url: &str) -> Self {
        let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
        let public_prefix = rest.find('/').map_or("", |at| &rest[at..]).into();
        Self { trusted, forwarded, public_prefix }
    }

    /// Whether what this peer says of others is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        // One that came in IPv6's form is in the networks of IPv4.
        let peer = peer.to_canonical();
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    /// Whether fields that this peer adds are believed. One that speaks the PROXY protocol hands on bytes: every field is its client's.
    pub(super) fn trusts_fields_of(&self, peer: IpAddr) -> bool {
        self.forwarded != Forwarded::ProxyProtocol && self.trusts(peer)
    }

    /// Whether the connections of this peer begin with a preface.
    pub fn send_preface(&self, peer: IpAddr) -> bool {
        self.forwarded == Forwarded::ProxyProtocol && self.trusts(peer)
    }

    /// What paths begin with, where no proxy says otherwise.
    pub(super) fn public_prefix(&self) -> &str {
        &self.public_prefix
    }

    /// The caller of a request: the rightmost address that is not trusted. Where all are, the one that is farthest away; where a
    /// proxy names nobody, the proxy.
    pub(super) fn caller(&self, request: &ServiceRequest) -> Result<CallerAddress, Problem> {
        // That of the preface, where there was one.
        let Some(peer) = request.peer_addr().map(|address| address.ip()) else { return Ok(CallerAddress::UNKNOWN) };
        let field = match self.forwarded {
            Forwarded::Forwarded => &FORWARDED,
            Forwarded::XForwardedFor => &X_FORWARDED_FOR,
            Forwarded::ProxyProtocol => return Ok(CallerAddress::new(peer)),
        };
        if !self.trusts(peer) {
            return Ok(CallerAddress::new(peer));
        }
        let malformed = |_| Problem::new(problem::MALFORMED_REQUEST, "the field that names the caller is malformed");
        let mut nearest = peer;
        for hop in hops(request.headers(), field).map_err(malformed)?.into_iter().rev() {
            let Hop::From(address) = hop else { break };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        Ok(CallerAddress::new(nearest))
    }

    /// What the paths of this service begin with where its clients see it: as a trusted proxy says, or as the public URL has it.
    /// Empty where there is nothing.
    pub(super) fn prefix(&self, request: &ServiceRequest) -> Result<Box<str>, Problem> {
        let mut said = request.headers().get_all(X_FORWARDED_PREFIX);
        let Some(first) = said.next() else { return Ok(self.public_prefix.clone()) };
        if !request.conn_data::<Peer>().is_some_and(|peer| self.trusts_fields_of(peer.0)) {
            return Ok(self.public_prefix.clone());
        }
        let prefix = first.to_str().ok().and_then(read_prefix).filter(|_| said.next().is_none());
        let malformed = || Problem::new(problem::MALFORMED_REQUEST, "X-Forwarded-Prefix is not one path");
        prefix.map(Into::into).ok_or_else(malformed)
    }
}

/// A path without its last slash.
fn read_prefix(text: &str) -> Option<&str> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    (text.len() <= PREFIX_BYTES_MAX && (text == "/" || is_path(prefix))).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn who_hands_on_bytes_adds_no_field() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let proxies = |forwarded| Proxies::new(vec!["10.0.0.0/8".parse().unwrap()], forwarded, "http://lostcard.test");
        assert!(proxies(Forwarded::Forwarded).trusts_fields_of(peer));
        assert!(!proxies(Forwarded::Forwarded).trusts_fields_of("192.0.2.1".parse().unwrap()));
        assert!(proxies(Forwarded::ProxyProtocol).trusts(peer));
        assert!(!proxies(Forwarded::ProxyProtocol).trusts_fields_of(peer));
    }

    fn caller(forwarded: Forwarded, peer: &str, fields: &[(&'static str, &str)]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap());
        let proxies = Proxies::new(trusted.to_vec(), forwarded, "http://lostcard.test");
        let peer = (peer.parse::<IpAddr>().unwrap(), 1).into();
        let request =
            fields.iter().fold(TestRequest::default().peer_addr(peer), |request, field| request.append_header(*field));
        proxies.caller(&request.to_srv_request()).ok().map(|address| address.ip().to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_callers() {
        let said = |peer, value| caller(Forwarded::XForwardedFor, peer, &[("x-forwarded-for", value)]);
        for (peer, value, address) in [
            ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.9, 192.0.2.1, 10.0.0.2, 2001:db8:1::5", "192.0.2.1"),
            ("2001:db8:1::1", "10.9.9.9, 10.0.0.2", "10.9.9.9"),
            ("10.0.0.1", "192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.7", "198.51.100.9", "192.0.2.7"),
            ("192.0.2.7", "garbage", "192.0.2.7"),
        ] {
            assert_eq!(said(peer, value).as_deref(), Some(address), "{peer} {value}");
        }
        assert_eq!(said("10.0.0.1", "garbage, 192.0.2.1"), None);
        assert_eq!(caller(Forwarded::XForwardedFor, "10.0.0.1", &[]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn only_the_field_that_was_chosen_is_read() {
        let fields = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2"), ("x-real-ip", "192.0.2.3")];
        for (forwarded, address) in [
            (Forwarded::XForwardedFor, "192.0.2.1"),
            (Forwarded::Forwarded, "192.0.2.2"),
            (Forwarded::ProxyProtocol, "10.0.0.1"),
        ] {
            assert_eq!(caller(forwarded, "10.0.0.1", &fields).as_deref(), Some(address), "{forwarded:?}");
        }
        let twice = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
        assert_eq!(caller(Forwarded::XForwardedFor, "10.0.0.1", &twice).as_deref(), Some("192.0.2.2"));
    }

    #[test]
    fn a_prefix_is_one_path_of_this_host() {
        for (text, prefix) in [("/", ""), ("/api", "/api"), ("/api/", "/api"), ("/a/b-c.d_e~1", "/a/b-c.d_e~1")] {
            assert_eq!(read_prefix(text), Some(prefix), "{text}");
        }
        for bad in [
            "",
            "api",
            "//evil.example",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a?b",
            "/a%2f",
            "/a, /b",
            "/a b",
            "/a//",
            "http://x",
        ] {
            assert_eq!(read_prefix(bad), None, "{bad}");
        }
    }
}
