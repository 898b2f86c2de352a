//! Who calls: strangers behind a proxy, handshakes that never end, and a proof that is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use lostcard::crypto::signing::base64url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::bodies::{check_of, random_number};
use crate::servers::http_client;
use crate::service::ISSUER;
use crate::target::{Target, connect_many, ends, send};

const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn garbage_tokens_behind_a_proxy_lock_nobody_out() {
    let settings = [("SERVER__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]"), ("SERVER__FORWARDED", "x-forwarded-for")];
    let target = Arc::new(Target::new(&settings).await);
    let (is_over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let attacker = {
        let (target, is_over, sent) = (Arc::clone(&target), Arc::clone(&is_over), Arc::clone(&sent));
        tokio::spawn(async move {
            let http = http_client().build().unwrap();
            let (mut refused, mut limited) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let request = http.post(format!("{}/v1/checks", target.node.url())).bearer_auth("e30.e30.AAAA");
                let answer = request.header("X-Forwarded-For", "192.0.2.1").json(&json!({})).send().await.unwrap();
                match answer.status().as_u16() {
                    401 => refused += 1,
                    429 => limited += 1,
                    other => panic!("{other}"),
                }
                sent.fetch_add(1, Ordering::Relaxed);
            }
            (refused, limited)
        })
    };
    while sent.load(Ordering::Relaxed) < 700 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let http = http_client().build().unwrap();
    let (mut tokens, mut checks) = (0, 0);
    let hotel = &target.service.hotel;
    for at in 0..20 {
        let from = format!("198.51.100.{at}");
        let form =
            [("grant_type", "client_credentials"), ("client_id", &hotel.client_id), ("client_secret", &hotel.secret)];
        let asked =
            http.post(format!("{}/oauth2/token", target.node.url())).header("X-Forwarded-For", &from).form(&form);
        tokens += u32::from(asked.send().await.unwrap().status() == 200);
        let asked = http.post(format!("{}/v1/checks", target.node.url())).bearer_auth(&target.honest);
        let asked = asked.header("X-Forwarded-For", &from).json(&check_of(&random_number(), None));
        checks += u32::from(asked.send().await.unwrap().status() == 200);
    }
    is_over.store(true, Ordering::Relaxed);
    let (refused, limited) = attacker.await.unwrap();
    println!(
        "garbage tokens behind a proxy: {refused} refused, {limited} limited; others: {tokens} of 20 tokens, {checks} of 20 checks"
    );
    assert_eq!((tokens, checks), (20, 20));
    assert!(limited > 0, "the stranger's own address is limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end_leave_others_theirs() {
    let authority = Authority::new();
    let pair = authority.of_node("node");
    let (certificate, key) = (pair.certificate.to_str().unwrap(), pair.key.to_str().unwrap());
    let settings = [
        ("TLS__CERTIFICATE", certificate),
        ("TLS__KEY", key),
        ("TLS__PLAIN_LISTEN", "127.0.0.1:0"),
        ("TLS__HANDSHAKE_MS", "2000"),
    ];
    let target = Target::new(&settings).await;
    let before = target.resident_mib_in_use().await;
    // By TLS as well, with a handshake each time, and from an address of its own.
    let url = format!("https://127.0.0.1:{}", target.node.tls_address.unwrap().port());
    let honest = target.honest_caller_at(&url, true, || {
        http_client().local_address(std::net::IpAddr::from([127, 0, 0, 2])).tls_danger_accept_invalid_certs(true)
    });
    let honest = honest.quiet().await;
    let mut attackers = JoinSet::new();
    for mut stream in connect_many(target.node.tls_address.unwrap(), 400).await {
        attackers.spawn(async move {
            send(&mut stream, &[22, 3, 1, 2, 0], SHORT).await;
            let began = Instant::now();
            (ends(&mut stream, Duration::from_secs(6)).await, began.elapsed())
        });
    }
    let (mut ended, mut longest) = (0, Duration::ZERO);
    while let Some(done) = attackers.join_next().await {
        let (has_ended, took) = done.unwrap();
        ended += usize::from(has_ended);
        longest = longest.max(took);
    }
    let (most, got) = (target.resident_mib(), honest.stop().await);
    println!(
        "handshakes: 400 that never end: {before} -> {most} MiB, {ended} ended, the last after {longest:?}; {got}"
    );
    got.assert_served();
    assert!(ended == 400 && most < before + 64, "{before} -> {most} MiB, {ended}");
}

/// A key, and proofs by it (RFC 9449, 4.2).
struct Holder(Ed25519KeyPair);

impl Holder {
    fn proof(&self, path: &str, token: Option<&str>) -> String {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let jwk = json!({"crv": "Ed25519", "kty": "OKP", "x": base64url(self.0.public_key().as_ref())});
        let now_s = lostcard::clock::Clock::System.now_s();
        let jti = base64url(&lostcard::crypto::random::bytes::<16>());
        let mut claims = json!({"jti": jti, "htm": "POST", "htu": format!("{ISSUER}{path}"), "iat": now_s});
        if let Some(token) = token {
            claims["ath"] = json!(base64url(&Sha256::digest(token)));
        }
        let header = json!({"typ": "dpop+jwt", "alg": "Ed25519", "jwk": jwk});
        let message = format!("{}.{}", part(&header), part(&claims));
        format!("{message}.{}", base64url(self.0.sign(message.as_bytes()).as_ref()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_sent_again_is_refused() {
    let target = Target::new(&[]).await;
    let honest = target.honest_caller(false);
    let (holder, http) = (Holder(Ed25519KeyPair::generate().unwrap()), http_client().build().unwrap());
    let hotel = &target.service.hotel;
    let form =
        [("grant_type", "client_credentials"), ("client_id", &hotel.client_id), ("client_secret", &hotel.secret)];
    let asked = http.post(format!("{}/oauth2/token", target.node.url())).form(&form);
    let asked = asked.header("DPoP", holder.proof("/oauth2/token", None)).send().await.unwrap();
    let answer: Value = serde_json::from_str(&asked.text().await.unwrap()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let (mut sent, mut passed) = (0, 0);
    for _ in 0..5 {
        let proof = holder.proof("/v1/checks", Some(token));
        let mut attackers = JoinSet::new();
        for _ in 0..100 {
            let request = http.post(format!("{}/v1/checks", target.node.url())).header("DPoP", &proof);
            let request =
                request.header("Authorization", format!("DPoP {token}")).json(&check_of(&random_number(), None));
            attackers.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
        let answers = attackers.join_all().await;
        assert!(answers.iter().all(|status| [200, 401, 503].contains(status)), "{answers:?}");
        sent += 1;
        passed += answers.iter().filter(|status| **status == 200).count();
    }
    while honest.answered() <= 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let got = honest.stop().await;
    println!("replays: {sent} proofs sent 100 times each at once passed {passed} times; {got}");
    got.assert_served();
    assert_eq!(passed, sent);
}
