//! Organizations and clients by the API: what operators see, make and change, what a second one must approve, what the command line
//! alone does; and the same words at the command line.

use lostcard::domain::ids::ClientId;
use lostcard::store::administration::Seen;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::bodies::{check_of, random_number};
use crate::child;
use crate::deeds::CERTIFICATE;
use crate::helpers::{Answer, TestApp, TestClient, eventually};

pub(crate) const ORGANIZATIONS: &str = "/v1/admin/organizations";
pub(crate) const CLIENTS: &str = "/v1/admin/clients";

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn organization(kind: &str) -> Value {
    json!({"name": "Harbour Hotels", "kind": kind, "region": "110105"})
}

/// Two operators of one organization.
pub(crate) async fn operators(app: &TestApp) -> (TestClient, TestClient) {
    let one = app.add_client("admin", None).await;
    let other = app.add_client_of(one.organization, "admin").await;
    (one, other)
}

pub(crate) async fn make(app: &TestApp, by: &TestClient, path: &str, body: &Value) -> Value {
    let made = app.post(&by.token, path, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

pub(crate) async fn token_of(app: &TestApp, id: &str, secret: &str) -> Answer {
    app.ask_token(&[("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)]).await
}

/// Action, subject and client of the newest entries of the log.
pub(crate) async fn newest(app: &TestApp, count: usize) -> Vec<(String, Option<ClientId>)> {
    let mut all = Vec::new();
    loop {
        let page = app.store.list_audit(all.len() as u64).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|entry| (entry.action, entry.client)));
    }
    all.split_off(all.len() - count)
}

#[tokio::test]
async fn a_hotel_is_let_in_by_the_api_alone() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105", "rate": "50/60s", "offices": ["110105"]});
    let made = app.post(&operator.token, ORGANIZATIONS, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let hotel = made.json();
    assert_eq!(made.header("location"), format!("{ORGANIZATIONS}/{}", text(&hotel["organization_id"])));
    assert_eq!((&hotel["state"], &hotel["rate"]), (&json!("active"), &json!("50/60s")));
    assert_eq!(app.get(&operator.token, made.header("location")).await.json(), hotel);
    let body = json!({"organization_id": hotel["organization_id"], "scopes": ["checks"], "rate": "20/60s", "numbers": "250/1d",
        "name": "front desk", "bound": "none"});
    let made = app.post(&operator.token, CLIENTS, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let client = made.json();
    let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
    assert!(secret.starts_with("lcs_"));
    for (name, value) in
        [("organization_name", "Harbour Hotels"), ("name", "front desk"), ("numbers", "250/1d"), ("rate", "20/60s")]
    {
        assert_eq!(client[name], value, "{client}");
    }
    let token = text(&token_of(&app, &id, &secret).await.json()["access_token"]);
    assert_eq!(app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await.status, 200);
    // The secret was shown that once.
    let read = app.get(&operator.token, made.header("location")).await;
    assert!(
        read.status == 200 && !read.text.contains("lcs_") && read.json()["client_secret"].is_null(),
        "{}",
        read.text
    );
    let acts = newest(&app, 2).await;
    let by = Some(operator.client_id);
    assert_eq!(acts, [("organization_created".to_owned(), by), ("client_created".to_owned(), by)]);
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_without_its_secret() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"]});
    let once = async |path: &str, body: &Value| {
        let request = app.request("POST", path).header("Idempotency-Key", "key").json(body);
        app.send(request.bearer_auth(&operator.token)).await
    };
    let (first, second) = (once(CLIENTS, &body).await, once(CLIENTS, &body).await);
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text);
    assert_eq!(first.header("location"), second.header("location"));
    let (mut first, second) = (first.json(), second.json());
    let secret = text(&first["client_secret"]);
    first.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(first, second);
    let path = format!("{CLIENTS}/{}/secrets", text(&second["client_id"]));
    let (fresh, again) = (once(&path, &json!({})).await, once(&path, &json!({})).await);
    assert_eq!((fresh.status, again.status), (201, 201), "{}", again.text);
    assert!(fresh.json()["client_secret"].is_string() && again.json()["client_secret"].is_null(), "{}", again.text);
    // The same key and body for another client is another request.
    let others = format!("{CLIENTS}/{}/secrets", app.police.client_id);
    once(&others, &json!({})).await.problem(422, "idempotency_key_reused");
    if app.store_url().starts_with("sqlite") {
        for name in ["lostcard.db", "lostcard.db-wal"] {
            let bytes = std::fs::read(app.config.data.join(name)).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name} holds the secret");
        }
    }
}

#[tokio::test]
async fn a_registrar_is_made_by_two() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let asked = app.post(&one.token, ORGANIZATIONS, &organization("registrar")).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let location = asked.header("location").to_owned();
    let request = asked.json();
    assert_eq!((&request["state"], &request["act"]), (&json!("awaiting_approval"), &json!("create_organization")));
    assert_eq!(request["requested_by"], one.client_id.to_string());
    let count = async || app.store.list_organizations(None, 500).await.unwrap().len();
    let before = count().await;
    let approval = format!("{location}/approval");
    app.post(&one.token, &approval, &json!({})).await.problem(403, "another_must_confirm");
    assert_eq!(count().await, before, "nothing is made before");
    let approved = app.post(&other.token, &approval, &json!({})).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    assert_eq!(approved.json()["approved_by"], other.client_id.to_string());
    let made = app.get(&one.token, &format!("{ORGANIZATIONS}/{}", text(&approved.json()["subject_id"]))).await;
    assert_eq!(made.json()["kind"], "registrar", "{}", made.text);
    app.post(&other.token, &approval, &json!({})).await.problem(409, "wrong_state");
    assert_eq!(count().await, before + 1, "once");
    assert_eq!(app.get(&one.token, &location).await.json(), approved.json());
    let acts = newest(&app, 3).await;
    let of = |action: &str, by: &TestClient| (action.to_owned(), Some(by.client_id));
    let expected =
        [of("administration_requested", &one), of("administration_approved", &other), of("organization_created", &one)];
    assert_eq!(acts, expected);
}

#[tokio::test]
async fn the_scope_citizen_is_given_by_two_and_its_secret_goes_to_who_asked() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let portal = make(&app, &one, ORGANIZATIONS, &organization("portal")).await;
    let body = json!({"organization_id": portal["organization_id"], "scopes": ["citizen"]});
    let asked = app.post(&one.token, CLIENTS, &body).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert!(!asked.text.contains("lcs_"));
    let approved = app.post(&other.token, &format!("{}/approval", asked.header("location")), &json!({})).await;
    assert!(approved.status == 200 && !approved.text.contains("lcs_"), "{}", approved.text);
    let id = text(&approved.json()["subject_id"]);
    let secret = make(&app, &one, &format!("{CLIENTS}/{id}/secrets"), &json!({})).await;
    assert_eq!(token_of(&app, &id, &text(&secret["client_secret"])).await.json()["scope"], "citizen");
    // A client that has it already is changed by one.
    assert_eq!(app.patch(&one.token, &format!("{CLIENTS}/{id}"), &json!({"scopes": ["citizen"]})).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_done_any_more_is_not_approved() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let ask = async || {
        let asked = app.post(&one.token, ORGANIZATIONS, &organization("registrar")).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        format!("{}/approval", asked.header("location"))
    };
    let late = ask().await;
    app.clock.advance(std::time::Duration::from_hours(7 * 24 + 1));
    let fresh = app.token_for(&other).await;
    app.post(&fresh, &late, &json!({})).await.problem(409, "wrong_state");
    let one = TestClient { token: app.token_for(&one).await, ..one };
    let asked = app.post(&one.token, ORGANIZATIONS, &organization("registrar")).await;
    let approval = format!("{}/approval", asked.header("location"));
    let suspend = app.patch(&fresh, &format!("{CLIENTS}/{}", one.client_id), &json!({"state": "suspended"})).await;
    assert_eq!(suspend.status, 200, "{}", suspend.text);
    let refused = app.post(&fresh, &approval, &json!({})).await.problem(409, "wrong_state");
    assert!(text(&refused["detail"]).contains("not let in"), "{refused}");
}

#[tokio::test]
async fn no_operator_makes_a_second_one_of_himself() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let refused = |answer: Answer| answer.problem(403, "command_line_only");
    refused(app.post(&one.token, ORGANIZATIONS, &organization("operator")).await);
    let body = json!({"organization_id": one.organization, "scopes": ["admin"]});
    refused(app.post(&one.token, CLIENTS, &body).await);
    let path = |client: &TestClient| format!("{CLIENTS}/{}", client.client_id);
    for (of, body) in [
        ("secrets", json!({})),
        ("certificates", json!({"certificate": CERTIFICATE})),
        (
            "keys",
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}),
        ),
    ] {
        refused(app.post(&one.token, &format!("{}/{of}", path(&other)), &body).await);
    }
    refused(app.patch(&one.token, &path(&other), &json!({"bound": "none"})).await);
    refused(app.patch(&one.token, &path(&other), &json!({"scopes": ["admin"]})).await);
    // Its own secret it changes, and another operator it stops.
    make(&app, &one, &format!("{}/secrets", path(&one)), &json!({"keep": "0s"})).await;
    assert_eq!(app.patch(&one.token, &path(&other), &json!({"state": "suspended"})).await.status, 200);
    eventually("it is out", async || app.get(&other.token, CLIENTS).await.status == 401).await;
}

