//! Devices of desks and stations: a code, the page that registers its key by it, the tokens that it gets for who is at it, its PIN, its
//! end; by HTTP and at the command line.

use std::time::Duration;

use lostcard::crypto::random;
use lostcard::crypto::signing::base64url;
use lostcard::domain::numbers::NumbersMode;
use lostcard::domain::pairing::PairingCode;
use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::child;
use crate::dpop::Holder;
use crate::helpers::{TestApp, TestClient, eventually};
use crate::mtls::claims_of;
use crate::pairing::{PAIRINGS, PIN_KEY, Page, REGISTRATION, open, registration_of, text};
use crate::tokens::assert_refused;

#[tokio::test]
async fn a_page_becomes_a_device_by_its_code_and_checks_for_who_is_at_it() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let token = page.unlock(&app, "王芳").await;
    assert_eq!(claims_of(&token)["clerk"], "王芳");
    let check = check_of(&random_number(), None);
    assert_eq!(page.post(&app, &token, "/v1/checks", &check).await.status, 200);
    app.post(&token, "/v1/checks", &check).await.problem(401, "invalid_token");
    let listed = app.get(&operator.token, &format!("{PAIRINGS}?organization_id={}", app.hotel.organization)).await;
    let one = listed.json()["pairings"][0].clone();
    assert_eq!(listed.json()["pairings"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&one["state"], &one["client_id"], &one["site"]),
        (&json!("paired"), &json!(page.client), &json!("110105-03"))
    );
    let client = app.get(&operator.token, &format!("/v1/admin/clients/{}", page.client)).await.json();
    assert_eq!(
        (&client["bound"], &client["numbers"], &client["name"]),
        (&json!("dpop"), &json!("250/1d"), &json!("front desk"))
    );
}

#[tokio::test]
async fn a_device_that_declares_nothing_has_250_guests() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"], "site": "110105-03"});
    let opened = app.post(&operator.token, PAIRINGS, &body).await.json();
    let page = Page::of_code(&app, &text(&opened["code"])).await;
    let client = app.get(&operator.token, &format!("/v1/admin/clients/{}", page.client)).await.json();
    assert_eq!(client["numbers"], "250/1d");
}

#[tokio::test]
async fn who_is_at_a_device_is_in_the_audit_log() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["registry"])).await;
    for clerk in ["Wang Fang", "李雷"] {
        let token = page.unlock(&app, clerk).await;
        let filed = page.post(&app, &token, "/v1/loss-reports", &report_of(&random_number(), None)).await;
        assert_eq!(filed.status, 201, "{}", filed.text);
        let last = app.store.list_audit(0).await.unwrap().pop().unwrap();
        assert_eq!((last.action.as_str(), last.person.as_deref()), ("report_filed", Some(clerk)));
        assert_eq!(last.client.map(|id| id.to_string()), Some(page.client.clone()));
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_ten_minutes_and_for_five_tries() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let code_of = async || text(&open(&app, &operator, json!(["checks"])).await.json()["code"]);
    let register = async |code: &str| app.post("", REGISTRATION, &registration_of(code)).await;
    let once = code_of().await;
    assert_eq!(register(&once).await.status, 201);
    register(&once).await.problem(403, "pairing_refused");
    let late = code_of().await;
    app.clock.advance(Duration::from_mins(10));
    register(&late).await.problem(403, "pairing_refused");
    // The second half is what is guessed.
    let wrong = |code: &str| format!("{}{}", &code[..8], if code.ends_with('0') { '1' } else { '0' });
    let operator = TestClient { token: app.token_for(&operator).await, ..operator };
    let code_of = async || text(&open(&app, &operator, json!(["checks"])).await.json()["code"]);
    for (guesses, status) in [(4, 201), (5, 403)] {
        let code = code_of().await;
        for _ in 0..guesses {
            register(&wrong(&code)).await.problem(403, "pairing_refused");
        }
        assert_eq!(register(&code).await.status, status, "after {guesses} guesses");
    }
    // Of two pages with one code, one becomes the device.
    let code = code_of().await;
    let both = futures_util::future::join(register(&code), register(&code)).await;
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
}

