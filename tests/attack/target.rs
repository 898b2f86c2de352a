//! What every attack has: a node under attack, what it takes of the machine, an honest caller beside the attacker, and connections
//! by hand. Holds no attack and no assertion about one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bodies::{check_of, random_number};
use crate::servers::http_client;
use crate::servers::node::Node;
use crate::service::{ISSUER, Service};

/// A node, its service, and a second client whose calls must be answered.
pub(crate) struct Target {
    pub(crate) service: Service,
    pub(crate) node: Node,
    pub(crate) honest: String,
}

impl Target {
    /// A node with these settings, as variables.
    pub(crate) async fn new(settings: &[(&str, &str)]) -> Self {
        Self::under(&["env"], settings).await
    }

    /// A node started by another program, such as `prlimit`.
    pub(crate) async fn under(program: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut service = Service::new(None);
        let node = Node::start_under(program, &service.data("first"), |command| {
            command.args(["--public-url", ISSUER, "--workers", "2"]);
            command.envs(settings.iter().map(|(key, text)| (format!("LOSTCARD_{key}"), *text)));
        });
        service.get_tokens(&node).await;
        let honest = Self::another_client(&service, &node).await;
        Self { service, node, honest }
    }

    async fn another_client(service: &Service, node: &Node) -> String {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let args = ["organization", "create", "--name", "Bank", "--kind", "certifying", "--region", "110105", "--json"];
        let organization = text(&service.run(&args), "organization_id");
        let args = ["--scope", "checks", "--rate", "1000000/60s", "--json"];
        let made = service.run(&[&["client", "create", "--organization", &organization][..], &args].concat());
        let (id, secret) = (text(&made, "client_id"), text(&made, "client_secret"));
        let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
        let asked = http_client()
            .build()
            .unwrap()
            .post(format!("{}/oauth2/token", node.url()))
            .form(&form)
            .send()
            .await
            .unwrap();
        text(&serde_json::from_str(&asked.text().await.unwrap()).unwrap(), "access_token")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.node.address).await.unwrap()
    }

    /// What the node has in RAM, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{}/status", self.node.id()))).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// The same, after the marks of numbers are in use: the system gives their memory, which does not grow, by the page, and pages may be
    /// of two megabytes.
    pub(crate) async fn resident_mib_in_use(&self) -> u64 {
        let (http, url) = (http_client().build().unwrap(), format!("{}/v1/checks", self.node.url()));
        for _ in 0..600 {
            let asked = http.post(&url).bearer_auth(&self.honest).json(&check_of(&random_number(), None));
            assert_eq!(asked.send().await.unwrap().status(), 200);
        }
        self.resident_mib()
    }

    /// Asked again where the attackers keep this machine so busy that the question itself comes too late.
    async fn metrics(&self) -> String {
        for _ in 0..3 {
            let asked = http_client()
                .build()
                .unwrap()
                .get(format!("http://{}/metrics", self.node.metrics_address))
                .send()
                .await;
            if let Ok(answer) = asked
                && let Ok(text) = answer.text().await
            {
                return text;
            }
        }
        panic!("the node tells no metrics");
    }

    /// A metric, or the sum of its series.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let of = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<u64>().ok());
        let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        text.lines().filter(is_of).filter_map(of).sum()
    }

    /// Begins to check as an honest caller does, one card after the other; over new connections, or one that stays.
    pub(crate) fn honest_caller(&self, is_new_each_time: bool) -> Honest {
        self.honest_caller_at(&self.node.url(), is_new_each_time, http_client)
    }

    /// The same at another listener, or from another address.
    pub(crate) fn honest_caller_at(
        &self,
        url: &str,
        is_new_each_time: bool,
        builder: impl Fn() -> reqwest::ClientBuilder + Send + 'static,
    ) -> Honest {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let url = format!("{url}/v1/checks");
        let (token, stopped, counts) = (self.honest.clone(), Arc::clone(&stop), Arc::clone(&tally));
        let task = tokio::spawn(async move {
            let client = move || builder().timeout(Duration::from_secs(5)).build().unwrap();
            let mut http = client();
            while !stopped.load(Ordering::Relaxed) {
                if is_new_each_time {
                    http = client();
                }
                let began = Instant::now();
                let sent = http.post(&url).bearer_auth(&token).json(&check_of(&random_number(), None)).send().await;
                let is_good = sent.is_ok_and(|answer| answer.status() == 200);
                let took = u64::try_from(began.elapsed().as_millis()).unwrap();
                counts.slowest_ms.fetch_max(took, Ordering::Relaxed);
                let count = if is_good { &counts.answered } else { &counts.failed };
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Honest { stop, tally, task, begun: Instant::now(), quiet: None }
    }
}

#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    slowest_ms: AtomicU64,
}

/// An honest caller at work.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    task: JoinHandle<()>,
    begun: Instant,
    /// Answers in a second while nobody attacked.
    quiet: Option<f64>,
}

