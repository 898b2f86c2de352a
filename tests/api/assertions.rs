//! `private_key_jwt` (RFC 7523): a client that proves itself by a key made here and registered by `client create --jwks`.

use aws_lc_rs::signature::{Ed25519KeyPair, Signature};
use lostcard::crypto::random;
use lostcard::crypto::signing::{SigningKey, base64url};
use lostcard::domain::ids::{ClientId, TokenId};
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, with};
use crate::child;
use crate::helpers::{Answer, ISSUER, TestApp};
use crate::redis::node_with;
use crate::servers::redis::Redis;
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

    /// With another header.
    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        format!("{message}.{}", base64url(sign(self.key.pkcs8(), message.as_bytes()).as_ref()))
    }
}

fn sign(pkcs8: &[u8], message: &[u8]) -> Signature {
    Ed25519KeyPair::from_pkcs8(pkcs8).unwrap().sign(message)
}

/// A refused assertion names the rule that it broke.
#[track_caller]
fn assert_breaks(answer: &Answer, rule: &str) {
    assert_refused(answer, 401, "invalid_client");
    let told = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(told.contains(rule), "{told}");
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

/// The store of all nodes remembers it until it has expired by itself.
#[tokio::test]
async fn an_assertion_is_good_for_one_use_in_the_whole_cluster() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let client = KeyClient::register(&app);
    let assertion = client.sign(&client.claims(&app));
    assert_eq!(present(&app, &assertion).await.status, 200);
    for node in [&sibling, &app] {
        assert_breaks(&present(node, &assertion).await, "used before");
    }
    app.clock.advance(std::time::Duration::from_secs(64));
    for node in [&sibling, &app] {
        assert_breaks(&present(node, &assertion).await, "used before");
    }
    app.clock.advance(std::time::Duration::from_secs(70));
    for node in [&sibling, &app] {
        assert_breaks(&present(node, &assertion).await, "expired");
    }
    // One that lives longer than another of the same id is no second use of it.
    let claims = with(client.claims(&app), "jti", "twice");
    assert_eq!(present(&app, &client.sign(&with(claims.clone(), "exp", app.clock.now_s() + 10))).await.status, 200);
    app.clock.advance(std::time::Duration::from_secs(30));
    let longer = with(claims, "exp", app.clock.now_s() + 60);
    assert_breaks(&present(&sibling, &client.sign(&longer)).await, "used before");
}

/// The store's, whatever becomes of Redis: an assertion lives longer than what a cache may lose.
#[tokio::test]
async fn an_assertion_is_good_once_though_redis_is_flushed_or_gone() {
    let redis = Redis::start();
    let app = node_with(&redis.url(), |_| {}).await;
    let sibling = app.sibling().await;
    let client = KeyClient::register(&app);
    let assertion = client.sign(&client.claims(&app));
    assert_eq!(present(&app, &assertion).await.status, 200);
    assert_breaks(&present(&sibling, &assertion).await, "used before");
    redis.command(&["FLUSHALL"]);
    assert_breaks(&present(&sibling, &assertion).await, "used before");
    drop(redis);
    for node in [&sibling, &app] {
        assert_breaks(&present(node, &assertion).await, "used before");
    }
}

/// RFC 9864 gives the algorithm of this key a name of its own.
#[tokio::test]
async fn the_header_of_an_assertion_follows_the_standards() {
    let app = TestApp::spawn().await;
    let client = KeyClient::register(&app);
    for header in [
        json!({"alg": "EdDSA"}),
        json!({"alg": "Ed25519"}),
        json!({"alg": "Ed25519", "typ": "jwt", "kid": "k1"}),
        json!({"alg": "EdDSA", "typ": "client-authentication+jwt", "x5t": "x"}),
        json!({"alg": "EdDSA", "typ": "application/client-authentication+JWT"}),
    ] {
        let answer = present(&app, &client.sign_with(&header, &client.claims(&app))).await;
        assert_eq!(answer.status, 200, "{header} {}", answer.text);
    }
    for (header, rule) in [
        (json!({"alg": "EdDSA", "crit": ["exp"], "exp": 1}), "crit"),
        (json!({"alg": "EdDSA", "crit": null}), "crit"),
        (json!({"alg": "EdDSA", "typ": "at+jwt"}), "typ"),
        (json!({"alg": "EdDSA", "typ": ""}), "typ"),
        (json!({"alg": "none"}), "alg"),
        (json!({"alg": "HS256"}), "alg"),
        (json!({"alg": "ed25519"}), "alg"),
        (json!({"alg": "ES256"}), "signature"),
        (json!({"typ": "JWT"}), "header is not"),
        (json!(["EdDSA", "JWT"]), "header is not"),
        (json!({"alg": "EdDSA", "typ": 7}), "typ is no text"),
    ] {
        assert_breaks(&present(&app, &client.sign_with(&header, &client.claims(&app))).await, rule);
    }
}

