//! Tokens of configured outside issuers, whose keys are in a JWK Set file or are fetched.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lostcard::access::tokens::TokenError;
use lostcard::access::{Access, AccessError, AccessOptions};
use lostcard::config::{Config, Issuer};
use lostcard::crypto::signing::{SigningKey, base64url};
use lostcard::domain::client::Scope;
use lostcard::domain::numbers::NumbersMode;
use lostcard::limits::{Asker, CallerAddress, Numbers, Workshop, WorkshopOptions};
use lostcard::node::options;
use lostcard::telemetry::Metrics;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bodies::{check_of, random_number, with};
use crate::helpers::{ISSUER, TestApp};

pub(crate) const OUTSIDE: &str = "https://login.police.example";
pub(crate) const AUDIENCE: &str = "https://lostcard.example";

struct Outside {
    app: TestApp,
    key: SigningKey,
}

/// An issuer that may say what its tokens do here.
pub(crate) fn issuer(jwks_file: Option<PathBuf>, jwks_url: Option<String>) -> Issuer {
    Issuer {
        issuer: OUTSIDE.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks_file,
        jwks_url,
        // A test's organizations are made after its settings.
        organizations: Vec::new(),
        scopes: vec![Scope::Checks, Scope::Registry],
        client_claim: "client_id".to_owned(),
        client_map: BTreeMap::default(),
        scope_claim: "scope".to_owned(),
        scope_map: BTreeMap::default(),
        is_plain_jwt: false,
    }
}

/// A node whose issuers speak for the organizations of another one on its folder.
pub(crate) async fn bound(app: TestApp, change: impl FnOnce(&mut Config, &TestApp)) -> TestApp {
    let (hotel, police) = (app.hotel.organization, app.police.organization);
    let sibling = app
        .sibling_with(|config| {
            change(config, &app);
            for issuer in &mut config.issuers {
                if issuer.organizations.is_empty() {
                    issuer.organizations = vec![hotel, police];
                }
            }
        })
        .await;
    drop(app);
    sibling
}

impl Outside {
    async fn spawn() -> Self {
        Self::spawn_with(|_| {}).await
    }

