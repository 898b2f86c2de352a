//! What somebody without a token, or with another's, may take from others: places by forms that trickle in, memory by heads and by
//! answers that nobody reads, units of a client by proofs that are not its own.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use lostcard::crypto::signing::{SigningKey, base64url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::bodies::{check_of, random_number, rate, report_of};
use crate::child;
use crate::dpop::Holder;
use crate::helpers::{Answer, TestApp, eventually};
use crate::mtls::{create_client, id_of};
use crate::raw;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request, with one byte of its body.
async fn begun(app: &TestApp, path: &str, media: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The answer, if there is one soon.
async fn answer_of(stream: &mut TcpStream) -> Option<Answer> {
    timeout(Duration::from_millis(700), raw::read_answer(stream)).await.ok()?
}

fn form_of<'a>(id: &'a str, secret: &'a str) -> [(&'static str, &'a str); 3] {
    [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)]
}

#[tokio::test]
async fn bodies_that_trickle_in_without_a_token_take_no_place() {
    let app = TestApp::spawn_with(|config| config.overload.requests_max = 16).await;
    let json = "application/json";
    for (path, media) in
        [("/oauth2/token", FORM), ("/v1/acceptance/eligibility", json), ("/v1/pairings/registration", json)]
    {
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(begun(&app, path, media).await);
        }
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for mut stream in held {
            match answer_of(&mut stream).await {
                None => waiting.push(stream),
                Some(answer) => {
                    answer.problem(429, "address_share_held");
                    refused += 1;
                }
            }
        }
        assert_eq!((waiting.len(), refused), (2, 18), "{path}: an eighth of the places");
        assert_eq!(app.metric("lostcard_in_flight").await, 0, "{path}: what has not come takes none");
        assert_eq!(app.report(&report_of(&random_number(), None)).await.status, 201);
        // What comes whole is not waited for, though it is of the same address.
        let id = app.hotel.client_id.to_string();
        assert_eq!(app.ask_token(&form_of(&id, &app.hotel.secret)).await.status, 200);
        drop(waiting);
        eventually("it is free again", async || {
            let mut one = begun(&app, path, media).await;
            answer_of(&mut one).await.is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn an_address_that_has_spent_its_units_is_not_waited_for() {
    let app = TestApp::spawn_with(|config| config.limits.address = rate("2/3600s")).await;
    let (id, form) = (app.hotel.client_id.to_string(), form_of);
    for _ in 0..2 {
        app.ask_token(&form(&id, "wrong")).await;
    }
    let (mut stream, begin) = (begun(&app, "/oauth2/token", FORM).await, Instant::now());
    let answer = timeout(Duration::from_secs(5), raw::read_answer(&mut stream)).await.unwrap().unwrap();
    answer.problem(429, "address_limit_spent");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn heads_that_wait_for_their_turn_are_in_the_budget() {
    // An eighth of one MiB: four heads of 30 kB.
    let app = TestApp::spawn_with(|config| config.overload.memory_mib = 1).await;
    let lock = app.hold_writers().await;
    let headers =
        [("Authorization", format!("Bearer {}", app.police.token)), ("Content-Type", "application/json".to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let body = report_of(&random_number(), None).to_string();
    let first = raw::request("POST", "/v1/loss-reports", &headers, body.as_bytes());
    let long = format!("GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(30_000));
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(&first).await.unwrap();
    eventually("the first one waits", async || app.metric("lostcard_in_flight").await == 1).await;
    for _ in 0..3 {
        stream.write_all(long.as_bytes()).await.unwrap();
    }
    eventually("the next ones are held", async || app.metric("lostcard_reserved_bytes").await > 90_000).await;
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        for _ in 0..8 {
            // It may be refused before all is sent.
            let _ = writer.write_all(long.as_bytes()).await;
        }
        writer
    });
    eventually("and no more than a share", async || {
        app.metric("lostcard_budget_refused_total{whose=\"share\"}").await > 0
    })
    .await;
    assert!(app.metric("lostcard_reserved_bytes").await <= 128 * 1024);
    assert_eq!(app.verdict(&random_number(), None).await, "not_listed", "a known client is not its address");
    drop(lock);
    let (answer, _) = raw::read_one(&mut reader).await.unwrap();
    assert_eq!(answer.status, 201);
    drop((reader, sending.await.unwrap()));
    eventually("all is given back", async || app.metric("lostcard_reserved_bytes").await == 0).await;
}

#[tokio::test]
async fn large_public_answers_that_nobody_reads_are_in_the_budget() {
    let app = TestApp::spawn_with(|config| config.overload.memory_mib = 1).await;
    let request = "GET /docs/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(12);
    let held = RefCell::new(Vec::new());
    // Half of the address's share each, beside the heads: the second may find too little left, and is refused until its heads are read.
    eventually("some fill the share", async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(app.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        held.borrow_mut().push(stream);
        let answers = [app.get("", "/docs/openapi.json").await, app.get("", "/openapi.json").await];
        answers.iter().all(|answer| answer.status == 429 && answer.json()["code"] == "address_share_held")
    })
    .await;
    assert_eq!(app.get("", "/health/live").await.status, 200, "small ones hold nothing");
    assert_eq!(app.verdict(&random_number(), None).await, "not_listed");
    drop(held);
    eventually("it is free again", async || app.get("", "/docs/openapi.json").await.status == 200).await;
}

async fn check(app: &TestApp, token: &str, proof: Option<&str>) -> Answer {
    let request = app.request("POST", "/v1/checks").header("Authorization", format!("DPoP {token}"));
    let request = request.json(&check_of(&random_number(), None));
    app.send(proof.into_iter().fold(request, |request, proof| request.header("DPoP", proof))).await
}

async fn bound_token(app: &TestApp, client: &Value, holder: &Holder) -> String {
    let form = form_of(id_of(client), client["client_secret"].as_str().unwrap());
    let request = app.request("POST", "/oauth2/token").form(&form);
    let answer = app.send(request.header("DPoP", holder.proof(app, "POST", "/oauth2/token", None))).await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

#[tokio::test]
async fn proofs_that_are_not_its_own_cost_a_client_nothing() {
    let app = TestApp::spawn().await;
    let client = create_client(&app, &["--bound", "dpop", "--rate", "7/3600s"]);
    // From here on the node knows that the client was made, and keeps what it counts of it.
    assert_eq!(app.report(&report_of(&random_number(), None)).await.status, 201);
    let holder = Holder::p256();
    let token = bound_token(&app, &client, &holder).await;
    let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
    assert_eq!(check(&app, &token, Some(&proof)).await.status, 200);
    let fresh = || holder.proof(&app, "POST", "/v1/checks", Some(&token));
    for _ in 0..10 {
        check(&app, &token, Some(&proof)).await.problem(401, "invalid_token");
        // Of the right key, as anybody may say who has seen it, and signed by nobody.
        let (signed, _) = fresh().rsplit_once('.').map(|(signed, rest)| (signed.to_owned(), rest.to_owned())).unwrap();
        let forged = format!("{signed}.{}", base64url(&[1; 64]));
        check(&app, &token, Some(&forged)).await.problem(401, "invalid_token");
    }
    // One for the token, three times two for checks.
    for _ in 0..2 {
        assert_eq!(check(&app, &token, Some(&fresh())).await.status, 200);
    }
    check(&app, &token, Some(&fresh())).await.problem(429, "limit_spent");
}

#[tokio::test]
async fn a_bound_token_is_401_whatever_its_address_has_spent() {
    let app = TestApp::spawn_with(|config| config.limits.address = rate("20/3600s")).await;
    let client = create_client(&app, &["--bound", "dpop"]);
    assert_eq!(app.report(&report_of(&random_number(), None)).await.status, 201);
    let holder = Holder::p256();
    let token = bound_token(&app, &client, &holder).await;
    for _ in 0..30 {
        check(&app, &token, None).await.problem(401, "invalid_token");
    }
    // To ask without a proof has cost nothing.
    app.post("a.b.c", "/v1/checks", &json!({})).await.problem(401, "invalid_token");
    for _ in 0..20 {
        app.post("a.b.c", "/v1/checks", &json!({})).await;
    }
    app.post("a.b.c", "/v1/checks", &json!({})).await.problem(429, "address_limit_spent");
    let forged = Holder::p256().proof(&app, "POST", "/v1/checks", Some(&token));
    for _ in 0..3 {
        check(&app, &token, Some(&forged)).await.problem(401, "invalid_token");
    }
    let proof = holder.proof(&app, "POST", "/v1/checks", Some(&token));
    assert_eq!(check(&app, &token, Some(&proof)).await.status, 200, "the holder is let in");
}

#[tokio::test]
async fn an_instant_of_a_proof_may_have_a_fraction() {
    let app = TestApp::spawn().await;
    let client = create_client(&app, &["--bound", "dpop"]);
    let holder = Holder::p256();
    let token = bound_token(&app, &client, &holder).await;
    let iat: Value = serde_json::from_str(&format!("{}.25", app.clock.now_s())).unwrap();
    let claims = json!({"jti": "one", "htm": "POST", "htu": format!("{}/v1/checks", crate::helpers::ISSUER), "iat": iat,
        "ath": base64url(&Sha256::digest(&token))});
    let proof = holder.sign(&json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": holder.jwk}), &claims);
    assert_eq!(check(&app, &token, Some(&proof)).await.status, 200);
}

#[tokio::test]
async fn the_operator_reads_which_rule_was_broken_and_by_whom() {
    let app = TestApp::spawn().await;
    let key = SigningKey::generate().unwrap();
    let file = app.folder.path().join("client-keys.json");
    std::fs::write(&file, json!({"keys": [key.public().to_jwk()]}).to_string()).unwrap();
    let (organization, file) = (app.hotel.organization.to_string(), file.to_str().unwrap());
    let args = ["client", "create", "--organization", &organization, "--scope", "checks", "--jwks", file, "--json"];
    let client = child::run_json(&app.config.data, &args);
    let id = client["client_id"].as_str().unwrap();
    let node = child::serve(&app.config.data, crate::helpers::ISSUER);
    let http = crate::servers::http_client().build().unwrap();
    let present = async |assertion: &str, proof: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        let asked = http.post(format!("{}/oauth2/token", node.url())).form(&form);
        let asked = if proof.is_empty() { asked } else { asked.header("DPoP", proof) };
        asked.send().await.unwrap().status().as_u16()
    };
    let now_s = lostcard::clock::Clock::System.now_s();
    let good =
        json!({"iss": id, "sub": id, "aud": crate::helpers::ISSUER, "exp": now_s + 60, "jti": "a-jti-of-nobody"});
    let signed = |typ: &str| key.sign_jws(typ, good.to_string().as_bytes());
    // What is read before a client is known, what is judged after it, and a proof.
    assert_eq!(present("a.b", "").await, 401);
    assert_eq!(present(&signed("at+jwt"), "").await, 401);
    assert_eq!(present(&format!("{}AAAA", &signed("JWT")[..signed("JWT").len() - 4]), "").await, 401);
    assert_eq!(present(&signed("JWT"), "x.y").await, 400);
    let rules = ["not a signed JWT in three parts", "typ is neither", "signature", "the DPoP proof is not a signed"];
    for rule in rules {
        eventually(rule, async || {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("rule") && line.contains(rule));
            line.is_some_and(|line| line.contains(id) && line.contains(&organization))
        })
        .await;
    }
    for _ in 0..100 {
        present("a.b", "").await;
    }
    let log = node.log();
    let lines = log.lines().filter(|line| line.contains("not a signed JWT in three parts")).count();
    assert!((1..60).contains(&lines), "{lines} lines for 101 refusals");
    assert!(!log.contains("a-jti-of-nobody"), "what was sent is not written");
}
