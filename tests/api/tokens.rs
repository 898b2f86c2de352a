//! The token endpoint with secrets, and what becomes of a token: scopes, expiry, revocation, disabled clients.
//! Signed assertions are in `assertions`, forged tokens in `bad_inputs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lostcard::access::tokens::fingerprint;
use lostcard::clock::Clock;
use lostcard::crypto::client_secret::hash_secret;
use lostcard::crypto::random;
use lostcard::crypto::signing::from_base64url;
use lostcard::domain::ids::ClientId;
use lostcard::store::clients::Proof;
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, rate};
use crate::child;
use crate::helpers::{Answer, ISSUER, TestApp, TestClient, eventually};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Asserts a refusal of RFC 6749, 5.2: its own form, not a problem document.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["error"], error);
    let mut names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["error", "error_description"]);
    assert_eq!(answer.header("www-authenticate").starts_with("Basic "), status == 401);
}

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&from_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn with_basic(app: &TestApp, client: &TestClient, secret: &str) -> Answer {
    let credentials = STANDARD.encode(format!("{}:{secret}", client.client_id));
    let request = app.request("POST", "/oauth2/token").header("Authorization", format!("Basic {credentials}"));
    app.send(request.form(&[GRANT])).await
}

async fn with_post(app: &TestApp, client: &TestClient, secret: &str) -> Answer {
    app.ask_token(&[GRANT, ("client_id", &client.client_id.to_string()), ("client_secret", secret)]).await
}

