//! Keys of outside issuers that are new, and their clients where an address has spent its units.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lostcard::crypto::signing::SigningKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::bodies::{check_of, random_number, rate, report_of};
use crate::helpers::TestApp;
use crate::outside_issuers::{AUDIENCE, OUTSIDE, bound, issuer};

fn claims(app: &TestApp, jti: &str) -> Value {
    let (now_s, client) = (app.clock.now_s(), app.hotel.client_id);
    json!({"iss": OUTSIDE, "aud": AUDIENCE, "sub": "x", "azp": "front-desk", "client_id": client, "scope": "checks", "jti": jti,
        "iat": now_s, "exp": now_s + 600})
}

fn token(app: &TestApp, key: &SigningKey, jti: &str) -> String {
    key.sign_jws("at+jwt", claims(app, jti).to_string().as_bytes())
}

async fn check(app: &TestApp, token: &str) -> u16 {
    app.post(token, "/v1/checks", &check_of(&random_number(), None)).await.status
}

#[tokio::test]
async fn a_client_of_an_outside_issuer_has_verifications_of_its_own() {
    let key = SigningKey::generate().unwrap();
    let set = json!({"keys": [key.public().to_jwk()]}).to_string();
    let app = bound(TestApp::spawn().await, |config, app| {
        let jwks_file = config.data.with_extension("jwks.json");
        std::fs::write(&jwks_file, set).unwrap();
        let mut outside = issuer(Some(jwks_file), None);
        outside.client_claim = "azp".to_owned();
        outside.client_map = std::iter::once(("front-desk".to_owned(), app.hotel.client_id)).collect();
        config.issuers = vec![outside];
        config.limits.address = rate("40/60s");
    })
    .await;
    assert_eq!(check(&app, &token(&app, &key, "1")).await, 200);
    for _ in 0..60 {
        check(&app, "a.b.c").await;
    }
    assert_eq!(check(&app, "a.b.c").await, 429);
    assert_eq!(check(&app, &token(&app, &key, "2")).await, 200, "as a client of this service has");
    let other = SigningKey::generate().unwrap();
    for at in 0..60 {
        check(&app, &token(&app, &other, &format!("forged-{at}"))).await;
    }
    assert_eq!(check(&app, &token(&app, &key, "3")).await, 429, "and not without bound");
}

#[tokio::test]
async fn an_instant_of_an_outside_token_may_have_a_fraction() {
    let key = SigningKey::generate().unwrap();
    let set = json!({"keys": [key.public().to_jwk()]}).to_string();
    let app = bound(TestApp::spawn().await, |config, _| {
        let jwks_file = config.data.with_extension("jwks.json");
        std::fs::write(&jwks_file, set).unwrap();
        config.issuers = vec![issuer(Some(jwks_file), None)];
    })
    .await;
    let mut claims = claims(&app, "1");
    for member in ["iat", "exp"] {
        claims[member] = serde_json::from_str(&format!("{}.5", claims[member])).unwrap();
    }
    assert_eq!(check(&app, &key.sign_jws("at+jwt", claims.to_string().as_bytes())).await, 200);
}

/// Publishes a set that may change, and answers while it is open.
struct Publisher {
    url: String,
    set: Arc<Mutex<String>>,
    is_open: watch::Sender<bool>,
    asked: watch::Receiver<usize>,
}

impl Publisher {
    async fn start(set: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (is_open, open) = watch::channel(true);
        let (ask, asked) = watch::channel(0);
        let set = Arc::new(Mutex::new(set));
        let published = Arc::clone(&set);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                ask.send_modify(|count| *count += 1);
                let _ = open.clone().wait_for(|is_open| *is_open).await;
                let text = published.lock().unwrap().clone();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
            }
        });
        Self { url, set, is_open, asked }
    }
}

#[tokio::test]
async fn tokens_by_a_new_key_wait_for_the_fetch_that_is_under_way() {
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let set = |key: &SigningKey| json!({"keys": [key.public().to_jwk()]}).to_string();
    let mut publisher = Publisher::start(set(&first)).await;
    let url = publisher.url.clone();
    let app = bound(TestApp::spawn().await, |config, _| {
        config.issuers = vec![issuer(None, Some(url))];
        config.tokens.insecure_loopback_for_tests = true;
    })
    .await;
    assert_eq!(check(&app, &token(&app, &first, "1")).await, 200);
    app.clock.advance(Duration::from_secs(11));
    *publisher.set.lock().unwrap() = set(&second);
    publisher.is_open.send(false).unwrap();
    let asked = *publisher.asked.borrow_and_update();
    let tokens = ["2", "3", "4"].map(|jti| token(&app, &second, jti));
    let mut leader = Box::pin(check(&app, &tokens[0]));
    let reached = async { publisher.asked.wait_for(|count| *count > asked).await.map(|count| *count) };
    tokio::select! {
        status = &mut leader => panic!("answered without the key: {status}"),
        reached = reached => assert_eq!(reached.unwrap(), asked + 1),
    }
    let mut others = Box::pin(futures_util::future::join(check(&app, &tokens[1]), check(&app, &tokens[2])));
    assert!(timeout(Duration::from_millis(100), &mut others).await.is_err(), "they wait for the same fetch");
    publisher.is_open.send(true).unwrap();
    assert_eq!(futures_util::future::join(leader, others).await, (200, (200, 200)));
    assert_eq!(*publisher.asked.borrow(), asked + 1, "once for all");
}

#[tokio::test]
async fn an_issuer_that_hangs_keeps_its_tokens_waiting_and_nobody_else() {
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let publisher = Publisher::start(json!({"keys": [first.public().to_jwk()]}).to_string()).await;
    let url = publisher.url.clone();
    let app = bound(TestApp::spawn().await, |config, _| {
        config.issuers = vec![issuer(None, Some(url))];
        config.tokens.insecure_loopback_for_tests = true;
        config.limits.address = rate("1000000/60s");
    })
    .await;
    assert_eq!(check(&app, &token(&app, &first, "1")).await, 200);
    app.clock.advance(Duration::from_secs(11));
    publisher.is_open.send(false).unwrap();
    let tokens: Vec<_> = (0..50).map(|at| token(&app, &second, &at.to_string())).collect();
    let strangers = futures_util::future::join_all(tokens.iter().map(async |token| {
        let begun = Instant::now();
        (check(&app, token).await, begun.elapsed())
    }));
    let honest = async {
        for _ in 0..5 {
            let answer = app.report(&report_of(&random_number(), None)).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
    };
    let (strangers, ()) = tokio::join!(strangers, honest);
    for (status, took) in strangers {
        assert_eq!(status, 401, "a token by an unknown key, not a store that is away");
        assert!(took < Duration::from_secs(4), "before the fetch is given up: {took:?}");
    }
}