#[tokio::test]
async fn guesses_cost_their_address() {
    let app = TestApp::spawn_with(|config| {
        config.limits.address = lostcard::domain::client::Rate::parse("10/60s").unwrap();
    })
    .await;
    let mut refused = Vec::new();
    for _ in 0..12 {
        let code = PairingCode::of_random(random::bytes());
        refused.push(app.post("", REGISTRATION, &registration_of(code.to_text().expose())).await);
    }
    assert_eq!(refused[0].status, 403);
    refused.last().unwrap().problem(429, "address_limit_spent");
}

#[tokio::test]
async fn what_is_no_code_and_no_key_is_refused_by_its_member() {
    let app = TestApp::spawn().await;
    let right = registration_of("7K3M-Q9TX");
    let mut private = right["key"].clone();
    private["d"] = json!("AAAA");
    for (member, value, code) in [
        ("code", json!("7k3m-q9tx"), "malformed_code"),
        ("code", json!("7K3MQ9TX"), "malformed_code"),
        ("key", json!({}), "malformed_key"),
        ("key", private, "malformed_key"),
        (
            "key",
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "malformed_key",
        ),
        ("pin_key", json!("123456"), "malformed_key"),
    ] {
        let answer = app.post("", REGISTRATION, &with(right.clone(), member, value)).await;
        answer.problem(422, "invalid_value");
        let error = answer.json()["errors"][0].clone();
        assert_eq!((&error["pointer"], &error["code"]), (&json!(format!("/{member}")), &json!(code)));
    }
    let operator = app.add_client("admin", None).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"], "site": "harbour-1"});
    for (member, value, code) in [
        ("scopes", json!(["admin"]), "scope_of_other_kind"),
        ("scopes", json!(["registry"]), "scope_of_other_kind"),
        ("site", json!("the lobby"), "malformed_label"),
        ("numbers", json!("250"), "malformed_numbers"),
        ("name", json!(""), "malformed_text"),
    ] {
        let answer = app.post(&operator.token, PAIRINGS, &with(body.clone(), member, value)).await;
        answer.problem(422, "invalid_value");
        assert_eq!(answer.json()["errors"][0]["code"], code, "{}", answer.text);
    }
    app.post(&operator.token, PAIRINGS, &with(body, "organization_id", operator.organization.to_string()))
        .await
        .problem(403, "command_line_only");
}

#[tokio::test]
async fn five_missed_pins_lock_a_device_until_it_is_released() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let token = page.unlock(&app, "Wang").await;
    let check = check_of(&random_number(), None);
    for _ in 0..4 {
        assert_refused(&page.miss(&app).await, 400, "invalid_grant");
    }
    // One that is right gives all tries back.
    page.unlock(&app, "Wang").await;
    for node in [&app, &sibling, &app, &sibling] {
        assert_refused(&page.miss(node).await, 400, "invalid_grant");
    }
    assert_eq!(page.post(&app, &token, "/v1/checks", &check).await.status, 200);
    assert_refused(&page.miss(&app).await, 400, "access_denied");
    assert_eq!(page.state(&app, &operator).await, "locked");
    for node in [&app, &sibling] {
        let right = page.present(node, &page.claims(node, "Wang", &PIN_KEY)).await;
        assert_refused(&right, 400, "access_denied");
    }
    let out = async || page.post(&app, &token, "/v1/checks", &check).await.status == 401;
    eventually("who works at it is out", out).await;
    let last = app.store.list_audit(0).await.unwrap().pop().unwrap();
    assert_eq!((last.action.as_str(), last.person.as_deref()), ("device_locked", Some("Wang")));
    let release = format!("{PAIRINGS}/{}/release", page.pairing);
    assert_eq!(app.post(&operator.token, &release, &json!({})).await.json()["state"], "paired");
    app.post(&operator.token, &release, &json!({})).await.problem(409, "wrong_state");
    app.clock.advance(Duration::from_secs(1));
    let token = page.unlock(&app, "Wang").await;
    assert_eq!(page.post(&app, &token, "/v1/checks", &check).await.status, 200);
}

#[tokio::test]
async fn many_wrong_pins_at_once_are_five() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let all = (0..24).map(|at| page.miss(if at % 2 == 0 { &app } else { &sibling }));
    let all = futures_util::future::join_all(all).await;
    let judged = all.iter().filter(|answer| answer.json()["error"] == "invalid_grant").count();
    assert_eq!(judged, 4, "the fifth locks");
    assert_eq!(page.state(&app, &operator).await, "locked");
}

