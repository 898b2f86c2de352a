//! Commands on a store that a node serves, on a machine that has other work: slow is not busy.

use std::process::{Command, Stdio};

use crate::run::{Folder, stderr};
use crate::servers::node::Node;
use crate::servers::process::Process;

/// Each opening of the store's file takes longer than a request may wait for a connection.
const SLOW_STORE: [&str; 8] =
    ["-f", "-qq", "-e", "trace=openat", "-e", "inject=openat:delay_exit=400000", "-P", "lostcard-data/lostcard.db"];

#[test]
fn a_slow_machine_is_no_busy_store() {
    let folder = Folder::new();
    let organization = folder.organization();
    let data = folder.path().join("lostcard-data");
    // The node too opens the store when there is nobody to answer yet.
    let path = data.join("lostcard.db");
    let slow = [&["strace"], &SLOW_STORE[..7], &[path.to_str().unwrap(), "-o", "/dev/null"]].concat();
    let _node = Node::start_under(&[&slow[..1], &["-D"], &slow[1..]].concat(), &data, |_| {});
    let create = ["client", "create", "--organization", &organization, "--scope", "checks"];
    for args in [
        &create as &[&str],
        &["client", "list"],
        &["audit", "export"],
        &["organization", "create", "--name", "A", "--kind", "auditor", "--region", "110105"],
    ] {
        let log = folder.path().join("trace");
        let mut command = Command::new("strace");
        command.args(SLOW_STORE).arg("-o").arg(&log).arg(env!("CARGO_BIN_EXE_lostcard")).args(args);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let trace = std::fs::read_to_string(log).unwrap();
        assert!(trace.contains("DELAYED"), "the store was opened slowly: {trace}");
    }
}

#[test]
fn many_commands_at_once_all_do_their_work() {
    let folder = Folder::new();
    let organization = folder.organization();
    let _node = Node::start(&folder.path().join("lostcard-data"));
    let args = ["client", "create", "--organization", &organization, "--scope", "checks"];
    let start = |at: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().current_dir(folder.path()).args(args).stdout(Stdio::null());
        let said = std::fs::File::create(folder.path().join(format!("said-{at}"))).unwrap();
        Process::start(command.stderr(said))
    };
    let mut processes: Vec<_> = (0..12).map(start).collect();
    for (at, process) in processes.iter_mut().enumerate() {
        let code = process.wait().code();
        let said = std::fs::read_to_string(folder.path().join(format!("said-{at}"))).unwrap();
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
    let clients = folder.json(&["client", "list", "--json"])["clients"].as_array().unwrap().len();
    assert_eq!(clients, 12);
    let verified = folder.run(&["audit", "export"]).success();
    assert_eq!(stderr(&verified).matches("error").count(), 0);
}
