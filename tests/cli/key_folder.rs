//! `keys init|list|retire`: keys made once without a store, listed, and removed only when nothing needs them. What looks makes none.

use serde_json::{Value, json};

use crate::looking::tamper;
use crate::run::{Folder, stderr};
use crate::servers::shared;

fn names(listed: &Value, name: &str) -> Vec<String> {
    let of = |key: &Value| format!("{} {} {}", key["purpose"], key["version"], key["state"]).replace('"', "");
    listed[name].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn keys_are_made_once_and_serve_a_store() {
    let folder = Folder::new();
    let made = folder.json(&["keys", "init", "--keys", "keys", "--json"]);
    let all = [
        "pepper 1 newest",
        "seal 1 newest",
        "audit 1 newest",
        "token 1 signs",
        "receipt 1 signs",
        "certificate 1 signs",
        "log 1 signs",
    ];
    assert_eq!(names(&made, "made"), all);
    assert!(!folder.path().join("lostcard-data").exists(), "no store is needed");
    let said = stderr(&folder.run(&["keys", "init", "--keys", "keys"]).code(1));
    assert!(said.contains("is not empty"), "{said}");
    folder.run(&["keys", "init", "--store", "--keys", "keys"]).success();
    assert_eq!(names(&folder.json(&["keys", "list", "--keys", "keys", "--json"]), "keys"), all);
    let said = stderr(&folder.run(&["keys", "list", "--keys", "nowhere"]).code(1));
    assert!(said.contains("there is no folder nowhere"), "{said}");
    let sandbox = folder.json(&["keys", "init", "--sandbox", "--json"]);
    assert_eq!(sandbox["folder"], "lostcard-sandbox/keys");
    folder.run(&["keys", "init", "--store", "--sandbox"]).success();
}

#[test]
fn a_pepper_that_rows_need_is_kept_and_an_earlier_one_is_removed() {
    let folder = Folder::new();
    folder.organization();
    let retire = |args: &[&str], why: &str| {
        let said = stderr(&folder.run(&[&["keys", "retire"], args].concat()).code(1));
        assert!(said.contains(why), "{args:?}: {said}");
    };
    retire(&["--pepper", "1"], "rows are keyed by pepper 1");
    retire(&["--pepper", "7"], "there is no pepper 7");
    retire(&["--tokens", "1"], "there is no token 1");
    folder.json(&["keys", "rotate", "--pepper", "--json"]);
    folder.json(&["keys", "rotate", "--tokens", "--json"]);
    retire(&["--pepper", "2"], "rows are keyed by pepper 2");
    retire(&["--tokens", "1"], "valid for up to");
    let removed = folder.json(&["keys", "retire", "--pepper", "1", "--json"]);
    assert_eq!(removed, json!({"purpose": "pepper", "version": 1, "state": "removed"}));
    folder.run(&["keys", "init", "--store"]).success();
    let public = folder.path().join("lostcard-data/keys/token-1.pub.pem");
    crate::servers::process::run(std::process::Command::new("touch").args(["-d", "2 days ago"]).arg(&public));
    folder.json(&["keys", "retire", "--tokens", "1", "--json"]);
    let left = names(&folder.json(&["keys", "list", "--json"]), "keys");
    assert_eq!(
        left,
        [
            "pepper 2 newest",
            "seal 1 newest",
            "audit 1 newest",
            "token 2 signs",
            "receipt 1 signs",
            "certificate 1 signs",
            "log 1 signs"
        ]
    );
    folder.run(&["keys", "init", "--store"]).success();
    folder.run(&["keys", "retire", "--pepper", "--tokens", "1"]).code(2);
    folder.run(&["keys", "retire", "1"]).code(2);
}

#[test]
fn a_pepper_that_another_one_is_nested_in_is_kept() {
    let folder = Folder::new();
    folder.organization();
    folder.json(&["keys", "rotate", "--pepper", "--nested", "--json"]);
    let said = stderr(&folder.run(&["keys", "retire", "--pepper", "1"]).code(1));
    assert!(said.contains("pepper 2 is nested in pepper 1"), "{said}");
}

/// Every command that looks at a store and needs nothing else.
const LOOKS: [&[&str]; 8] = [
    &["organization", "list"],
    &["organization", "show", "01993c5e-0000-7000-8000-000000000000"],
    &["client", "list"],
    &["client", "show", "01993c5e-0000-7000-8000-000000000000"],
    &["office", "list"],
    &["pairing", "list"],
    &["person", "list"],
    &["webhook", "list"],
];

#[test]
fn commands_that_look_make_nothing_and_others_say_what_they_made() {
    let folder = Folder::new();
    let postgres = shared::postgres().create_database();
    let read: [&[&str]; 4] =
        [&["audit", "export"], &["audit", "verify"], &["log", "verify"], &["person", "list", "--json"]];
    for args in LOOKS.iter().chain(&read) {
        let said = stderr(&folder.run(&[args, ["--data", "lostcrad"].as_slice()].concat()).code(1));
        assert_eq!(said.trim_end(), "error: there is no store in lostcrad", "{args:?}");
        let said = stderr(&folder.run_with(args, &[("LOSTCARD_DATABASE_URL", &postgres)]).code(1));
        assert!(said.contains("there is no store in PostgreSQL at"), "{args:?}: {said}");
        let said = stderr(&folder.run_with(args, &[("LOSTCARD_DATABASE_URL", "sqlite:nowhere.db")]).code(1));
        assert!(said.contains("there is no store where the URL"), "{args:?}: {said}");
    }
    let args = ["citizen", "export", "--output", "export.json", "--data", "lostcrad"];
    let said = stderr(&folder.run_reading(&args, "11010519491231002X").code(1));
    assert!(said.contains("there is no store in lostcrad"), "{said}");
    assert!(
        std::fs::read_dir(folder.path()).unwrap().next().is_none(),
        "looking makes nothing, not even the file of an export"
    );
    let said = stderr(
        &folder.run(&["organization", "create", "--name", "A", "--kind", "auditor", "--region", "110105"]).success(),
    );
    assert!(said.contains("store made: ") && said.contains("keys made: ") && said.lines().count() == 2, "{said}");
    for args in LOOKS.iter().filter(|args| args[1] == "list") {
        let output = folder.run(args).success();
        assert_eq!(stderr(&output), "", "{args:?}");
    }
    for _ in 0..2 {
        let said = stderr(&folder.run(&["keys", "init", "--store"]).success());
        assert_eq!(said, "", "what is there is compared, and nothing is made");
    }
}

#[test]
fn a_look_does_not_bring_a_store_up_to_date() {
    let folder = Folder::new();
    folder.organization();
    tamper(&folder, &["DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)"]);
    let said = stderr(&folder.run(&["client", "list"]).code(1));
    assert!(said.contains("another version") && said.contains("doctor"), "{said}");
}
