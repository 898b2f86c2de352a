//! One caller's long work, its many small calls, and a new secret: what others get of a node, and its own batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::bodies::{check_of, random_number, report_of};
use crate::servers::http_client;
use crate::target::{Target, head, send, status};

/// A client made for an attack, or for whom it is aimed at.
struct Caller {
    id: String,
    secret: String,
    token: String,
}

async fn caller(target: &Target, kind: &str, scope: &str, rate: &str) -> Caller {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let args = ["organization", "create", "--name", "Office", "--kind", kind, "--region", "110105", "--json"];
    let organization = text(&target.service.run(&args), "organization_id");
    let args = ["client", "create", "--organization", &organization, "--scope", scope, "--rate", rate, "--json"];
    let made = target.service.run(&args);
    let (id, secret) = (text(&made, "client_id"), text(&made, "client_secret"));
    let token = token(target, &id, &secret).await.unwrap();
    Caller { id, secret, token }
}

async fn token(target: &Target, id: &str, secret: &str) -> Option<String> {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let answer = http_client()
        .build()
        .unwrap()
        .post(format!("{}/oauth2/token", target.node.url()))
        .form(&form)
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["access_token"].as_str().map(str::to_owned)
}

async fn post(http: &Client, target: &Target, token: &str, path: &str, body: &Value) -> Response {
    http.post(format!("{}{path}", target.node.url())).bearer_auth(token).json(body).send().await.unwrap()
}

/// How long each of some reports took; none may fail.
async fn times_of_reports(http: &Client, target: &Target, token: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        let answer = post(http, target, token, "/v1/loss-reports", &report_of(&random_number(), None)).await;
        assert_eq!(answer.status(), 201);
        times.push(begun.elapsed());
    }
    times
}

