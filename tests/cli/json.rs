//! What scripts rely on: the members that `--json` prints, and that nothing else goes to standard output.

use serde_json::{Value, json};

use crate::run::{Folder, stderr, stdout};

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn organizations_and_clients_are_created_by_id_and_secret() {
    let folder = Folder::new();
    let organization = folder.organization();
    let id: uuid::Uuid = organization.parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let create =
        ["client", "create", "--organization", &organization, "--scope", "checks", "--scope", "blind", "--json"];
    let client = folder.json(&[create.as_slice(), &["--rate", "60/1s"]].concat());
    assert_eq!(members(&client), ["client_id", "client_secret"]);
    let secret = client["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("lcs_") && secret.len() == 47, "a prefix that scanners know, and 256 bits");
    let plain = folder.json(&create);
    let listed = folder.json(&["client", "list", "--json"]);
    let clients = listed["clients"].as_array().unwrap();
    assert_eq!((members(&listed), clients.len()), (vec!["clients"], 2));
    let find = |id: &Value| clients.iter().find(|client| client["client_id"] == *id).unwrap();
    let of_rate = find(&client["client_id"]);
    assert_eq!(
        members(of_rate),
        [
            "bound",
            "client_id",
            "created_at",
            "digests",
            "organization_id",
            "organization_name",
            "rate",
            "refused",
            "scope",
            "scopes",
            "state"
        ]
    );
    assert_eq!(
        (&of_rate["scope"], &of_rate["rate"], &of_rate["state"]),
        (&json!("checks blind"), &json!("60/1s"), &json!("active"))
    );
    assert_eq!(of_rate["organization_id"], organization.as_str());
    assert!(find(&plain["client_id"]).get("rate").is_none(), "absent, never null");
    assert!(!listed.to_string().contains("lcs_"), "a secret is shown once");
}

#[test]
fn a_rotated_secret_is_a_new_one_and_one_that_is_ended_is_listed_so() {
    let folder = Folder::new();
    let organization = folder.organization();
    let client = folder.json(&["client", "create", "--organization", &organization, "--scope", "checks", "--json"]);
    let id = client["client_id"].as_str().unwrap();
    let rotated = folder.json(&["client", "rotate-secret", id, "--json"]);
    assert_eq!(members(&rotated), ["client_id", "client_secret", "previous_ends_at"]);
    assert_eq!(rotated["client_id"], client["client_id"]);
    assert_ne!(rotated["client_secret"], client["client_secret"]);
    folder.run(&["client", "disable", id]).success().stdout_eq("ended\n");
    assert_eq!(folder.json(&["client", "list", "--json"])["clients"][0]["state"], "ended");
    folder.run(&["client", "revoke-token", "--issuer", "http://x", "jti"]).success().stdout_eq("revoked\n");
}

/// The words of the API, and in the lines for people what the guide says is in them.
#[test]
fn lists_tell_rates_and_last_uses_and_changes_are_told_in_the_words_of_the_api() {
    let folder = Folder::new();
    let organization = folder.organization();
    let client = folder.json(&["client", "create", "--organization", &organization, "--scope", "checks", "--json"]);
    let id = client["client_id"].as_str().unwrap();
    let changed = folder.json(&["client", "update", id, "--bound", "dpop", "--rate", "90/1s", "--json"]);
    assert_eq!((&changed["state"], &changed["bound"]), (&json!("active"), &json!("dpop")));
    for state in ["suspended", "active"] {
        assert_eq!(folder.json(&["client", "update", id, "--state", state, "--json"])["state"], state);
    }
    let line = stdout(&folder.run(&["client", "list"]).success());
    assert!(line.contains("active") && line.contains("90/1s") && line.contains("never used"), "{line}");
    let update = ["organization", "update", &organization, "--any-office", "true", "--rate", "6000/60s", "--json"];
    assert_eq!(folder.json(&update)["any_office"], true);
    let back = ["organization", "update", &organization, "--any-office", "false", "--json"];
    assert_eq!(folder.json(&back)["any_office"], false);
    let line = stdout(&folder.run(&["organization", "list"]).success());
    assert!(line.contains("6000/60s"), "{line}");
    let pair = ["pairing", "create", "--organization", &organization, "--scope", "checks", "--site", "harbour-1"];
    folder.run(&[pair.as_slice(), &["--numbers", "250/1d"]].concat()).success();
    let listed = folder.json(&["pairing", "list", "--json"]);
    assert_eq!(listed["pairings"][0]["numbers"], "250/1d");
    let line = stdout(&folder.run(&["pairing", "list"]).success());
    assert!(line.contains("harbour-1") && line.contains("never used"), "{line}");
}

#[test]
fn an_office_is_described_in_the_words_of_the_api_and_the_log_says_who_did() {
    let folder = Folder::new();
    let set = |code: &str, name: &str| {
        folder.json(&["office", "set", code, "--name", name, "--reach", "1 Quay Road", "--json", "--as", "Wang Fang"])
    };
    set("110105-04", "Airport station");
    set("110105-03", "Quay station");
    let office = set("110105-03", "Harbour station");
    assert_eq!(office, json!({"code": "110105-03", "name": "Harbour station", "reach": "1 Quay Road"}));
    let listed = folder.json(&["office", "list", "--json"]);
    let airport = json!({"code": "110105-04", "name": "Airport station", "reach": "1 Quay Road"});
    assert_eq!(listed, json!({"offices": [office, airport]}), "by their codes, the last word counts");
    let entries = stdout(&folder.run(&["audit", "export"]));
    assert_eq!(entries.matches("office_described").count(), 3, "{entries}");
    assert_eq!(entries.matches("Wang Fang").count(), 3);
    for (code, reach) in [("no code!", "1 Quay Road"), ("110105-03", "ask 11010519491231002X")] {
        let refused = folder.run(&["office", "set", code, "--name", "a", "--reach", reach]).failure();
        assert!(!stderr(&refused).contains("panicked"));
    }
    assert_eq!(folder.json(&["office", "list", "--json"])["offices"].as_array().unwrap().len(), 2);
}

#[test]
fn endpoints_are_added_with_a_secret_that_is_shown_once() {
    let folder = Folder::new();
    let organization = folder.organization();
    let url = "https://bank.example/lostcard?team=7";
    let added = folder.json(&["webhook", "add", "--organization", &organization, "--url", url, "--json"]);
    assert_eq!(members(&added), ["secret", "webhook_id"]);
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = added["webhook_id"].as_str().unwrap();
    let state = || {
        let listed = folder.json(&["webhook", "list", "--json"]);
        assert!(!listed.to_string().contains("whsec_"), "a secret is shown once");
        listed["webhooks"].as_array().unwrap().first().cloned()
    };
    let listed = state().unwrap();
    assert_eq!(members(&listed), ["created_at", "organization_id", "state", "url", "webhook_id"]);
    assert_eq!((&listed["url"], &listed["state"]), (&json!(url), &json!("enabled")));
    let rotated = folder.json(&["webhook", "rotate-secret", id, "--json"]);
    assert_eq!((members(&rotated), &rotated["webhook_id"]), (vec!["secret", "webhook_id"], &added["webhook_id"]));
    assert_ne!(rotated["secret"], added["secret"]);
    folder.run(&["webhook", "disable", id]).success().stdout_eq("disabled\n");
    assert_eq!(state().unwrap()["state"], "disabled");
    folder.run(&["webhook", "enable", id]).success().stdout_eq("enabled\n");
    assert_eq!(state().unwrap()["state"], "enabled");
    folder.run(&["webhook", "remove", id]).success().stdout_eq("removed\n");
    assert_eq!(state(), None);
}

#[test]
fn fingerprints_are_those_of_the_published_keys() {
    let folder = Folder::new();
    folder.organization();
    folder.json(&["keys", "rotate", "--receipts", "--json"]);
    let told = folder.json(&["keys", "fingerprints", "--json"]);
    let keys = told["keys"].as_array().unwrap();
    assert_eq!(members(&keys[0]), ["fingerprint", "kid", "purpose", "state", "version"]);
    let of = |key: &Value| format!("{} {} {}", key["purpose"], key["version"], key["state"]).replace('"', "");
    let names: Vec<_> = keys.iter().map(of).collect();
    assert_eq!(names, ["token 1 signs", "receipt 2 signs", "receipt 1 retired", "certificate 1 signs", "log 1 signs"]);
    let plain = stdout(&folder.run(&["keys", "fingerprints"]).success());
    for (key, line) in keys.iter().zip(plain.lines()) {
        assert!(
            line.ends_with(key["fingerprint"].as_str().unwrap()) && line.contains(key["kid"].as_str().unwrap()),
            "{line}"
        );
    }
    // Of a set, as an auditor has it: RFC 8037, A.3.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "another", "x": x}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]});
    let set = folder.write("jwks.json", &set.to_string());
    let told = folder.json(&["keys", "fingerprints", "--jwks", &set, "--json"]);
    let fingerprint = "90fa cafe a9b1 5566 9854 0f70 c011 7a22 ea37 bd5c f3ed 3c47 093c 1707 282b 4b89";
    assert_eq!(told["keys"].as_array().unwrap().len(), 1);
    assert_eq!(told["keys"][0]["fingerprint"], fingerprint);
    assert_eq!(told["keys"][0]["kid"], "kPrK_qmxVWaYVA9w", "computed, not believed");
}

#[test]
fn rotated_keys_are_named() {
    let folder = Folder::new();
    folder.organization();
    let rotated = folder.json(&["keys", "rotate", "--tokens", "--receipts", "--certificates", "--log", "--json"]);
    let keys = rotated["rotated"].as_array().unwrap();
    assert_eq!((members(&rotated), keys.len()), (vec!["rotated"], 4));
    for (key, purpose) in keys.iter().zip(["token", "receipt", "certificate", "log"]) {
        assert_eq!(members(key), ["kid", "purpose", "version"]);
        assert_eq!((&key["purpose"], &key["version"]), (&json!(purpose), &json!(2)));
    }
    assert_eq!(folder.json(&["keys", "rotate", "--receipts", "--json"])["rotated"][0]["version"], 3);
}

#[test]
fn a_sample_is_the_same_for_the_same_seed_and_day() {
    let folder = Folder::new();
    let sample = |seed: &str| {
        stdout(&folder.run(&["sample", "--reports", "20", "--seed", seed, "--today", "2026-11-23"]).success())
    };
    assert_eq!(sample("7"), sample("7"));
    assert_ne!(sample("7"), sample("8"));
    assert_eq!(sample("7").lines().count(), 21);
    let header = "id_number,card_valid_from,card_valid_until,reason,lost_on,reporter,office,channel,reported_at";
    assert_eq!(sample("7").lines().next(), Some(header));
}

#[test]
fn an_import_tells_what_it_stored_and_what_it_rejected() {
    let folder = Folder::new();
    folder.run(&["sample", "--reports", "50", "--output", "reports.csv"]).success();
    let file = folder.path().join("reports.csv");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("110105194912310021,2016-05-01,,lost,,holder,110105-03,station,\n");
    std::fs::write(&file, text).unwrap();
    folder.run(&["import", "reports.csv", "--json"]).code(65);
    let output = folder.run(&["import", "reports.csv", "--max-rejects", "1", "--json"]).success();
    let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(done.is_object(), "{done}");
    let numbers: Vec<_> = done.as_object().unwrap().values().filter_map(Value::as_u64).collect();
    assert!(numbers.contains(&50) && numbers.contains(&1), "{done}");
    assert!(!stderr(&output).contains("110105194912310021"));
    let rejects = std::fs::read_to_string(folder.path().join("reports.csv.rejects.ndjson")).unwrap();
    assert!(rejects.contains("wrong_check_character") && !rejects.contains("110105194912310021"), "{rejects}");
    let strict = ["import", "reports.csv", "--max-rejects", "1", "--strict", "--again", "--json"];
    folder.run(&strict).code(65);
}

#[test]
fn a_run_of_retention_tells_each_class() {
    let folder = Folder::new();
    folder.organization();
    for (args, count) in
        [(["retention", "run", "--dry-run", "--json"].as_slice(), "due"), (&["retention", "run", "--json"], "deleted")]
    {
        let told = folder.json(args);
        assert_eq!(members(&told), ["classes", "dry_run"]);
        let classes = told["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 13);
        for class in classes {
            let mut expected = vec!["class", "keep", count];
            expected.sort_unstable();
            assert_eq!((members(class), &class[count]), (expected, &json!(0)));
        }
    }
    let table = stdout(&folder.run(&["retention", "run", "--dry-run"]).success());
    assert_eq!(table.lines().count(), 14, "{table}");
    assert!(table.lines().any(|line| line == "sightings             2 years            0"), "{table}");
}
