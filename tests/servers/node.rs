//! The real binary as a process of its own, with what it logs in a file. Nothing of the environment of the test run reaches it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::process::Process;
use super::{WAIT_MAX, wait_until};

/// A serving process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    process: Process,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    /// Where it speaks TLS, if it does: `address` is its plain listener then.
    pub(crate) tls_address: Option<SocketAddr>,
    pub(crate) metrics_address: SocketAddr,
}

impl Node {
    /// Serves a data folder on ports of the system's choice and waits until the node is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, |_| {})
    }

    /// With further arguments or variables.
    pub(crate) fn start_with(data: &Path, tweak: impl FnOnce(&mut Command)) -> Self {
        Self::start_by(command(data), data, tweak)
    }

    /// Started by another program, as `strace` is, whose arguments end where the binary's name follows. The program must make
    /// the node its own process, not a child.
    pub(crate) fn start_under(program: &[&str], data: &Path, tweak: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).arg("--data").arg(data);
        Self::start_by(command, data, tweak)
    }

    fn start_by(mut command: Command, data: &Path, tweak: impl FnOnce(&mut Command)) -> Self {
        let log = data.with_extension("log");
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        let stderr = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        // A test that ends a node does not wait for clients to turn away from it.
        command.env("LOSTCARD_DRAIN_SECONDS", "0");
        // Suites ask about many numbers; what limits of numbers refuse is told by `tests/api/numbers.rs`.
        command.env("LOSTCARD_LIMITS__NUMBERS_MODE", "observe");
        tweak(&mut command);
        let mut process = Process::start(&mut command);
        let lines = process.lines();
        let address = || {
            let line = lines.recv_timeout(WAIT_MAX);
            let line = line.unwrap_or_else(|_| panic!("no node: {}", std::fs::read_to_string(&log).unwrap()));
            let (before, rest) = line.split_once("://").unwrap_or_else(|| panic!("{line}"));
            (before.ends_with("https"), rest.trim_end_matches("/metrics").parse::<SocketAddr>().unwrap())
        };
        // With TLS the plain listener follows.
        let (is_tls, first) = address();
        let (tls_address, address_plain) = if is_tls { (Some(first), address().1) } else { (None, first) };
        let metrics_address = address().1;
        let node = Self { process, log, address: address_plain, tls_address, metrics_address };
        wait_until("the node is ready", || node.is_ready());
        node
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        !self.process.has_ended()
    }

    /// Whether it may be sent requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.ask("/health/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits until it has ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait()
    }

    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    pub(crate) fn resume(&self) {
        self.process.resume();
    }

    fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// The binary on a data folder, without what the environment of the test run may say.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
    command.env_clear().arg("--data").arg(data);
    command
}
