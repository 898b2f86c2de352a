//! The files of deploy/ for nginx and `HAProxy`, with their own programs between clients and a node: each caller counts by its own
//! address, whatever it says of itself, and a stranger's garbage is nobody else's trouble.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lostcard::config::Forwarded;
use serde_json::json;
use tokio::time::{Instant, interval};

use crate::authority::{Authority, Pair};
use crate::bodies::{check_of, random_number, rate};
use crate::helpers::{Answer, TestApp};
use crate::mtls::{add_certificate, create_client, id_of};
use crate::proxies::count;
use crate::servers::free_address;
use crate::servers::front::{Front, write_certificate};

const NGINX: &str = include_str!("../../deploy/nginx/lostcard.conf");
const HAPROXY: &str = include_str!("../../deploy/haproxy/lostcard.cfg");
const NGINX_MTLS: &str = include_str!("../../deploy/nginx/lostcard-mtls.conf");
const HAPROXY_MTLS: &str = include_str!("../../deploy/haproxy/lostcard-mtls.cfg");
const HAPROXY_TCP: &str = include_str!("../../deploy/haproxy/lostcard-tcp.cfg");

/// A node that trusts the proxy at this address.
async fn node(forwarded: Forwarded, proxy: &str) -> TestApp {
    TestApp::spawn_with(|config| {
        config.server.trusted_proxies = vec![proxy.parse::<IpAddr>().unwrap().into()];
        config.server.forwarded = forwarded;
        config.limits.address = rate("60/60s");
        config.hosts = vec!["lostcard.example".to_owned()];
    })
    .await
}

/// The file as it is, but for places: it listens and looks for its certificate elsewhere, and the node is elsewhere.
fn start(start: fn(tempfile::TempDir, SocketAddr, &str) -> Front, file: &str, app: &TestApp) -> Front {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let address = free_address();
    let port = address.port();
    let text = file
        .replace("127.0.0.1:8080", &app.address.to_string())
        .replace("/etc/ssl/lostcard", &folder.path().display().to_string())
        .replace("bind :::443 v4v6", &format!("bind :::{port} v4v6"))
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
        .replace("listen [::]:443 ssl", &format!("listen [::1]:{port} ssl"));
    start(folder, address, &text)
}

/// A client of this address.
fn client(from: &str, front: &Front) -> reqwest::Client {
    client_with(from, front, None)
}

/// The same, which shows a certificate.
fn client_with(from: &str, front: &Front, shows: Option<&Pair>) -> reqwest::Client {
    let from: IpAddr = from.parse().unwrap();
    let to = if from.is_ipv6() { SocketAddr::new("::1".parse().unwrap(), front.address.port()) } else { front.address };
    let client = reqwest::Client::builder()
        .no_proxy()
        .local_address(from)
        .tls_danger_accept_invalid_certs(true)
        .resolve("lostcard.example", to);
    shows.into_iter().fold(client, |client, pair| client.identity(pair.identity())).build().unwrap()
}

async fn ask(client: &reqwest::Client, scheme: &str, front: &Front) -> Answer {
    let url = format!("{scheme}://lostcard.example:{}/v1/acceptance/eligibility", front.address.port());
    let spoofed = client.post(url).header("X-Forwarded-For", "192.0.2.77").header("Forwarded", "for=192.0.2.77");
    Answer::read(spoofed.header("X-Forwarded-Prefix", "/evil").json(&json!({})).send().await.unwrap()).await
}

