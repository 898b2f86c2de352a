//! `doctor` on a node that is well, and on nodes that are broken each in one way: each way has its own line, the exit code of its
//! kind and something to do, and nothing is changed or made by looking.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::looking::{assert_fault, certificate, checks, chmod, data, look, made, only_fault, published, tamper};
use crate::receiver::Receiver;
use crate::run::{Folder, stderr, stdout};
use crate::servers::free_address;
use crate::servers::process::run;
use crate::servers::shared;

/// Every file under a folder and what it holds.
fn files_of(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_look_leaves_every_file_as_it_is() {
    let folder = made();
    // As a copy by `VACUUM INTO` has it, and not as a start would set it.
    tamper(&folder, &["PRAGMA journal_mode = DELETE"]);
    let before = files_of(folder.path());
    let (code, said) = look(&folder, &[], &[]);
    assert_eq!((code, &said["state"]), (0, &json!("ok")), "{said:#}");
    assert!(files_of(folder.path()) == before, "a file has changed");
}

#[test]
fn a_fresh_folder_and_a_node_that_is_well_have_no_warning() {
    let folder = Folder::new();
    let (code, said) = look(&folder, &[], &[]);
    assert_eq!((code, &said["state"]), (0, &json!("ok")), "{said:#}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "looking makes nothing");

    let folder = made();
    let _node = published(&folder);
    let (code, said) = look(&folder, &[], &[]);
    assert_eq!((code, &said["state"]), (0, &json!("ok")), "{said:#}");
    let state = |name: &str| {
        let found: Vec<_> = checks(&said).into_iter().filter(|check| check["check"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {said:#}");
        assert_eq!(found[0]["state"] != "ok", found[0]["do"].as_str().unwrap() != "", "{found:?}");
        found[0]["state"].as_str().unwrap().to_owned()
    };
    for check in [
        "configuration",
        "data",
        "disk",
        "descriptors",
        "clock",
        "listen",
        "metrics_listen",
        "keys",
        "store",
        "migrations",
        "store_latency",
        "store_turn",
        "store_rows",
        "store_keys",
        "webhooks",
        "clients",
        "numbers",
        "uncounted",
        "listings",
        "log",
        "redis",
        "journal",
    ] {
        assert_eq!(state(check), "ok", "{check}");
    }
    for check in ["tls", "public_url", "witnesses", "audit_heads", "back_up"] {
        assert_eq!(state(check), "note", "{check}");
    }
}

#[test]
fn a_person_reads_a_line_for_each_and_what_to_do() {
    let folder = made();
    chmod(&data(&folder).join("keys/seal-1.key"), 0o644);
    let environment = [("LOSTCARD_LISTEN", "127.0.0.1:0"), ("LOSTCARD_METRICS_LISTEN", "127.0.0.1:0")];
    for args in [&["doctor"] as &[&str], &["serve", "--check"]] {
        let output = folder.run_with(args, &environment).code(3);
        let said = stdout(&output);
        let wrong: Vec<_> = said.lines().filter(|line| line.starts_with("wrong ")).collect();
        assert_eq!(wrong.len(), 1, "{said}");
        assert!(wrong[0].contains("seal-1.key can be read or changed by others (mode 644)"), "{said}");
        assert!(wrong[0].contains(" -> ") && wrong[0].contains("chmod 600"), "{said}");
        assert!(said.lines().last().unwrap().starts_with("not well: "), "{said}");
        assert_eq!(stderr(&output), "");
    }
    folder.run(&["doctor", "--no-such-flag"]).code(2);
    folder.run(&["serve", "--json"]).code(2);
}

#[test]
fn settings_that_cannot_be_taken_are_wrong() {
    let folder = made();
    let file = folder.write("lostcard.toml", "[default]\nlistn = \"x\"\n");
    let (code, said) = look(&folder, &["--config", &file], &[]);
    let (check, state, found) = only_fault(&said);
    assert_eq!((code, check.as_str(), state.as_str()), (3, "configuration", "wrong"));
    assert!(found.ends_with("line 2: unknown key `default.listn`; did you mean `listen`?"), "{found}");
    assert_eq!(checks(&said).len(), 1);
}

#[test]
fn folders_and_key_files_that_others_reach_are_found() {
    let folder = made();
    chmod(&data(&folder), 0o755);
    assert_fault(&folder, &[], "data", "warning", "mode 755");
    assert_eq!(
        std::fs::metadata(data(&folder)).unwrap().permissions().mode() & 0o777,
        0o755,
        "looking corrects nothing"
    );
    chmod(&data(&folder), 0o700);
    chmod(&data(&folder).join("keys"), 0o755);
    assert_fault(&folder, &[], "keys", "wrong", "keys can be read or changed by others (mode 755)");
    chmod(&data(&folder).join("keys"), 0o700);
    std::fs::write(data(&folder).join("keys/seal-1.key"), "AAAA").unwrap();
    let (code, said) = look(&folder, &[], &[]);
    assert_eq!(code, 3);
    assert!(checks(&said).iter().any(|check| check["check"] == "keys" && check["state"] == "wrong"), "{said:#}");
}

#[test]
fn keys_of_another_store_and_keys_that_are_gone_are_found() {
    let (folder, other) = (made(), made());
    let theirs = data(&other).join("keys");
    let keys = [("LOSTCARD_KEYS", theirs.to_str().unwrap())];
    assert_fault(&folder, &keys, "store_keys", "wrong", "not the keys that the store was made with");
    assert_fault(&folder, &[("LOSTCARD_KEYS", "nowhere")], "store_keys", "wrong", "keys that are not here");
}

#[test]
fn a_store_that_is_down_hangs_or_hangs_up_is_told_from_one_that_is_locked() {
    let folder = made();
    let refused = free_address();
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |address: SocketAddr| format!("postgres://lostcard:s3same@{address}/lostcard");
    for (address, how) in [(refused, "the connection was refused"), (hung.local_addr().unwrap(), "it does not answer")]
    {
        let (code, said) = look(&folder, &[], &[("LOSTCARD_DATABASE_URL", &url(address))]);
        let (check, state, found) = only_fault(&said);
        assert_eq!((code, check.as_str(), state.as_str()), (3, "store", "wrong"));
        assert_eq!(found, format!("the store at {address} is down: {how}"));
        assert!(!said.to_string().contains("s3same"));
    }

    let path = data(&folder).join("lostcard.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    sqlx::any::install_default_drivers();
    let mut other = runtime.block_on(sqlx::AnyConnection::connect(&format!("sqlite:{}", path.display()))).unwrap();
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).unwrap();
    assert_fault(&folder, &[], "store_turn", "warning", "the store is busy");
    let said = stderr(&folder.run(&["keys", "init", "--store"]).code(1));
    assert!(said.contains("busy") && !said.contains("is down") && !said.contains("schema"), "{said}");
    runtime.block_on(other.execute("ROLLBACK")).unwrap();
    assert_eq!(look(&folder, &[], &[]).0, 0);
}

#[test]
fn a_file_that_is_no_database_is_found() {
    let folder = made();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(data(&folder).join(format!("lostcard.db{end}")));
    }
    std::fs::write(data(&folder).join("lostcard.db"), vec![7; 8192]).unwrap();
    assert_fault(&folder, &[], "store", "wrong", "not a database");
}

#[test]
fn migrations_that_did_not_run_failed_or_are_not_known_are_found() {
    let folder = made();
    tamper(&folder, &["UPDATE _sqlx_migrations SET success = FALSE WHERE version = 5"]);
    assert_fault(&folder, &[], "migrations", "wrong", "0005 failed");
    tamper(&folder, &["UPDATE _sqlx_migrations SET success = TRUE, checksum = x'00' WHERE version = 5"]);
    assert_fault(&folder, &[], "migrations", "wrong", "0005 failed half-way, or ran with another text");
    tamper(&folder, &["DELETE FROM _sqlx_migrations WHERE version = 5"]);
    assert_fault(&folder, &[], "migrations", "warning", "0005 did not run yet");
    let folder = made();
    tamper(
        &folder,
        &[
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, x'00', 1)",
        ],
    );
    assert_fault(&folder, &[], "migrations", "warning", "9999 ran, which only a newer version knows");
}

#[test]
fn a_clock_that_is_behind_the_store_is_found() {
    let folder = made();
    tamper(&folder, &["UPDATE organizations SET created_at = created_at + 3600000"]);
    assert_fault(&folder, &[], "store_rows", "wrong", "has not come here yet");
}

#[test]
fn a_sandbox_and_a_production_are_told_apart() {
    let folder = made();
    let data = data(&folder);
    let environment = [("LOSTCARD_SANDBOX", "true"), ("LOSTCARD_DATA", data.to_str().unwrap())];
    let (code, said) = look(&folder, &[], &environment);
    assert_eq!(code, 3);
    for check in ["keys", "environment"] {
        assert!(checks(&said).iter().any(|it| it["check"] == check && it["state"] == "wrong"), "{said:#}");
    }
}

#[test]
fn a_client_with_scopes_that_it_may_not_have_is_found_with_its_command() {
    let folder = Folder::new();
    let organization = folder.organization();
    let client = folder.json(&["client", "create", "--organization", &organization, "--scope", "checks", "--json"]);
    let id = client["client_id"].as_str().unwrap();
    tamper(&folder, &["UPDATE clients SET scopes = 'checks registry'"]);
    assert_fault(&folder, &[], "clients", "warning", id);
    let (_, said) = look(&folder, &[], &[]);
    let fault = checks(&said).into_iter().find(|check| check["check"] == "clients").unwrap().clone();
    assert_eq!(fault["do"], format!("lostcard client update {id} --scope checks"));
}

#[test]
fn settings_that_protect_less_are_found() {
    assert_fault(&made(), &[("LOSTCARD_LIMITS__NUMBERS_MODE", "observe")], "numbers", "warning", "only count");
    assert_fault(&made(), &[("LOSTCARD_REGISTRY__EXACT_MIB", "0")], "listings", "warning", "by its time");
}

#[test]
fn clients_whose_numbers_nobody_counts_are_found() {
    let folder = Folder::new();
    let organization = folder.organization();
    let create = ["client", "create", "--organization", &organization, "--scope", "checks", "--json"];
    folder.json(&[&create[..], &["--numbers", "none"]].concat());
    assert_fault(&folder, &[], "uncounted", "warning", "nobody counts, and who may read the list: 1");
}

#[test]
fn certificates_that_end_and_keys_that_do_not_fit_are_found() {
    let folder = made();
    let (certificate_path, key) = certificate(&folder, "5");
    let tls = [("LOSTCARD_TLS__CERTIFICATE", certificate_path.as_str()), ("LOSTCARD_TLS__KEY", key.as_str())];
    assert_fault(&folder, &tls, "tls", "warning", "ends in");
    certificate(&folder, "90");
    assert_eq!(look(&folder, &[], &tls).0, 0);
    chmod(Path::new(&key), 0o644);
    assert_fault(&folder, &tls, "tls", "wrong", "mode 644");
    chmod(Path::new(&key), 0o600);
    let other = Folder::new();
    let (_, other_key) = certificate(&other, "90");
    let mixed = [tls[0], ("LOSTCARD_TLS__KEY", other_key.as_str())];
    assert_fault(&folder, &mixed, "tls", "wrong", "certificate and key");
    let ca = [tls[0], tls[1], ("LOSTCARD_TLS__CLIENT_CA", key.as_str())];
    assert_fault(&folder, &ca, "client_ca", "wrong", "no certificate");
}

#[test]
fn a_node_that_others_reach_without_tls_is_found() {
    let folder = made();
    let environment = [("LOSTCARD_LISTEN", "0.0.0.0:0"), ("LOSTCARD_PUBLIC_URL", "https://lostcard.example")];
    assert_fault(&folder, &environment, "tls", "warning", "without TLS");
    let proxied = [environment.as_slice(), &[("LOSTCARD_SERVER__TRUSTED_PROXIES", "[\"10.0.0.1\"]")]].concat();
    assert_eq!(look(&folder, &[], &proxied).0, 0);
    let unnamed = [environment[0], proxied[2]];
    assert_fault(&folder, &unnamed, "public_url", "warning", "none");
}

#[test]
fn addresses_that_cannot_be_listened_on_are_found() {
    let folder = made();
    // RFC 5737: nobody's.
    let proxies = ("LOSTCARD_SERVER__TRUSTED_PROXIES", "[\"10.0.0.1\"]");
    let environment = [("LOSTCARD_LISTEN", "192.0.2.1:8080"), ("LOSTCARD_PUBLIC_URL", "https://a.example"), proxies];
    assert_fault(&folder, &environment, "listen", "wrong", "no address of this machine");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said) = look(&folder, &[], &[("LOSTCARD_LISTEN", &other.local_addr().unwrap().to_string())]);
    let listen = checks(&said).into_iter().find(|check| check["check"] == "listen").unwrap();
    assert_eq!((code, &listen["state"]), (0, &json!("note")), "{said:#}");
}

#[test]
fn a_redis_that_does_not_answer_is_found() {
    let folder = made();
    let redis = shared::redis();
    assert_eq!(look(&folder, &[], &[("LOSTCARD_REDIS_URL", &redis.url())]).0, 0);
    let url = format!("redis://:s3same@{}", free_address());
    assert_fault(&folder, &[("LOSTCARD_REDIS_URL", &url)], "redis", "warning", "does not answer");
}

#[test]
fn endpoints_that_nobody_answers_at_are_found() {
    let folder = Folder::new();
    let organization = folder.organization();
    let receiver = Receiver::start(200);
    let for_tests = [("LOSTCARD_WEBHOOKS__INSECURE_LOOPBACK_FOR_TESTS", "true")];
    let add = |url: &str| {
        let args = ["webhook", "add", "--organization", &organization, "--url", url, "--json"];
        let output = folder.run_with(&args, &for_tests).success();
        let added: Value = serde_json::from_str(&stdout(&output)).unwrap();
        added["webhook_id"].as_str().unwrap().to_owned()
    };
    add(&receiver.url());
    assert_eq!(look(&folder, &[], &for_tests).0, 0);
    assert!(receiver.requests().iter().all(|request| request.starts_with("HEAD ")), "nothing is sent by looking");
    let dead = add(&format!("http://{}/", free_address()));
    assert_fault(&folder, &for_tests, "webhooks", "warning", &dead);
    folder.run(&["webhook", "disable", &dead]).success();
    let (code, said) = look(&folder, &[], &for_tests);
    assert_eq!(code, 0);
    assert!(checks(&said).iter().any(|check| check["check"] == "webhooks" && check["state"] == "note"), "{said:#}");
}

#[test]
fn keys_of_an_outside_issuer_that_cannot_be_read_are_found() {
    let folder = Folder::new();
    let organization = folder.organization();
    let issuer = format!(
        "[{{issuer='https://login.example',audience='y',organizations=['{organization}'],scopes=['checks'],jwks_file='nowhere.json'}}]"
    );
    assert_fault(&folder, &[("LOSTCARD_ISSUERS", &issuer)], "issuers", "wrong", "nowhere.json");
}

#[test]
fn sightings_that_nobody_moves_are_found() {
    let folder = made();
    let journal = data(&folder).join("sightings");
    std::fs::create_dir(&journal).unwrap();
    let segment = journal.join("node-0000000001");
    std::fs::write(&segment, vec![0; 2048]).unwrap();
    assert_eq!(look(&folder, &[], &[]).0, 0, "a moment ago is no fault");
    run(Command::new("touch").args(["-d", "10 minutes ago"]).arg(&segment));
    assert_fault(&folder, &[], "journal", "warning", "1 segments (2 KiB) wait for the store, the oldest for 10 min");
    std::fs::write(&segment, vec![0; 1 << 20]).unwrap();
    assert_fault(&folder, &[("LOSTCARD_SIGHTINGS__JOURNAL_MIB_MAX", "1")], "journal", "wrong", "it is full");
}

#[test]
fn too_few_descriptors_are_found() {
    let folder = made();
    let script = "ulimit -n 100 && exec \"$0\" doctor --json";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_lostcard")]).current_dir(folder.path()).env_clear();
    shell.env("LOSTCARD_LISTEN", "127.0.0.1:0").env("LOSTCARD_METRICS_LISTEN", "127.0.0.1:0");
    let output = shell.output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (check, state, found) = only_fault(&said);
    assert_eq!((output.status.code(), check.as_str(), state.as_str()), (Some(3), "descriptors", "wrong"));
    assert!(found.starts_with("100 descriptors leave 16"), "{found}");
}

#[test]
fn a_disk_that_is_nearly_full_is_found() {
    let folder = made();
    let mount = folder.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "none"]).arg(&mount));
    let (code, said) = look(&folder, &["--data", "small"], &[]);
    run(Command::new("umount").arg(&mount));
    let (check, state, found) = only_fault(&said);
    assert_eq!((code, check.as_str(), state.as_str()), (3, "disk", "wrong"));
    assert!(found.contains("MiB are free"), "{found}");
}

#[test]
fn a_node_on_postgresql_is_looked_at_too() {
    let folder = Folder::new();
    let url = shared::postgres().create_database();
    let environment = [("LOSTCARD_DATABASE_URL", url.as_str())];
    let (code, said) = look(&folder, &[], &environment);
    assert_eq!(code, 0, "{said:#}");
    folder.run_with(&["keys", "init", "--store"], &environment).success();
    let (code, said) = look(&folder, &[], &environment);
    assert_eq!(code, 0, "{said:#}");
    let clock = checks(&said).into_iter().find(|check| check["check"] == "store_clock").unwrap();
    assert_eq!(clock["state"], "ok", "{clock}");
    let place = checks(&said).into_iter().find(|check| check["check"] == "store").unwrap();
    assert!(place["found"].as_str().unwrap().starts_with("PostgreSQL at 127.0.0.1:"), "{place}");
}
