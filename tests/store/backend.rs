//! The databases that the contract is run over, each fresh and empty for each case.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use lostcard::store::{Store, StoreOptions};
use tempfile::TempDir;

/// A database of one case. Opened twice, it is what two processes see.
pub(crate) struct Database {
    data: TempDir,
    options: StoreOptions,
    /// Ends with the last case that uses it.
    _server: Option<Arc<Postgres>>,
}

impl Database {
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.options, self.data.path()).await.unwrap()
    }
}

/// The embedded database in a folder of its own.
pub(crate) fn sqlite() -> Database {
    Database { data: tempfile::tempdir().unwrap(), options: StoreOptions::default(), _server: None }
}

/// A database of its own in a PostgreSQL server that the cases share.
pub(crate) fn postgres() -> Database {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let server = {
        let mut shared = SERVER.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Postgres::start());
            *shared = Arc::downgrade(&server);
            server
        })
    };
    let data = tempfile::tempdir().unwrap();
    let name = data.path().file_name().unwrap().to_string_lossy().replace('.', "case_").to_lowercase();
    server.sql(&format!("CREATE DATABASE \"{name}\""));
    let url = Some(format!("postgres://postgres@127.0.0.1:{}/{name}", server.port));
    Database { data, options: StoreOptions { url, ..StoreOptions::default() }, _server: Some(server) }
}

/// A server process in a temporary folder.
struct Postgres {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            // The server refuses to run as root; Debian's package makes the user.
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()));
        }
        run(tool("initdb").args(["--auth=trust", "--username=postgres", "--pgdata"]).arg(&data));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let process = tool("postgres")
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"])
            .args(["-p", &port.to_string(), "-D"])
            .arg(&data)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !server.psql("SELECT 1") {
            assert!(Instant::now() < deadline, "the PostgreSQL server does not answer");
            std::thread::yield_now();
        }
        server
    }

    fn sql(&self, statement: &str) {
        assert!(self.psql(statement), "{statement}");
    }

    fn psql(&self, statement: &str) -> bool {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let mut psql = Command::new("psql");
        psql.args(["-q", "-X", "-c", statement, &url]).stdout(Stdio::null()).stderr(Stdio::null());
        psql.status().unwrap().success()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: a fast shutdown, which ends the server's own processes too.
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
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
    command.current_dir("/").stdout(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}
