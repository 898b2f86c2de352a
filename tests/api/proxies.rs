//! Who is asking: what trusted proxies say of it by header fields and by prefaces, what others say of themselves, who keeps a share of
//! verifications, and where a service below a path is for its clients. Real proxies are in `fronts`.

use std::net::IpAddr;
use std::time::Duration;

use lostcard::config::{Config, Forwarded};
use lostcard::crypto::client_secret::hash_secret;
use lostcard::crypto::random;
use lostcard::store::clients::Proof;
use lostcard::store::feed::ChangeKind;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::bodies::{check_of, random_number, rate, report_of};
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::raw;

/// Everybody on this machine is a proxy.
fn behind(forwarded: Forwarded) -> impl FnOnce(&mut Config) {
    move |config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        config.server.forwarded = forwarded;
    }
}

/// How many questions without a token the node has counted for this caller, this one included. Its clock stands still.
#[track_caller]
pub(crate) fn count(answer: &Answer) -> u64 {
    let left: u64 = answer.header("ratelimit").split("r=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    600 - left
}

async fn question(app: &TestApp, fields: &[(&str, &str)]) -> Answer {
    let request = app.request("POST", "/v1/acceptance/eligibility").json(&json!({}));
    app.send(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn a_trusted_peer_says_for_whom_it_asks() {
    for (forwarded, name, of) in [
        (Forwarded::XForwardedFor, "X-Forwarded-For", ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::ffff"]),
        (
            Forwarded::Forwarded,
            "Forwarded",
            ["for=192.0.2.1", "for=192.0.2.2;proto=https", "for=\"[2001:db8::1]\"", "for=\"[2001:db8::ffff]:80\""],
        ),
    ] {
        let app = TestApp::spawn_with(behind(forwarded)).await;
        let [one, two, six, neighbour] = of;
        for (value, counted) in [
            (one.to_owned(), 1),
            (two.to_owned(), 1),
            (one.to_owned(), 2),
            // What a client says of itself stands left of what its proxy says.
            (format!("{two}, {one}"), 3),
            (format!("{}, {one}, {}", two.replace(".2.2", ".2.9"), one.replace("192.0.2", "10.0.0")), 4),
            (six.to_owned(), 1),
            (neighbour.to_owned(), 2),
        ] {
            assert_eq!(count(&question(&app, &[(name, &value)]).await), counted, "{name}: {value}");
        }
        assert_eq!(count(&question(&app, &[]).await), 1, "the proxy itself");
        let other = if name == "Forwarded" { "X-Forwarded-For" } else { "Forwarded" };
        assert_eq!(count(&question(&app, &[(other, "garbage")]).await), 2, "the other field is not read");
        for bad in ["garbage".to_owned(), String::new(), format!("garbage, {one}"), format!("{one},\"")] {
            question(&app, &[(name, &bad)]).await.problem(400, "malformed_request");
            app.send(app.request("GET", "/health/live").header(name, &bad)).await.problem(400, "malformed_request");
        }
    }
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let app = TestApp::spawn_with(|config| {
        config.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        config.server.forwarded = Forwarded::XForwardedFor;
    })
    .await;
    for (nth, value) in ["192.0.2.1", "198.51.100.1", "garbage", ""].into_iter().enumerate() {
        let fields = [("X-Forwarded-For", value), ("Forwarded", value), ("X-Forwarded-Prefix", "//evil.example")];
        assert_eq!(count(&question(&app, &fields).await), nth as u64 + 1, "{value}");
    }
    for preface in
        [&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..], &v2(0x21, 0x11, &[192, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1])]
    {
        let request = [preface, &asking()].concat();
        raw::exchange(app.address, &request).await.unwrap().problem(400, "malformed_request");
    }
}

fn asking() -> Vec<u8> {
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    raw::request("POST", "/v1/acceptance/eligibility", &headers, b"{}")
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// A connection of 127.0.0.2.
async fn connect_as_proxy(app: &TestApp) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(app.address).await.unwrap()
}

async fn exchange_as_proxy(app: &TestApp, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect_as_proxy(app).await;
    let _ = stream.write_all(bytes).await;
    timeout(Duration::from_secs(15), raw::read_answer(&mut stream)).await.expect("an answer in time")
}

#[tokio::test]
async fn a_preface_says_whose_connection_it_is() {
    let app = TestApp::spawn_with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.2".parse::<IpAddr>().unwrap().into()];
        config.server.forwarded = Forwarded::ProxyProtocol;
    })
    .await;
    let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[9], &[0; 16], &[1, 2, 3, 4]].concat();
    for (preface, counted) in [
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".to_vec(), 1),
        (v2(0x21, 0x11, &[192, 0, 2, 1, 127, 0, 0, 1, 1, 2, 3, 4]), 2),
        (v2(0x21, 0x11, &[192, 0, 2, 2, 127, 0, 0, 1, 1, 2, 3, 4]), 1),
        (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".to_vec(), 1),
        (v2(0x21, 0x21, &v6), 2),
        (b"PROXY UNKNOWN\r\n".to_vec(), 1),
        (v2(0x20, 0x00, &[]), 2),
    ] {
        let answer = exchange_as_proxy(&app, &[preface.clone(), asking()].concat()).await.unwrap();
        assert_eq!(count(&answer), counted, "{}", String::from_utf8_lossy(&preface));
        // In pieces, and for every request of the connection.
        let mut stream = connect_as_proxy(&app).await;
        stream.set_nodelay(true).unwrap();
        for byte in &preface {
            stream.write_all(&[*byte]).await.unwrap();
        }
        for _ in 0..2 {
            stream
                .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: garbage\r\n\r\n")
                .await
                .unwrap();
            assert_eq!(raw::read_answer(&mut stream).await.unwrap().status, 200);
        }
    }
    let get = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    // One that the short way would answer.
    let body = check_of(&random_number(), None).to_string();
    let fields = [
        ("Authorization".to_owned(), format!("Bearer {}", app.hotel.token)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let check = raw::request("POST", "/v1/checks", &fields, body.as_bytes());
    assert_eq!(raw::exchange(app.address, &check).await.unwrap().status, 200);
    let after_preface = [&b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"[..], &check].concat();
    assert_eq!(exchange_as_proxy(&app, &after_preface).await.unwrap().status, 200);
    for bad in [
        check,
        get.clone(),
        [&b"PROXY TCP4 192.0.2.1\r\n"[..], &get].concat(),
        [&b"PROXY TCP4 a b c d\r\n"[..], &get].concat(),
        [&v2(0x21, 0x11, &[1, 2]), &get[..]].concat(),
        [&b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n"[..], &get].concat(),
    ] {
        let answer = exchange_as_proxy(&app, &bad).await.unwrap();
        answer.problem(400, "malformed_request");
        assert_eq!(answer.header("connection"), "close");
    }
    let partial = exchange_as_proxy(&app, b"PROXY TCP4 192.0").await.unwrap();
    partial.problem(408, "too_slow");
    assert!(exchange_as_proxy(&app, b"").await.is_none(), "where nothing comes, it ends without a word");
}

async fn token_of(app: &TestApp, client: &TestClient) -> Answer {
    let id = client.client_id.to_string();
    app.ask_token(&[("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &client.secret)]).await
}

async fn check_with(app: &TestApp, token: &str) -> Answer {
    app.post(token, "/v1/checks", &check_of(&random_number(), None)).await
}

/// A token that nobody has signed, of this client as far as it says.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", signature.chars().rev().collect::<String>())
}

#[tokio::test]
async fn garbage_from_ones_own_address_locks_out_no_client_that_is_known() {
    let app = TestApp::spawn_with(|config| config.limits.address = rate("40/60s")).await;
    let mut hotel = app.hotel.clone();
    let police = app.police.clone();
    assert_eq!(check_with(&app, &hotel.token).await.status, 200);
    app.read_report("x").await.problem(404, "not_found");
    let garbage = async || {
        for _ in 0..60 {
            check_with(&app, "a.b.c").await;
        }
        check_with(&app, "a.b.c").await.problem(429, "address_limit_spent");
    };
    garbage().await;
    let (client_id, now_ms) = (hotel.client_id, app.clock.now_ms());
    hotel.secret = "another-secret-of-the-hotel".to_owned();
    let proof = Proof::SecretHash(hash_secret(&hotel.secret.clone().into()));
    app.change_store(async |tx| {
        tx.add_proof(client_id, random::id(now_ms), &proof, now_ms).await.unwrap();
        tx.record_change(ChangeKind::Client, client_id.as_bytes()).await.unwrap();
    })
    .await;
    garbage().await;
    eventually("the node knows the new secret", async || token_of(&app, &hotel).await.status == 200).await;
    for known in [&app.hotel.token, &police.token] {
        let answer = app.get(known, "/v1/organization").await;
        assert_eq!(answer.status, 200, "a known token, whatever its address has spent: {}", answer.text);
    }
    hotel.token = token_of(&app, &hotel).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(check_with(&app, &hotel.token).await.status, 200, "a new token of a client that is known");
    assert_eq!(token_of(&app, &police).await.status, 200);

    // What is kept for one client is not spent by another, and not without bound.
    for _ in 0..60 {
        check_with(&app, &forged(&hotel.token)).await;
    }
    check_with(&app, &forged(&hotel.token)).await.problem(429, "address_limit_spent");
    token_of(&app, &hotel).await.problem(429, "address_limit_spent");
    assert_eq!(token_of(&app, &police).await.status, 200);
    assert_eq!(check_with(&app, &hotel.token).await.status, 200, "the known token still");
    app.ask_token(&[("grant_type", "client_credentials")]).await.problem(429, "address_limit_spent");
}

#[tokio::test]
async fn a_revoked_token_costs_its_address_though_it_was_known() {
    let app = TestApp::spawn_with(|config| config.limits.address = rate("20/60s")).await;
    assert_eq!(check_with(&app, &app.hotel.token).await.status, 200);
    let (client_id, now_ms) = (app.hotel.client_id, app.clock.now_ms());
    app.change_store(async |tx| {
        tx.disable_client(client_id, now_ms).await.unwrap();
        tx.record_change(ChangeKind::Client, client_id.as_bytes()).await.unwrap();
    })
    .await;
    eventually("it is refused", async || check_with(&app, &app.hotel.token).await.status == 401).await;
    eventually("its address is spent", async || check_with(&app, &app.hotel.token).await.status == 429).await;
}

#[tokio::test]
async fn what_answers_point_to_keeps_the_prefix() {
    let app = TestApp::spawn_with(behind(Forwarded::XForwardedFor)).await;
    let get =
        async |prefix: &str, path: &str| app.send(app.request("GET", path).header("X-Forwarded-Prefix", prefix)).await;
    let create = async |prefix: &str, key: &str, number: &str| {
        let request = app.request("POST", "/v1/loss-reports").header("Idempotency-Key", key);
        let request = if prefix.is_empty() { request } else { request.header("X-Forwarded-Prefix", prefix) };
        app.send(request.bearer_auth(&app.police.token).json(&report_of(number, None))).await
    };
    let number = random_number();
    let made = create("/registry/api/", "key-1", &number).await;
    let location = made.header("location").to_owned();
    assert!(location.starts_with("/registry/api/v1/loss-reports/"), "{location}");
    let again = create("", "key-1", &number).await;
    assert_eq!(format!("/registry/api{}", again.header("location")), location, "kept without it for repetitions");
    let missing = get("/api", "/nothing").await;
    assert_eq!((missing.status, &missing.json()["type"]), (404, &json!("/api/problems/not_found")));
    let fields = [("X-Forwarded-Prefix".to_owned(), "/api".to_owned())];
    let docs = raw::exchange(app.address, &raw::request("GET", "/docs", &fields, b"")).await.unwrap();
    assert_eq!((docs.status, docs.header("location")), (307, "/api/docs/"));
    let batch = json!({"checks": [{"purpose": "lodging"}]});
    let request = app.request("POST", "/v1/checks/batch").header("X-Forwarded-Prefix", "/api");
    let batch = app.send(request.bearer_auth(&app.hotel.token).json(&batch)).await;
    assert_eq!(batch.json()["results"][0]["problem"]["type"], "/api/problems/invalid_value");
    assert!(get("/api", "/").await.text.contains("href=\"/api/problems/"));
    for bad in ["api", "//evil.example", "/a/../b", "/a\\b", "/a?b", ""] {
        get(bad, "/health/live").await.problem(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_public_url_with_a_path_and_tls_shows_in_answers() {
    let app = TestApp::spawn_with(|config| {
        config.public_url = Some("https://lostcard.test/registry".to_owned());
        config.hosts = vec!["127.0.0.1".to_owned()];
        config.registry.withdrawals_per_day = 1;
    })
    .await;
    let report = app.report(&report_of(&random_number(), None)).await;
    let location = report.header("location").to_owned();
    assert!(location.starts_with("/registry/v1/loss-reports/"), "{location}");
    let withdraw = async |report: &Answer| {
        let path = format!("/v1/loss-reports/{}/withdrawal", report.json()["report_id"].as_str().unwrap());
        app.post(&app.police.token, &path, &json!({"office": "110105-03", "reason": "found"})).await
    };
    assert_eq!(withdraw(&app.report(&report_of(&random_number(), None)).await).await.status, 200);
    let waits = withdraw(&report).await;
    assert_eq!((waits.status, waits.header("location")), (202, format!("{location}/withdrawal").as_str()));
    let missing = app.get("", "/nothing").await;
    assert_eq!(missing.json()["type"], "/registry/problems/not_found");
    let check = check_with(&app, &app.hotel.token).await;
    assert_eq!(check.status, 200);
    for answer in [report, missing, check, app.get("", "/docs/").await, app.get("", "/health/live").await] {
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    }
    // Where the standard has the metadata of an issuer with a path, and where a proxy that takes the path away has it.
    let well_known = "/.well-known/oauth-authorization-server";
    let metadata = app.get("", &format!("{well_known}/registry")).await;
    assert_eq!((metadata.status, &metadata.json()["issuer"]), (200, &json!("https://lostcard.test/registry")));
    assert_eq!(metadata.header("cache-control"), "public, max-age=300");
    assert_eq!(metadata.json(), app.get("", well_known).await.json());
    for other in ["registr", "registry/", "registry/sandbox", "sandbox", "Registry", "x/registry", "registry%2f"] {
        let missing = app.get("", &format!("{well_known}/{other}")).await;
        assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("not_found")), "{other}");
    }
    let plain = TestApp::spawn().await.get("", "/health/live").await;
    assert_eq!(plain.header("strict-transport-security"), "", "where clients come by plain HTTP");
}