#[tokio::test]
async fn many_right_pins_at_once_are_all_right() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let ask = async |at: usize| {
        let node = if at.is_multiple_of(2) { &app } else { &sibling };
        page.present(node, &page.claims(node, "Wang", &PIN_KEY)).await.status
    };
    let all = futures_util::future::join_all((0..16).map(ask)).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
}

#[tokio::test]
async fn a_device_has_the_burst_of_three_days_as_others_have() {
    let app = TestApp::spawn_with(|config| config.limits.numbers_mode = Some(NumbersMode::Enforce)).await;
    let operator = app.add_client("admin", None).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"], "site": "110105-03",
        "name": "front desk", "numbers": "25/1d"});
    let opened = app.post(&operator.token, PAIRINGS, &body).await.json();
    let page = Page::of_code(&app, &text(&opened["code"])).await;
    let token = page.unlock(&app, "Wang").await;
    let mut statuses = Vec::new();
    for _ in 0..76 {
        let digest = digest_of(&random_number());
        let check = json!({"id_digest": digest, "purpose": "lodging", "receipt": false});
        statuses.push(page.post(&app, &token, "/v1/checks", &check).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 75, "{statuses:?}");
    let client = app.get(&operator.token, &format!("/v1/admin/clients/{}", page.client)).await.json();
    assert_eq!(client.get("held"), None, "{client}");
}

#[tokio::test]
async fn who_asked_for_a_withdrawal_at_a_device_is_named_once_another_confirms() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 0).await;
    let operator = app.add_client("admin", None).await;
    let (asks, confirms) = (
        Page::pair(&app, &operator, json!(["registry"])).await,
        Page::pair(&app, &operator, json!(["registry"])).await,
    );
    let report = app.report_lost(&random_number(), None).await;
    let path = format!("/v1/loss-reports/{}/withdrawal", text(&report["report_id"]));
    let body = json!({"office": "110105-03", "reason": "found"});
    assert_eq!(asks.post(&app, &asks.unlock(&app, "Wang").await, &path, &body).await.status, 202);
    let confirmed = confirms
        .post(
            &app,
            &confirms.unlock(&app, "李雷").await,
            &format!("{path}/confirmation"),
            &json!({"office": "110105-03"}),
        )
        .await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let log = app.store.list_audit(0).await.unwrap();
    let by =
        |action: &str| log.iter().rev().find(|entry| entry.action == action).and_then(|entry| entry.person.clone());
    let names = (by("withdrawal_confirmed"), by("report_withdrawn"));
    assert_eq!(names, (Some("李雷".to_owned()), Some("Wang".to_owned())));
}

#[tokio::test]
async fn a_device_without_its_pin_its_person_or_its_key_is_nobody() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    for (member, value) in [
        ("clerk", Value::Null),
        ("clerk", json!("")),
        ("clerk", json!("x".repeat(65))),
        ("clerk", json!("11010519491231002X")),
        ("pin", Value::Null),
        ("pin", json!("=")),
    ] {
        let claims = with(page.claims(&app, "Wang", &PIN_KEY), member, value);
        assert_refused(&page.present(&app, &claims).await, 400, "invalid_request");
    }
    // A proof of the PIN is of one assertion.
    let other = page.claims(&app, "Wang", &PIN_KEY)["pin"].clone();
    let claims = with(page.claims(&app, "Wang", &PIN_KEY), "pin", other);
    assert_refused(&page.present(&app, &claims).await, 400, "invalid_grant");
    let claims = page.claims(&app, "Wang", &PIN_KEY);
    assert_refused(&page.present_by(&app, &claims, &Holder::p256()).await, 400, "invalid_dpop_proof");
    // A secret that somebody gives it lets nobody past the PIN.
    let made =
        app.post(&operator.token, &format!("/v1/admin/clients/{}/secrets", page.client), &json!({})).await.json();
    let secret = text(&made["client_secret"]);
    let form = [("grant_type", "client_credentials"), ("client_id", page.client.as_str()), ("client_secret", &secret)];
    let request = app.request("POST", "/oauth2/token").form(&form);
    let proof = page.holder.proof(&app, "POST", "/oauth2/token", None);
    assert_refused(&app.send(request.header("DPoP", proof)).await, 401, "invalid_client");
}

