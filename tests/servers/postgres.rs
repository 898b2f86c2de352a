//! A PostgreSQL server of its own: data in a temporary folder, a free port, no password. It can crash, stand still and come
//! back. As root it runs as the user that Debian's package makes, for the server refuses to be root.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, run};
use super::{free_address, wait_until};

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Process,
    address: SocketAddr,
    settings: Vec<String>,
    databases: AtomicU32,
    folder: TempDir,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings of `postgresql.conf`.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, settings)
    }

    /// In a folder that the test chose.
    pub(crate) fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()));
        }
        run(tool("initdb").args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata"]).arg(&data));
        let settings = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let address = free_address();
        let process = serve(folder.path(), address, &settings);
        let server = Self { process, address, settings, databases: AtomicU32::new(0), folder };
        server.wait_until_ready();
        server
    }

    /// A hot standby of this server, which follows it under a name.
    pub(crate) fn standby(&self, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()));
        }
        let address = self.address;
        let from = format!("host={} port={} user=postgres application_name={name}", address.ip(), address.port());
        let mut copy = tool("pg_basebackup");
        copy.args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--dbname", &from, "--pgdata"]);
        run(copy.arg(folder.path().join("data")));
        let (settings, address) = (self.settings.clone(), free_address());
        let process = serve(folder.path(), address, &settings);
        let server = Self { process, address, settings, databases: AtomicU32::new(0), folder };
        server.wait_until_ready();
        server
    }

    /// Makes a standby a primary, on a timeline of its own.
    pub(crate) fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote(true, 30)").trim(), "t");
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

    /// A fresh, empty database; returns its URL.
    pub(crate) fn create_database(&self) -> String {
        let name = format!("case_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Copied as files, the empty template does not fill the log of changes.
        self.sql(&format!("CREATE DATABASE {name} STRATEGY file_copy"));
        self.url(&name)
    }

    /// Runs a statement on the server's own database; returns what it selects.
    #[track_caller]
    pub(crate) fn sql(&self, statement: &str) -> String {
        query(&self.url("postgres"), statement)
    }

    /// Changes a setting while the server runs. Connections that are open take it up too.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("SELECT pg_reload_conf()");
        wait_until("the setting is taken up", || self.sql(&format!("SHOW {name}")).trim() == value);
    }

    /// A crash: all its processes get SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, after a crash or not, on the same port and data.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        self.process = serve(self.folder.path(), self.address, &self.settings);
        self.wait_until_ready();
    }

    /// The same, with a setting of its own from now on.
    pub(crate) fn restart_with(&mut self, name: &str, value: &str) {
        self.settings.push(format!("{name}={value}"));
        self.restart();
    }

    /// All its processes stand still: connections stay open, nothing is answered.
    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    pub(crate) fn resume(&self) {
        self.process.resume();
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    fn wait_until_ready(&self) {
        wait_until("PostgreSQL answers", || psql(&self.url("postgres"), "SELECT 1").output().unwrap().status.success());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends all its processes at once. Nothing of it is needed any more, and one that stands still must die too.
        self.process.signal(Signal::QUIT);
        self.process.kill();
    }
}

/// Runs a statement on any database; returns what it selects.
#[track_caller]
pub(crate) fn query(url: &str, statement: &str) -> String {
    run(&mut psql(url, statement))
}

fn psql(url: &str, statement: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.env("PGCONNECT_TIMEOUT", "10").env("PGOPTIONS", "-c statement_timeout=30s");
    psql.args(["--quiet", "--no-psqlrc", "--no-align", "--tuples-only", "-v", "ON_ERROR_STOP=1", "-c", statement, url]);
    psql
}

fn serve(folder: &Path, address: SocketAddr, settings: &Vec<String>) -> Process {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = tool("postgres");
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    command.args(["-p", &address.port().to_string(), "-D"]).arg(folder.join("data")).stderr(log);
    Process::start(&mut command)
}

/// A program of the newest PostgreSQL on this machine, as a user that may run it.
fn tool(name: &str) -> Command {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    versions.sort();
    let program = versions.last().map_or_else(|| name.into(), |version| version.join("bin").join(name));
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
