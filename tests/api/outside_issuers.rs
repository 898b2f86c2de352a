//! Tokens of configured outside issuers, whose keys are in a JWK Set file or are fetched.

use std::sync::Arc;
use std::time::Duration;

use lostcard::access::tokens::TokenError;
use lostcard::access::{Access, AccessError, AccessOptions};
use lostcard::config::Issuer;
use lostcard::crypto::signing::SigningKey;
use lostcard::limits::{Asker, Workshop, WorkshopOptions};
use lostcard::node::options;
use lostcard::telemetry::Metrics;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bodies::{check_of, random_number, with};
use crate::helpers::{ISSUER, TestApp};

const OUTSIDE: &str = "https://login.police.example";
const AUDIENCE: &str = "https://lostcard.example";

struct Outside {
    app: TestApp,
    key: SigningKey,
}

impl Outside {
    async fn spawn() -> Self {
        let key = SigningKey::generate().unwrap();
        let set = json!({"keys": [key.public().to_jwk()]}).to_string();
        let app = TestApp::spawn_with(|config| {
            let jwks_file = config.data.with_extension("jwks.json");
            std::fs::write(&jwks_file, set).unwrap();
            config.issuers = vec![Issuer {
                issuer: OUTSIDE.to_owned(),
                audience: AUDIENCE.to_owned(),
                jwks_file: Some(jwks_file),
                jwks_url: None,
            }];
        })
        .await;
        Self { app, key }
    }

    fn claims(&self) -> Value {
        let (now_s, client) = (self.app.clock.now_s(), self.app.hotel.client_id);
        json!({"iss": OUTSIDE, "aud": AUDIENCE, "sub": "frontdesk@police.example", "client_id": client, "scope": "checks",
            "jti": "outside-1", "iat": now_s, "exp": now_s + 600})
    }

    async fn check_with(&self, token: &str) -> crate::helpers::Answer {
        self.app.post(token, "/v1/checks", &check_of(&random_number(), None)).await
    }
}

#[tokio::test]
async fn a_token_of_a_configured_issuer_is_accepted() {
    let outside = Outside::spawn().await;
    let token = outside.key.sign_jws("at+jwt", outside.claims().to_string().as_bytes());
    let answer = outside.check_with(&token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let both = with(outside.claims(), "aud", json!([AUDIENCE, "https://other.example"]));
    let token = outside.key.sign_jws("at+jwt", both.to_string().as_bytes());
    assert_eq!(outside.check_with(&token).await.status, 200, "an audience may be a list (RFC 7519, 4.1.3)");
}

#[tokio::test]
async fn an_issuers_keys_are_fetched_from_its_server_and_serve_on_without_it() {
    let login = TestApp::spawn().await;
    let url = format!("http://{}/.well-known/jwks.json", login.address);
    let app = TestApp::spawn_with(|config| {
        let (issuer, audience) = (OUTSIDE.to_owned(), AUDIENCE.to_owned());
        config.issuers = vec![Issuer { issuer, audience, jwks_file: None, jwks_url: Some(url) }];
        config.tokens.insecure_loopback_for_tests = true;
    })
    .await;
    let keyring = std::sync::Arc::clone(&login.keyring);
    let check = async |jti: &str| {
        let (now_s, client) = (app.clock.now_s(), app.hotel.client_id);
        let claims = json!({"iss": OUTSIDE, "aud": AUDIENCE, "sub": "x", "client_id": client, "scope": "checks",
            "jti": jti, "iat": now_s, "exp": now_s + 600});
        let token = keyring.signing().token.sign_jws("at+jwt", claims.to_string().as_bytes());
        app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await
    };
    assert_eq!(check("1").await.status, 200);
    drop(login);
    assert_eq!(check("2").await.status, 200, "its server is down, its keys serve on");
}

#[tokio::test]
async fn an_issuers_keys_end_an_hour_after_they_were_last_had() {
    let outside = Outside::spawn().await;
    let app = &outside.app;
    let options = WorkshopOptions { threads: 2, waiting_max: 8, wait: Duration::from_secs(5) };
    let workshop = Workshop::start(options, &Metrics::new().unwrap()).unwrap();
    let options = AccessOptions {
        issuer: ISSUER.to_owned(),
        token_lifetime_s: 600,
        rates: options::default_rates(&app.config),
        cluster: None,
        live_nodes: Arc::default(),
        workshop: Arc::new(workshop),
        require_bound: false,
        dpop_nonce: false,
        tokens_max: 10,
    };
    let (clock, store, keyring) = (app.clock.clone(), app.store.clone(), Arc::clone(&app.keyring));
    let metrics = Arc::new(Metrics::new().unwrap());
    let access = Access::new(options, &options::outside_issuers(&app.config).unwrap(), clock, store, keyring, metrics);
    // A new token each time, by the clock of that time: none is remembered.
    let asker = Asker::at(app.address.ip());
    let verify = async |id: &str| {
        let claims = with(outside.claims(), "jti", id);
        access.verify(&outside.key.sign_jws("at+jwt", claims.to_string().as_bytes()), asker).await
    };
    access.refresh_outside().await;
    verify("at once").await.unwrap();
    std::fs::remove_file(app.config.issuers[0].jwks_file.as_ref().unwrap()).unwrap();
    app.clock.advance(Duration::from_mins(59));
    access.refresh_outside().await;
    verify("within the hour").await.unwrap();
    app.clock.advance(Duration::from_mins(1));
    access.refresh_outside().await;
    let refused = verify("after it").await.unwrap_err();
    assert!(matches!(refused, AccessError::Token(TokenError::UnknownKey)), "{refused}");
}

#[tokio::test]
async fn an_issuer_speaks_only_for_itself_and_grants_only_what_the_client_has() {
    let outside = Outside::spawn().await;
    let now_s = outside.app.clock.now_s();
    let claims = outside.claims();
    for (bad, typ) in [
        (with(claims.clone(), "iss", ISSUER), "at+jwt"),
        (with(claims.clone(), "aud", ISSUER), "at+jwt"),
        (with(claims.clone(), "client_id", json!(Uuid::nil())), "at+jwt"),
        (with(claims.clone(), "org", json!(outside.app.police.organization)), "at+jwt"),
        (with(claims.clone(), "scope", "root"), "at+jwt"),
        (with(claims.clone(), "exp", now_s + 24 * 3600 + 1), "at+jwt"),
        (claims.clone(), "JWT"),
    ] {
        let token = outside.key.sign_jws(typ, bad.to_string().as_bytes());
        outside.check_with(&token).await.problem(401, "invalid_token");
    }
    let more = with(claims.clone(), "scope", "checks registry");
    let token = outside.key.sign_jws("at+jwt", more.to_string().as_bytes());
    assert_eq!(outside.check_with(&token).await.status, 200);
    outside.app.get(&token, "/v1/loss-reports/x").await.problem(403, "insufficient_scope");
    let stranger = SigningKey::generate().unwrap().sign_jws("at+jwt", claims.to_string().as_bytes());
    outside.check_with(&stranger).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn our_own_key_does_not_sign_for_an_outside_issuer() {
    let outside = Outside::spawn().await;
    let own = outside.app.keyring.signing();
    let token = own.token.sign_jws("at+jwt", outside.claims().to_string().as_bytes());
    outside.check_with(&token).await.problem(401, "invalid_token");
    // Nor does the receipt key sign tokens, published though it is.
    let claims = with(with(outside.claims(), "iss", ISSUER), "aud", ISSUER);
    let token = own.receipt.sign_jws("at+jwt", claims.to_string().as_bytes());
    outside.check_with(&token).await.problem(401, "invalid_token");
}
