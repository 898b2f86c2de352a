//! `[server]`: how connections are served, what is between them and clients, how that says who is asking; and the process itself.

use ipnet::IpNet;
use toml_edit::Item;

use super::raw::{Fault, parse_item};
use super::setting::section;
use super::value::{Value, texts};

section! {
    /// How connections are served, and what is between them and clients.
    Server in "server." {
        /// The short way of a check, below the HTTP server. Answers are the same without it, and cost more.
        lane: bool = true;
        /// Whether the process may leave a core dump and be looked into by a debugger of its user.
        core_dumps: bool = false, note("a dump holds keys and the numbers that are in flight: for the search of a fault alone");
        /// The proxies that are believed when they say for whom they ask.
        trusted_proxies: Vec<IpNet> = Vec::new(), unit("list of networks");
        /// How they say it.
        forwarded: Forwarded = Forwarded::Forwarded;
    }
}

/// How a trusted proxy says for whom it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// The field of RFC 7239.
    Forwarded,
    XForwardedFor,
    /// A preface of the connection, of version 1 or 2.
    ProxyProtocol,
}

const WORDS: [(&str, Forwarded); 3] = [
    ("forwarded", Forwarded::Forwarded),
    ("x-forwarded-for", Forwarded::XForwardedFor),
    ("proxy-protocol", Forwarded::ProxyProtocol),
];

impl Forwarded {
    fn parse(text: &str) -> Option<Self> {
        WORDS.iter().find(|(word, _)| *word == text).map(|(_, way)| *way)
    }

    fn word(self) -> String {
        WORDS.iter().find(|(_, way)| *way == self).map_or(String::new(), |(word, _)| (*word).to_owned())
    }
}

texts! {
    Forwarded: "`forwarded` (RFC 7239), `x-forwarded-for` or `proxy-protocol` (versions 1 and 2)", Self::parse, |way| way.word();
}

/// A network, or one address, which is a network of one.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address)))
}

impl Value for Vec<IpNet> {
    const WHAT: &'static str = "a list of networks: [\"10.0.0.0/8\", \"2001:db8::/32\"]";

    fn of_text(text: &str) -> Result<Self, Fault> {
        parse_item(text).ok_or(Fault::Type).and_then(|item| Self::of_item(&item))
    }

    fn of_item(item: &Item) -> Result<Self, Fault> {
        let networks = item.as_array().ok_or(Fault::Type)?.iter().map(|value| value.as_str().and_then(network));
        networks.collect::<Option<_>>().ok_or(Fault::Type)
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{:?}", self.iter().map(ToString::to_string).collect::<Vec<_>>()))
    }
}
