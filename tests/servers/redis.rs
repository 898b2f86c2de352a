//! A Redis server of its own: nothing on disk, a free port, no password. It can crash, stand still and come back empty.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::{Process, run};
use super::{free_address, wait_until};

/// A running server.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Process,
    address: SocketAddr,
    args: Vec<String>,
    folder: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments of `redis-server`.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = serve(&folder, address, &args);
        let server = Self { process, address, args, folder };
        server.wait_until_ready();
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Runs a command, as `&["SET", "key", "value"]`; returns its answer.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> String {
        run(cli(self.address).args(words)).trim_end().to_owned()
    }

    /// Whether it takes writes; not while a sentinel, which promotes it, closes connections.
    pub(crate) fn is_primary(&self) -> bool {
        let answer = cli(self.address).arg("ROLE").output().unwrap();
        answer.status.success() && answer.stdout.starts_with(b"master")
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        self.process = serve(&self.folder, self.address, &self.args);
        self.wait_until_ready();
    }

    /// It stands still: connections stay open, nothing is answered.
    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    pub(crate) fn resume(&self) {
        self.process.resume();
    }

    fn wait_until_ready(&self) {
        wait_until("Redis answers", || cli(self.address).arg("PING").output().unwrap().stdout == b"PONG\n");
    }
}

fn serve(folder: &TempDir, address: SocketAddr, args: &[String]) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(folder.path()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    Process::start(&mut command)
}

fn cli(address: SocketAddr) -> Command {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-e"]);
    cli
}
