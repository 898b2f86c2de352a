//! Receipts against the registry log: what they name of it, receipts of writes, and audits, by the service and by the command, of a
//! store that is as it was and of one that somebody has rewritten. What contradicts is verified by a second program.

use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::receipt::parse_checkpoint;
use lostcard::crypto::signing::{base64url, from_base64url};
use lostcard::crypto::tlog::tree::{is_included, leaf_hash, root};
use lostcard::crypto::tlog::{Checkpoint, Note};
use lostcard::domain::registry_log::LogEpoch;
use lostcard::wiping::spawn_wiped;
use serde_json::{Value, json};

use crate::auditor::{Auditor, rewrite, second_program};
use crate::bodies::{check_of, digest_bytes, random_number, report_of, with};
use crate::helpers::{TestApp, TestClient, eventually};
use crate::registry_log::{begin, grow, signed};

const FIRST: LogEpoch = LogEpoch::new(1);
pub(crate) const LOST: &str = "2016-05-01";
pub(crate) const AUDIT: &str = "/v1/receipts/audit";

pub(crate) fn opening(receipt: &Value, salt: &Value, number: &str) -> Value {
    json!({"receipt": receipt, "receipt_salt": salt, "id_number": number})
}

/// A check's receipt with what opens it.
pub(crate) async fn checked(app: &TestApp, number: &str, start: Option<&str>) -> Value {
    let answer = app.check(&check_of(number, start)).await.json();
    opening(&answer["receipt"], &answer["receipt_salt"], number)
}

/// That of a write.
pub(crate) fn written(answer: &Value, number: &str) -> Value {
    opening(&answer["report_receipt"], &answer["report_receipt_salt"], number)
}

pub(crate) async fn audited(app: &TestApp, by: &TestClient, asked: &Value) -> Value {
    signed(app).await;
    let answer = app.post(&by.token, AUDIT, asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn heads_name_a_checkpoint_that_the_log_begins_with() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    eventually("receipts name a checkpoint", async || {
        let asked = checked(&app, &number, Some(LOST)).await;
        app.verify_receipt(&asked).await.json().get("checkpoint").is_some()
    })
    .await;
    let verified = app.verify_receipt(&checked(&app, &number, Some(LOST)).await).await.json();
    let (size, wanted) = parse_checkpoint(verified["checkpoint"].as_str().unwrap()).unwrap();
    let head = app.store.log_head(Some(FIRST)).await.unwrap().unwrap();
    let leaves: Vec<_> = app.store.log_entries(FIRST, head.s0, size).await.unwrap();
    assert_eq!(root(&leaves.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>()), wanted);
    assert!(head.s0.get() + size <= verified["registry_sequence"].as_u64().unwrap(), "of no time after the verdict");
}

#[tokio::test]
async fn writes_have_receipts_and_repetitions_the_same() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let first = app.report_once("a-key", &report_of(&number, Some(LOST))).await.json();
    let again = app.report_once("a-key", &report_of(&number, Some(LOST))).await.json();
    assert_eq!(first, again);
    assert!(first["report_receipt_salt"].is_string(), "{first}");
    let withdrawn = app.withdraw(first["report_id"].as_str().unwrap()).await.json();
    let replaced_number = random_number();
    let replaced = app.replace(&replaced_number, "2026-11-01").await.json();
    let online_number = random_number();
    let online = json!({"id_number": online_number, "card_valid_from": LOST, "reason": "lost"});
    let online = app.post(&portal.token, "/v1/citizen/loss-reports", &online).await.json();
    let path = format!("/v1/citizen/loss-reports/{}/withdrawal", online["report_id"].as_str().unwrap());
    let taken = app.post(&portal.token, &path, &json!({"id_number": online_number, "reason": "found"})).await.json();
    let found_number = random_number();
    let lost = app.report_lost(&found_number, Some(LOST)).await;
    let card = json!({"id_number": found_number, "card_valid_from": LOST, "found_on": app.clock.today().to_string(),
        "found_at_region": "110105", "office": "110105-03"});
    let card = app.post(&app.police.token, "/v1/found-cards", &card).await.json();
    let path = format!("/v1/found-cards/{}/return", card["found_card_id"].as_str().unwrap());
    let back = json!({"office": "110105-03", "holder_verified_by": "face"});
    let returned = app.post(&app.police.token, &path, &back).await.json();
    for (answer, number, act, record, start, organization) in [
        (&first, &number, "report", &first["report_id"], LOST, app.police.organization),
        (&withdrawn, &number, "withdrawal", &first["report_id"], LOST, app.police.organization),
        (
            &replaced,
            &replaced_number,
            "replacement",
            &replaced["replacement_id"],
            "2026-11-01",
            app.police.organization,
        ),
        (&online, &online_number, "report", &online["report_id"], LOST, portal.organization),
        (&taken, &online_number, "withdrawal", &online["report_id"], LOST, portal.organization),
        (&returned, &found_number, "withdrawal", &lost["report_id"], LOST, app.police.organization),
    ] {
        let verified = app.verify_receipt(&with(written(answer, number), "card_valid_from", start)).await.json();
        assert_eq!(
            (&verified["authentic"], &verified["opens"]),
            (&json!(true), &json!(true)),
            "{act}: {verified} {answer}"
        );
        assert_eq!((&verified["act"], &verified["record_id"]), (&json!(act), record));
        assert_eq!(verified["organization"], json!(organization));
        if let Some(sequence) = answer.get("registry_sequence") {
            assert_eq!(&verified["registry_sequence"], sequence);
        }
    }
    assert!(app.read_report(first["report_id"].as_str().unwrap()).await.json().get("report_receipt").is_none());
    let salt = first["report_receipt_salt"].as_str().unwrap();
    assert!(
        !crate::needles::holds(&crate::backend::database_files(&app.config.data), salt.as_bytes()),
        "it is stored nowhere"
    );
}

