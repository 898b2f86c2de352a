//! A look at a folder by `doctor`, and what breaks a folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::run::{Folder, stderr, stdout};
use crate::servers::node::Node;
use crate::servers::process::run;

/// What a look prints as JSON, and its exit code.
pub(crate) fn look(folder: &Folder, args: &[&str], environment: &[(&str, &str)]) -> (i32, Value) {
    // Not the ports that other tests may have.
    let ports = [("LOSTCARD_LISTEN", "127.0.0.1:0"), ("LOSTCARD_METRICS_LISTEN", "127.0.0.1:0")];
    let output = folder.run_with(&[&["doctor", "--json"], args].concat(), &[ports.as_slice(), environment].concat());
    let code = output.get_output().status.code().unwrap();
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(stderr(&output), "");
    (code, said)
}

pub(crate) fn checks(said: &Value) -> Vec<&Value> {
    said["checks"].as_array().unwrap().iter().collect()
}

/// The one line that is worse than a note: its check, state and text. It says what to do.
#[track_caller]
pub(crate) fn only_fault(said: &Value) -> (String, String, String) {
    let faults: Vec<_> =
        checks(said).into_iter().filter(|check| check["state"] == "warning" || check["state"] == "wrong").collect();
    assert_eq!(faults.len(), 1, "{said:#}");
    let text = |name: &str| faults[0][name].as_str().unwrap().to_owned();
    assert!(!text("do").is_empty());
    (text("check"), text("state"), text("found"))
}

#[track_caller]
pub(crate) fn assert_fault(folder: &Folder, environment: &[(&str, &str)], check: &str, state: &str, found: &str) {
    let (code, said) = look(folder, &[], environment);
    let fault = only_fault(&said);
    assert_eq!((fault.0.as_str(), fault.1.as_str()), (check, state), "{said:#}");
    assert!(fault.2.contains(found), "{said:#}");
    assert_eq!((said["state"].as_str(), code), (Some(state), if state == "wrong" { 3 } else { 1 }));
}

/// A node's folder after its first start.
pub(crate) fn made() -> Folder {
    let folder = Folder::new();
    folder.organization();
    folder
}

pub(crate) fn data(folder: &Folder) -> std::path::PathBuf {
    folder.path().join("lostcard-data")
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Statements by somebody who may do anything.
pub(crate) fn tamper(folder: &Folder, statements: &[&str]) {
    let url = format!("sqlite:{}", data(folder).join("lostcard.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        for statement in statements {
            connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// A certificate of its own and its key, valid for so many days.
pub(crate) fn certificate(folder: &Folder, days: &str) -> (String, String) {
    let [certificate, key] = ["node.pem", "node.key"].map(|name| folder.path().join(name));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=node",
    ]);
    openssl.args(["-days", days, "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    run(openssl.stderr(std::process::Stdio::null()));
    chmod(&key, 0o600);
    (certificate.display().to_string(), key.display().to_string())
}

/// What the one line of a check says.
pub(crate) fn found<'a>(said: &'a Value, name: &str) -> &'a str {
    let mut of = checks(said).into_iter().filter(|check| check["check"] == name);
    let (one, other) = (of.next(), of.next());
    assert!(other.is_none(), "{said:#}");
    one.unwrap_or_else(|| panic!("no {name}: {said:#}"))["found"].as_str().unwrap()
}

/// A node whose log has a checkpoint. Until then it is well, too.
pub(crate) fn published(folder: &Folder) -> Node {
    let node = Node::start(&data(folder));
    for _ in 0..500 {
        let (code, said) = look(folder, &[], &[]);
        assert_eq!(code, 0, "{said:#}");
        if found(&said, "log").starts_with("the newest checkpoint is of ") {
            return node;
        }
    }
    panic!("no checkpoint was published");
}
