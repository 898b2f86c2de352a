//! The names by which the service may be addressed: a request for another host is refused (RFC 9110, 7.4).

/// The names by which this service may be addressed.
#[derive(Debug, Clone)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Lower-case names without ports.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a `Host` field names this service.
    pub fn accepts(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return false };
        // The port says nothing of who is meant; an IPv6 address keeps its brackets (RFC 3986, 3.2.2).
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
            _ => host,
        };
        // A name with its root's dot is the same name (RFC 1034, 3.1).
        let name = name.strip_suffix('.').filter(|name| !name.ends_with('.')).unwrap_or(name);
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        let hosts = Hosts::new(["Lostcard.example".to_owned(), "[::1]".to_owned(), "127.0.0.1".to_owned()]);
        for good in [
            "lostcard.example",
            "LOSTCARD.example:8443",
            "[::1]",
            "[::1]:8080",
            "127.0.0.1:80",
            "lostcard.example.",
            "lostcard.example.:80",
        ] {
            assert!(hosts.accepts(Some(good)), "{good}");
        }
        for bad in [
            None,
            Some("evil.example"),
            Some("lostcard.example.evil"),
            Some(""),
            Some("lostcard.example:x"),
            Some("lostcard.example.."),
            Some("."),
        ] {
            assert!(!hosts.accepts(bad), "{bad:?}");
        }
    }
}