#[tokio::test]
async fn what_is_suspended_is_out_within_the_lease_and_in_again_when_it_is_resumed() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let (operator, _) = operators(&app).await;
    let check = async |node: &TestApp| {
        node.post(&app.hotel.token, "/v1/checks", &check_of(&random_number(), None)).await.status
    };
    let (client, organization) =
        (format!("{CLIENTS}/{}", app.hotel.client_id), format!("{ORGANIZATIONS}/{}", app.hotel.organization));
    for path in [&client, &organization] {
        for (state, status) in [("suspended", 401), ("active", 200)] {
            let changed = app.patch(&operator.token, path, &json!({"state": state})).await;
            assert_eq!((changed.status, &changed.json()["state"]), (200, &json!(state)), "{}", changed.text);
            for node in [&app, &sibling] {
                eventually("it knows", async || check(node).await == status).await;
            }
        }
    }
    assert_eq!(app.patch(&operator.token, &client, &json!({"state": "ended"})).await.json()["state"], "ended");
    app.patch(&operator.token, &client, &json!({"state": "active"})).await.problem(409, "wrong_state");
    app.post(&operator.token, &format!("{client}/secrets"), &json!({})).await.problem(409, "wrong_state");
    eventually("it is out", async || check(&app).await == 401).await;
}