/// Two callers of IPv4 and one of IPv6, each by a connection that others may have used.
async fn assert_counted_apart(name: &str, scheme: &str, front: &Front) {
    let [one, two, six] = ["127.0.0.2", "127.0.0.3", "::1"].map(|from| client(from, front));
    for (caller, counted) in [(&one, 1), (&two, 1), (&one, 2), (&six, 1), (&two, 2), (&one, 3), (&six, 2)] {
        let answer = ask(caller, scheme, front).await;
        assert_eq!(count(&answer), counted, "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn behind_nginx_each_caller_has_its_own_address() {
    for forwarded in [Forwarded::Forwarded, Forwarded::XForwardedFor] {
        let app = node(forwarded, "127.0.0.1").await;
        let front = start(Front::nginx, NGINX, &app);
        assert_counted_apart(&format!("nginx, {forwarded:?}"), "https", &front).await;
    }
}

#[tokio::test]
async fn behind_haproxy_each_caller_has_its_own_address() {
    for forwarded in [Forwarded::Forwarded, Forwarded::XForwardedFor] {
        let app = node(forwarded, "127.0.0.1").await;
        let front = start(Front::haproxy, HAPROXY, &app);
        assert_counted_apart(&format!("HAProxy, {forwarded:?}"), "https", &front).await;
    }
}

#[tokio::test]
async fn haproxy_says_by_both_versions_of_the_proxy_protocol_who_asks() {
    for version in ["send-proxy-v2", "send-proxy"] {
        let app = node(Forwarded::ProxyProtocol, "127.0.0.8").await;
        // From an address of its own: the test itself asks the node without a preface.
        let file = HAPROXY_TCP.replace("send-proxy-v2 check-", &format!("{version} source 127.0.0.8 check-"));
        let front = start(Front::haproxy, &file, &app);
        assert_counted_apart(version, "http", &front).await;
    }
}

#[tokio::test]
async fn behind_nginx_a_strangers_garbage_is_nobody_elses_trouble() {
    let app = node(Forwarded::Forwarded, "127.0.0.1").await;
    let front = start(Front::nginx, NGINX, &app);
    let url = |path: &str| format!("https://lostcard.example:{}{path}", front.address.port());
    let stranger = client("127.0.0.9", &front);
    let (garbage_url, until) = (url("/v1/checks"), Instant::now() + Duration::from_secs(4));
    let garbage = async {
        let mut ticks = interval(Duration::from_millis(16));
        let mut statuses = Vec::new();
        while Instant::now() < until {
            ticks.tick().await;
            let request = stranger.post(&garbage_url).bearer_auth("a.b.c").json(&json!({}));
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        statuses
    };
    let form = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", app.hotel.client_id.to_string()),
        ("client_secret", app.hotel.secret.clone()),
    ];
    let honest = async {
        for nth in 0..20 {
            let caller = client(&format!("127.0.1.{}", nth % 5), &front);
            let answer = Answer::read(caller.post(url("/oauth2/token")).form(&form).send().await.unwrap()).await;
            assert_eq!(answer.status, 200, "token {nth}: {}", answer.text);
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let check = caller.post(url("/v1/checks")).bearer_auth(token).json(&check_of(&random_number(), None));
            let answer = Answer::read(check.send().await.unwrap()).await;
            assert_eq!(answer.status, 200, "check {nth}: {}", answer.text);
            tokio::time::sleep_until(Instant::now() + Duration::from_millis(150)).await;
        }
    };
    let (statuses, ()) = tokio::join!(garbage, honest);
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(
        statuses.contains(&429) && statuses.len() > 80,
        "the stranger was refused, and continued: {}",
        statuses.len()
    );
}

/// Numbers and receipts: none of it is written to a disk on its way.
#[tokio::test]
async fn nginx_makes_no_file_of_what_passes() {
    for file in [NGINX, NGINX_MTLS] {
        let app = node(Forwarded::Forwarded, "127.0.0.1").await;
        let front = start(Front::nginx, file, &app);
        let checks: Vec<_> = (0..550).map(|_| check_of(&random_number(), None)).collect();
        let body = json!({ "checks": checks });
        assert!(body.to_string().len() > 16 * 1024, "more than nginx keeps by itself");
        let url = format!("https://lostcard.example:{}/v1/checks/batch", front.address.port());
        let sent = client("127.0.0.2", &front).post(url).bearer_auth(&app.hotel.token).json(&body).send();
        let answer = Answer::read(sent.await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.len() > 256 * 1024);
        let said = front.errors();
        assert!(!said.contains("temporary file"), "{said}");
    }
}

#[tokio::test]
async fn behind_fronts_with_mutual_tls_a_certificate_is_a_proof_and_binds() {
    let authority = Authority::new();
    let (own, named) = (authority.self_signed("own"), authority.issue("named", "/CN=named", "DNS:named"));
    for (name, start_front, file) in [
        ("nginx", Front::nginx as fn(_, _, &str) -> Front, NGINX_MTLS),
        ("HAProxy", Front::haproxy as fn(_, _, &str) -> Front, HAPROXY_MTLS),
    ] {
        let root = authority.root.certificate.clone();
        let app = TestApp::spawn_with(|config| {
            config.server.trusted_proxies = vec![IpAddr::from([127, 0, 0, 1]).into()];
            config.hosts = vec!["lostcard.example".to_owned()];
            config.tls.client_ca = Some(root);
        })
        .await;
        let front = start(start_front, file, &app);
        let of_thumbprint = create_client(&app, &["--bound", "mtls"]);
        add_certificate(&app, &of_thumbprint, &own);
        let of_name = create_client(&app, &["--tls-san-dns", "named"]);
        let url = |path: &str| format!("https://lostcard.example:{}{path}", front.address.port());
        for (made, pair, other) in [(&of_thumbprint, &own, &named), (&of_name, &named, &own)] {
            let [holder, stranger] = [pair, other].map(|shows| client_with("127.0.0.2", &front, Some(shows)));
            let form = [("grant_type", "client_credentials"), ("client_id", id_of(made))];
            let ask = async |http: &reqwest::Client| {
                Answer::read(http.post(url("/oauth2/token")).form(&form).send().await.unwrap()).await
            };
            let answer = ask(&holder).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            assert_eq!(ask(&stranger).await.status, 401, "{name}");
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let check = async |http: &reqwest::Client, said: &str| {
                let request = http.post(url("/v1/checks")).bearer_auth(&token).header("Client-Cert", said);
                Answer::read(request.json(&check_of(&random_number(), None)).send().await.unwrap()).await.status
            };
            let spoofed = format!(":{}:", base64_of(pair));
            assert_eq!(check(&holder, "").await, 200, "{name}");
            for thief in [&stranger, &client("127.0.0.2", &front)] {
                assert_eq!(check(thief, &spoofed).await, 401, "{name}: what a client says of itself is taken away");
            }
        }
    }
}

/// A certificate as RFC 9440 writes it.
fn base64_of(pair: &Pair) -> String {
    let text = std::fs::read_to_string(&pair.certificate).unwrap();
    text.lines().filter(|line| !line.starts_with("-----")).collect()
}