/// The slowest but one in a hundred.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_registrars_certificates_leave_reports_of_others_alone() {
    const CONNECTIONS: usize = 90;
    let target = Arc::new(Target::new(&[("LIMITS__ADDRESS", "1000000/60s")]).await);
    let flood = caller(&target, "registrar", "registry", "1000000/60s").await.token;
    let other = caller(&target, "registrar", "registry", "1000000/60s").await;
    let http = http_client().build().unwrap();
    let is_quiet = Arc::new(AtomicBool::new(false));
    let (is_over, issued, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let attackers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, flood, is_over) = (Arc::clone(&target), flood.clone(), Arc::clone(&is_over));
            let (issued, refused, is_quiet) = (Arc::clone(&issued), Arc::clone(&refused), Arc::clone(&is_quiet));
            tokio::spawn(async move {
                let http = http_client().build().unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    if is_quiet.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    }
                    let body = json!({"id_number": random_number(), "purpose": "rail", "office": "110105-03", "valid_hours": 24});
                    let answer = post(&http, &target, &flood, "/v1/temporary-certificates", &body).await;
                    let count = if answer.status() == 201 { &issued } else { &refused };
                    assert!([201, 503].contains(&answer.status().as_u16()), "{}", answer.status());
                    count.fetch_add(1, Ordering::Relaxed);
                    // As from another machine: what asking again at once costs here is this process's work, not the node's.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        })
        .collect();
    // In turns, so that whatever else this machine does slows both.
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        is_quiet.store(true, Ordering::Relaxed);
        while target.metric("lostcard_workshop_running").await + target.metric("lostcard_workshop_waiting").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        quiet.extend(times_of_reports(&http, &target, &other.token).await);
        let (issued_before, refused_before) = (issued.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        is_quiet.store(false, Ordering::Relaxed);
        while issued.load(Ordering::Relaxed) == issued_before || refused.load(Ordering::Relaxed) == refused_before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        busy.extend(times_of_reports(&http, &target, &other.token).await);
    }
    let (quiet, busy) = (p99(quiet), p99(busy));
    let tokens = tokens_of_fifty(&target, &other).await;
    end(&is_over, attackers).await;
    println!(
        "certificates: {CONNECTIONS} connections of one registrar got {} and {} refusals; others: 500 of 500 reports, p99 {busy:?} (quiet {quiet:?}), {tokens} of 50 tokens",
        issued.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
    assert_eq!(tokens, 50);
    // Twice where the attackers have a machine of their own; here they share the node's.
    assert!(busy <= quiet * 3 + Duration::from_millis(10), "{busy:?} against {quiet:?}");
}

/// How many of fifty tokens somebody else gets meanwhile.
async fn tokens_of_fifty(target: &Target, other: &Caller) -> u32 {
    let mut tokens = 0;
    for _ in 0..50 {
        tokens += u32::from(token(target, &other.id, &other.secret).await.is_some());
    }
    tokens
}

async fn end(is_over: &AtomicBool, attackers: Vec<JoinHandle<()>>) {
    is_over.store(true, Ordering::Relaxed);
    for attacker in attackers {
        attacker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clients_reads_leave_reports_and_tokens_of_others_alone() {
    const CONNECTIONS: usize = 128;
    let many = "1000000/60s";
    let settings = [("OVERLOAD__REQUESTS_MAX", "32"), ("LIMITS__ADDRESS", many), ("LIMITS__ORGANIZATION", many)];
    let target = Arc::new(Target::new(&settings).await);
    let flood = caller(&target, "certifying", "checks", many).await.token;
    // From here on its token is known: until then its requests are its address's.
    let known = http_client().build().unwrap().get(format!("{}/v1/misuse-reports", target.node.url()));
    assert_eq!(known.bearer_auth(&flood).send().await.unwrap().status(), 200);
    let other = caller(&target, "registrar", "registry", "1000000/60s").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (read, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let attackers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, flood, is_over) = (Arc::clone(&target), flood.clone(), Arc::clone(&is_over));
            let (read, refused) = (Arc::clone(&read), Arc::clone(&refused));
            tokio::spawn(async move {
                let http = http_client().build().unwrap();
                let url = format!("{}/v1/misuse-reports", target.node.url());
                while !is_over.load(Ordering::Relaxed) {
                    let answer = http.get(&url).bearer_auth(&flood).send().await.unwrap();
                    let count = if answer.status() == 200 { &read } else { &refused };
                    assert!([200, 503].contains(&answer.status().as_u16()), "{}", answer.status());
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while refused.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let http = http_client().build().unwrap();
    let slowest = p99(times_of_reports(&http, &target, &other.token).await);
    let tokens = tokens_of_fifty(&target, &other).await;
    end(&is_over, attackers).await;
    println!(
        "reads: {CONNECTIONS} connections of one client got {} and {} refusals; others: 100 of 100 reports, p99 {slowest:?}, {tokens} of 50 tokens",
        read.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
    assert_eq!(tokens, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_refused_in_a_loop_leave_batches_of_others_alone() {
    const CONNECTIONS: usize = 128;
    let target = Arc::new(Target::new(&[("OVERLOAD__REQUESTS_MAX", "32")]).await);
    let flood = caller(&target, "certifying", "checks", "1000000/60s").await.token;
    let (is_over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let attackers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, flood) = (Arc::clone(&target), flood.clone());
            let (is_over, refused) = (Arc::clone(&is_over), Arc::clone(&refused));
            tokio::spawn(async move {
                // A byte of a body that never comes.
                let begun = format!("{}{{", head("/v1/checks/batch", &flood, "Content-Length: 1000"));
                while !is_over.load(Ordering::Relaxed) {
                    let mut stream = target.connect().await;
                    send(&mut stream, begun.as_bytes(), Duration::from_secs(1)).await;
                    if status(&mut stream, Duration::from_secs(2)).await == Some(503) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    while refused.load(Ordering::Relaxed) < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let http = http_client().build().unwrap();
    for _ in 0..100 {
        let batch = json!({ "checks": [check_of(&random_number(), None)] });
        let answer = post(&http, &target, &target.honest, "/v1/checks/batch", &batch).await;
        assert_eq!(answer.status(), 200);
    }
    end(&is_over, attackers).await;
    let refused = refused.load(Ordering::Relaxed);
    println!("refusals: {CONNECTIONS} connections of one client got {refused}; others: 100 of 100 batches");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_calls_of_a_client_keep_none_of_its_batches_away() {
    let target = Arc::new(Target::new(&[]).await);
    let starved = caller(&target, "certifying", "checks", "40/10s").await.token;
    let (is_over, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let starvers: Vec<_> = (0..4)
        .map(|_| {
            let (target, starved) = (Arc::clone(&target), starved.clone());
            let (is_over, passed) = (Arc::clone(&is_over), Arc::clone(&passed));
            tokio::spawn(async move {
                let http = http_client().build().unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = post(&http, &target, &starved, "/v1/checks", &check_of(&random_number(), None)).await;
                    passed.fetch_add(u64::from(answer.status() == 200), Ordering::Relaxed);
                }
            })
        })
        .collect();
    while passed.load(Ordering::Relaxed) < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let http = http_client().build().unwrap();
    let batch = json!({ "checks": (0..30).map(|_| check_of(&random_number(), None)).collect::<Vec<_>>() });
    let (mut batches, mut waited) = (0, 0);
    for _ in 0..2 {
        let refused = post(&http, &target, &starved, "/v1/checks/batch", &batch).await;
        assert_eq!(refused.status(), 429);
        let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        waited += seconds;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        batches += u32::from(post(&http, &target, &starved, "/v1/checks/batch", &batch).await.status() == 200);
    }
    end(&is_over, starvers).await;
    let small = passed.load(Ordering::Relaxed);
    println!(
        "starve: {small} small calls passed; {batches} of 2 batches passed after the {waited} s that they were told"
    );
    assert_eq!(batches, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_secret_under_load_gives_no_units_back() {
    let target = Arc::new(Target::new(&[]).await);
    let client = caller(&target, "certifying", "checks", "60/3600s").await;
    let begun = Instant::now();
    let (is_over, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let spenders: Vec<_> = (0..4)
        .map(|_| {
            let (target, token) = (Arc::clone(&target), client.token.clone());
            let (is_over, passed) = (Arc::clone(&is_over), Arc::clone(&passed));
            tokio::spawn(async move {
                let http = http_client().build().unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = post(&http, &target, &token, "/v1/checks", &check_of(&random_number(), None)).await;
                    passed.fetch_add(u64::from(answer.status() == 200), Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let rotated = target.service.run(&["client", "rotate-secret", &client.id, "--json"]);
        let secret = rotated["client_secret"].as_str().unwrap();
        // Until the node knows it.
        while token(&target, &client.id, secret).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    end(&is_over, spenders).await;
    let (passed, most) = (passed.load(Ordering::Relaxed), 60 + begun.elapsed().as_secs() / 60 + 1);
    println!("rotation: 3 rotations under load, {passed} calls of a burst of 60 passed");
    assert!((60..=most).contains(&passed), "{passed} of {most}");
}