#[tokio::test]
async fn without_a_log_receipts_name_none_and_writes_have_none() {
    let app = TestApp::spawn_with(|config| config.blind.enabled = false).await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    assert_eq!((report.get("report_receipt"), report.get("report_receipt_salt")), (None, None));
    let asked = checked(&app, &number, Some(LOST)).await;
    assert_eq!(app.verify_receipt(&asked).await.json().get("checkpoint"), None);
    app.post(&app.hotel.token, AUDIT, &asked).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_service_shows_what_its_log_has_of_a_receipt() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = app.add_client("audit", None).await;
    let (number, other) = (random_number(), random_number());
    let unlisted = checked(&app, &number, Some(LOST)).await;
    let report = app.report_lost(&number, Some(LOST)).await;
    let listed = checked(&app, &number, Some(LOST)).await;
    let never = checked(&app, &other, None).await;
    for (asked, entries, has_base) in
        [(&unlisted, 0, true), (&listed, 1, true), (&never, 0, true), (&written(&report, &number), 1, true)]
    {
        let told = audited(&app, &auditor, asked).await;
        assert_eq!((&told["outcome"], &told["complete"]), (&json!("consistent"), &json!(false)), "{told}");
        assert_eq!(
            (told["entries"].as_array().unwrap().len(), told.get("base").is_some()),
            (entries, has_base),
            "{told}"
        );
        let checkpoint = Note::parse(told["checkpoint"].as_str().unwrap()).unwrap();
        let checkpoint = Checkpoint::parse(checkpoint.text()).unwrap();
        for entry in told["entries"].as_array().unwrap() {
            let bytes = |text: &Value| from_base64url(text.as_str().unwrap()).unwrap();
            let path: Vec<_> =
                entry["path"].as_array().unwrap().iter().map(|it| bytes(it).try_into().unwrap()).collect();
            let (leaf, index) = (leaf_hash(&bytes(&entry["entry"])), entry["index"].as_u64().unwrap());
            assert!(is_included(&leaf, index, checkpoint.size, &path, &checkpoint.root), "{told}");
        }
    }
    let refused = async |asked: Value| {
        let errors = app.post(&app.hotel.token, AUDIT, &asked).await;
        assert_eq!(errors.status, 422, "{}", errors.text);
        errors.field_errors()
    };
    let said = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(refused(with(listed.clone(), "id_number", other)).await, said("/receipt_salt", "does_not_open"));
    assert_eq!(refused(with(listed.clone(), "receipt", "a~b")).await, said("/receipt", "malformed_receipt"));
    assert_eq!(refused(with(listed.clone(), "receipt_salt", "AA")).await, said("/receipt_salt", "malformed_salt"));
    let foreign = TestApp::spawn().await;
    let foreign = checked(&foreign, &number, None).await;
    assert_eq!(refused(foreign).await, said("/receipt", "not_authentic"));
    app.post(&app.police.token, AUDIT, &listed).await.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn an_auditor_finds_true_receipts_consistent() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let (number, other) = (random_number(), random_number());
    let never = checked(&app, &other, None).await;
    let report = app.report_lost(&number, Some(LOST)).await;
    let listed = checked(&app, &number, Some(LOST)).await;
    let withdrawn = app.withdraw(report["report_id"].as_str().unwrap()).await.json();
    let again = checked(&app, &number, Some(LOST)).await;
    for asked in [&never, &written(&report, &number), &listed, &written(&withdrawn, &number), &again] {
        audited(&app, &auditor.by, asked).await;
        Auditor::expect(&auditor.judge(&app, asked).await, 0, "consistent");
    }
    // Kept bundles are read once more, and what was kept is of this log.
    grow(&app, 600).await;
    signed(&app).await;
    let late = checked(&app, &number, Some(LOST)).await;
    for _ in 0..2 {
        audited(&app, &auditor.by, &late).await;
        Auditor::expect(&auditor.judge(&app, &late).await, 0, "consistent");
    }
    assert!(auditor.path("log/1-entries-1").exists());
    let told = auditor.judge(&app, &written(&report, &number)).await.said;
    assert_eq!(
        told["last_entry"],
        json!({"registry_sequence": withdrawn["registry_sequence"], "verdict": "not_listed"})
    );
    let not_its = auditor.judge(&app, &with(late, "id_number", other)).await;
    assert_eq!((not_its.code, not_its.evidence), (Some(1), None), "{}", not_its.said);
}

