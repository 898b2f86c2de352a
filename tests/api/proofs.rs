//! What clients prove themselves by, as operators see, add and end it; and what of that, and of offices, takes two operators.

use serde_json::{Value, json};

use crate::administration::{CLIENTS, ORGANIZATIONS, make, newest, operators, text, token_of};
use crate::deeds::CERTIFICATE;
use crate::helpers::{Answer, TestApp, eventually};

/// A client that reads the records of persons is let in by nothing that one operator has made alone.
#[tokio::test]
async fn what_a_portal_proves_itself_by_is_added_by_two() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let portal = app.add_client("citizen", None).await;
    let path = |of: &str| format!("{CLIENTS}/{}/{of}", portal.client_id);
    let approve = async |answer: &Answer| {
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(!answer.text.contains("lcs_"));
        let approval = format!("{}/approval", answer.header("location"));
        app.post(&one.token, &approval, &json!({})).await.problem(403, "another_must_confirm");
        let approved = app.post(&other.token, &approval, &json!({})).await;
        assert_eq!((approved.status, &approved.json()["state"]), (200, &json!("approved")), "{}", approved.text);
        assert!(!approved.text.contains("lcs_"), "who approves never sees it");
    };
    let credentials = async || app.store.list_credentials(portal.client_id).await.unwrap();
    let before = credentials().await;
    app.clock.advance(std::time::Duration::from_secs(1));
    // Not yet, then once, and not once more.
    let asked = app.post(&one.token, &path("secrets"), &json!({"keep": "0s"})).await;
    assert_eq!(asked.json()["act"], "create_client_secret");
    assert_eq!(credentials().await.len(), before.len());
    approve(&asked).await;
    app.post(&other.token, &path("secrets"), &json!({})).await;
    assert_eq!(credentials().await.len(), before.len(), "another one's approval is not theirs");
    let made = app.post(&one.token, &path("secrets"), &json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let secret = text(&made.json()["client_secret"]);
    let id = portal.client_id.to_string();
    eventually("it lets in", async || token_of(&app, &id, &secret).await.status == 200).await;
    assert_eq!(app.post(&one.token, &path("secrets"), &json!({})).await.status, 202, "it is used up");
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "desk-1",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    for (of, body, act) in [
        ("certificates", json!({ "certificate": CERTIFICATE }), "add_client_certificate"),
        ("keys", keys, "add_client_keys"),
    ] {
        app.clock.advance(std::time::Duration::from_secs(1));
        let asked = app.post(&one.token, &path(of), &body).await;
        assert_eq!((&asked.json()["act"], &asked.json()["requested"]), (&json!(act), &body), "{}", asked.text);
        let newest_before = credentials().await[0].id;
        approve(&asked).await;
        assert_ne!(credentials().await[0].id, newest_before, "{of}");
        assert_eq!(app.post(&one.token, &path(of), &body).await.status, 200, "what it has already changes nothing");
    }
}

#[tokio::test]
async fn a_registrar_gets_more_offices_by_two() {
    let app = TestApp::spawn().await;
    let (one, other) = operators(&app).await;
    let station = format!("{ORGANIZATIONS}/{}", app.police.organization);
    let change = async |body: Value| app.patch(&one.token, &station, &body).await;
    // Fewer, or another name, takes one.
    let fewer = change(json!({"offices": ["110105-03"], "name": "Harbour Station"})).await;
    assert_eq!(fewer.status, 200, "{}", fewer.text);
    for more in [json!({"any_office": true}), json!({"offices": ["110105-03", "3101"]}), json!({"offices": []})] {
        let asked = change(more.clone()).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        let request = asked.json();
        assert_eq!((&request["act"], &request["requested"]), (&json!("update_organization"), &more));
        assert_eq!((&request["organization_id"], request.get("client_id")), (&json!(app.police.organization), None));
        let now = app.get(&one.token, &station).await.json();
        assert_eq!(
            (&now["offices"], &now["any_office"]),
            (&json!(["110105-03"]), &json!(false)),
            "nothing is done before"
        );
    }
    let asked = change(json!({"any_office": true})).await;
    let approval = format!("{}/approval", asked.header("location"));
    app.post(&one.token, &approval, &json!({})).await.problem(403, "another_must_confirm");
    assert_eq!(app.post(&other.token, &approval, &json!({})).await.status, 200);
    assert_eq!(app.get(&one.token, &station).await.json()["any_office"], true);
    // Whose offices say nothing about who acts: it files and withdraws nothing.
    let hotel = format!("{ORGANIZATIONS}/{}", app.hotel.organization);
    assert_eq!(app.patch(&one.token, &hotel, &json!({"offices": ["31"]})).await.status, 200);
}

