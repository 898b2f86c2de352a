//! One node of a cluster: the real binary as a child, behind its own proxies to PostgreSQL and Redis, at a new address after
//! each start. `LOSTCARD_TEST_BIN` names another binary than the one that cargo has built for the tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::servers::process::Process;
use crate::servers::proxy::Proxy;
use crate::tally::lock;
use crate::wire::{Link, get};

/// How long a node may take to be ready again once nothing keeps it from being so.
const READY_MAX: Duration = Duration::from_mins(1);
/// Between two looks, and between two attempts to start.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A node and what lies between it and its servers.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) postgres: Proxy,
    pub(crate) redis: Proxy,
    arguments: Vec<(String, String)>,
    data: PathBuf,
    process: Mutex<Option<Process>>,
    address: RwLock<Option<SocketAddr>>,
}

/// The binary under test, without what the environment of the test run may say.
pub(crate) fn binary() -> Command {
    let path = std::env::var_os("LOSTCARD_TEST_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lostcard").into());
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::null());
    command
}

impl Member {
    /// A node that is not started yet. `variables` are the settings of its environment.
    pub(crate) fn new(data: PathBuf, postgres: Proxy, redis: Proxy, variables: Vec<(String, String)>) -> Self {
        Self { postgres, redis, arguments: variables, data, process: Mutex::new(None), address: RwLock::new(None) }
    }

    /// Where it listens, or listened last while it is down: a client does not know better.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        *self.address.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it as an orchestrator does, again and again until it listens, then waits until it is ready.
    pub(crate) fn start(&self) {
        let deadline = Instant::now() + READY_MAX;
        while !self.try_start() {
            assert!(Instant::now() < deadline, "a node does not start: {}", self.log_end());
            std::thread::sleep(LOOK_EVERY);
        }
        self.wait_until_ready();
    }

    pub(crate) fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_MAX;
        while !self.is_ready() {
            assert!(Instant::now() < deadline, "a node does not become ready: {}", self.log_end());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether a load balancer would send it requests.
    pub(crate) fn is_ready(&self) -> bool {
        let ask = |address| Link::default().ask(address, &get("/health/ready"));
        self.address().is_some_and(|address| ask(address).is_ok_and(|answer| answer.status == 200))
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = lock(&self.process).take() {
            process.kill();
        }
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn terminate(&self) {
        if let Some(mut process) = lock(&self.process).take() {
            process.signal(Signal::TERM);
            let status = process.wait();
            assert!(status.success(), "a node that was told to stop ended with {status}: {}", self.log_end());
        }
    }

    pub(crate) fn pause(&self) {
        lock(&self.process).iter().for_each(Process::pause);
    }

    pub(crate) fn resume(&self) {
        lock(&self.process).iter().for_each(Process::resume);
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// False if it ended before it listened: its database is out of reach, as it may be in these tests.
    fn try_start(&self) -> bool {
        let log = std::fs::File::options().create(true).append(true).open(self.data.with_extension("log")).unwrap();
        let mut command = binary();
        command.arg("--data").arg(&self.data);
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        // Many checks of few people: what limits of numbers refuse is told by `tests/api/numbers.rs`.
        command.env("LOSTCARD_LIMITS__NUMBERS_MODE", "observe");
        command.envs(self.arguments.iter().cloned()).stdout(Stdio::piped()).stderr(log);
        let mut process = Process::start(&mut command);
        let Ok(line) = process.lines().recv_timeout(READY_MAX) else { return false };
        let address = line.rsplit("http://").next().and_then(|address| address.parse().ok());
        *self.address.write().unwrap() = Some(address.unwrap_or_else(|| panic!("{line}")));
        *lock(&self.process) = Some(process);
        true
    }
}