#[tokio::test]
async fn a_report_that_was_removed_by_hand_is_shown() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    rewrite(&app, &["DELETE FROM loss_reports".to_owned()]).await;
    let app = app.restart(async |config| std::fs::remove_dir_all(config.data.join("snapshot")).unwrap()).await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let asked = checked(&app, &number, Some(LOST)).await;
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed", "what the store says by now");
    assert_eq!(audited(&app, &auditor.by, &asked).await["outcome"], "contradicted");
    let judged = auditor.judge(&app, &asked).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("the log says card_listed"));
}

#[tokio::test]
async fn a_verdict_that_was_changed_by_hand_is_shown() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    rewrite(&app, &["UPDATE loss_reports SET card_valid_from = '2010-01-01'".to_owned()]).await;
    let app = app.restart(async |config| std::fs::remove_dir_all(config.data.join("snapshot")).unwrap()).await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let asked = checked(&app, &number, Some(LOST)).await;
    audited(&app, &auditor.by, &asked).await;
    let judged = auditor.judge(&app, &asked).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("the receipt other_card_listed"));
    // The second program takes no evidence that was made up.
    let evidence: Value = serde_json::from_slice(&std::fs::read(auditor.path("evidence.json")).unwrap()).unwrap();
    let mut fewer = evidence.clone();
    let entries = from_base64url(evidence["logs"][0]["entries"].as_str().unwrap()).unwrap();
    fewer["logs"][0]["entries"] = json!(base64url(&entries[..entries.len() - 22]));
    let s0 = evidence["s0"].as_u64().unwrap();
    for (forged, why) in [
        (fewer, "the entries are not those of the checkpoint"),
        (with(evidence.clone(), "card_valid_from", "2009-01-01"), "not about this number and card"),
        (with(evidence.clone(), "s0", s0 + 1000), "the log began elsewhere"),
        (with(evidence.clone(), "public_key", evidence["element"].clone()), "the key is not that of the log"),
        (with(evidence.clone(), "element", evidence["public_key"].clone()), "not evaluated by this key"),
    ] {
        auditor.write("evidence.json", &forged.to_string());
        let said = second_program(&auditor.path("evidence.json"), &auditor.path("jwks.json"), None);
        assert!(said.starts_with("NOT SHOWN: ") && said.contains(why), "{said}");
    }
}

/// Bytes as the store's SQL has them.
pub(crate) fn blob(hex: &str) -> String {
    if crate::backend::is_postgres() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
}

