//! Whose offices act, and how much one client does alone: scopes by kind, offices by their codes.

use lostcard::domain::authority::Offices;
use lostcard::domain::instant::UnixMs;
use lostcard::store::clients::Client;
use serde_json::{Value, json};

use crate::applications::application_of;
use crate::bodies::{random_number, report_of, with};
use crate::certificates::certificate_of;
use crate::child;
use crate::helpers::{Answer, TestApp, TestClient, eventually};

pub(crate) const START: &str = "2016-05-01";

impl TestApp {
    /// Changes for which offices an organization acts.
    pub(crate) async fn set_offices(&self, of: &TestClient, prefixes: &str, ends_others: bool) {
        let mut organization = self.store.find_organization(of.organization).await.unwrap().unwrap();
        organization.offices = Offices::parse(prefixes, ends_others).unwrap();
        self.change_store(async |tx| tx.update_organization(&organization).await.unwrap()).await;
    }

    /// Changes what a client may do, as only a version without a rule could.
    pub(crate) async fn set_scopes(&self, of: &TestClient, scopes: &str) {
        let mut client = self.store.find_client(of.client_id).await.unwrap().unwrap();
        client.scopes = lostcard::domain::client::Scopes::parse(scopes).unwrap();
        self.change_store(async |tx| tx.update_client(&client).await.unwrap()).await;
    }

    /// Changes a client as an operator does.
    pub(crate) async fn change_client(&self, of: &TestClient, change: impl Fn(&mut Client, UnixMs)) {
        let mut client = self.store.find_client(of.client_id).await.unwrap().unwrap();
        change(&mut client, self.clock.now_ms());
        self.change_store(async |tx| tx.update_client(&client).await.unwrap()).await;
    }

    pub(crate) async fn file(&self, by: &TestClient, number: &str) -> String {
        let filed = self.post(&by.token, "/v1/loss-reports", &report_of(number, Some(START))).await;
        assert_eq!(filed.status, 201, "{}", filed.text);
        text(&filed.json()["report_id"])
    }

    pub(crate) async fn withdraw_as(&self, by: &TestClient, report: &str) -> Answer {
        let path = format!("/v1/loss-reports/{report}/withdrawal");
        self.post(&by.token, &path, &json!({"office": "110105-03", "reason": "found"})).await
    }

    pub(crate) async fn confirm_as(&self, by: &TestClient, location: &str) -> Answer {
        self.post(&by.token, &format!("{location}/confirmation"), &json!({"office": "110105-03"})).await
    }

    pub(crate) async fn found_as(&self, by: &TestClient, number: &str) -> String {
        let body = json!({"id_number": number, "card_valid_from": START, "found_on": self.clock.today().to_string(),
            "found_at_region": "110105", "office": "110105-03"});
        let found = self.post(&by.token, "/v1/found-cards", &body).await;
        assert_eq!(found.status, 201, "{}", found.text);
        format!("/v1/found-cards/{}", text(&found.json()["found_card_id"]))
    }