#[tokio::test]
async fn an_ended_device_is_out_at_every_node() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let token = page.unlock(&app, "Wang").await;
    let check = check_of(&random_number(), None);
    assert_eq!(page.post(&sibling, &token, "/v1/checks", &check).await.status, 200);
    let path = format!("{PAIRINGS}/{}", page.pairing);
    let ended = app.patch(&operator.token, &path, &json!({"state": "ended"})).await;
    assert_eq!((ended.status, &ended.json()["state"]), (200, &json!("ended")), "{}", ended.text);
    for node in [&app, &sibling] {
        let out = async || page.post(node, &token, "/v1/checks", &check).await.status == 401;
        eventually("it is out", out).await;
        assert_refused(&page.present(node, &page.claims(node, "Wang", &PIN_KEY)).await, 401, "invalid_client");
    }
    app.patch(&operator.token, &path, &json!({"name": "x"})).await.problem(409, "wrong_state");
    // A code that nobody has used ends as well.
    let opened = open(&app, &operator, json!(["checks"])).await;
    assert_eq!(app.patch(&operator.token, opened.header("location"), &json!({"state": "ended"})).await.status, 200);
    app.post("", REGISTRATION, &registration_of(&text(&opened.json()["code"]))).await.problem(403, "pairing_refused");
}

#[tokio::test]
async fn a_suspended_house_pairs_nothing() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let code = text(&open(&app, &operator, json!(["checks"])).await.json()["code"]);
    let path = format!("/v1/admin/organizations/{}", app.hotel.organization);
    assert_eq!(app.patch(&operator.token, &path, &json!({"state": "suspended"})).await.status, 200);
    app.post("", REGISTRATION, &registration_of(&code)).await.problem(403, "pairing_refused");
}

#[tokio::test]
async fn what_is_stored_holds_neither_code_nor_pin_key() {
    let app = TestApp::spawn().await;
    if !app.store_url().starts_with("sqlite") {
        return;
    }
    let operator = app.add_client("admin", None).await;
    let code = text(&open(&app, &operator, json!(["checks"])).await.json()["code"]);
    assert_eq!(app.post("", REGISTRATION, &registration_of(&code)).await.status, 201);
    let waiting = text(&open(&app, &operator, json!(["checks"])).await.json()["code"]);
    for name in ["lostcard.db", "lostcard.db-wal"] {
        let bytes = std::fs::read(app.config.data.join(name)).unwrap_or_default();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        for code in [&code, &waiting] {
            assert!(!holds(code.as_bytes()) && !holds(code.replace('-', "").as_bytes()), "{name} holds a code");
        }
        assert!(!holds(&PIN_KEY) && !holds(base64url(&PIN_KEY).as_bytes()), "{name} holds the key of a PIN");
    }
}

#[tokio::test]
async fn the_command_line_has_the_same_words() {
    let app = TestApp::spawn().await;
    let data = &app.config.data;
    let organization = app.hotel.organization.to_string();
    let args = [
        "pairing",
        "create",
        "--organization",
        &organization,
        "--scope",
        "checks",
        "--site",
        "harbour-1",
        "--name",
        "front desk",
        "--numbers",
        "250/1d",
        "--as",
        "Wang Fang",
        "--json",
    ];
    let made = child::run_json(data, &args);
    let members: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["code", "expires_at", "pairing_id"]);
    let last = app.store.list_audit(0).await.unwrap().pop().unwrap();
    assert_eq!((last.action.as_str(), last.person.as_deref()), ("pairing_created", Some("Wang Fang")));
    assert_eq!(app.post("", REGISTRATION, &registration_of(&text(&made["code"]))).await.status, 201);
    let id = text(&made["pairing_id"]);
    let listed = child::run_json(data, &["pairing", "list", "--json"]);
    assert_eq!((&listed["pairings"][0]["pairing_id"], &listed["pairings"][0]["state"]), (&json!(id), &json!("paired")));
    let ended = child::run_json(data, &["pairing", "end", &id, "--reason", "stolen", "--json"]);
    assert_eq!(ended, json!({"pairing_id": id, "state": "ended"}));
}