    async fn spawn_with(change: impl FnOnce(&mut Issuer)) -> Self {
        let key = SigningKey::generate().unwrap();
        let set = json!({"keys": [key.public().to_jwk()]}).to_string();
        let app = bound(TestApp::spawn().await, |config, _| {
            let jwks_file = config.data.with_extension("jwks.json");
            std::fs::write(&jwks_file, set).unwrap();
            let mut outside = issuer(Some(jwks_file), None);
            change(&mut outside);
            config.issuers = vec![outside];
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
    let app = bound(TestApp::spawn().await, |config, _| {
        config.issuers = vec![issuer(None, Some(url))];
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
    let (app, metrics) = (&outside.app, Arc::new(Metrics::new().unwrap()));
    let workshop = WorkshopOptions { threads: 2, waiting_max: 8, wait: Duration::from_secs(5) };
    let options = AccessOptions {
        issuer: ISSUER.to_owned(),
        token_lifetime_s: 600,
        rates: options::default_rates(&app.config),
        cluster: None,
        live_nodes: Arc::default(),
        numbers: Numbers::new(NumbersMode::Enforce, app.clock.clone(), Arc::default(), Arc::clone(&metrics)),
        workshop: Arc::new(Workshop::start(workshop, &metrics).unwrap()),
        require_bound: false,
        dpop_nonce: false,
        tokens_max: 10,
        sign_in: None,
        passkeys: None,
    };
    let (clock, store, keyring) = (app.clock.clone(), app.store.clone(), Arc::clone(&app.keyring));
    let access = Access::new(options, &options::outside_issuers(&app.config).unwrap(), clock, store, keyring, metrics);
    // A new token each time, by the clock of that time: none is remembered.
    let asker = Asker::at(CallerAddress::new(app.address.ip()));
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

#[tokio::test]
async fn an_issuer_speaks_only_for_its_organizations_and_grants_only_its_scopes() {
    // The police's clients are not the hotels' login's to speak for.
    let key = SigningKey::generate().unwrap();
    let set = json!({"keys": [key.public().to_jwk()]}).to_string();
    let app = bound(TestApp::spawn().await, |config, app| {
        let jwks_file = config.data.with_extension("jwks.json");
        std::fs::write(&jwks_file, set).unwrap();
        let hotels = vec![app.hotel.organization];
        config.issuers =
            vec![Issuer { organizations: hotels, scopes: vec![Scope::Audit], ..issuer(Some(jwks_file), None) }];
    })
    .await;
    let now_s = app.clock.now_s();
    let sign = |client: String, jti: &str| {
        let claims = json!({"iss": OUTSIDE, "aud": AUDIENCE, "sub": "x", "client_id": client, "scope": "checks audit registry",
            "jti": jti, "iat": now_s, "exp": now_s + 600});
        key.sign_jws("at+jwt", claims.to_string().as_bytes())
    };
    let body = check_of(&random_number(), None);
    let police = sign(app.police.client_id.to_string(), "1");
    app.post(&police, "/v1/checks", &body).await.problem(401, "invalid_token");
    let hotel = sign(app.hotel.client_id.to_string(), "2");
    app.post(&hotel, "/v1/checks", &body).await.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn two_issuers_with_one_name_of_a_key_both_work() {
    let (one, two) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let jwk = |key: &SigningKey| with(key.public().to_jwk(), "kid", "1");
    let sets = [&one, &two].map(|key| json!({"keys": [jwk(key)]}).to_string());
    let app = bound(TestApp::spawn().await, |config, _| {
        let file = |n: usize| config.data.with_extension(format!("jwks-{n}.json"));
        let make = |n: usize| {
            std::fs::write(file(n), &sets[n]).unwrap();
            Issuer { issuer: format!("https://login{n}.example"), ..issuer(Some(file(n)), None) }
        };
        config.issuers = vec![make(0), make(1)];
    })
    .await;
    let (now_s, client) = (app.clock.now_s(), app.hotel.client_id);
    let sign = |key: &SigningKey, n: usize, jti: &str| {
        let claims = json!({"iss": format!("https://login{n}.example"), "aud": AUDIENCE, "sub": "x", "client_id": client,
            "scope": "checks", "jti": jti, "iat": now_s, "exp": now_s + 600});
        sign_with(key, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1"}), &claims)
    };
    let check = async |token: &str| app.post(token, "/v1/checks", &check_of(&random_number(), None)).await.status;
    assert_eq!(check(&sign(&one, 0, "a")).await, 200);
    assert_eq!(check(&sign(&two, 1, "b")).await, 200);
    assert_eq!(check(&sign(&one, 1, "c")).await, 401, "a key is its own issuer's alone");
    assert_eq!(check(&sign(&two, 0, "d")).await, 401);
}

fn sign_with(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(key.pkcs8()).unwrap();
    format!("{message}.{}", base64url(pair.sign(message.as_bytes()).as_ref()))
}

#[tokio::test]
async fn an_unknown_key_has_the_set_read_again_and_not_too_often() {
    let outside = Outside::spawn().await;
    let app = &outside.app;
    let file = app.config.issuers[0].jwks_file.clone().unwrap();
    let check = async |key: &SigningKey, jti: &str| {
        let token = key.sign_jws("at+jwt", with(outside.claims(), "jti", jti).to_string().as_bytes());
        outside.check_with(&token).await.status
    };
    app.clock.advance(Duration::from_secs(11));
    let (second, third) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    std::fs::write(&file, json!({"keys": [second.public().to_jwk()]}).to_string()).unwrap();
    assert_eq!(check(&second, "1").await, 200, "at once");
    std::fs::write(&file, json!({"keys": [third.public().to_jwk()]}).to_string()).unwrap();
    assert_eq!(check(&third, "2").await, 401, "not again within ten seconds");
    app.clock.advance(Duration::from_secs(11));
    assert_eq!(check(&third, "3").await, 200);
    assert_eq!(check(&second, "4").await, 401, "a key that was taken out is gone");
}

#[tokio::test]
async fn what_the_header_says_of_certificates_is_passed_over() {
    let outside = Outside::spawn().await;
    let kid = outside.key.public().kid();
    let sign = |header: Value, jti: &str| sign_with(&outside.key, &header, &with(outside.claims(), "jti", jti));
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    let token = sign(with(with(header.clone(), "x5t", "aaaa"), "x5t#S256", "bbbb"), "1");
    assert_eq!(outside.check_with(&token).await.status, 200);
    for (name, value) in
        [("crit", json!(["x5t"])), ("jku", json!("https://x")), ("jwk", json!({})), ("typ", json!("JWT"))]
    {
        let token = sign(with(header.clone(), name, value), name);
        outside.check_with(&token).await.problem(401, "invalid_token");
    }
}

#[test]
fn a_set_is_not_fetched_by_plain_http_and_the_reason_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |url: &str| {
        let issuer = format!(
            "[{{issuer='x',audience='y',organizations=['{}'],scopes=['checks'],jwks_url='{url}'}}]",
            Uuid::nil()
        );
        let mut command = crate::child::command(&folder.path().join("data"));
        let output = command.env("LOSTCARD_ISSUERS", issuer).args(["keys", "init", "--store"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (url, reason) in [
        ("http://127.0.0.1:8080/jwks", "any program of this machine could answer"),
        ("http://localhost/jwks", "any program of this machine could answer"),
        ("http://[::1]/jwks", "any program of this machine could answer"),
        ("http://login.example/jwks", "https, without user information"),
        ("https://a:b@login.example/jwks", "https, without user information"),
    ] {
        let (is_taken, told) = refusal(url);
        assert!(!is_taken && told.contains(reason) && told.contains("jwks_url"), "{url}: {told}");
    }
    assert!(refusal("https://login.example/jwks").0);
}

/// The settings of the operators' guide, each with a token in the form that the product gives by default.
#[tokio::test]
async fn the_recipes_of_the_guide_take_tokens_of_their_real_shape() {
    let guide = include_str!("../../docs/guides/operators.md");
    let recipes: Vec<_> =
        guide.split("```toml\n[[issuers]]").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(recipes.len(), 3);
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().unwrap();
    assert!(made.status.success());
    // PKCS #1 (RFC 8017, A.1.2), which the library wants.
    let key = jsonwebtoken::EncodingKey::from_rsa_der(pem::parse(&made.stdout).unwrap().contents());
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::RS256).unwrap();
    // As the products publish it: with a use, and without what the library adds.
    let jwk = with(with(serde_json::to_value(&jwk).unwrap(), "kid", "k1"), "use", "sig");
    let encrypting = with(with(jwk.clone(), "use", "enc"), "kid", "e1");
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, json!({"keys": [encrypting, jwk]}).to_string()).unwrap();
    let base = TestApp::spawn().await;
    let mut text = String::new();
    for recipe in &recipes {
        let lines = recipe.lines().map(|line| match line.strip_prefix("jwks_url = ") {
            Some(_) => format!("jwks_file = {:?}", jwks.to_str().unwrap()),
            None => line.to_owned(),
        });
        let lines: Vec<_> = lines.collect();
        text.extend(["[[issuers]]", &lines.join("\n"), "\n"]);
    }
    text = text.replace("ORGANIZATION", &base.hotel.organization.to_string());
    text = text.replace("\"CLIENT\"", &format!("\"{}\"", base.hotel.client_id));
    let file = folder.path().join("lostcard.toml");
    std::fs::write(&file, text).unwrap();
    let issuers = Config::load(Some(&file), lostcard::config::Overrides::default()).unwrap().issuers;
    let app = bound(base, |config, _| config.issuers = issuers).await;
    let now_s = app.clock.now_s();
    let keycloak = json!({"exp": now_s + 300, "iat": now_s, "jti": "trrtcc:1e2a", "iss": "https://login.example/realms/hotels",
        "aud": ["https://lostcard.example", "account"], "sub": "9a0c5c1e-1f56-4bbf-a0d8-6f2a1b1a0d11", "typ": "Bearer", "azp": "hotel-desk",
        "acr": "1", "allowed-origins": ["/*"], "realm_access": {"roles": ["offline_access", "uma_authorization"]},
        "resource_access": {"account": {"roles": ["manage-account"]}}, "scope": "email checks profile", "email_verified": false,
        "clientHost": "192.0.2.1", "preferred_username": "service-account-hotel-desk", "clientAddress": "192.0.2.1", "client_id": "hotel-desk"});
    let tenant = "3b1f6a0e-0000-4000-8000-000000000001";
    let entra = json!({"aud": "3b1f6a0e-0000-4000-8000-000000000002", "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "iat": now_s, "nbf": now_s, "exp": now_s + 3899, "aio": "k2RgYAj", "azp": "3b1f6a0e-0000-4000-8000-000000000003", "azpacr": "1",
        "oid": "3b1f6a0e-0000-4000-8000-000000000004", "rh": "1.AAAA", "roles": ["Checks.Make"], "sub": "3b1f6a0e-0000-4000-8000-000000000004",
        "tid": tenant, "uti": "sbAg4kPx", "ver": "2.0"});
    let okta = json!({"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": "https://hotel.okta.com/oauth2/aus1a2b3c4d5E6F7G8h9",
        "aud": "https://lostcard.example", "iat": now_s, "exp": now_s + 3600, "cid": "0oa1a2b3c4d5E6F7G8h9", "scp": ["checks"], "sub": "0oa1a2b3c4d5E6F7G8h9"});
    let jwt = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
    let sign = |header: &Value, claims: &Value| {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::RS256).unwrap();
        format!("{message}.{signature}")
    };
    for (name, header, claims, client) in [
        ("Keycloak", jwt.clone(), keycloak, "azp"),
        ("Entra ID", with(jwt, "x5t", "k1"), entra, "azp"),
        ("Okta", json!({"kid": "k1", "alg": "RS256"}), okta, "sub"),
    ] {
        let answer = app.post(&sign(&header, &claims), "/v1/checks", &check_of(&random_number(), None)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        // Another program of the same login is nobody here, and another key's word is nothing.
        for bad in [with(claims.clone(), client, "somebody else"), with(claims.clone(), "aud", "other")] {
            app.post(&sign(&header, &bad), "/v1/checks", &check_of(&random_number(), None))
                .await
                .problem(401, "invalid_token");
        }
        let by_other = with(header.clone(), "kid", "e1");
        app.post(&sign(&by_other, &claims), "/v1/checks", &check_of(&random_number(), None))
            .await
            .problem(401, "invalid_token");
    }
}
