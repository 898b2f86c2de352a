//! Where persons sign in for the console: what the page learns about their provider, and whom it may call. The sign-in itself is tried in a
//! browser by `tests/browser`, with a real provider.

use lostcard::config::Config;
use lostcard::crypto::signing::SigningKey;
use lostcard::node::options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::helpers::{TestApp, eventually};

const PROVIDER: &str = "/console/provider.json";

/// What a provider publishes of itself, at its own address; it ends with its value.
struct Published {
    issuer: String,
    task: JoinHandle<()>,
}

impl Drop for Published {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Published {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let told = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
            "end_session_endpoint": format!("{issuer}/out"), "code_challenge_methods_supported": ["S256"],
        });
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                let is_asked = head[..length].starts_with(b"GET /.well-known/openid-configuration ");
                let body = if is_asked { told.to_string() } else { String::new() };
                let status = if is_asked { "200 OK" } else { "404 Not Found" };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { issuer, task }
    }
}

fn configure(config: &mut Config, issuer: &str, client: &str) {
    let keys = json!({"keys": [SigningKey::generate().unwrap().public().to_jwk()]}).to_string();
    let file = config.data.with_extension("provider.json");
    std::fs::write(&file, keys).unwrap();
    config.tokens.insecure_loopback_for_tests = true;
    let of = &mut config.admin_oidc;
    (of.issuer, of.audience) = (Some(issuer.to_owned()), Some("https://lostcard.example".to_owned()));
    (of.client, of.jwks_file) = (Some(client.to_owned()), Some(file));
    (of.console_client, of.operators) = (Some("console".to_owned()), vec!["ops".to_owned()]);
}

async fn spawn(issuer: &str) -> TestApp {
    let app = TestApp::spawn().await;
    let client = app.add_client("admin", None).await.client_id.to_string();
    app.sibling_with(|config| configure(config, issuer, &client)).await
}

async fn told(app: &TestApp) -> Value {
    let answer = app.get("", PROVIDER).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    answer.json()
}

async fn policy(app: &TestApp, path: &str) -> String {
    app.get("", path).await.header("content-security-policy").to_owned()
}

#[tokio::test]
async fn without_a_provider_the_page_calls_its_service_alone() {
    let app = TestApp::spawn().await;
    assert_eq!(told(&app).await, json!({"state": "none"}));
    assert!(policy(&app, "/console").await.contains("connect-src 'self';"));
}

#[tokio::test]
async fn the_page_learns_its_provider_and_may_call_it() {
    let provider = Published::start().await;
    let app = spawn(&provider.issuer).await;
    let issuer = &provider.issuer;
    assert_eq!(
        told(&app).await,
        json!({
            "state": "ready", "issuer": issuer, "client_id": "console", "scope": "openid profile", "token": "access_token",
            "name_claim": "preferred_username", "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"), "end_session_endpoint": format!("{issuer}/out"),
        }),
        "and no secret"
    );
    assert!(policy(&app, "/console").await.contains(&format!("connect-src 'self' {issuer};")));
    for path in ["/desk", "/station", "/verify", "/console/app.js"] {
        assert!(!policy(&app, path).await.contains(issuer), "{path}");
    }
    // A browser that keeps the page of a node without a provider asks for it again, policy and all.
    let plain = TestApp::spawn().await.get("", "/console").await.header("etag").to_owned();
    let again = app.send(app.request("GET", "/console").header("if-none-match", &plain)).await;
    assert_eq!(again.status, 200);
    let own = again.header("etag").to_owned();
    let again = app.send(app.request("GET", "/console").header("if-none-match", &own)).await;
    assert_eq!(again.status, 304);
    assert!(again.header("content-security-policy").contains(issuer));
}

#[tokio::test]
async fn a_provider_that_is_away_is_sought_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let app = spawn(&format!("http://{address}")).await;
    assert_eq!(told(&app).await, json!({"state": "away"}));
    assert!(policy(&app, "/console").await.contains("connect-src 'self';"));
    let provider = Published::on(TcpListener::bind(address).await.unwrap());
    assert_eq!(told(&app).await, json!({"state": "away"}), "not before its turn");
    eventually("it is sought again", async || {
        app.clock.advance(std::time::Duration::from_secs(10));
        told(&app).await["state"] == "ready"
    })
    .await;
    drop(provider);
    assert_eq!(told(&app).await["state"], "ready", "what was found is kept");
}

#[tokio::test]
async fn an_id_token_is_taken_where_it_is_for_the_console() {
    let provider = Published::start().await;
    let app = spawn(&provider.issuer).await;
    let config = |audience: &str, is_plain: bool| {
        let mut config = app.config.clone();
        (config.admin_oidc.audience, config.admin_oidc.plain_jwt) = (Some(audience.to_owned()), is_plain);
        options::sign_in(&config).unwrap().unwrap().is_id_token
    };
    assert!(config("console", true));
    assert!(!config("console", false) && !config("https://lostcard.example", true));
}

#[tokio::test]
async fn half_a_sign_in_stops_the_start() {
    let provider = Published::start().await;
    let app = spawn(&provider.issuer).await;
    let wrong = |change: fn(&mut Config)| {
        let mut config = app.config.clone();
        change(&mut config);
        options::sign_in(&config).unwrap_err().to_string()
    };
    for (key, error) in [
        ("admin.oidc.console_client", wrong(|config| config.admin_oidc.issuer = None)),
        ("admin.oidc.issuer", wrong(|config| config.tokens.insecure_loopback_for_tests = false)),
        ("admin.oidc.console_scope", wrong(|config| config.admin_oidc.console_scope = "profile openidx".to_owned())),
    ] {
        assert!(error.contains(key), "{key}: {error}");
    }
    let mut without = app.config.clone();
    without.admin_oidc.console_client = None;
    assert!(options::sign_in(&without).unwrap().is_none());
}