#[tokio::test]
async fn what_a_client_proves_itself_by_is_seen_and_ended() {
    let app = TestApp::spawn().await;
    let two = app.sibling().await;
    let (operator, other) = operators(&app).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"]});
    let client = make(&app, &operator, CLIENTS, &body).await;
    let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
    let path = format!("{CLIENTS}/{id}/credentials");
    let list = async || app.get(&operator.token, &path).await.json()["credentials"].as_array().unwrap().clone();
    let of_secret = &list().await[0];
    assert_eq!((&of_secret["kind"], of_secret.get("ends_at")), (&json!("secret"), None));
    // Ids of one millisecond have no order.
    app.clock.advance(std::time::Duration::from_millis(1));
    let certificate = json!({ "certificate": CERTIFICATE });
    assert_eq!(app.post(&operator.token, &format!("{CLIENTS}/{id}/certificates"), &certificate).await.status, 200);
    let all = app.get(&operator.token, &path).await;
    assert!(!all.text.contains(&secret) && !all.text.contains("hash"), "{}", all.text);
    let kinds: Vec<_> = list().await.iter().map(|one| text(&one["kind"])).collect();
    assert_eq!(kinds, ["certificate", "secret"], "newest first");
    assert_eq!(list().await[0]["thumbprint"].as_str().unwrap().len(), 43);
    eventually("its secret lets in", async || token_of(&app, &id, &secret).await.status == 200).await;
    let token = text(&token_of(&app, &id, &secret).await.json()["access_token"]);
    for node in [&app, &two] {
        assert_eq!(node.get(&token, "/v1/organization").await.status, 200);
    }
    app.clock.advance(std::time::Duration::from_secs(1));
    let end = |of: &Value| format!("{path}/{}/revocation", text(&of["credential_id"]));
    let left = app.post(&operator.token, &end(of_secret), &json!({})).await;
    assert_eq!(left.status, 200, "{}", left.text);
    assert_eq!(left.json()["credentials"].as_array().unwrap().len(), 1);
    assert_eq!(left.json()["credentials"][0]["kind"], "certificate");
    for node in [&app, &two] {
        eventually("its tokens are out", async || node.get(&token, "/v1/organization").await.status == 401).await;
        eventually("and its secret", async || token_of(node, &id, &secret).await.status == 401).await;
    }
    assert_eq!(newest(&app, 1).await, [("client_credential_ended".to_owned(), Some(operator.client_id))]);
    app.post(&operator.token, &end(of_secret), &json!({})).await.problem(404, "not_found");
    // Of another client it is not there, and another operator's is not ended here.
    let hotels = format!("{CLIENTS}/{}/credentials", app.hotel.client_id);
    let of_hotel = app.get(&operator.token, &hotels).await.json()["credentials"][0].clone();
    app.post(&operator.token, &end(&of_hotel), &json!({})).await.problem(404, "not_found");
    let others = format!("{CLIENTS}/{}/credentials", other.client_id);
    let of_other = text(&app.get(&operator.token, &others).await.json()["credentials"][0]["credential_id"]);
    let ended = app.post(&operator.token, &format!("{others}/{of_other}/revocation"), &json!({})).await;
    ended.problem(403, "command_line_only");
    for unknown in ["x", "00000000-0000-0000-0000-000000000000"] {
        app.get(&operator.token, &format!("{CLIENTS}/{unknown}/credentials")).await.problem(404, "not_found");
        app.post(&operator.token, &format!("{path}/{unknown}/revocation"), &json!({})).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_client_is_made_by_what_its_certificate_is_for() {
    let app = TestApp::spawn().await;
    let (operator, _) = operators(&app).await;
    let body =
        |name: &str, value: &str| json!({"organization_id": app.hotel.organization, "scopes": ["checks"], name: value});
    for (name, value, kind) in
        [("tls_subject_dn", "CN=desk,O=Hotel,C=CN", "subject"), ("tls_san_dns", "Desk.Hotel.example", "dns_name")]
    {
        let made = make(&app, &operator, CLIENTS, &body(name, value)).await;
        assert_eq!((&made["bound"], made.get("client_secret")), (&json!("mtls"), None), "{made}");
        let path = format!("{CLIENTS}/{}/credentials", text(&made["client_id"]));
        let told = app.get(&operator.token, &path).await.json()["credentials"][0].clone();
        assert_eq!(told["kind"], kind);
        let mut wrong = body(name, "no/name");
        assert_eq!(app.post(&operator.token, CLIENTS, &wrong).await.field_errors()[0].0, format!("/{name}"));
        wrong[name] = json!(value);
        wrong["bound"] = json!("none");
        assert_eq!(app.post(&operator.token, CLIENTS, &wrong).await.field_errors()[0].0, "/bound");
    }
    let mut both = body("tls_subject_dn", "CN=desk");
    both["tls_san_dns"] = json!("desk.example");
    assert_eq!(app.post(&operator.token, CLIENTS, &both).await.field_errors()[0].0, "/keys");
}