/// What an honest caller got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) slowest_ms: u64,
    /// Of what it got in the same time while nobody attacked.
    pub(crate) goodput: Option<f64>,
}

/// Set, the goodput of honest callers is judged, too: on a machine where attackers do not share the node's processors.
const JUDGES_GOODPUT: &str = "LOSTCARD_ATTACK_GOODPUT";

impl Honest {
    /// Measures what it gets while nobody attacks; the attack begins after it.
    pub(crate) async fn quiet(mut self) -> Self {
        let (before, begun) = (self.answered(), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.quiet = Some(rate_of(self.answered() - before, begun));
        self.tally.answered.store(0, Ordering::Relaxed);
        self.begun = Instant::now();
        self
    }

    pub(crate) fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    pub(crate) async fn stop(self) -> Got {
        self.stop.store(true, Ordering::Relaxed);
        let goodput = self.quiet.map(|quiet| rate_of(self.answered(), self.begun) / quiet);
        self.task.await.unwrap();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Got {
            answered: read(&self.tally.answered),
            failed: read(&self.tally.failed),
            slowest_ms: read(&self.tally.slowest_ms),
            goodput,
        }
    }
}

impl std::fmt::Display for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "others: {} answered, {} failed, slowest {} ms", self.answered, self.failed, self.slowest_ms)?;
        self.goodput.map_or(Ok(()), |goodput| write!(f, ", {:.0} % of a quiet node's", goodput * 100.0))
    }
}

impl Got {
    /// Nine in ten at least.
    #[track_caller]
    pub(crate) fn assert_served(&self) {
        assert!(self.answered > 20 && self.answered >= 9 * self.failed, "{self}");
        if std::env::var_os(JUDGES_GOODPUT).is_some() {
            assert!(self.goodput.is_none_or(|goodput| goodput >= 0.9), "{self}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
fn rate_of(count: u64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// The head of a request.
pub(crate) fn head(path: &str, token: &str, rest: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: lostcard.test\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{rest}\r\n\r\n"
    )
}

/// The status of the answer that comes on a connection; none if it ends without one, or none comes in time.
pub(crate) async fn status(stream: &mut TcpStream, within: Duration) -> Option<u16> {
    let mut start = [0; 12];
    timeout(within, stream.read_exact(&mut start)).await.ok()?.ok()?;
    std::str::from_utf8(&start[9..]).ok()?.parse().ok()
}

/// Sends, for so long at most: a server that does not read holds nobody up.
pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8], within: Duration) -> bool {
    timeout(within, stream.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
}

/// Whether the other end ends the connection in time, whatever it sends before.
pub(crate) async fn ends(stream: &mut TcpStream, within: Duration) -> bool {
    let mut sink = [0; 4096];
    let read = async { while stream.read(&mut sink).await.is_ok_and(|length| length > 0) {} };
    timeout(within, read).await.is_ok()
}

/// So many connections at once, from an address of this machine.
pub(crate) async fn connect_many_from(from: [u8; 4], address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = (0..count).map(|_| async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(address).await
    });
    futures_util::future::join_all(connect).await.into_iter().filter_map(Result::ok).collect()
}

/// So many connections at once.
pub(crate) async fn connect_many(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = (0..count).map(|_| TcpStream::connect(address));
    futures_util::future::join_all(connect).await.into_iter().filter_map(Result::ok).collect()
}