#[tokio::test]
async fn the_rule_that_an_assertion_breaks_is_told() {
    let app = TestApp::spawn().await;
    let (client, other) = (KeyClient::register(&app), KeyClient::register(&app));
    let (good, now_s) = (client.claims(&app), app.clock.now_s());
    for (claims, rule) in [
        (with(good.clone(), "aud", json!([ISSUER, ISSUER])), "aud"),
        (with(good.clone(), "aud", json!([])), "aud"),
        (with(good.clone(), "jti", ""), "jti"),
        (with(good.clone(), "jti", json!(7)), "jti"),
        (with(good.clone(), "exp", "soon"), "exp"),
        (with(good.clone(), "exp", now_s + 306), "five minutes"),
        (with(good.clone(), "iat", now_s - 3600), "an hour"),
        (with(good.clone(), "exp", now_s - 6), "expired"),
        (with(good.clone(), "nbf", now_s + 60), "not valid yet"),
        (with(good.clone(), "nbf", Value::Null), "nbf or iat is not of its type"),
        (with(good.clone(), "iat", Value::Null), "nbf or iat is not of its type"),
        (with(good.clone(), "iat", "now"), "nbf or iat is not of its type"),
        (with(good.clone(), "iss", json!(other.client_id)), "iss and sub"),
        (with(good.clone(), "iss", "hotel"), "iss and sub"),
        (with(good.clone(), "sub", "hotel"), "iss and sub"),
        (with(good.clone(), "iss", ""), "iss and sub"),
        (with(good.clone(), "iss", json!(7)), "lacks one of iss"),
        (with(good.clone(), "sub", Value::Null), "lacks one of iss"),
        (with(good.clone(), "x", "a".repeat(4096)), "longer than 4,096 bytes"),
    ] {
        assert_breaks(&present(&app, &client.sign(&claims)).await, rule);
    }
    assert_breaks(&present(&app, &other.sign(&good)).await, "signature");
    for (assertion, rule) in [("a.b", "three parts"), ("a.b.c.d", "three parts"), ("a.b.c", "header is not")] {
        assert_breaks(&present(&app, assertion).await, rule);
    }
    // A NumericDate may have a fraction (RFC 7519, 2).
    let fraction: serde_json::Value = serde_json::from_str(&format!("{}.5", now_s + 30)).unwrap();
    // Its end counts from now, whenever it was made.
    let early = with(with(client.claims(&app), "iat", now_s - 600), "exp", now_s + 300);
    for good in [with(good.clone(), "aud", json!([ISSUER])), with(client.claims(&app), "exp", fraction), early] {
        assert_eq!(present(&app, &client.sign(&good)).await.status, 200);
    }
}

/// What cannot be used, or should not have been shown, is refused before it is a client's.
#[tokio::test]
async fn keys_are_looked_at_when_they_are_registered() {
    let app = TestApp::spawn().await;
    let organization = app.hotel.organization.to_string();
    let file = app.folder.path().join("keys.json");
    let register = |keys: Value| {
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
        let file = file.to_str().unwrap();
        child::run(
            &app.config.data,
            &["client", "create", "--organization", &organization, "--scope", "checks", "--jwks", file],
        )
    };
    let key = || SigningKey::generate().unwrap().public().to_jwk();
    let good = key();
    let rsa = |bits: usize| json!({"kty": "RSA", "e": "AQAB", "n": base64url(&vec![0xff; bits / 8])});
    for taken in
        [json!([good]), json!([with(good.clone(), "alg", "Ed25519")]), json!([key(), key()]), json!([rsa(2048)])]
    {
        let done = register(taken.clone());
        assert!(done.status.success(), "{taken}: {}", String::from_utf8_lossy(&done.stderr));
    }
    for (keys, reason) in [
        (json!([with(good.clone(), "d", "AAAA")]), "private"),
        (json!([{"kty": "oct", "k": "AAAA"}]), "private"),
        (json!([with(good.clone(), "use", "enc")]), "another use"),
        (json!([with(good.clone(), "key_ops", json!(["sign"]))]), "another use"),
        (json!([with(good.clone(), "alg", "ES256")]), "alg"),
        (json!([with(good.clone(), "alg", "RS512")]), "alg"),
        (json!([with(rsa(2048), "alg", "PS512")]), "alg"),
        (json!([rsa(1024)]), "2048"),
        (json!([good.clone(), with(key(), "kid", good["kid"].clone())]), "same kid"),
        (json!([]), "one or two keys"),
    ] {
        let done = register(keys.clone());
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && told.contains(reason), "{keys}: {told}");
    }
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
        client.sign(&with(good.clone(), "exp", now_s + 306)),
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