    pub(crate) async fn hand_back_as(&self, by: &TestClient, card: &str) -> Answer {
        self.post(&by.token, &format!("{card}/return"), &json!({"office": "110105-03", "holder_verified_by": "face"}))
            .await
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_of_before_gets_no_token_of_a_scope_that_its_kind_may_not_have() {
    let app = TestApp::spawn().await;
    let id = app.hotel.client_id.to_string();
    let ask = async |scope: Option<&str>| {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", app.hotel.secret.as_str()),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        app.ask_token(&form).await
    };
    let token = text(&ask(None).await.json()["access_token"]);
    app.set_scopes(&app.hotel, "checks registry").await;
    eventually("the node knows it", async || ask(None).await.status == 400).await;
    for scope in [None, Some("registry"), Some("checks registry")] {
        let refused = ask(scope).await;
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_scope")), "{}", refused.text);
        assert!(refused.text.contains("kind may not have"), "{}", refused.text);
    }
    assert_eq!(ask(Some("checks")).await.json()["scope"], "checks");
    // A token that was issued before carries no more.
    let body = report_of(&random_number(), None);
    app.post(&token, "/v1/loss-reports", &body).await.problem(403, "insufficient_scope");
    child::run_json(&app.config.data, &["client", "update", &id, "--scope", "checks", "--json"]);
    eventually("it is corrected", async || ask(None).await.status == 200).await;
}

#[tokio::test]
async fn each_start_names_the_clients_that_have_too_much_and_what_corrects_them() {
    let app = TestApp::spawn().await;
    app.set_scopes(&app.hotel, "checks audit").await;
    app.set_scopes(&app.police, "citizen").await;
    let node = child::serve(&app.config.data, crate::helpers::ISSUER);
    let log = node.log();
    for (id, command) in [
        (app.hotel.client_id, format!("lostcard client update {} --scope checks", app.hotel.client_id)),
        (app.police.client_id, format!("lostcard client disable {}", app.police.client_id)),
    ] {
        let lines = log.lines().filter(|line| line.contains("may not have") && line.contains(&id.to_string()));
        let [line] = lines.collect::<Vec<_>>()[..] else { panic!("{log}") };
        assert!(line.contains(&command) && line.contains("WARN"), "{line}");
    }
}

#[test]
fn commands_give_no_client_what_its_kind_may_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (kind, allowed, refused) in [
        ("certifying", "checks", "registry"),
        ("registrar", "registry", "blind"),
        ("portal", "citizen", "checks"),
        ("auditor", "audit", "admin"),
        ("operator", "admin", "audit"),
    ] {
        let make = ["organization", "create", "--name", "Test", "--kind", kind, "--region", "110105", "--json"];
        let organization = text(&child::run_json(&data, &make)["organization_id"]);
        let create = ["client", "create", "--organization", &organization, "--json", "--scope", allowed];
        let client = text(&child::run_json(&data, &create)["client_id"]);
        for args in
            [[&create[..], &["--scope", refused]].concat(), vec!["client", "update", &client, "--scope", refused]]
        {
            let output = child::run(&data, &args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            assert!(
                said.contains(&format!("of the kind {kind} may have the scope")) && said.contains(refused),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn an_organization_acts_for_its_own_offices() {
    let app = TestApp::spawn().await;
    let station = app.add_client("registry", None).await;
    app.set_offices(&station, "110105 1101-hall", false).await;
    let body = |office: &str| with(report_of(&random_number(), None), "office", office);
    let report = async |office: &str| app.post(&station.token, "/v1/loss-reports", &body(office)).await;
    eventually("the node knows its offices", async || report("330106-01").await.status == 403).await;
    for (office, is_own) in [
        ("110105", true),
        ("110105-03", true),
        ("1101-hall-2", true),
        ("110106-03", false),
        ("11010", false),
        ("hall", false),
    ] {
        let answer = report(office).await;
        if is_own {
            assert_eq!(answer.status, 201, "{office}: {}", answer.text);
        } else {
            answer.problem(403, "office_not_yours");
        }
    }
    for (path, body, office) in [
        ("/v1/temporary-certificates", certificate_of(&random_number(), "lodging"), "office"),
        ("/v1/replacement-applications", application_of(&random_number()), "applied_at_office"),
    ] {
        let answer = app.post(&station.token, path, &with(body, office, "110106-03")).await;
        answer.problem(403, "office_not_yours");
    }
    // What is malformed is told first.
    let errors = report("a b").await.field_errors();
    assert_eq!(errors, [("/office".to_owned(), "malformed_office".to_owned())]);
    // Without prefixes they are those of the region.
    app.set_offices(&station, "", false).await;
    eventually("the node knows its offices", async || report("1101-hall-2").await.status == 403).await;
    assert_eq!(report("110105-09").await.status, 201);
}

#[tokio::test]
async fn an_office_ends_reports_of_its_own_organization_or_of_all_where_it_may() {
    let app = TestApp::spawn().await;
    let (filer, other) = (app.add_client("registry", None).await, app.add_client("registry", None).await);
    let (number, second) = (random_number(), random_number());
    let report = app.file(&filer, &number).await;
    let card = app.found_as(&other, &number).await;
    app.withdraw_as(&other, &report).await.problem(404, "not_found");
    let refused = app.hand_back_as(&other, &card).await.problem(403, "office_not_yours");
    assert!(refused["detail"].as_str().unwrap().contains("transfer it"), "{refused}");
    assert_eq!(app.verdict(&number, Some(START)).await, "card_listed");
    assert_eq!(app.get(&other.token, &card).await.json()["state"], "held");
    // What a portal took has no office.
    let portal = app.add_client("citizen", None).await;
    let online = json!({"id_number": second, "card_valid_from": START, "reason": "lost"});
    assert_eq!(app.post(&portal.token, "/v1/citizen/loss-reports", &online).await.status, 201);
    let of_portal = app.found_as(&other, &second).await;
    assert_eq!(app.hand_back_as(&other, &of_portal).await.status, 200);
    app.set_offices(&other, "1", true).await;
    eventually("the node knows it", async || app.hand_back_as(&other, &card).await.status == 200).await;
    assert_eq!(app.verdict(&number, Some(START)).await, "not_listed");
    let report = app.file(&filer, &number).await;
    assert_eq!(app.withdraw_as(&other, &report).await.status, 200);
}

#[tokio::test]
async fn who_ends_reports_of_others_finds_and_reads_them_first() {
    let app = TestApp::spawn().await;
    let (station, other) = (app.add_client("registry", None).await, app.add_client("registry", None).await);
    let number = random_number();
    let body = with(report_of(&number, Some(START)), "contact", json!({"phone": "+86 138 0013 8000"}));
    let filed = app.post(&station.token, "/v1/loss-reports", &body).await;
    assert_eq!(filed.status, 201, "{}", filed.text);
    let report = text(&filed.json()["report_id"]);
    let path = format!("/v1/loss-reports/{report}");
    let search = async |by: &TestClient| {
        app.post(&by.token, "/v1/loss-reports/search", &json!({ "id_number": number })).await.json()
    };
    assert_eq!(search(&other).await, json!({"reports": []}));
    app.get(&other.token, &path).await.problem(404, "not_found");
    app.set_offices(&other, "11010", true).await;
    eventually("the node knows it", async || search(&other).await != json!({"reports": []})).await;
    let found = &search(&other).await["reports"][0];
    let read = app.get(&other.token, &path).await;
    assert_eq!((read.status, &read.json()), (200, found));
    assert_eq!((&found["report_id"], &found["filed_elsewhere"]), (&json!(report), &json!(true)));
    assert_eq!(
        (&found["office"], &found["reporter"]),
        (&body["office"], &body["reporter"]),
        "what the officer compares with the holder's words"
    );
    assert!(!read.text.contains("138") && !found.to_string().contains("contact"), "{found}");
    // Its own say nothing of this, and lists stay lists of its own.
    assert!(search(&station).await["reports"][0].get("filed_elsewhere").is_none());
    assert_eq!(app.get(&other.token, "/v1/loss-reports").await.json()["loss_reports"], json!([]));
    app.get(&other.token, &format!("{path}/sightings")).await.problem(404, "not_found");
    assert_eq!(app.withdraw_as(&other, &report).await.status, 200);
    let ended = app.get(&other.token, &format!("{path}/withdrawal")).await;
    assert_eq!((ended.status, &ended.json()["state"]), (200, &json!("withdrawn")), "{}", ended.text);
}
