//! What `serve` says that it made: at its first start, and never again.

use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::run::Folder;
use crate::servers::process::Process;
use crate::servers::shared;

/// The lines of a node that starts, up to what it made.
fn start(folder: &Folder, environment: &[(&str, &str)]) -> (Process, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
    command.env_clear().envs(environment.iter().copied()).current_dir(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
    let lines: Receiver<String> = process.lines();
    let first = lines.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(first.contains(" listening on "), "{first}");
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(1)) {
        said.push(line);
    }
    assert!(said.remove(0).starts_with("metrics on "));
    (process, said)
}

#[test]
fn a_first_start_says_what_it_made_and_where() {
    let folder = Folder::new();
    let (mut process, said) = start(&folder, &[]);
    assert_eq!(said[0], "store made: lostcard-data/lostcard.db");
    assert!(said[1].starts_with("keys made: lostcard-data/keys ("), "{said:?}");
    assert_eq!(said.len(), 2);
    process.kill();
    let (_process, said) = start(&folder, &[]);
    assert_eq!(said, [""; 0]);

    let folder = Folder::new();
    let url = shared::postgres().create_database();
    let (_process, said) = start(&folder, &[("LOSTCARD_DATABASE_URL", &url)]);
    assert!(said[0].starts_with("store made: PostgreSQL at 127.0.0.1:") && !said[0].contains("postgres:"), "{said:?}");
}
