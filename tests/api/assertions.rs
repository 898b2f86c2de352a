//! `private_key_jwt` (RFC 7523): a client that proves itself by a key made here and registered by `client create --jwks`.

use lostcard::crypto::random;
use lostcard::crypto::signing::SigningKey;
use lostcard::domain::ids::{ClientId, TokenId};
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, with};
use crate::child;
use crate::helpers::{Answer, ISSUER, TestApp};
use crate::tokens::assert_refused;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct KeyClient {
    client_id: ClientId,
    key: SigningKey,
}

impl KeyClient {
    /// Registered by the command line, with one key.
    fn register(app: &TestApp) -> Self {
        let key = SigningKey::generate().unwrap();
        let file = app.folder.path().join("client-keys.json");
        std::fs::write(&file, json!({"keys": [key.public().to_jwk()]}).to_string()).unwrap();
        let organization = app.hotel.organization.to_string();
        let file = file.to_str().unwrap();
        let args = ["client", "create", "--organization", &organization, "--scope", "checks", "--jwks", file, "--json"];
        let made = child::run_json(&app.config.data, &args);
        assert!(made.get("client_secret").is_none(), "a client with keys has no secret");
        Self { client_id: made["client_id"].as_str().unwrap().parse().unwrap(), key }
    }

    fn claims(&self, app: &TestApp) -> Value {
        let now_s = app.clock.now_s();
        let jti: TokenId = random::id(app.clock.now_ms());
        json!({"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "iat": now_s, "exp": now_s + 60, "jti": jti})
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.sign_jws("JWT", claims.to_string().as_bytes())
    }
}

async fn present(app: &TestApp, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    app.ask_token(&form).await
}

#[tokio::test]
async fn a_signed_assertion_gives_a_token() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    let answer = present(&app, &client.sign(&client.claims(&app))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await.status, 200);
}

#[tokio::test]
async fn an_assertion_is_good_for_one_use() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    let assertion = client.sign(&client.claims(&app));
    let many = futures_util::future::join_all((0..8).map(|_| present(&app, &assertion))).await;
    assert_eq!(many.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in many.iter().filter(|answer| answer.status != 200) {
        assert_refused(answer, 401, "invalid_client");
    }
    // Signed again, but with the same id: still the same assertion.
    let claims = with(client.claims(&app), "jti", "once");
    assert_eq!(present(&app, &client.sign(&claims)).await.status, 200);
    let replay = with(claims, "exp", app.clock.now_s() + 90);
    assert_refused(&present(&app, &client.sign(&replay)).await, 401, "invalid_client");
}

#[tokio::test]
async fn the_audience_of_an_assertion_is_the_issuer_alone() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    for audience in [
        json!(format!("{ISSUER}/oauth2/token")),
        json!([ISSUER, "https://other.example"]),
        json!(["https://other.example"]),
        json!("https://other.example"),
    ] {
        let assertion = client.sign(&with(client.claims(&app), "aud", audience));
        assert_refused(&present(&app, &assertion).await, 401, "invalid_client");
    }
}

#[tokio::test]
async fn an_assertion_must_be_the_clients_own_and_of_now() {
    let app = TestApp::spawn().await;
    let (client, other) = (KeyClient::register(&app), KeyClient::register(&app));
    let (good, now_s) = (client.claims(&app), app.clock.now_s());
    let mut without_jti = good.clone();
    without_jti.as_object_mut().unwrap().remove("jti");
    for bad in [
        other.sign(&good),
        client.sign(&with(good.clone(), "sub", json!(other.client_id))),
        client.sign(&with(good.clone(), "iss", json!(other.client_id))),
        client.sign(&with(good.clone(), "exp", now_s - 6)),
        client.sign(&with(good.clone(), "exp", now_s + 301)),
        client.sign(&with(good.clone(), "nbf", now_s + 60)),
        client.sign(&with(good.clone(), "iat", now_s + 60)),
        client.sign(&without_jti),
        "a.b.c".to_owned(),
    ] {
        assert_refused(&present(&app, &bad).await, 401, "invalid_client");
    }
    assert_eq!(present(&app, &client.sign(&good)).await.status, 200, "refusals have not used it up");
}

#[tokio::test]
async fn a_client_of_a_secret_cannot_use_an_assertion_and_the_reverse() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    let claims = with(client.claims(&app), "sub", json!(app.hotel.client_id));
    let assertion = client.sign(&with(claims, "iss", json!(app.hotel.client_id)));
    assert_refused(&present(&app, &assertion).await, 401, "invalid_client");
    let id = client.client_id.to_string();
    let form = [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", "")];
    assert_refused(&app.ask_token(&form).await, 401, "invalid_client");
}

#[tokio::test]
async fn the_type_of_an_assertion_must_be_named() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    let assertion = client.sign(&client.claims(&app));
    let form = [("grant_type", "client_credentials"), ("client_assertion", assertion.as_str())];
    assert_refused(&app.ask_token(&form).await, 400, "invalid_request");
    let form =
        [form[0], form[1], ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")];
    assert_refused(&app.ask_token(&form).await, 400, "invalid_request");
}
