//! Tokens that are bound to a key which each request proves (`DPoP`, RFC 9449): every rule of a proof, at the token endpoint and at
//! resources, and for whom the tokens do not work.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use lostcard::crypto::signing::base64url;
use lostcard::domain::client::Scope;
use lostcard::http::routes::ROUTES;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bodies::{check_of, random_number, with};
use crate::child;
use crate::helpers::{Answer, ISSUER, TestApp};
use crate::http::target;
use crate::mtls::{claims_of, create_client, id_of};
use crate::redis::node_with;
use crate::servers::redis::Redis;

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The key of a client.
pub(crate) struct Holder {
    pair: Pair,
    pub(crate) jwk: Value,
    alg: &'static str,
}

impl Holder {
    pub(crate) fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        let jwk = json!({"crv": "P-256", "kty": "EC", "x": x, "y": y});
        Self { jwk, pair: Pair::P256(pair), alg: "ES256" }
    }

    fn ed25519(alg: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"crv": "Ed25519", "kty": "OKP", "x": base64url(pair.public_key().as_ref())});
        Self { jwk, pair: Pair::Ed25519(pair), alg }
    }

    /// RFC 7638: the members are in order already.
    fn thumbprint(&self) -> String {
        base64url(&Sha256::digest(self.jwk.to_string()))
    }

    fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk})
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = match &self.pair {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap(),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()),
        };
        format!("{message}.{}", base64url(signature.as_ref()))
    }

    fn claims(app: &TestApp, method: &str, path: &str, token: Option<&str>) -> Value {
        let jti = base64url(&lostcard::crypto::random::bytes::<16>());
        let mut claims = json!({"jti": jti, "htm": method, "htu": format!("{ISSUER}{path}"), "iat": app.clock.now_s()});
        if let Some(token) = token {
            claims["ath"] = json!(base64url(&Sha256::digest(token)));
        }
        claims
    }

    pub(crate) fn proof(&self, app: &TestApp, method: &str, path: &str, token: Option<&str>) -> String {
        self.sign(&self.header(), &Self::claims(app, method, path, token))
    }

    async fn token(&self, app: &TestApp, form: &[(&str, &str)]) -> String {
        let answer = ask(app, form, &self.proof(app, "POST", "/oauth2/token", None)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["token_type"], "DPoP");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(claims_of(&token)["cnf"], json!({"jkt": self.thumbprint()}));
        token
    }
}

async fn ask(app: &TestApp, form: &[(&str, &str)], proof: &str) -> Answer {
    let form = [&[("grant_type", "client_credentials")], form].concat();
    let request = app.request("POST", "/oauth2/token").form(&form);
    app.send(if proof.is_empty() { request } else { request.header("DPoP", proof) }).await
}

async fn check(app: &TestApp, scheme: &str, token: &str, proof: &str) -> Answer {
    let request = app.request("POST", "/v1/checks").header("Authorization", format!("{scheme} {token}"));
    let request = request.json(&check_of(&random_number(), None));
    app.send(if proof.is_empty() { request } else { request.header("DPoP", proof) }).await
}

