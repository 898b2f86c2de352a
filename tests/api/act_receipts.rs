//! Receipts of corrections and of the replacements that applications end with, against the registry log.

use lostcard::domain::registry_log::LogEpoch;
use serde_json::{Value, json};

use crate::auditor::{Auditor, rewrite};
use crate::bodies::{random_number, with};
use crate::helpers::{TestApp, eventually};
use crate::receipt_audits::{audited, blob, written};
use crate::registry_log::begin;

const RIGHT: &str = "2026-11-02";

/// A replacement that was recorded with a wrong start, and the answer to its correction.
async fn corrected(app: &TestApp, number: &str) -> Value {
    let replaced = app.replace(number, "2026-11-01").await.json();
    let path = format!("/v1/replacements/{}/correction", replaced["replacement_id"].as_str().unwrap());
    let answer = app.post(&app.police.token, &path, &json!({"card_valid_from": RIGHT, "office": "110105-03"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// An application whose new card starts on this day.
async fn issued(app: &TestApp, number: &str, start: &str) -> Value {
    let body = json!({"id_number": number, "applied_at_office": "110105-03", "household_office": "110105-03",
        "reason": "expired", "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false});
    let applied = app.post(&app.police.token, "/v1/replacement-applications", &body).await.json();
    let path = format!("/v1/replacement-applications/{}/issue", applied["application_id"].as_str().unwrap());
    let answer = app.post(&app.police.token, &path, &json!({"card_valid_from": start, "office": "110105-03"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn corrections_and_issues_have_receipts_that_the_log_bears_out() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let (one, other, today) = (random_number(), random_number(), app.clock.today().to_string());
    let (corrected, issued) = (corrected(&app, &one).await, issued(&app, &other, &today).await);
    for (answer, number, act, start) in
        [(&corrected, &one, "correction", RIGHT), (&issued, &other, "replacement", today.as_str())]
    {
        let asked = written(answer, number);
        let verified = app.verify_receipt(&with(asked.clone(), "card_valid_from", start)).await.json();
        assert_eq!((&verified["authentic"], &verified["opens"]), (&json!(true), &json!(true)), "{act}: {verified}");
        assert_eq!((&verified["act"], &verified["record_id"]), (&json!(act), &answer["replacement_id"]));
        assert_eq!(verified["registry_sequence"], answer["registry_sequence"]);
        assert_eq!(verified["organization"], json!(app.police.organization));
        assert_eq!(audited(&app, &auditor.by, &asked).await["outcome"], "consistent");
        Auditor::expect(&auditor.judge(&app, &asked).await, 0, "consistent");
    }
    let id = issued["application_id"].as_str().unwrap();
    let read = app.get(&app.police.token, &format!("/v1/replacement-applications/{id}")).await.json();
    assert!(read.get("report_receipt").is_none() && read.get("report_receipt_salt").is_none(), "in one answer alone");
}

#[tokio::test]
async fn a_correction_that_was_taken_out_of_the_log_is_shown() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let number = random_number();
    let corrected = corrected(&app, &number).await;
    let at = corrected["registry_sequence"].as_u64().unwrap();
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
    eventually("the log is signed once more", async || {
        let head = app.store.log_head(Some(LogEpoch::new(1))).await.unwrap().unwrap();
        head.size > 0 && head.sequence() == app.store.head().await.unwrap()
    })
    .await;
    let auditor = Auditor::of(&app).await;
    let judged = auditor.judge(&app, &written(&corrected, &number)).await;
    Auditor::expect(&judged, 10, "contradicted");
    assert!(judged.evidence.unwrap().contains("correction"));
}