/// Whether the node still takes the client's token.
async fn is_welcome(app: &TestApp, client: &TestClient) -> bool {
    let answer = app.post(&client.token, "/v1/checks", &check_of(&random_number(), None)).await;
    if answer.status != 200 {
        answer.problem(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
    }
    answer.status == 200
}

#[tokio::test]
async fn both_ways_to_send_a_secret_give_a_token() {
    let app = TestApp::spawn().await;
    for answer in
        [with_basic(&app, &app.hotel, &app.hotel.secret).await, with_post(&app, &app.hotel, &app.hotel.secret).await]
    {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let mut body = answer.json();
        let token = body["access_token"].take();
        assert_eq!(body, json!({"access_token": null, "token_type": "Bearer", "expires_in": 600, "scope": "checks"}));
        let token = token.as_str().unwrap();
        let checked = app.post(token, "/v1/checks", &check_of(&random_number(), None)).await;
        assert_eq!(checked.status, 200);
    }
}

#[tokio::test]
async fn a_token_is_what_rfc_9068_says() {
    let app = TestApp::spawn().await;
    let token = app.token_for(&app.hotel).await;
    let header: Value = serde_json::from_slice(&from_base64url(token.split('.').next().unwrap()).unwrap()).unwrap();
    let published = app.get("", "/.well-known/jwks.json").await.json();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    assert!(published["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
    let claims = claims_of(&token);
    let now_s = app.clock.now_s();
    for (name, value) in [
        ("iss", json!(ISSUER)),
        ("aud", json!(ISSUER)),
        ("sub", json!(app.hotel.client_id)),
        ("client_id", json!(app.hotel.client_id)),
        ("org", json!(app.hotel.organization)),
        ("scope", json!("checks")),
        ("iat", json!(now_s)),
        ("exp", json!(now_s + 600)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_ne!(claims["jti"], claims_of(&app.hotel.token)["jti"]);
}

/// RFC 6749, 2.3.1: both parts are encoded as in forms first. Node's libraries do so, most others do not.
#[tokio::test]
async fn both_parts_of_basic_may_be_encoded_as_in_forms() {
    let app = TestApp::spawn().await;
    let secret = format!("lcs_{}", app.hotel.secret);
    let proof = Proof::SecretHash(hash_secret(&secret.clone().into()));
    let (client_id, now_ms) = (app.hotel.client_id, app.clock.now_ms());
    app.change_store(async |tx| tx.add_proof(client_id, random::id(now_ms), &proof, now_ms).await.unwrap()).await;
    let send = async |id: &str, secret: &str, separator: &str| {
        let credentials = STANDARD.encode(format!("{id}:{secret}"));
        let request = app.request("POST", "/oauth2/token");
        app.send(request.header("Authorization", format!("Basic{separator}{credentials}")).form(&[GRANT])).await
    };
    let encoded = |text: &str| text.replace('-', "%2D").replace('_', "%5F");
    let all = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let id = client_id.to_string();
    let taken = async |id: &str, secret: &str, separator: &str| {
        let at = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let answer = send(id, secret, separator).await;
            if answer.status == 200 || std::time::Instant::now() > at {
                return answer.status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert_eq!(taken(&id, &secret, " ").await, 200, "once the node knows the new secret");
    for (id, secret, separator) in
        [(encoded(&id), encoded(&secret), " "), (id.clone(), encoded(&secret), " "), (all(&id), all(&secret), "  ")]
    {
        assert_eq!(send(&id, &secret, separator).await.status, 200, "{id}");
    }
    for wrong in [
        encoded(&format!("{secret}-")),
        format!("{secret}%"),
        format!("{secret}%2"),
        secret.replace('_', "+"),
        String::new(),
    ] {
        assert_refused(&send(&encoded(&id), &wrong, " ").await, 401, "invalid_client");
    }
}

/// RFC 6749, 3.2: a parameter without a value is as good as none.
#[tokio::test]
async fn empty_parameters_are_absent() {
    let app = TestApp::spawn().await;
    let basic = async |form: &[(&str, &str)]| {
        let request = app.request("POST", "/oauth2/token").basic_auth(app.hotel.client_id, Some(&app.hotel.secret));
        app.send(request.form(form)).await
    };
    let id = app.hotel.client_id.to_string();
    let empty = |name| (name, "");
    for form in [
        vec![GRANT, empty("scope")],
        // What joins a list of nothing.
        vec![GRANT, ("scope", " ")],
        vec![GRANT, ("scope", "   ")],
        vec![GRANT, empty("client_secret")],
        vec![GRANT, empty("client_assertion"), empty("client_assertion_type")],
        vec![GRANT, empty("client_id")],
        vec![GRANT, ("client_id", id.as_str()), empty("scope"), empty("client_secret"), empty("client_assertion")],
    ] {
        let answer = basic(&form).await;
        assert_eq!((answer.status, &answer.json()["scope"]), (200, &json!("checks")), "{form:?} {}", answer.text);
    }
    let post = [
        GRANT,
        ("client_id", id.as_str()),
        ("client_secret", &app.hotel.secret),
        empty("client_assertion"),
        empty("scope"),
    ];
    assert_eq!(app.ask_token(&post).await.status, 200);
    assert_refused(&basic(&[empty("grant_type")]).await, 400, "invalid_request");
    assert_refused(&basic(&[GRANT, empty("scope"), empty("scope")]).await, 400, "invalid_request");
    for scope in [" checks", "checks ", "checks  checks", "\t"] {
        assert_refused(&basic(&[GRANT, ("scope", scope)]).await, 400, "invalid_scope");
    }
    assert_refused(&basic(&[GRANT, ("client_id", &app.police.client_id.to_string())]).await, 401, "invalid_client");
}

#[tokio::test]
async fn a_form_is_a_form_in_the_character_sets_that_clients_name() {
    let app = TestApp::spawn().await;
    let form =
        format!("grant_type=client_credentials&client_id={}&client_secret={}", app.hotel.client_id, app.hotel.secret);
    let send = async |content_type: &str| {
        let request = app.request("POST", "/oauth2/token").header("Content-Type", content_type);
        app.send(request.body(form.clone())).await
    };
    for charset in ["", ";", "; charset=ISO-8859-1", "; charset=us-ascii", ";charset=utf8", "; charset=\"UTF-8\""] {
        assert_eq!(send(&format!("application/x-www-form-urlencoded{charset}")).await.status, 200, "{charset}");
    }
    for other in
        ["application/x-www-form-urlencoded; charset=utf-16", "application/json", "multipart/form-data; boundary=x"]
    {
        send(other).await.problem(415, "unsupported_media_type");
    }
    let twice = app.request("POST", "/oauth2/token").form(&[GRANT]).header("Content-Type", "text/plain");
    app.send(twice).await.problem(400, "malformed_request");
}

#[tokio::test]
async fn a_wrong_proof_is_an_invalid_client() {
    let app = TestApp::spawn().await;
    let stranger = TestClient { client_id: ClientId::nil(), ..app.hotel.clone() };
    for answer in [
        with_post(&app, &app.hotel, "wrong").await,
        with_post(&app, &app.hotel, &app.police.secret).await,
        with_post(&app, &stranger, &app.hotel.secret).await,
        with_basic(&app, &app.hotel, "").await,
        app.ask_token(&[GRANT]).await,
        app.ask_token(&[GRANT, ("client_id", "hotel"), ("client_secret", &app.hotel.secret)]).await,
    ] {
        assert_refused(&answer, 401, "invalid_client");
    }
}

#[tokio::test]
async fn a_malformed_token_request_is_told_so() {
    let app = TestApp::spawn().await;
    let id = app.hotel.client_id.to_string();
    let (id, secret) = (("client_id", id.as_str()), ("client_secret", app.hotel.secret.as_str()));
    for (form, error) in [
        (vec![id, secret], "invalid_request"),
        (vec![("grant_type", "password"), id, secret], "unsupported_grant_type"),
        (vec![GRANT, GRANT, id, secret], "invalid_request"),
        (vec![GRANT, id, secret, ("client_assertion", "a.b.c")], "invalid_request"),
        (vec![GRANT, id, secret, ("scope", "registry")], "invalid_scope"),
        (vec![GRANT, id, secret, ("scope", "checks registry")], "invalid_scope"),
        (vec![GRANT, id, secret, ("scope", "everything")], "invalid_scope"),
    ] {
        assert_refused(&app.ask_token(&form).await, 400, error);
    }
    let both = app.request("POST", "/oauth2/token").basic_auth(app.hotel.client_id, Some(&app.hotel.secret));
    assert_refused(&app.send(both.form(&[GRANT, id, secret])).await, 400, "invalid_request");
    let json = app.request("POST", "/oauth2/token").json(&json!({"grant_type": "client_credentials"}));
    app.send(json).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_token_has_the_scopes_that_were_asked_for_and_no_others() {
    let app = TestApp::spawn().await;
    let client = app.add_client("checks registry", None).await;
    let id = client.client_id.to_string();
    let form = [GRANT, ("client_id", id.as_str()), ("client_secret", &client.secret), ("scope", "checks")];
    let granted = app.ask_token(&form).await.json();
    assert_eq!(granted["scope"], "checks");
    let token = granted["access_token"].as_str().unwrap();
    app.get(token, "/v1/loss-reports/x").await.problem(403, "insufficient_scope");
    assert_eq!(app.get(&client.token, "/v1/loss-reports/x").await.status, 404, "its other token has both scopes");
}

#[tokio::test]
async fn two_secrets_live_and_a_third_drops_the_first() {
    let app = TestApp::spawn().await;
    let id = app.hotel.client_id.to_string();
    let rotate = || child::run_json(&app.config.data, &["client", "rotate-secret", &id, "--json"]);
    let first = app.hotel.secret.clone();
    let second = rotate()["client_secret"].as_str().unwrap().to_owned();
    let (app, second) = (&app, &second);
    eventually("the second secret is taken", || async move { with_post(app, &app.hotel, second).await.status == 200 })
        .await;
    assert_eq!(with_post(app, &app.hotel, &first).await.status, 200);
    let third = rotate()["client_secret"].as_str().unwrap().to_owned();
    let third = &third;
    eventually("the third secret is taken", || async move { with_post(app, &app.hotel, third).await.status == 200 })
        .await;
    assert_eq!(with_post(app, &app.hotel, second).await.status, 200);
    assert_refused(&with_post(app, &app.hotel, &first).await, 401, "invalid_client");
}

#[tokio::test]
async fn a_token_expires_after_ten_minutes_and_the_leeway() {
    let app = TestApp::spawn().await;
    let seconds = std::time::Duration::from_secs;
    app.clock.advance(seconds(604));
    assert!(is_welcome(&app, &app.hotel).await, "within five seconds of leeway");
    app.clock.advance(seconds(1));
    assert!(!is_welcome(&app, &app.hotel).await);
    let fresh = TestClient { token: app.token_for(&app.hotel).await, ..app.hotel.clone() };
    assert!(is_welcome(&app, &fresh).await);
}

#[tokio::test]
async fn a_disabled_client_is_out_within_the_lease() {
    let app = TestApp::spawn().await;
    let client = app.add_client("checks", None).await;
    assert!(is_welcome(&app, &client).await, "its token is remembered by now");
    let done = child::run(&app.config.data, &["client", "disable", &client.client_id.to_string()]);
    assert!(done.status.success());
    let started = std::time::Instant::now();
    let (app, client) = (&app, &client);
    eventually("the client is out", || async move { !is_welcome(app, client).await }).await;
    assert!(
        started.elapsed() < std::time::Duration::from_millis(app.config.registry.lease_ms),
        "{:?}",
        started.elapsed()
    );
    assert_refused(&with_post(app, client, &client.secret).await, 401, "invalid_client");
    assert!(is_welcome(app, &app.hotel).await);
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_sister_is_not() {
    let app = TestApp::spawn().await;
    let sister = TestClient { token: app.token_for(&app.hotel).await, ..app.hotel.clone() };
    assert!(is_welcome(&app, &app.hotel).await && is_welcome(&app, &sister).await);
    let jti = claims_of(&app.hotel.token)["jti"].as_str().unwrap().to_owned();
    let done = child::run(&app.config.data, &["client", "revoke-token", "--issuer", ISSUER, &jti]);
    assert!(done.status.success());
    let app_ref = &app;
    eventually("the token is refused", || async move { !is_welcome(app_ref, &app_ref.hotel).await }).await;
    assert!(is_welcome(&app, &sister).await);
}

#[tokio::test]
async fn a_token_revoked_before_the_start_is_refused() {
    let app = TestApp::spawn().await;
    let jti = claims_of(&app.hotel.token)["jti"].as_str().unwrap().to_owned();
    let now_ms = app.clock.now_ms();
    app.change_store(async |tx| tx.revoke_token(&fingerprint(ISSUER, &jti), now_ms).await.unwrap()).await;
    let later = app.sibling().await;
    assert!(!is_welcome(&later, &later.hotel).await);
}

#[tokio::test]
async fn the_metadata_names_what_the_service_does() {
    let app = TestApp::spawn().await;
    let answer = app.get("", "/.well-known/oauth-authorization-server").await;
    let metadata = answer.json();
    assert_eq!((answer.status, &metadata["issuer"]), (200, &json!(ISSUER)));
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/oauth2/token"));
    assert_eq!(metadata["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!([
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth"
        ])
    );
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA", "Ed25519"]));
    let keys = app.get("", "/.well-known/jwks.json").await.json();
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
        assert!(key.get("d").is_none(), "no private half");
    }
}

/// One node finds a rotated key up to two seconds before the other: what it signs is good everywhere at once.
#[tokio::test]
async fn a_token_of_a_key_that_another_node_found_first_is_good() {
    let one = TestApp::spawn_at(Clock::System, |config| config.limits.address = rate("100000/60s")).await;
    let two = one.sibling().await;
    let kid = |token: &str| token.split('.').next().unwrap().to_owned();
    for _ in 0..3 {
        let old = kid(&one.token_for(&one.hotel).await);
        child::run_json(&one.config.data, &["keys", "rotate", "--tokens", "--receipts", "--json"]);
        let (one, old) = (&one, &old);
        eventually("the rotated key signs", || async move { kid(&one.token_for(&one.hotel).await) != *old }).await;
        let token = one.token_for(&one.hotel).await;
        let receipt = one.check(&check_of(&random_number(), None)).await.json()["receipt"].clone();
        let answer = two.post(&token, "/v1/receipts/verify", &json!({ "receipt": receipt })).await;
        assert_eq!((answer.status, &answer.json()["authentic"]), (200, &json!(true)), "{}", answer.text);
    }
}
