//! Ctrl-C in the middle of an import.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{count, import, rows, write};
use crate::run::Folder;
use crate::servers::process::Process;
use crate::servers::wait_until;

/// Two transactions more than the first, after which it is stopped.
const ROWS: u64 = 60_000;
/// The default of `registry.lease_ms`: so long a node may answer without what it has not read.
const LEASE: Duration = Duration::from_secs(1);

#[test]
fn ctrl_c_says_where_an_import_stands_and_the_same_command_continues() {
    for source in [&[] as &[&str], &["--source", "police"]] {
        let folder = Folder::new();
        let rows = ROWS.to_string();
        folder.run(&["sample", "--reports", &rows, "--output", "big.csv"]).success();
        // The store is there before the import: what is counted below can be read.
        folder.organization();
        let said = folder.path().join("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().current_dir(folder.path()).arg("import").args(source).arg("big.csv");
        command.stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let mut process = Process::start(&mut command);
        wait_until("reports", || process.has_ended() || count(&folder, "active") > 0);
        assert!(!process.has_ended(), "{}", std::fs::read_to_string(&said).unwrap());
        let signalled = Instant::now();
        process.signal(Signal::INT);
        assert_eq!(process.wait().code(), Some(75));
        assert!(signalled.elapsed() >= LEASE, "nodes have read what it stored: {:?}", signalled.elapsed());
        let said = std::fs::read_to_string(&said).unwrap();
        let first = count(&folder, "active");
        assert!(said.contains(&format!("{first} reports were stored now")), "{said}");
        assert!(said.contains("the same command continues where this one stopped"), "{said}");
        assert!(said.contains("is the id of this import: `lostcard import undo`"), "{said}");
        assert!((1..ROWS).contains(&first), "{first}");
        let (told, said) = import(&folder, &[source, &["big.csv"]].concat(), 0);
        let figures = ["stored", "already_stored"].map(|name| told[name].as_u64().unwrap());
        assert_eq!(figures, [ROWS - first, first], "{said}");
        assert_eq!(count(&folder, "active"), ROWS);
    }
}

#[test]
fn a_file_that_is_stored_needs_no_pepper_that_was_retired() {
    let folder = Folder::new();
    write(&folder, "reports.csv", &rows(0..50));
    import(&folder, &["reports.csv"], 0);
    folder.run(&["keys", "rotate", "--pepper"]).success();
    folder.run(&["keys", "retire", "--pepper", "1"]).success();
    for args in [&["reports.csv", "--dry-run"] as &[&str], &["reports.csv"], &["reports.csv", "--again"]] {
        import(&folder, args, 0);
    }
    assert_eq!(count(&folder, "active"), 100);
}
