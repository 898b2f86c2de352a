//! Who looked at a person's records: told to the person by a portal, and to the operator by the command line, whatever pepper the
//! records are keyed by.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of};
use crate::child;
use crate::deeds::{There, perform};
use crate::helpers::{TestApp, TestClient};

async fn page(app: &TestApp, portal: &TestClient, body: &Value) -> (Vec<String>, Option<String>) {
    let answer = app.post(&portal.token, "/v1/citizen/accesses", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let actions =
        answer["accesses"].as_array().unwrap().iter().map(|access| access["action"].as_str().unwrap().to_owned());
    (actions.collect(), answer["next_cursor"].as_str().map(str::to_owned))
}

/// `audit who`, with a number on its standard input.
fn who(app: &TestApp, number: &str, args: &[&str]) -> Output {
    let mut command = child::command(&app.config.data);
    command.args(["audit", "who"]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{number}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn actions(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["accesses"].as_array().unwrap().iter().map(|access| access["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_person_learns_who_looked_and_pages_lead_to_the_first_act() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let (number, other) = (random_number(), random_number());
    let report = app.report_lost(&number, None).await;
    let path = format!("/v1/loss-reports/{}", report["report_id"].as_str().unwrap());
    app.get(&app.police.token, &path).await;
    app.post(&app.police.token, "/v1/loss-reports/search", &json!({ "id_number": number })).await;
    app.post(&app.police.token, "/v1/loss-reports/search", &json!({ "id_number": other })).await;
    // Neither is told: a check leaves a sighting at most, and what others report goes to the police alone.
    app.check(&check_of(&number, None)).await;
    let observed_at = lostcard::clock::Rfc3339::of(app.clock.now_ms());
    let misuse = json!({"id_number": number, "kind": "altered_card", "observed_at": observed_at.as_str()});
    assert_eq!(app.post(&app.hotel.token, "/v1/misuse-reports", &misuse).await.status, 201);
    app.post(&portal.token, "/v1/citizen/records", &json!({ "id_number": number })).await;
    let all = ["citizen_records_read", "reports_searched", "report_read", "report_filed"];
    let (found, cursor) = page(&app, &portal, &json!({ "id_number": number })).await;
    assert_eq!((found, cursor), (all.map(str::to_owned).to_vec(), None));
    let (mut seen, mut body) = (Vec::new(), json!({"id_number": number, "limit": 2}));
    loop {
        let (found, cursor) = page(&app, &portal, &body).await;
        assert!(found.len() <= 2);
        seen.extend(found.into_iter().filter(|action| action != "accesses_read"));
        let Some(cursor) = cursor else { break };
        body["cursor"] = json!(cursor);
    }
    assert_eq!(seen, all, "the question itself is an access, and comes before them");
    let answer = app.post(&portal.token, "/v1/citizen/accesses", &json!({"id_number": number, "limit": 1000})).await;
    let filed = answer.json()["accesses"].as_array().unwrap().last().unwrap().clone();
    let mut members: Vec<_> = filed.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["action", "at", "organization_kind", "organization_name"]);
    assert_eq!(filed["organization_kind"], "registrar");
    let (found, _) = page(&app, &portal, &json!({ "id_number": random_number() })).await;
    assert_eq!(found, [] as [String; 0]);
}

#[tokio::test]
async fn what_is_no_page_of_accesses_is_refused() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    for (member, value, pointer, code) in [
        ("limit", json!(0), "/limit", "out_of_range"),
        ("limit", json!(1001), "/limit", "out_of_range"),
        ("limit", json!(-1), "/limit", "out_of_range"),
        ("cursor", json!("x"), "/cursor", "malformed_cursor"),
    ] {
        let mut body = json!({ "id_number": number });
        body[member] = value;
        let errors = app.post(&portal.token, "/v1/citizen/accesses", &body).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    let body = json!({"id_number": number, "limit": "1"});
    app.post(&portal.token, "/v1/citizen/accesses", &body).await.problem(400, "malformed_json");
    app.post("", "/v1/citizen/accesses", &json!({ "id_number": number })).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn an_operator_learns_more_than_the_person_over_the_same_pages() {
    let app = TestApp::spawn().await;
    let (portal, operator) = (app.add_client("citizen", None).await, app.add_client("admin", None).await);
    let there = There::prepare(&app).await;
    let by_command_line = who(&app, &there.number, &["--as", "Wang Fang", "--reason", "asked by the person"]);
    assert!(by_command_line.status.success());
    let asked = json!({"id_number": there.number, "limit": 1});
    let first = app.post(&operator.token, "/v1/admin/accesses", &asked).await.json();
    let by_hand = &first["accesses"][0];
    assert_eq!((&by_hand["action"], &by_hand["person"]), (&json!("accesses_read"), &json!("Wang Fang")));
    assert_eq!((&by_hand["reason"], by_hand.get("client_id")), (&json!("asked by the person"), None));
    let next = json!({"id_number": there.number, "cursor": first["next_cursor"]});
    let rest = app.post(&operator.token, "/v1/admin/accesses", &next).await.json();
    let rest = rest["accesses"].as_array().unwrap();
    let actions: Vec<_> = rest.iter().map(|access| access["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"misuse_reported") && actions.last() == Some(&"report_filed"), "{actions:?}");
    let filed = rest.last().unwrap();
    assert_eq!(filed["client_id"], json!(app.police.client_id));
    assert_eq!(filed["organization_id"], json!(app.police.organization));
    assert_eq!(filed["origin"], "loopback");
    // Both questions are entries of the operator's client, before which nothing was told.
    let told = app.post(&operator.token, "/v1/admin/accesses", &asked).await.json();
    assert_eq!(told["accesses"][0]["client_id"], json!(operator.client_id));
    // A page of the portal's list is none of this one.
    let portals = app.post(&portal.token, "/v1/citizen/accesses", &asked).await.json();
    let wrong = json!({"id_number": there.number, "cursor": portals["next_cursor"]});
    let errors = app.post(&operator.token, "/v1/admin/accesses", &wrong).await.field_errors();
    assert_eq!(errors, [("/cursor".to_owned(), "malformed_cursor".to_owned())]);
}

#[tokio::test]
async fn the_operator_learns_of_clients_and_persons_and_is_in_the_log() {
    let app = TestApp::spawn().await;
    let there = There::prepare(&app).await;
    for path in ["/v1/loss-reports/search", "/v1/citizen/records"] {
        perform(&app, &there, "post", path).await;
    }
    let found = who(&app, &there.number, &["--json", "--as", "Wang Fang", "--reason", "asked by the person"]);
    let actions_of = actions(&found);
    assert_eq!(actions_of[..2], ["citizen_records_read", "reports_searched"]);
    assert!(actions_of.iter().any(|action| action == "misuse_reported"), "{actions_of:?}");
    assert_eq!(actions_of.last().map(String::as_str), Some("report_filed"));
    let value: Value = serde_json::from_slice(&found.stdout).unwrap();
    let searched = &value["accesses"][1];
    assert_eq!(searched["client_id"], json!(app.police.client_id));
    assert_eq!((&searched["origin"], searched["organization_name"].is_string()), (&json!("loopback"), true));
    let again = who(&app, &there.number, &["--json"]);
    let value: Value = serde_json::from_slice(&again.stdout).unwrap();
    let asked = &value["accesses"][0];
    assert_eq!((&asked["action"], &asked["person"]), (&json!("accesses_read"), &json!("Wang Fang")));
    assert_eq!((&asked["reason"], asked.get("client_id")), (&json!("asked by the person"), None));
    let lines = String::from_utf8(who(&app, &there.number, &[]).stdout).unwrap();
    assert!(lines.contains("the operator, person Wang Fang") && !lines.contains(&there.number), "{lines}");
    assert_eq!(String::from_utf8(who(&app, &random_number(), &[]).stdout).unwrap(), "nobody\n");
    let wrong = who(&app, "110105194912310021", &[]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said.contains("identity number") && !said.contains("110105194912310021"), "{said}");
    assert!(child::run(&app.config.data, &["audit", "verify"]).status.success());
}

#[tokio::test]
async fn a_rotation_of_the_pepper_hides_no_access() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    assert_eq!(app.post(&app.police.token, "/v1/loss-reports", &report_of(&number, None)).await.status, 201);
    app.post(&app.police.token, "/v1/loss-reports/search", &json!({ "id_number": number })).await;
    let rotated = child::run_json(&app.config.data, &["keys", "rotate", "--pepper", "--json"]);
    assert_eq!(rotated["rotated"][0]["state"], "done", "{rotated}");
    app.clock.advance(Duration::from_millis(1));
    let (found, _) = page(&app, &portal, &json!({ "id_number": number })).await;
    assert_eq!(found, ["reports_searched", "report_filed"]);
    assert_eq!(actions(&who(&app, &number, &["--json"])), ["accesses_read", "reports_searched", "report_filed"]);
}
