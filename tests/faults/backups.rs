//! A store that is lost and comes back from a back-up: made while a node takes reports, restored elsewhere, and compared with what it
//! was made of. On both databases.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use lostcard::wiping::spawn_wiped;
use serde_json::{Value, json};

use crate::bodies::random_number;
use crate::servers::node::{Node, command};
use crate::servers::shared;
use crate::servers::tables::{Columns, Tables};
use crate::service::{ISSUER, Service, until};

const WRITERS: usize = 4;
/// Made by age-keygen for this test.
const RECIPIENT: &str = "age1sm75elsudy6c53uf36q7r0080nyw0k0p4j8d3d7enks9g2z0mfxspnk43u";
const IDENTITY: &str = "AGE-SECRET-KEY-1XJVH359LGP8YGQQ5NH3VG8LM825F6ARW3K4WARLKCLR9N5NQY9GS4R8M7X";

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_under_load_comes_back_as_a_prefix_of_the_feed_on_sqlite() {
    comes_back_as_a_prefix(None, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_under_load_comes_back_as_a_prefix_of_the_feed_on_postgresql() {
    let (from, to) = (shared::postgres().create_database(), shared::postgres().create_database());
    comes_back_as_a_prefix(Some(&from), Some(&to)).await;
}

async fn comes_back_as_a_prefix(from: Option<&str>, to: Option<&str>) {
    let mut service = Service::new(from);
    let node = service.start().await;
    let folder = tempfile::tempdir().unwrap();
    let (back_up, restored_data) = (folder.path().join("back-up"), folder.path().join("restored"));
    let seen = service.report_lost(&node).await;
    let receipts = [(service.check(&node, &seen).await.body, seen), {
        let number = random_number();
        (service.check(&node, &number).await.body, number)
    }];
    let saved = service.data("first").join("snapshot");
    until("the node has saved what it holds", || std::fs::read_dir(&saved).is_ok_and(|files| files.count() > 0)).await;

    // Writers file reports before, during and after the back-up.
    let (filed, is_enough) = ([const { Mutex::new(Vec::<String>::new()) }; WRITERS], AtomicBool::new(false));
    let count = || filed.iter().map(|of| of.lock().unwrap().len()).sum::<usize>();
    let writing = join_all(filed.iter().map(|of| async {
        while !is_enough.load(Ordering::Relaxed) {
            let number = service.report_lost(&node).await;
            of.lock().unwrap().push(number);
        }
    }));
    let backing_up = async {
        until("reports before the back-up", || count() >= 20).await;
        let before = filed.each_ref().map(|of| of.lock().unwrap().len());
        let mut command = command(&service.data("first"));
        command.args(["backup", "--json", "--keys-for", RECIPIENT]).arg(&back_up);
        set_url(&mut command, from);
        let made = spawn_wiped(move || json_of(&mut command)).await.unwrap();
        let after = count();
        until("reports after the back-up", || count() >= after + 20).await;
        is_enough.store(true, Ordering::Relaxed);
        (made, before)
    };
    let (_, (made, before)) = tokio::join!(writing, backing_up);
    let sequence: i64 = made["sequence"].as_i64().unwrap();

    let identity = folder.path().join("identity.txt");
    std::fs::write(&identity, IDENTITY).unwrap();
    close_to_others(&identity);
    let mut restoring = command(&restored_data);
    restoring.args(["restore", "--json"]).arg(&back_up).arg("--identity").arg(&identity);
    // One of two servers: the other has no address.
    let of_two =
        to.map(|url| url.rsplit_once('/').map(|(server, name)| format!("{server},gone.invalid:5432/{name}")).unwrap());
    set_url(&mut restoring, of_two.as_deref());
    let restored = json_of(&mut restoring);
    assert_eq!((&restored["sequence"], &restored["old_epoch"]), (&made["sequence"], &made["epoch"]));
    assert_ne!(restored["old_epoch"], restored["new_epoch"]);

    // Row by row what the store held at one moment, and nothing of later.
    let embedded = |data: &Path| format!("sqlite:{}", data.join("lostcard.db").display());
    let mut original = Tables::of(&from.map_or_else(|| embedded(&service.data("first")), str::to_owned)).await;
    let mut copy = Tables::of(&to.map_or_else(|| embedded(&restored_data), str::to_owned)).await;
    assert_is_prefix(&mut original, &mut copy, sequence).await;
    for table in ["organizations", "clients", "client_credentials", "key_checks", "environment", "service"] {
        let rows = async |tables: &mut Tables| tables.rows(table).await.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(rows(&mut original).await, rows(&mut copy).await, "{table}");
    }
    let (whole, part) = (original.rows("audit").await, copy.rows("audit").await);
    assert!(part.iter().all(|entry| whole.contains(entry)), "the audit log is a part of the store's");
    assert!(copy.rows("nodes").await.is_empty(), "no node of then is waited for");
    let listed_rows = copy.rows("loss_reports").await.len();
    let mut verifying = command(&restored_data);
    verifying.args(["audit", "verify", "--json"]);
    set_url(&mut verifying, to);
    assert_eq!(json_of(&mut verifying)["entries"].as_u64().unwrap(), part.len() as u64);

    // What a node of the lost store remembered lies there, and is not taken for this store's.
    let old = restored_data.join("snapshot");
    std::fs::create_dir(&old).unwrap();
    for file in std::fs::read_dir(&saved).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), old.join(file.file_name())).unwrap();
    }
    let again = Node::start_with(&restored_data, |command| {
        command.args(["--public-url", ISSUER]);
        set_url(command, to);
    });
    let log = again.log();
    assert!(log.contains("this registry was restored from a back-up"), "{log}");
    assert!(log.contains("from before the store's epoch"), "the saved file is refused: {log}");
    service.get_tokens(&again).await;
    let mut listed = 1;
    for (of, before) in filed.iter().zip(before) {
        let numbers = of.lock().unwrap().clone();
        let mut found = Vec::new();
        for number in &numbers {
            found.push(service.check(&again, number).await.word() == "number_listed");
        }
        let known = found.iter().filter(|is_listed| **is_listed).count();
        assert!(found[..known].iter().all(|is_listed| *is_listed), "a prefix of what each writer filed: {found:?}");
        assert!(known >= before, "what was confirmed before the back-up is in it");
        listed += known;
    }
    assert_eq!(listed, listed_rows, "checks find what is there, and nothing that only the lost store held");
    for (check, number) in &receipts {
        let body = json!({"receipt": check["receipt"], "receipt_salt": check["receipt_salt"], "id_number": number});
        let verified = service.post(&again, &service.hotel, "/v1/receipts/verify", &body).await;
        assert_eq!((verified.status, &verified.body["authentic"]), (200, &json!(true)), "{verified:?}");
    }
    let number = service.report_lost(&again).await;
    Service::assert_listed(&service.check(&again, &number).await);
    assert_eq!(service.check(&node, &number).await.word(), "not_listed", "they are two stores");
    assert!(again.terminate().success() && node.terminate().success());
}

