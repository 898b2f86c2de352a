//! The server's address. Only loopback is accepted: a load generator that can
//! be pointed elsewhere will be, by mistake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, ensure};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Target(SocketAddr);

impl Target {
    /// Parses `http://ADDRESS:PORT` or `http://localhost:PORT`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").context("the URL must start with http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().context("wrong port")?),
            None => authority.parse().context("the URL must be http://ADDRESS:PORT")?,
        };
        ensure!(address.ip().is_loopback(), "only loopback addresses are driven");
        ensure!(address.port() != 0, "the URL must name a port");
        Ok(Self(address))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }

    /// The value of the `Host` field.
    pub(crate) fn authority(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn only_loopback_is_accepted() {
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://localhost:1", "http://[::1]:80"] {
            assert!(Target::parse(url).is_ok(), "{url}");
        }
        for url in [
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://10.0.0.1:80",
            "http://127.0.0.1:1/x",
            "",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
