//! The audit log by the command line: what commands leave in it, and what is said of a log that somebody changed in the database.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::run::{Folder, stderr, stdout};

/// Statements on the folder's database, by somebody who may do anything with it.
fn tamper(folder: &Folder, statements: &[&str]) {
    let url = format!("sqlite:{}", folder.path().join("lostcard-data/lostcard.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        let triggers = ["DROP TRIGGER IF EXISTS audit_is_not_changed", "DROP TRIGGER IF EXISTS audit_is_not_removed"];
        for statement in triggers.iter().chain(statements) {
            connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// The entries of an export, without its head.
fn exported(folder: &Folder) -> Vec<Value> {
    let text = stdout(&folder.run(&["audit", "export"]).success());
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let head = lines.pop().unwrap();
    assert_eq!(head["head"].as_str().unwrap().split('.').count(), 3, "a compact JWS");
    lines
}

#[test]
fn who_was_let_in_and_what_was_imported_is_in_the_log() {
    let folder = Folder::new();
    let organization = folder.organization();
    let create = ["client", "create", "--organization", &organization, "--scope", "checks", "--json"];
    let client = folder.json(&create)["client_id"].as_str().unwrap().to_owned();
    folder.run(&["client", "rotate-secret", &client]).success();
    folder.run(&["client", "revoke-token", "--issuer", "http://x", "jti"]).success();
    folder.run(&["client", "disable", &client]).success();
    folder.run(&["sample", "--reports", "20", "--output", "reports.csv"]).success();
    let import = |args: &[&str]| folder.json(&[&["import", "reports.csv", "--json"], args].concat());
    let id = import(&[])["import_id"].clone();
    assert_eq!(import(&[])["stored"], 0, "nothing is stored, and nothing is in the log");
    assert_eq!(import(&["--again"])["import_id"], id, "a file keeps its id");
    let (organization, client) = (json!(organization), json!(client));
    let expected = [
        ("organization_created", Some(&organization)),
        ("client_created", Some(&client)),
        ("client_secret_rotated", Some(&client)),
        ("token_revoked", None),
        ("client_disabled", Some(&client)),
        ("import_begun", Some(&id)),
        ("import_finished", Some(&id)),
        ("import_begun", Some(&id)),
        ("import_finished", Some(&id)),
    ];
    let entries = exported(&folder);
    let found: Vec<_> = entries.iter().map(|entry| (entry["action"].as_str().unwrap(), entry.get("subject"))).collect();
    assert_eq!(found, expected);
    for (sequence, entry) in (1..).zip(&entries) {
        assert_eq!(
            (entry["seq"].as_u64(), entry.get("organization"), entry.get("client")),
            (Some(sequence), None, None)
        );
    }
    folder.run(&["client", "disable", "01993c5e-0000-7000-8000-000000000000"]).code(1);
    assert_eq!(exported(&folder).len(), expected.len(), "what failed is not in the log");
}

#[test]
fn who_acted_and_why_is_in_the_log() {
    let folder = Folder::new();
    let organization = folder.organization();
    let create = ["client", "create", "--organization", &organization, "--scope", "checks", "--json"];
    let by = ["--as", " 王芳 ", "--reason", "ticket 7"];
    let client = folder.json(&[&create, &by[..]].concat())["client_id"].as_str().unwrap().to_owned();
    folder.run(&["sample", "--reports", "3", "--output", "reports.csv"]).success();
    let import = folder.json(&[&["import", "reports.csv", "--json"], &by[..]].concat());
    folder.run(&[&["import", "undo", import["import_id"].as_str().unwrap()], &by[..]].concat()).success();
    let entries = exported(&folder);
    let user = entries[0]["os_user"].as_str().unwrap();
    assert!(!user.is_empty(), "the operating system knows it, whatever anybody says");
    assert_eq!((entries[0].get("person"), entries[0].get("reason")), (None, None), "nobody said who");
    for (entry, action) in
        entries[1..].iter().zip(["client_created", "import_begun", "import_finished", "import_undone"])
    {
        assert_eq!(entry["action"], action);
        assert_eq!((&entry["person"], &entry["reason"]), (&json!("王芳"), &json!("ticket 7")), "{entry}");
        assert_eq!(entry["os_user"], user);
    }
    folder.run(&["audit", "verify"]).success();
    for (flag, text) in
        [("--as", ""), ("--as", "a\nb"), ("--as", "11010519491231002X"), ("--reason", "she is 11010519491231002X")]
    {
        let said = stderr(&folder.run(&["client", "disable", &client, flag, text]).code(1));
        assert!(said.contains(flag) && !said.contains("19491231"), "{said}");
    }
    assert_eq!(exported(&folder).len(), entries.len(), "what was refused is not done");
}

#[test]
fn an_empty_log_is_in_order() {
    let folder = Folder::new();
    folder.run(&["keys", "init", "--store"]).success();
    assert_eq!(folder.json(&["audit", "verify", "--json"]), json!({"in_order": true, "entries": 0, "last": 0}));
    assert_eq!(exported(&folder), [] as [Value; 0]);
    let said = stderr(&folder.run(&["audit", "export", "--after", "1"]).code(1));
    assert!(said.contains("the log has 0 entries only"), "{said}");
}

#[test]
fn a_log_that_was_changed_in_the_database_is_noticed() {
    for (statements, why, is_noticed_alone) in [
        (
            &["UPDATE audit SET action = 'client_created' WHERE seq = 2"] as &[&str],
            "entry 2 does not have the hash",
            true,
        ),
        (&["UPDATE audit SET person = 'somebody else' WHERE seq = 2"], "entry 2 does not", true),
        (&["UPDATE audit SET client_id = x'00000000000000000000000000000000' WHERE seq = 2"], "entry 2 does not", true),
        (&["DELETE FROM audit WHERE seq = 2"], "behind entry 1 comes entry 3", true),
        (&["DELETE FROM audit WHERE seq > 2"], "ends at entry 3 and this log at 2", false),
        (&["DELETE FROM audit"], "ends at entry 3 and this log at 0", false),
    ] {
        let folder = Folder::new();
        (0..3).for_each(|_| drop(folder.organization()));
        folder.run(&["audit", "export", "--output", "earlier.ndjson"]).success();
        folder.run(&["audit", "verify", "--previous", "earlier.ndjson"]).success();
        tamper(&folder, statements);
        let said = stderr(&folder.run(&["audit", "verify", "--previous", "earlier.ndjson"]).code(1));
        assert!(said.contains(why) && said.lines().count() == 1, "{statements:?}: {said}");
        // The end alone may be cut off without a trace: that is what earlier exports are kept for.
        folder.run(&["audit", "verify"]).code(i32::from(is_noticed_alone));
        let export = folder.run(&["audit", "export"]).code(i32::from(is_noticed_alone));
        assert_eq!(stdout(&export).contains("head"), !is_noticed_alone, "no head is signed over a broken chain");
    }
}

#[test]
fn a_log_of_a_version_without_keyed_hashes_is_linked_at_the_next_start() {
    let folder = Folder::new();
    (0..3).for_each(|_| drop(folder.organization()));
    let plain: &[&str] = &["UPDATE audit SET keyed_hash = NULL", "DELETE FROM key_checks WHERE purpose = 'audit'"];
    tamper(&folder, plain);
    let said = stderr(&folder.run(&["audit", "verify"]).code(1));
    assert!(said.contains("entry 1 has no keyed hash"), "the key was there: nothing is linked by itself: {said}");
    std::fs::remove_file(folder.path().join("lostcard-data/keys/audit-1.key")).unwrap();
    tamper(&folder, &["DELETE FROM key_checks WHERE purpose = 'audit'"]);
    let verified = folder.json(&["audit", "verify", "--json"]);
    assert_eq!(verified, json!({"in_order": true, "entries": 4, "last": 4}));
    assert_eq!(exported(&folder)[3]["action"], "log_linked");
    tamper(&folder, &["UPDATE audit SET keyed_hash = NULL WHERE seq = 4"]);
    let said = stderr(&folder.run(&["audit", "verify"]).code(1));
    assert!(said.contains("entry 1 has no keyed hash"), "{said}");
    assert_eq!(stdout(&folder.run(&["audit", "link"]).success()), "linked behind entry 4\n");
    assert_eq!(folder.json(&["audit", "verify", "--json"])["last"], 5);
}
