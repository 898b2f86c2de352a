//! A data folder, the processes that work on it, and what its database holds by the word of the `sqlite3` or `psql` tool.
//! Every process dies with its value; none is ever killed by name.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A child that is killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end: status, standard output.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let output = std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap();
        (self.0.wait().unwrap(), output)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The data folder of a test.
pub(crate) struct Folder {
    folder: TempDir,
    /// Of a database in PostgreSQL, where it is not the embedded one.
    database: Option<String>,
}

/// A running node.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
}

/// What the database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) reports: u64,
    pub(crate) feed: u64,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), database: None }
    }

    pub(crate) fn on(database: String) -> Self {
        Self { database: Some(database), ..Self::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.arg("--data").arg(self.path("data")).args(arguments);
        // The variables of the tests are no settings of the service.
        if let Some(url) = &self.database {
            command.env("LOSTCARD_DATABASE_URL", url);
        }
        command.env_remove("LOSTCARD_TEST_ROUNDS").env_remove("LOSTCARD_TEST_SEED");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process(self.command(arguments).spawn().unwrap())
    }

    /// Runs a command that prints JSON.
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let (status, output) = self.start(arguments).end();
        assert!(status.success(), "{arguments:?}: {status}");
        serde_json::from_str(&output).unwrap()
    }

    pub(crate) fn import(&self, file: &Path) -> Process {
        self.start(&["import", "--json", "--max-rejects", "2%", file.to_str().unwrap()])
    }

    /// Starts a node and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let mut command = self.command(&arguments);
        command.env("LOSTCARD_LOG", "error").env("LOSTCARD_LIMITS__NUMBERS_MODE", "observe");
        let mut process = Process(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Server { process, url }
    }

    fn query(&self, sql: &str) -> Vec<u64> {
        // Nothing where the database is not made yet.
        self.ask(sql).split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn ask(&self, sql: &str) -> String {
        let mut tool = match &self.database {
            None => {
                let mut sqlite = Command::new("sqlite3");
                sqlite.args(["-readonly", "-separator", " ", "-cmd", ".timeout 5000"]);
                sqlite.arg(self.path("data/lostcard.db"));
                sqlite
            }
            Some(url) => {
                let mut psql = Command::new("psql");
                psql.args(["--quiet", "--no-psqlrc", "-At", "-F", " ", url, "-c"]);
                psql
            }
        };
        let output = tool.arg(sql).output().expect("the tests need the sqlite3 and psql commands");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The checks that are stored as sightings, in hexadecimal.
    pub(crate) fn sightings(&self) -> BTreeSet<String> {
        self.ask("SELECT lower(hex(check_id)) FROM sightings").split_whitespace().map(str::to_owned).collect()
    }

    /// Rows of sightings, and checks that they are of.
    pub(crate) fn sighting_counts(&self) -> (u64, u64) {
        let found = self.query("SELECT COUNT(*), COUNT(DISTINCT check_id) FROM sightings");
        (found[0], found[1])
    }

    /// Stored reports; 0 where there is no database yet.
    pub(crate) fn reports(&self) -> u64 {
        self.query("SELECT COUNT(*) FROM loss_reports").first().copied().unwrap_or(0)
    }

    /// Distinct numbers among the reports after a point of the feed.
    pub(crate) fn numbers_after(&self, sequence: u64) -> u64 {
        self.query(&format!("SELECT COUNT(DISTINCT lookup_key) FROM loss_reports WHERE sequence > {sequence}"))[0]
    }

    /// The totals, after making sure that the feed has no gap and that every report is in it.
    pub(crate) fn totals(&self) -> Totals {
        let found = self.query(
            "SELECT (SELECT seq FROM feed_head), COUNT(*), COALESCE(MAX(seq), 0), (SELECT COUNT(*) FROM loss_reports), \
             (SELECT COUNT(*) FROM loss_reports r JOIN feed f ON f.seq = r.sequence AND f.subject = r.lookup_key) FROM feed",
        );
        let [head, rows, greatest, reports, reports_in_feed] = found[..] else { panic!("{found:?}") };
        assert_eq!((head, rows), (rows, greatest), "the feed has a gap");
        assert_eq!(reports, reports_in_feed, "a report is not in the feed");
        Totals { reports, feed: rows }
    }
}