#[tokio::test]
async fn a_client_is_changed_member_by_member() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let path = format!("{CLIENTS}/{}", app.hotel.client_id);
    let change = async |body: Value| app.patch(&operator.token, &path, &body).await;
    let changed = change(json!({"name": "desk 2", "rate": "7/60s", "numbers": "9/1d", "digests": "refused"})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    for (name, value) in [("name", "desk 2"), ("rate", "7/60s"), ("numbers", "9/1d"), ("digests", "refused")] {
        assert_eq!(changed.json()[name], value);
    }
    let limit = async || app.get(&app.hotel.token, "/v1/organization").await.header("ratelimit-policy").to_owned();
    eventually("the node knows", async || limit().await.contains("q=7;w=60")).await;
    let kept = change(json!({"rate": "default"})).await.json();
    assert!(kept["rate"].is_null() && kept["name"] == "desk 2" && kept["numbers"] == "9/1d", "{kept}");
    for (body, pointer, code) in [
        (json!({"rate": "7"}), "/rate", "malformed_rate"),
        (json!({"numbers": "-1/1d"}), "/numbers", "malformed_numbers"),
        (json!({"name": "11010519491231002X"}), "/name", "malformed_text"),
        (json!({"name": "１１０１０５１９４９１２３１００２Ｘ"}), "/name", "malformed_text"),
        (json!({"name": "\u{3164}"}), "/name", "malformed_text"),
        (json!({"name": "Har\u{ad}bour"}), "/name", "malformed_text"),
        (json!({"state": "gone"}), "/state", "unknown_value"),
        (json!({"scopes": []}), "/scopes", "unknown_value"),
        (json!({"scopes": ["registry"]}), "/scopes", "scope_of_other_kind"),
        (json!({"bound": "tls"}), "/bound", "unknown_value"),
    ] {
        assert_eq!(change(body.clone()).await.field_errors(), [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    change(json!({"rate": null})).await.problem(400, "malformed_json");
    change(json!({"secret": "x"})).await.problem(400, "malformed_json");
    app.post(&operator.token, &path, &json!({})).await.problem(405, "method_not_allowed");
    let as_json = app.request("PATCH", &path).bearer_auth(&operator.token).json(&json!({"rate": "7/60s"}));
    app.send(as_json).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn lists_come_in_pages_and_show_use_and_holds() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let held = app.hotel.client_id;
    let now_ms = app.clock.now_ms();
    let why = lostcard::domain::numbers::HeldFor::WrongNumbers;
    app.change_store(async |tx| assert!(tx.hold_client(held, why, now_ms).await.unwrap())).await;
    app.store.note_seen(&[Seen { client: held, last_used_at_ms: Some(now_ms), refused: 3 }]).await.unwrap();
    for (path, list, id) in [(ORGANIZATIONS, "organizations", "organization_id"), (CLIENTS, "clients", "client_id")] {
        let mut seen = Vec::new();
        let mut next = format!("{path}?limit=1");
        loop {
            let page = app.get(&operator.token, &next).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let page = page.json();
            seen.extend(page[list].as_array().unwrap().iter().map(|one| text(&one[id])));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("{path}?limit=1&cursor={cursor}");
        }
        let whole = app.get(&operator.token, path).await.json();
        let whole: Vec<_> = whole[list].as_array().unwrap().iter().map(|one| text(&one[id])).collect();
        assert_eq!(seen, whole);
        assert!(whole.len() >= 3 && whole.is_sorted(), "{whole:?}");
        for wrong in ["limit=501", "limit=0", "cursor=x"] {
            assert_eq!(app.get(&operator.token, &format!("{path}?{wrong}")).await.status, 422, "{wrong}");
        }
        app.get(&operator.token, &format!("{path}?name=x")).await.problem(400, "malformed_request");
    }
    let own = app.get(&operator.token, &format!("{CLIENTS}?organization_id={}", app.hotel.organization)).await.json();
    let [client] = &own["clients"].as_array().unwrap()[..] else { panic!("{own}") };
    assert_eq!((&client["refused"], &client["hold"]["held_for"]), (&json!(3), &json!("wrong_numbers")), "{client}");
    assert!(client["last_used_at"].is_string(), "{client}");
    let path = format!("{CLIENTS}/{held}/release");
    let released = app.post(&operator.token, &path, &json!({})).await;
    assert!(released.status == 200 && released.json()["hold"].is_null(), "{}", released.text);
    app.post(&operator.token, &path, &json!({})).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn secrets_keys_certificates_and_tokens_of_a_client() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let id = app.hotel.client_id.to_string();
    let path = |of: &str| format!("{CLIENTS}/{id}/{of}");
    let post = async |of: &str, body: Value| app.post(&operator.token, &path(of), &body).await;
    // The two newest credentials let in, by their instants.
    app.clock.advance(std::time::Duration::from_secs(1));
    let secret = text(&make(&app, &operator, &path("secrets"), &json!({"keep": "0s"})).await["client_secret"]);
    app.clock.advance(std::time::Duration::from_secs(1));
    eventually("the new one lets in", async || token_of(&app, &id, &secret).await.status == 200).await;
    eventually("the old one does not", async || token_of(&app, &id, &app.hotel.secret).await.status == 401).await;
    for (of, body, pointer, code) in [
        ("secrets", json!({"keep": "8 days"}), "/keep", "malformed_period"),
        ("certificates", json!({"certificate": "PEM"}), "/certificate", "malformed_pem"),
        ("keys", json!({"keys": []}), "/keys", "malformed_keys"),
        ("keys", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "/keys", "malformed_keys"),
    ] {
        let refused = post(of, body).await;
        assert_eq!(refused.field_errors(), [(pointer.to_owned(), code.to_owned())]);
        assert!(!refused.text.contains("c2VjcmV0"));
    }
    let authority = Authority::new();
    let own = authority.self_signed("own");
    let pem = std::fs::read_to_string(&own.certificate).unwrap();
    for _ in 0..2 {
        assert_eq!(post("certificates", json!({"certificate": pem})).await.status, 200);
    }
    let kept = app.store.list_credentials(app.hotel.client_id).await.unwrap();
    assert_eq!(kept.len(), 2, "the certificate once, and the secret: {kept:?}");
    let token = text(&token_of(&app, &id, &secret).await.json()["access_token"]);
    app.clock.advance(std::time::Duration::from_secs(2));
    assert_eq!(post("revocation", json!({})).await.status, 200);
    eventually("it is revoked", async || app.get(&token, "/v1/usage").await.status == 401).await;
    for of in ["secrets", "release", "revocation"] {
        let nobody = format!("{CLIENTS}/{}/{of}", uuid::Uuid::nil());
        app.post(&operator.token, &nobody, &json!({})).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_command_line_has_the_same_words() {
    let app = TestApp::spawn().await;
    let (client, organization) = (app.hotel.client_id.to_string(), app.hotel.organization.to_string());
    let run = |args: &[&str]| child::run_json(&app.config.data, &[args, &["--json"]].concat());
    let changed = run(&["client", "update", &client, "--name", "desk", "--rate", "9/60s", "--numbers", "8/1d"]);
    for (name, value) in
        [("name", "desk"), ("rate", "9/60s"), ("numbers", "8/1d"), ("organization_name", "Harbour Office")]
    {
        assert_eq!(changed[name], value, "{changed}");
    }
    assert_eq!(run(&["client", "show", &client]), changed);
    assert!(run(&["client", "list"])["clients"].as_array().unwrap().contains(&changed));
    let acting = ["--as", "Wang Fang", "--reason", "ticket 7"];
    let changed =
        run(&[&["organization", "update", &organization, "--office", "110105", "--state", "suspended"], &acting[..]]
            .concat());
    assert_eq!((&changed["state"], &changed["offices"]), (&json!("suspended"), &json!(["110105"])));
    assert_eq!(run(&["organization", "show", &organization]), changed);
    assert!(run(&["organization", "list"])["organizations"].as_array().unwrap().contains(&changed));
    eventually("it is out", async || app.check(&check_of(&random_number(), None)).await.status == 401).await;
    assert_eq!(run(&["organization", "update", &organization, "--state", "active"])["state"], "active");
    eventually("it is in", async || app.check(&check_of(&random_number(), None)).await.status == 200).await;
}