/// Whether a copy holds the rows up to a sequence as they are, and no other.
async fn assert_is_prefix(original: &mut Tables, copy: &mut Tables, sequence: i64) {
    for (table, place) in [("feed", "seq"), ("loss_reports", "sequence")] {
        let is_of_then = |row: &Columns| row[place].as_ref().unwrap().parse::<i64>().unwrap() <= sequence;
        let expected: BTreeSet<_> = original.rows(table).await.into_iter().filter(is_of_then).collect();
        let found: BTreeSet<_> = copy.rows(table).await.into_iter().collect();
        assert!(expected.len() >= 20 && expected == found, "{table}: {} and {}", expected.len(), found.len());
    }
}

/// A restore goes into a database that is empty, and leaves any other as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_of_postgresql_goes_into_an_empty_database_only() {
    let (from, to) = (shared::postgres().create_database(), shared::postgres().create_database());
    let service = Service::new(Some(&from));
    let folder = tempfile::tempdir().unwrap();
    let back_up = folder.path().join("back-up");
    service.run(&["backup", "--json", back_up.to_str().unwrap()]);
    let restore = |url: Option<&str>, code: i32, why: &str| {
        let mut restoring = command(&folder.path().join("restored"));
        restoring.arg("restore").arg(&back_up);
        set_url(&mut restoring, url);
        let output = restoring.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(why), "{said}");
        assert_eq!(folder.path().join("restored").exists(), code == 0);
    };
    restore(None, 2, "empty database");
    restore(Some(&from), 2, "not empty");
    let rows = back_up.join("feed_head.rows");
    let text = std::fs::read(&rows).unwrap();
    std::fs::write(&rows, b"").unwrap();
    restore(Some(&to), 65, "feed_head.rows is not what was written");
    std::fs::write(&rows, text).unwrap();
    restore(Some(&to), 0, "");
}

fn set_url(command: &mut Command, url: Option<&str>) {
    command.envs(url.map(|url| ("LOSTCARD_DATABASE_URL", url)));
}

#[track_caller]
fn json_of(command: &mut Command) -> Value {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn close_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
