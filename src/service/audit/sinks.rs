//! Where signed heads go, so that somebody else has them: a file, a collector of syslog (RFC 5424), a webhook. A sink that fails gets
//! what it missed later; nothing waits for it.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use syslog_fmt::v5424::{Config, Formatter, Timestamp};
use syslog_fmt::{Facility, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::OnceCell;

use tokio::time::timeout;

use super::lines::head_line;
use crate::clock::{Clock, Rfc3339};
use crate::own_files;
use crate::wiping::spawn_wiped;

/// What a sink may take.
const SEND_MAX: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("lostcard/", env!("CARGO_PKG_VERSION"));
/// What a collector may sort by: the MSGID (RFC 5424, 6.2.7).
const MESSAGE_ID: &str = "audit-head";

/// A collector of syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collector {
    /// Datagrams (RFC 5426): nobody says whether they came.
    Udp(String),
    /// Messages with their length before them (RFC 6587, 3.4.1).
    Tcp(String),
    /// The machine's own, `/dev/log`.
    Local(PathBuf),
}

impl Collector {
    /// `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Local(path.into()));
        }
        let (kind, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let is_address = !host.is_empty() && !address.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok();
        match kind {
            "udp" if is_address => Some(Self::Udp(address.to_owned())),
            "tcp" if is_address => Some(Self::Tcp(address.to_owned())),
            _ => None,
        }
    }
}

/// Whether heads may be sent to a URL: they are signed, and no secret; but where they go must be who is meant.
fn is_webhook(url: &Url) -> bool {
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

async fn new_client() -> reqwest::Result<reqwest::Client> {
    let client = reqwest::Client::builder().user_agent(USER_AGENT).redirect(Policy::none()).no_proxy();
    client.pool_max_idle_per_host(0).build()
}

/// One place.
pub enum Sink {
    File(PathBuf),
    Syslog(Collector, Formatter),
    /// The client is made at the first head: settings are read without authorities to trust.
    Webhook(Url, OnceCell<reqwest::Client>),
}

/// Why a head did not get there. Without the address: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    TooSlow,
    #[error("the answer is {0}")]
    Refused(u16),
    #[error("it cannot be reached")]
    Unreachable,
}

impl Sink {
    pub fn syslog(collector: Collector) -> Self {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_str().ok().filter(|name| is_host_name(name));
        let process = std::process::id().to_string();
        let config = Config {
            facility: Facility::Authpriv,
            hostname: host,
            app_name: Some("lostcard"),
            proc_id: Some(&process),
        };
        Self::Syslog(collector, config.into_formatter())
    }

    /// None where nothing may be sent there.
    pub fn webhook(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(is_webhook)?;
        Some(Self::Webhook(url, OnceCell::new()))
    }

    /// As metrics and the log have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(..) => "syslog",
            Self::Webhook(..) => "webhook",
        }
    }

    /// Sends heads in their order; returns how many went, and why not more did.
    pub async fn send(&self, heads: &[&str], clock: &Clock) -> (usize, Result<(), SinkError>) {
        for (sent, head) in heads.iter().enumerate() {
            let done = timeout(SEND_MAX, self.send_one(head, clock)).await.unwrap_or(Err(SinkError::TooSlow));
            if done.is_err() {
                return (sent, done);
            }
        }
        (heads.len(), Ok(()))
    }

    async fn send_one(&self, head: &str, clock: &Clock) -> Result<(), SinkError> {
        let line = head_line(head.to_owned());
        match self {
            Self::File(path) => {
                let path = path.clone();
                spawn_wiped(move || append(&path, &line)).await.map_err(io::Error::other)?.map_err(SinkError::Io)
            }
            Self::Syslog(collector, formatter) => {
                let now = Rfc3339::of(clock.now_ms());
                let mut message = Vec::new();
                let at = Timestamp::PreformattedStr(now.as_str());
                formatter.write_without_data(&mut message, Severity::Notice, at, line.as_str(), Some(MESSAGE_ID))?;
                collector.send(&message).await
            }
            Self::Webhook(url, client) => {
                let client = client.get_or_try_init(new_client).await.map_err(|_| SinkError::Unreachable)?;
                let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(line);
                // The answer's body is not read.
                let answer = request.send().await.map_err(|_| SinkError::Unreachable)?;
                let status = answer.status();
                if status.is_success() { Ok(()) } else { Err(SinkError::Refused(status.as_u16())) }
            }
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({})", self.name())
    }
}

impl Collector {
    async fn send(&self, message: &[u8]) -> Result<(), SinkError> {
        match self {
            Self::Udp(address) => {
                let to = tokio::net::lookup_host(address).await?.next().ok_or(SinkError::Unreachable)?;
                let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                UdpSocket::bind(own).await?.send_to(message, to).await?;
            }
            Self::Tcp(address) => {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(format!("{} ", message.len()).as_bytes()).await?;
                stream.write_all(message).await?;
                stream.shutdown().await?;
            }
            Self::Local(path) => {
                UnixDatagram::unbound()?.send_to(message, path).await?;
            }
        }
        Ok(())
    }
}

/// HOSTNAME of RFC 5424, 6.2.4.
fn is_host_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A line behind what the file holds, durable when this returns. Where a write was cut off, the line begins on one of its own.
fn append(path: &std::path::Path, line: &str) -> io::Result<()> {
    let mut file = own_files::append(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if end > 0 {
        let mut held = own_files::open(path)?;
        held.seek(SeekFrom::End(-1))?;
        held.read_exact(&mut last)?;
    }
    let begin = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{begin}{line}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_transport() {
        let of = |text: &str| Collector::parse(text);
        assert_eq!(of("udp://logs.example:514"), Some(Collector::Udp("logs.example:514".to_owned())));
        assert_eq!(of("tcp://[::1]:601"), Some(Collector::Tcp("[::1]:601".to_owned())));
        assert_eq!(of("unix:/dev/log"), Some(Collector::Local("/dev/log".into())));
        for wrong in
            ["", "logs.example:514", "tls://x:1", "udp://x", "udp://:514", "udp://x:99999", "unix:log", "tcp://a@b:1"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn heads_go_to_https_or_to_this_machine() {
        for right in ["https://audit.example/heads?k=1", "http://127.0.0.1:9000/", "http://[::1]:9000/x"] {
            assert!(Sink::webhook(right).is_some(), "{right}");
        }
        for wrong in ["", "audit.example", "http://audit.example/", "ftp://127.0.0.1/", "https://u:p@audit.example/"] {
            assert!(Sink::webhook(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_hide_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads");
        append(&path, "one").unwrap();
        std::fs::write(&path, "one\ntw").unwrap();
        append(&path, "three").unwrap();
        append(&path, "four").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw\nthree\nfour\n");
    }
}
