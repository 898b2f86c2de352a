//! 0: done. 1: failed, with one line of why on standard error. 2: called wrongly.

use crate::run::{Folder, stderr, stdout};

#[test]
fn a_wrong_call_is_2_and_touches_nothing() {
    let folder = Folder::new();
    for args in [
        &[] as &[&str],
        &["no-such-command"],
        &["serve", "--no-such-flag"],
        &["serve", "--listen", "here"],
        &["serve", "--workers", "-1"],
        &["organization", "create", "--name", "Harbour", "--kind", "hotel", "--region", "110105"],
        &["organization", "create", "--name", "Harbour"],
        &["client", "create", "--organization", "x", "--scope", "checks"],
        &["client", "create", "--organization", "01993c5e-0000-7000-8000-000000000000"],
        &["client", "create", "--organization", "01993c5e-0000-7000-8000-000000000000", "--scope", "everything"],
        &[
            "client",
            "create",
            "--organization",
            "01993c5e-0000-7000-8000-000000000000",
            "--scope",
            "checks",
            "--rate",
            "6",
        ],
        &["client", "disable", "hotel"],
        &["keys", "rotate"],
        &["receipt", "verify", "receipt.txt"],
        &["receipt", "verify", "--jwks", "jwks.json", "--salt", "x", "receipt.txt"],
        &["audit"],
        &["audit", "verify", "audit.ndjson"],
        &["audit", "export", "--after", "-1"],
        &["certificate", "verify", "--jwks", "jwks.json", "certificate.txt"],
        &["certificate", "verify", "--number-stdin", "certificate.txt"],
        &["certificate", "verify", "--jwks", "jwks.json", "--number-stdin", "--id-number-file", "x", "certificate.txt"],
        &["certificate", "verify", "--jwks", "jwks.json", "--number-stdin", "--purpose", "hotel", "certificate.txt"],
        &["openapi", "--output", "a", "--check", "b"],
        &["contact", "erase"],
        &["contact", "erase", "--report", "x"],
        &[
            "contact",
            "erase",
            "--report",
            "01993c5e-0000-7000-8000-000000000000",
            "--found-card",
            "01993c5e-0000-7000-8000-000000000000",
        ],
        &["retention", "run", "--now"],
        &["sample"],
        &["import"],
    ] {
        let output = folder.run(args).code(2);
        let said = stderr(&output);
        assert!(said.contains("Usage: lostcard") || said.contains("try '--help'"), "{args:?}: {said}");
        assert_eq!(stdout(&output), "", "{args:?}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_failure_is_1_and_one_line_says_why() {
    let folder = Folder::new();
    folder.organization();
    let nobody = "01993c5e-0000-7000-8000-000000000000";
    let (jwks, receipt) = (folder.write("jwks.json", r#"{"keys":[]}"#), folder.write("receipt.txt", "a~b~c"));
    for (args, why) in [
        (
            &["organization", "create", "--name", "", "--kind", "auditor", "--region", "110105"] as &[&str],
            "1 to 100 visible characters",
        ),
        (&["organization", "create", "--name", "x", "--kind", "auditor", "--region", "990105"], "known province"),
        (&["client", "create", "--organization", nobody, "--scope", "checks"], "no such organization"),
        (&["client", "create", "--organization", nobody, "--scope", "checks", "--jwks", &jwks], "one or two keys"),
        (&["client", "disable", nobody], "no such client"),
        (&["webhook", "add", "--organization", nobody, "--url", "https://bank.example/"], "no such organization"),
        (&["webhook", "add", "--organization", nobody, "--url", "http://bank.example/"], "https://"),
        (&["webhook", "add", "--organization", nobody, "--url", "https://10.0.0.1/"], "must be public"),
        (&["webhook", "add", "--organization", nobody, "--url", "https://a:b@bank.example/"], "no password"),
        (&["webhook", "disable", nobody], "no such endpoint"),
        (&["webhook", "enable", nobody], "no such endpoint"),
        (&["webhook", "remove", nobody], "no such endpoint"),
        (&["webhook", "rotate-secret", nobody], "no such endpoint"),
        (&["client", "rotate-secret", nobody], "no such client"),
        (&["contact", "erase", "--report", nobody], "no such record"),
        (&["receipt", "verify", "--jwks", &jwks, &receipt], "not a receipt"),
        (&["receipt", "verify", "--jwks", "nowhere.json", &receipt], "nowhere.json"),
        (&["audit", "verify", "--jwks", &jwks, "nowhere.ndjson"], "nowhere.ndjson"),
        (&["audit", "verify", "--jwks", &jwks, &receipt], "line 1 is neither"),
        (&["certificate", "verify", "--jwks", &jwks, "--number-stdin", &receipt], "not an authentic certificate"),
        (&["openapi", "--check", "nowhere"], "nowhere"),
        (&["import", "nowhere.csv"], "nowhere.csv"),
        (&["serve", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["serve", "--database-url", "oracle:x", "--listen", "127.0.0.1:0"], "supported database"),
        (&["serve", "--public-url", "ftp://x"], "public_url"),
    ] {
        let output = folder.run(args).code(1);
        let said = stderr(&output);
        assert!(said.starts_with("error: ") && said.contains(why), "{args:?}: {said}");
        assert_eq!((said.lines().count(), stdout(&output).as_str()), (1, ""), "{args:?}: {said}");
    }
}

/// What people write in their own words may hold an identity number: it is refused, and not repeated.
#[test]
fn an_identity_number_is_nobodys_name_and_no_prefix() {
    let folder = Folder::new();
    let organization = folder.organization();
    let held = "desk of 11010519491231002X";
    let create = ["organization", "create", "--kind", "auditor", "--region", "110105", "--name"];
    let client = ["client", "create", "--organization", &organization, "--scope", "checks", "--name", held];
    let pairing = ["pairing", "create", "--organization", &organization, "--scope", "checks", "--name"];
    for (args, code) in [
        ([&create[..], &[held]].concat(), 1),
        ([&create[..], &["x", "--office", "11010519491231002X"]].concat(), 2),
        (vec!["organization", "update", &organization, "--name", held], 2),
        (vec!["organization", "update", &organization, "--office", "11010519491231002X"], 2),
        (client.to_vec(), 2),
        (vec!["client", "update", "01993c5e-0000-7000-8000-000000000000", "--name", held], 2),
        ([&pairing[..], &[held, "--site", "a"]].concat(), 2),
        ([&pairing[..], &["x", "--site", "11010519491231002X"]].concat(), 2),
        (vec!["office", "set", "11010519491231002X", "--name", "x", "--reach", "x"], 2),
        (vec!["office", "set", "A", "--name", held, "--reach", "x"], 2),
        (vec!["office", "set", "A", "--name", "x", "--reach", held], 2),
    ] {
        let said = stderr(&folder.run(&args).code(code));
        assert!(said.contains("identity number") && !said.contains("19491231"), "{args:?}: {said}");
    }
}

#[test]
fn flags_that_are_settings_say_what_would_be_right() {
    let folder = Folder::new();
    for (args, told) in [
        (["--workers", "many"], "it must be a whole number: 0 to 1024"),
        (["--data", ""], "it must be a path, not empty"),
    ] {
        let said = stderr(&folder.run(&[&["serve"], &args[..]].concat()).code(2));
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn a_setting_out_of_its_bounds_stops_the_start_and_names_its_key() {
    let folder = Folder::new();
    for (variable, value, key) in [
        ("LOSTCARD_REGISTRY__LEASE_MS", "1", "registry.lease_ms"),
        ("LOSTCARD_REGISTRY__POLL_MS", "900", "registry.poll_ms"),
        ("LOSTCARD_TOKENS__LIFETIME_SECONDS", "5", "tokens.lifetime_seconds"),
        ("LOSTCARD_LOG", "loud", "log"),
        ("LOSTCARD_LIMITS__CLIENT", "600", "limits.client"),
        ("LOSTCARD_RETENTION__KEEP__SIGHTINGS", "3 years", "retention.keep.sightings"),
        ("LOSTCARD_REDIS_URL", "cache.example:6379", "redis_url"),
        ("LOSTCARD_REDIS_URL", "rediss://cache.example/#insecure", "redis_url"),
        (
            "LOSTCARD_ISSUERS",
            "[{issuer='x',audience='y',organizations=['01993c5e-0000-7000-8000-000000000000'],scopes=['checks'],jwks_url='http://login.example/jwks'}]",
            "issuers[0].jwks_url",
        ),
        (
            "LOSTCARD_ISSUERS",
            "[{issuer='x',audience='y',organizations=['01993c5e-0000-7000-8000-000000000000'],scopes=['checks'],jwks_url='https://a:pw@b.example/'}]",
            "issuers[0].jwks_url",
        ),
        (
            "LOSTCARD_ISSUERS",
            "[{issuer='x',audience='y',organizations=['01993c5e-0000-7000-8000-000000000000'],scopes=['checks'],jwks_url='file:///etc/passwd'}]",
            "issuers[0].jwks_url",
        ),
        ("LOSTCARD_ACCEPTANCE__PLACES", "[{region='4419',since='2016-06-30'}]", "acceptance.places"),
        ("LOSTCARD_RETENTION__KEEP__AUDIT", "30 days", "retention.keep.audit"),
        ("LOSTCARD_NO_SUCH_SETTING", "1", "no_such_setting"),
    ] {
        let output = folder.run_with(&["serve", "--listen", "127.0.0.1:0"], &[(variable, value)]).code(1);
        let said = stderr(&output);
        assert!(said.contains(key) && said.contains(variable), "{variable}: {said}");
        assert!(!said.contains("pw@") && said.lines().count() == 1, "{variable}: {said}");
    }
    assert!(!folder.path().join("lostcard-data").exists());
}

#[test]
fn a_written_document_is_current_until_it_is_changed() {
    let folder = Folder::new();
    folder.run(&["openapi", "--output", "openapi"]).success();
    folder.run(&["openapi", "--check", "openapi"]).success();
    for name in ["lostcard.json", "lostcard-3.0.json"] {
        let path = folder.path().join("openapi").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("lostcard", "lastcord")).unwrap();
        let said = stderr(&folder.run(&["openapi", "--check", "openapi"]).code(1));
        assert!(said.contains(name) && said.contains("is not current"), "{said}");
        std::fs::write(&path, text).unwrap();
    }
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let folder = Folder::new();
    let file = folder.write("lostcard.toml", "data = \"of-the-file\"");
    let make = ["keys", "init", "--store", "--config", &file];
    folder.run(&make).success();
    assert!(folder.path().join("of-the-file").is_dir());
    folder.run_with(&make, &[("LOSTCARD_DATA", "of-the-variable")]).success();
    assert!(folder.path().join("of-the-variable").is_dir());
    let with_flag = [make.as_slice(), &["--data", "of-the-flag"]].concat();
    folder.run_with(&with_flag, &[("LOSTCARD_DATA", "of-nobody")]).success();
    assert!(folder.path().join("of-the-flag").is_dir() && !folder.path().join("of-nobody").exists());
}

#[test]
fn a_store_that_is_down_is_told_with_its_address_and_not_as_busy() {
    let folder = Folder::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("postgres://lostcard:secret@{address}/lostcard");
    let said = stderr(&folder.run_with(&["client", "list"], &[("LOSTCARD_DATABASE_URL", &url)]).code(1));
    assert!(said.contains(&format!("the store at {address} is down: the connection was refused")), "{said}");
    assert!(!said.contains("secret") && !said.contains("busy"), "{said}");
}
