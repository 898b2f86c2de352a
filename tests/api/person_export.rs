//! `citizen export`: everything about one number, beside a running node, and nothing of others.

use std::io::Write;
use std::process::{Output, Stdio};

use lostcard::clock::Rfc3339;
use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::child;
use crate::helpers::{TestApp, eventually};

const PHONE: &str = "+86 138 0013 8000";
const STORY: &str = "somebody else showed it";

fn export(app: &TestApp, number: &str, args: &[&str]) -> Output {
    let mut command = child::command(&app.config.data);
    command.args(["citizen", "export"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{number}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn read(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn an_export_holds_what_is_held_about_the_person_and_nobody_else() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let body = with(report_of(&number, Some("2020-01-01")), "contact", json!({ "phone": PHONE }));
    let filed = app.post(&app.police.token, "/v1/loss-reports", &body).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let report_id = filed.json()["report_id"].clone();
    app.report_lost(&other, None).await;
    let check = app.check(&check_of(&number, Some("2020-01-01"))).await.json();
    assert_eq!(check["verdict"], "card_listed");
    let at = Rfc3339::of(app.clock.now_ms());
    let misuse = json!({
        "id_number": number, "kind": "impersonation", "observed_at": at.as_str(), "narrative": STORY,
    });
    assert_eq!(app.post(&app.hotel.token, "/v1/misuse-reports", &misuse).await.status, 201);

    eventually("the sighting is in the store", || async {
        read(&export(&app, &number, &[]))["records"]["sightings"].is_array()
    })
    .await;
    let found = read(&export(&app, &number, &["--as", "Wang Fang", "--reason", "asked by the person"]));
    let records = &found["records"];
    let reports = records["loss_reports"].as_array().unwrap();
    assert_eq!((reports.len(), &reports[0]["report_id"], &reports[0]["contact"]), (1, &report_id, &json!(PHONE)));
    assert!(reports[0]["reported_at"].as_str().unwrap().ends_with('Z'), "{}", reports[0]);
    assert_eq!(records["sightings"][0]["check_id"], check["check_id"]);
    assert_eq!(records["misuse_reports"][0]["narrative"], "(sealed)", "what others told is theirs");
    assert!(found["accesses"].as_array().unwrap().iter().any(|access| access["subject"] == report_id), "{found}");
    let text = found.to_string();
    for secret in [number.as_str(), &digest_of(&number), STORY, "lookup_key", "sealed_digest", "contact_key"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let later = read(&export(&app, &number, &[]));
    let exported = later["accesses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|access| access["action"] == "citizen_records_read" && access["person"] == "Wang Fang");
    assert_eq!(exported.unwrap()["reason"], "asked by the person", "an export is an access itself");

    let nobody = read(&export(&app, &random_number(), &[]));
    assert_eq!((&nobody["records"], &nobody["accesses"]), (&json!({}), &json!([])));
}

#[tokio::test]
async fn an_export_goes_into_a_new_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, None).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    let args = ["--output", path.to_str().unwrap()];
    let output = export(&app, &number, &args);
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(value["records"]["loss_reports"].as_array().unwrap().len(), 1);
    assert_eq!(export(&app, &number, &args).status.code(), Some(1), "an export is not written over");
    let refused = export(&app, "110105199001011234", &[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && !said.contains("110105"), "{said}");
}