fn form_of(client: &Value) -> [(&'static str, &str); 2] {
    [("client_id", id_of(client)), ("client_secret", client["client_secret"].as_str().unwrap())]
}

#[tokio::test]
async fn a_token_that_is_asked_for_with_a_proof_works_with_proofs_of_that_key_alone() {
    let app = TestApp::spawn().await;
    let hotel = [("client_id", app.hotel.client_id.to_string()), ("client_secret", app.hotel.secret.clone())];
    let hotel = hotel.each_ref().map(|(name, value)| (*name, value.as_str()));
    for holder in [Holder::p256(), Holder::ed25519("EdDSA"), Holder::ed25519("Ed25519")] {
        let token = holder.token(&app, &hotel).await;
        let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
        let answer = check(&app, "DPoP", &token, &proof).await;
        assert_eq!(answer.status, 200, "{}: {}", holder.alg, answer.text);
        assert!(!answer.header("dpop-nonce").is_empty(), "a nonce is offered");
        let refused = check(&app, "Bearer", &token, "").await;
        refused.problem(401, "invalid_token");
        assert!(refused.header("www-authenticate").starts_with("DPoP error="), "{:?}", refused.headers);
        check(&app, "DPoP", &token, "").await.problem(401, "invalid_token");
        let thief = Holder::p256();
        let forged = thief.proof(&app, "POST", "/v1/checks", Some(&token));
        check(&app, "DPoP", &token, &forged).await.problem(401, "invalid_token");
    }
    // A token that is bound to nothing is sent as what it is.
    check(&app, "DPoP", &app.hotel.token, "").await.problem(401, "invalid_token");
}

#[tokio::test]
async fn every_rule_of_a_proof_is_kept_at_resources_and_at_the_token_endpoint() {
    let app = TestApp::spawn().await;
    let client = create_client(&app, &["--bound", "dpop"]);
    let form = form_of(&client);
    let holder = Holder::p256();
    let token = holder.token(&app, &form).await;
    let now_s = app.clock.now_s();
    let header = |name: &str, value: Value| with(holder.header(), name, value);
    let mut private = holder.jwk.clone();
    private["d"] = json!("AAAA");
    let secret = json!({"kty": "oct", "k": "AAAA"});
    for resource in [true, false] {
        let (path, bound) = if resource { ("/v1/checks", Some(token.as_str())) } else { ("/oauth2/token", None) };
        let claims = |name: &str, value: Value| with(Holder::claims(&app, "POST", path, bound), name, value);
        let right = || Holder::claims(&app, "POST", path, bound);
        let mut broken = holder.sign(&holder.header(), &right());
        broken.replace_range(
            broken.len() - 20..broken.len() - 19,
            if broken.as_bytes()[broken.len() - 20] == b'A' { "B" } else { "A" },
        );
        let mut rows = vec![
            ("three parts", "a.b".to_owned()),
            ("header is not", "a.b.c".to_owned()),
            ("longer than 4,096", format!("a.b.{}", "c".repeat(4096))),
            ("crit", holder.sign(&header("crit", json!(["b64"])), &right())),
            ("typ", holder.sign(&header("typ", json!("JWT")), &right())),
            ("alg", holder.sign(&header("alg", json!("none")), &right())),
            ("alg", holder.sign(&header("alg", json!("RS256")), &right())),
            ("jwk", holder.sign(&header("jwk", private.clone()), &right())),
            ("jwk", holder.sign(&header("jwk", secret.clone()), &right())),
            ("jwk", holder.sign(&header("jwk", Holder::ed25519("EdDSA").jwk), &right())),
            ("lacks", holder.sign(&holder.header(), &claims("jti", json!("")))),
            ("lacks", holder.sign(&holder.header(), &claims("iat", json!("now")))),
            ("htm", holder.sign(&holder.header(), &claims("htm", json!("GET")))),
            ("htu", holder.sign(&holder.header(), &claims("htu", json!(format!("{ISSUER}/v1/checks/batch"))))),
            ("htu", holder.sign(&holder.header(), &claims("htu", json!(format!("http://{}{path}", app.address))))),
            ("30 seconds", holder.sign(&holder.header(), &claims("iat", json!(now_s - 31)))),
            ("30 seconds", holder.sign(&holder.header(), &claims("iat", json!(now_s + 31)))),
            ("signature", broken),
        ];
        if resource {
            rows.push(("ath", holder.sign(&holder.header(), &Holder::claims(&app, "POST", path, None))));
            rows.push(("ath", holder.sign(&holder.header(), &Holder::claims(&app, "POST", path, Some("other")))));
        }
        for (word, proof) in rows {
            if resource {
                let refused = check(&app, "DPoP", &token, &proof).await;
                let problem = refused.problem(401, "invalid_token");
                assert!(problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
                let challenge = refused.header("www-authenticate");
                assert!(challenge.starts_with(r#"DPoP error="invalid_dpop_proof""#), "{word}: {challenge}");
            } else {
                let refused = ask(&app, &form, &proof).await;
                let told = refused.json();
                assert_eq!((refused.status, &told["error"]), (400, &json!("invalid_dpop_proof")), "{word}: {told}");
                assert!(told["error_description"].as_str().unwrap().contains(word), "{word}: {told}");
            }
        }
        // At the edge of its time a proof holds.
        for iat in [now_s - 30, now_s + 30] {
            let proof = holder.sign(&holder.header(), &claims("iat", json!(iat)));
            let answer =
                if resource { check(&app, "DPoP", &token, &proof).await } else { ask(&app, &form, &proof).await };
            assert_eq!(answer.status, 200, "{iat}: {}", answer.text);
        }
    }
    // Two headers are none.
    let (one, two) = (
        holder.proof(&app, "POST", "/v1/checks", Some(&token)),
        holder.proof(&app, "POST", "/v1/checks", Some(&token)),
    );
    let request = app.request("POST", "/v1/checks").header("Authorization", format!("DPoP {token}"));
    let request = request.header("DPoP", one).header("DPoP", two).json(&check_of(&random_number(), None));
    app.send(request).await.problem(401, "invalid_token");
    let missing = ask(&app, &form, "").await;
    assert_eq!((missing.status, &missing.json()["error"]), (400, &json!("invalid_dpop_proof")), "{}", missing.text);
}

#[tokio::test]
async fn a_proof_is_good_once_in_the_whole_cluster() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    let client = create_client(&app, &["--bound", "dpop"]);
    let holder = Holder::p256();
    let token = holder.token(&app, &form_of(&client)).await;
    let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
    let many = futures_util::future::join_all((0..6).map(|_| check(&app, "DPoP", &token, &proof))).await;
    assert_eq!(many.iter().filter(|answer| answer.status == 200).count(), 1);
    for node in [&app, &sibling] {
        let refused = check(node, "DPoP", &token, &proof).await.problem(401, "invalid_token");
        assert!(refused["detail"].as_str().unwrap().contains("used before"), "{refused}");
    }
    let at_token = holder.proof(&app, "POST", "/oauth2/token", None);
    assert_eq!(ask(&app, &form_of(&client), &at_token).await.status, 200);
    let refused = ask(&sibling, &form_of(&client), &at_token).await;
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_dpop_proof")));
    assert_eq!(
        check(&sibling, "DPoP", &token, &holder.proof(&app, "POST", "/v1/checks", Some(&token))).await.status,
        200
    );
}

#[tokio::test]
async fn a_proof_is_used_up_by_redis_and_without_it_by_the_store() {
    let redis = Redis::start();
    let app = node_with(&redis.url(), |_| {}).await;
    let sibling = app.sibling().await;
    let client = create_client(&app, &["--bound", "dpop"]);
    let holder = Holder::p256();
    let token = holder.token(&app, &form_of(&client)).await;
    let mut redis = Some(redis);
    for is_there in [true, false] {
        let used = redis.as_ref().map_or(0, used_in);
        let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
        assert_eq!(check(&app, "DPoP", &token, &proof).await.status, 200, "with Redis: {is_there}");
        for node in [&sibling, &app] {
            let refused = check(node, "DPoP", &token, &proof).await.problem(401, "invalid_token");
            assert!(refused["detail"].as_str().unwrap().contains("used before"), "{refused}");
        }
        if let Some(redis) = redis.take() {
            assert_eq!(used_in(&redis), used + 1, "one key for the one proof");
        }
    }
}

/// How many proofs a Redis remembers.
fn used_in(redis: &Redis) -> usize {
    redis.command(&["--raw", "KEYS", "lostcard:used:*"]).lines().filter(|key| !key.is_empty()).count()
}

#[tokio::test]
async fn a_nonce_is_demanded_where_the_settings_say_so() {
    let app = TestApp::spawn_with(|config| config.access.dpop_nonce = true).await;
    let sibling = app.sibling().await;
    let client = create_client(&app, &["--bound", "dpop"]);
    let (holder, form) = (Holder::ed25519("EdDSA"), form_of(&client));
    let sign = |path: &str, token: Option<&str>, nonce: &str| {
        holder.sign(&holder.header(), &with(Holder::claims(&app, "POST", path, token), "nonce", nonce))
    };
    let refused = ask(&app, &form, &holder.proof(&app, "POST", "/oauth2/token", None)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("use_dpop_nonce")), "{}", refused.text);
    let nonce = refused.header("dpop-nonce").to_owned();
    assert!(!nonce.is_empty());
    let answer = ask(&app, &form, &sign("/oauth2/token", None, &nonce)).await;
    let token = answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned();
    let refused = check(&app, "DPoP", &token, &holder.proof(&app, "POST", "/v1/checks", Some(&token))).await;
    refused.problem(401, "invalid_token");
    assert!(refused.header("www-authenticate").starts_with(r#"DPoP error="use_dpop_nonce""#), "{:?}", refused.headers);
    assert_eq!(refused.header("dpop-nonce"), nonce, "nothing is kept for it");
    for node in [&app, &sibling] {
        assert_eq!(check(node, "DPoP", &token, &sign("/v1/checks", Some(&token), &nonce)).await.status, 200);
    }
    app.clock.advance(std::time::Duration::from_mins(10));
    let late = holder.token_with_nonce(&app, &form, &nonce).await;
    assert_eq!(late.json()["error"], "use_dpop_nonce", "{}", late.text);
}

impl Holder {
    async fn token_with_nonce(&self, app: &TestApp, form: &[(&str, &str)], nonce: &str) -> Answer {
        let claims = with(Self::claims(app, "POST", "/oauth2/token", None), "nonce", nonce);
        ask(app, form, &self.sign(&self.header(), &claims)).await
    }
}

#[tokio::test]
async fn a_proof_costs_its_client_a_unit() {
    let app = TestApp::spawn().await;
    let client = create_client(&app, &["--bound", "dpop", "--rate", "7/3600s"]);
    // From here on the node knows that the client was made, and keeps what it counts of it.
    assert_eq!(app.report(&crate::bodies::report_of(&random_number(), None)).await.status, 201);
    let holder = Holder::p256();
    // One of the seven.
    let token = holder.token(&app, &form_of(&client)).await;
    for _ in 0..3 {
        let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
        assert_eq!(check(&app, "DPoP", &token, &proof).await.status, 200);
    }
    let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
    check(&app, "DPoP", &token, &proof).await.problem(429, "limit_spent");
}

#[tokio::test]
async fn every_operation_refuses_a_bound_token_without_its_proof() {
    let app = TestApp::spawn_sandbox().await;
    let holder = Holder::p256();
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let client = app.add_client(scope.as_str(), None).await;
        let id = client.client_id.to_string();
        tokens.push(holder.token(&app, &[("client_id", &id), ("client_secret", &client.secret)]).await);
    }
    let by_scope: Vec<_> = Scope::ALL.iter().zip(&tokens).collect();
    for row in ROUTES.iter().filter(|row| !row.scopes.is_empty()) {
        let (_, token) = by_scope.iter().find(|(scope, _)| row.scopes.contains(scope)).unwrap();
        for scheme in ["Bearer", "DPoP"] {
            let request = app.request(row.method.as_str(), &target(row.path));
            let request = request.header("Authorization", format!("{scheme} {token}"));
            app.send(request.header("content-type", "application/json").body("{}")).await.problem(401, "invalid_token");
        }
    }
}

#[tokio::test]
async fn a_node_that_requires_it_issues_and_takes_only_bound_tokens() {
    let app = TestApp::spawn().await;
    let strict = app.sibling_with(|config| config.access.require_bound = true).await;
    check(&strict, "Bearer", &app.hotel.token, "").await.problem(401, "invalid_token");
    let id = app.hotel.client_id.to_string();
    let form = [("client_id", id.as_str()), ("client_secret", app.hotel.secret.as_str())];
    let refused = ask(&strict, &form, "").await;
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unauthorized_client")), "{}", refused.text);
    let holder = Holder::p256();
    let token = holder.token(&strict, &form).await;
    let proof = holder.proof(&strict, "POST", "/v1/checks", Some(&token));
    assert_eq!(check(&strict, "DPoP", &token, &proof).await.status, 200);
}

#[tokio::test]
async fn the_old_secret_ends_and_all_tokens_of_a_client_are_revoked() {
    let app = TestApp::spawn().await;
    let id = app.hotel.client_id.to_string();
    let rotate = |args: &[&str]| {
        let args = [&["client", "rotate-secret", &id, "--json"][..], args].concat();
        child::run_json(&app.config.data, &args)["client_secret"].as_str().unwrap().to_owned()
    };
    let is_taken = async |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", secret)];
        app.ask_token(&form).await.status == 200
    };
    let second = rotate(&[]);
    crate::helpers::eventually("the new one is taken", async || is_taken(&second).await).await;
    assert!(is_taken(&app.hotel.secret).await);
    app.clock.advance(std::time::Duration::from_hours(7 * 24 - 1));
    assert!(is_taken(&app.hotel.secret).await, "for seven days");
    app.clock.advance(std::time::Duration::from_hours(2));
    assert!(!is_taken(&app.hotel.secret).await && is_taken(&second).await);
    // What others know ends at once.
    let third = rotate(&["--keep", "0s"]);
    crate::helpers::eventually("the new one is taken", async || is_taken(&third).await).await;
    assert!(!is_taken(&second).await);
    for wrong in ["7", "d", "-1d", "91d", "1w", ""] {
        let args = ["client", "rotate-secret", &id, "--keep", wrong];
        assert!(!child::run(&app.config.data, &args).status.success(), "{wrong}");
    }
}

#[tokio::test]
async fn all_tokens_of_a_client_are_revoked_at_every_node() {
    let app = TestApp::spawn().await;
    let sibling = app.sibling().await;
    for node in [&app, &sibling] {
        assert_eq!(check(node, "Bearer", &app.hotel.token, "").await.status, 200);
    }
    child::run_json(&app.config.data, &["client", "revoke-tokens", &app.hotel.client_id.to_string(), "--json"]);
    for node in [&app, &sibling] {
        let ends = async || check(node, "Bearer", &app.hotel.token, "").await.status == 401;
        crate::helpers::eventually("its tokens end", ends).await;
    }
    assert_eq!(app.report(&crate::bodies::report_of(&random_number(), None)).await.status, 201, "others' do not");
    app.clock.advance(std::time::Duration::from_mins(5));
    let fresh = app.token_for(&app.hotel).await;
    assert_eq!(check(&app, "Bearer", &fresh, "").await.status, 200, "new ones are good");
}