#[tokio::test]
async fn a_listing_that_nobody_reported_is_shown() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let (reported, number) = (random_number(), random_number());
    app.report_lost(&reported, Some(LOST)).await;
    let key = app.keyring.newest_pepper().unwrap().lookup_key(&IdDigest::from_bytes(digest_bytes(&number)));
    rewrite(&app, &[format!("UPDATE loss_reports SET lookup_key = {}", blob(&hex::encode(key.as_bytes())))]).await;
    let app = app.restart(async |config| std::fs::remove_dir_all(config.data.join("snapshot")).unwrap()).await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let asked = checked(&app, &number, Some(LOST)).await;
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed", "what the store says by now");
    assert_eq!(audited(&app, &auditor.by, &asked).await["outcome"], "contradicted");
    let judged = auditor.judge(&app, &asked).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("neither log nor base know the number"));
}

#[tokio::test]
async fn receipts_of_an_ended_log_and_of_its_successor_are_audited() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let report = app.report_lost(&number, Some(LOST)).await;
    signed(&app).await;
    let before = checked(&app, &number, Some(LOST)).await;
    let data = app.config.data.clone();
    let done = spawn_wiped(move || crate::child::run(&data, &["keys", "rotate", "--blind"])).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // The head of this one still names the log before.
    let at_once = checked(&app, &number, Some(LOST)).await;
    eventually("the next key has its base", async || {
        let keys = app.store.blind_keys().await.unwrap();
        keys.keys.first().is_some_and(|key| key.epoch == 2 && key.base.is_some())
    })
    .await;
    let later = checked(&app, &number, Some(LOST)).await;
    eventually("the next log is signed", async || {
        let head = app.store.log_head(None).await.unwrap().unwrap();
        head.epoch == LogEpoch::new(2) && head.sequence() == app.store.head().await.unwrap()
    })
    .await;
    for asked in [&before, &written(&report, &number), &at_once, &later] {
        let told = app.post(&auditor.by.token, AUDIT, asked).await.json();
        assert_eq!(told["outcome"], "consistent", "{told}");
        Auditor::expect(&auditor.judge(&app, asked).await, 0, "consistent");
    }
}

#[tokio::test]
async fn two_views_of_one_sequence_are_shown() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let (number, other) = (random_number(), random_number());
    let report = app.report_lost(&number, Some(LOST)).await;
    let at = report["registry_sequence"].as_u64().unwrap();
    signed(&app).await;
    eventually("a receipt names a checkpoint with the report", async || {
        let verified = app.verify_receipt(&checked(&app, &other, None).await).await.json();
        let named = verified.get("checkpoint").and_then(|it| parse_checkpoint(it.as_str().unwrap()));
        let s0 = app.store.log_head(Some(FIRST)).await.unwrap().unwrap().s0.get();
        named.is_some_and(|(size, _)| s0 + size >= at)
    })
    .await;
    let before = checked(&app, &other, None).await;
    let auditor = Auditor::of(&app).await;
    audited(&app, &auditor.by, &before).await;
    Auditor::expect(&auditor.judge(&app, &before).await, 0, "consistent");
    // Another leaf in the place of the report's, and the whole log made and signed once more.
    let zeros = blob(&format!("01{}", "00".repeat(19)));
    rewrite(
        &app,
        &[
            format!("UPDATE log_leaves SET entry = {zeros} WHERE seq = {at}"),
            "DELETE FROM log_tiles".to_owned(),
            "UPDATE log_head SET size = 0, note = ''".to_owned(),
        ],
    )
    .await;
    let reaches = async || {
        let head = app.store.log_head(Some(FIRST)).await.unwrap().unwrap();
        head.size > 0 && head.sequence() == app.store.head().await.unwrap()
    };
    eventually("the log is signed once more", reaches).await;
    let judged = auditor.judge(&app, &before).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("that do not continue each other"));
    // One who has seen nothing before has the receipts alone.
    let fresh = Auditor::of(&app).await;
    let judged = fresh.judge(&app, &before).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("the checkpoint that the receipt names"));
    let judged = fresh.judge(&app, &written(&report, &number)).await;
    Auditor::expect(&judged, 10, "contradicted");
}
