//! Tokens that are bound to the certificate of a connection (RFC 8705): by an authority, by a thumbprint, and for whom they do not
//! work.

use lostcard::config::Forwarded;
use lostcard::domain::client::Scope;
use lostcard::http::routes::ROUTES;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, Pair};
use crate::bodies::{check_of, random_number};
use crate::child;
use crate::helpers::{Answer, TestApp, eventually};
use crate::http::target;
use crate::tls::spawn_tls;

/// Creates a client by the command line, with further flags.
pub(crate) fn create_client(app: &TestApp, flags: &[&str]) -> Value {
    let organization = app.hotel.organization.to_string();
    let args =
        [&["client", "create", "--organization", &organization, "--scope", "checks", "--json"][..], flags].concat();
    child::run_json(&app.config.data, &args)
}

pub(crate) fn id_of(client: &Value) -> &str {
    client["client_id"].as_str().unwrap()
}

pub(crate) fn add_certificate(app: &TestApp, client: &Value, pair: &Pair) -> Value {
    let file = pair.certificate.to_str().unwrap();
    child::run_json(&app.config.data, &["client", "certificate", "add", id_of(client), file, "--json"])
}

async fn ask_token(app: &TestApp, http: &reqwest::Client, form: &[(&str, &str)]) -> Answer {
    let form = [&[("grant_type", "client_credentials")], form].concat();
    Answer::read(http.post(app.https("/oauth2/token")).form(&form).send().await.unwrap()).await
}

async fn token_of(app: &TestApp, http: &reqwest::Client, form: &[(&str, &str)]) -> String {
    let answer = ask_token(app, http, form).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["token_type"], "Bearer");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn check(app: &TestApp, http: &reqwest::Client, token: &str) -> Answer {
    let request = http.post(app.https("/v1/checks")).bearer_auth(token).json(&check_of(&random_number(), None));
    Answer::read(request.send().await.unwrap()).await
}

pub(crate) fn claims_of(token: &str) -> Value {
    let claims = lostcard::crypto::signing::from_base64url(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_registered_is_a_proof_and_binds() {
    let authority = Authority::new();
    let (own, other) = (authority.self_signed("own"), authority.self_signed("other"));
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = create_client(&app, &["--bound", "mtls"]);
    let added = add_certificate(&app, &client, &own);
    assert_eq!(added["x5t#S256"], own.thumbprint());
    let (http, stranger, bare) = (authority.client(Some(&own)), authority.client(Some(&other)), authority.client(None));
    let form = [("client_id", id_of(&client))];
    let token = token_of(&app, &http, &form).await;
    assert_eq!(claims_of(&token)["cnf"], json!({"x5t#S256": own.thumbprint()}));
    assert_eq!(check(&app, &http, &token).await.status, 200);
    // Another connection of the same certificate is as good.
    assert_eq!(check(&app, &authority.client(Some(&own)), &token).await.status, 200);
    for thief in [&stranger, &bare] {
        let refused = check(&app, thief, &token).await;
        refused.problem(401, "invalid_token");
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{:?}", refused.headers);
        let refused = ask_token(&app, thief, &form).await;
        assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")), "{}", refused.text);
    }
    // Neither does the plain listener take it.
    app.post(&token, "/v1/checks", &check_of(&random_number(), None)).await.problem(401, "invalid_token");
    // A secret gives no token that anybody else could use: the certificate must be the registered one.
    let by_secret = [("client_id", id_of(&client)), ("client_secret", client["client_secret"].as_str().unwrap())];
    assert_eq!(ask_token(&app, &stranger, &by_secret).await.status, 401);
    assert_eq!(ask_token(&app, &http, &by_secret).await.status, 200);
    // A client that is bound to nothing needs none.
    assert_eq!(check(&app, &bare, &app.hotel.token).await.status, 200);
}

#[tokio::test]
async fn a_certificate_of_the_authority_is_a_proof_by_its_subject_or_its_name() {
    let (authority, others) = (Authority::new(), Authority::new());
    let subject = "/C=CN/O=Hotel, \"Harbour\"/CN=desk 1";
    let names = "DNS:desk.hotel.example,DNS:other.hotel.example";
    let good = authority.issue("good", subject, names);
    let wrong = authority.issue("wrong", "/C=CN/O=Hotel/CN=desk 2", "DNS:desk2.hotel.example");
    let forged = others.issue("forged", subject, names);
    let forged_alone = authority.self_signed("desk.hotel.example");
    let app = spawn_tls(&authority.of_node("node"), |config| {
        config.tls.client_ca = Some(authority.root.certificate.clone());
    })
    .await;
    let by_subject = create_client(&app, &["--tls-subject-dn", "CN=desk 1,O=Hotel\\, \\\"Harbour\\\",C=CN"]);
    let by_name = create_client(&app, &["--tls-san-dns", "Desk.Hotel.example"]);
    for client in [&by_subject, &by_name] {
        assert!(client.get("client_secret").is_none(), "{client}");
        let form = [("client_id", id_of(client))];
        let http = authority.client(Some(&good));
        let token = token_of(&app, &http, &form).await;
        assert_eq!(claims_of(&token)["cnf"], json!({"x5t#S256": good.thumbprint()}));
        assert_eq!(check(&app, &http, &token).await.status, 200);
        for pair in [&wrong, &forged, &forged_alone] {
            let refused = ask_token(&app, &authority.client(Some(pair)), &form).await;
            assert_eq!(refused.status, 401, "{pair:?}: {}", refused.text);
        }
        check(&app, &authority.client(Some(&wrong)), &token).await.problem(401, "invalid_token");
    }
    let refused = child::run(&app.config.data, &["client", "create", "--organization", "x", "--tls-san-dns", "a b"]);
    assert!(!refused.status.success());
}

#[tokio::test]
async fn a_client_of_a_secret_is_bound_to_the_certificate_that_it_shows() {
    let authority = Authority::new();
    let own = authority.self_signed("own");
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = create_client(&app, &["--bound", "mtls"]);
    let form = [("client_id", id_of(&client)), ("client_secret", client["client_secret"].as_str().unwrap())];
    let refused = ask_token(&app, &authority.client(None), &form).await;
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")), "{}", refused.text);
    let http = authority.client(Some(&own));
    let token = token_of(&app, &http, &form).await;
    assert_eq!(claims_of(&token)["cnf"]["x5t#S256"], own.thumbprint());
    assert_eq!(check(&app, &http, &token).await.status, 200);
    check(&app, &authority.client(None), &token).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_certificate_that_has_ended_proves_nothing() {
    let authority = Authority::new();
    let own = authority.self_signed("own");
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = create_client(&app, &["--bound", "mtls"]);
    add_certificate(&app, &client, &own);
    let http = authority.client(Some(&own));
    let form = [("client_id", id_of(&client))];
    assert_eq!(ask_token(&app, &http, &form).await.status, 200);
    app.clock.advance(std::time::Duration::from_hours(31 * 24));
    assert_eq!(ask_token(&app, &http, &form).await.status, 401);
}

#[tokio::test]
async fn every_operation_refuses_a_bound_token_on_another_connection() {
    let authority = Authority::new();
    let own = authority.self_signed("own");
    let app = spawn_tls(&authority.of_node("node"), |config| config.sandbox = true).await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let other = app.add_client(scope.as_str(), None).await.organization.to_string();
        let make = ["--sandbox", "client", "create", "--organization", &other, "--bound", "mtls", "--json"];
        let client = child::run_json(&app.config.data, &[&make[..], &["--scope", scope.as_str()]].concat());
        let form = [("client_id", id_of(&client)), ("client_secret", client["client_secret"].as_str().unwrap())];
        tokens.push((scope, token_of(&app, &authority.client(Some(&own)), &form).await));
    }
    for row in ROUTES.iter().filter(|row| !row.scopes.is_empty()) {
        let (_, token) = tokens.iter().find(|(scope, _)| row.scopes.contains(scope)).unwrap();
        let request = app.request(row.method.as_str(), &target(row.path)).bearer_auth(token);
        app.send(request.header("content-type", "application/json").body("{}")).await.problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_certificate_that_is_added_lets_in_at_every_node() {
    let authority = Authority::new();
    let (first, second) = (authority.self_signed("first"), authority.self_signed("second"));
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = create_client(&app, &["--bound", "mtls"]);
    add_certificate(&app, &client, &first);
    let form = [("client_id", id_of(&client))];
    assert_eq!(ask_token(&app, &authority.client(Some(&first)), &form).await.status, 200);
    assert_eq!(ask_token(&app, &authority.client(Some(&second)), &form).await.status, 401);
    add_certificate(&app, &client, &second);
    let (http_1, http_2) = (authority.client(Some(&first)), authority.client(Some(&second)));
    eventually("the second lets in", async || ask_token(&app, &http_2, &form).await.status == 200).await;
    assert_eq!(ask_token(&app, &http_1, &form).await.status, 200, "two at a time, for a change without a gap");
}

#[tokio::test]
async fn a_certificate_that_is_removed_ends_its_tokens_within_the_lease() {
    let authority = Authority::new();
    let (stolen, next) = (authority.self_signed("stolen"), authority.self_signed("next"));
    let app = spawn_tls(&authority.of_node("node"), |_| {}).await;
    let client = create_client(&app, &["--bound", "mtls"]);
    add_certificate(&app, &client, &stolen);
    add_certificate(&app, &client, &next);
    let run = |args: &[&str]| {
        let args = [&["client", "certificate"], args, &["--json"]].concat();
        child::run_json(&app.config.data, &args)
    };
    let listed = || {
        let listed = run(&["list", id_of(&client)]);
        let of = |one: &Value| one["x5t#S256"].as_str().unwrap().to_owned();
        listed["certificates"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [next.thumbprint(), stolen.thumbprint()]);
    let (thief, http) = (authority.client(Some(&stolen)), authority.client(Some(&next)));
    let form = [("client_id", id_of(&client))];
    let token = token_of(&app, &thief, &form).await;
    assert_eq!(check(&app, &thief, &token).await.status, 200);
    run(&["remove", id_of(&client), &stolen.thumbprint()]);
    let removed = std::time::Instant::now();
    eventually("its token is refused", async || check(&app, &thief, &token).await.status == 401).await;
    assert!(removed.elapsed() < std::time::Duration::from_secs(5), "{:?}", removed.elapsed());
    assert_eq!(ask_token(&app, &thief, &form).await.status, 401);
    assert_eq!(listed(), [next.thumbprint()]);
    // The other one works with a new token. This node's clock stands, and the command's does not.
    app.clock.advance(std::time::Duration::from_mins(1));
    let token = token_of(&app, &http, &form).await;
    assert_eq!(check(&app, &http, &token).await.status, 200);
    let again = ["client", "certificate", "remove", id_of(&client), &stolen.thumbprint()];
    assert!(!child::run(&app.config.data, &again).status.success(), "it is gone");
    assert!(!child::run(&app.config.data, &["client", "certificate", "remove", id_of(&client), "x"]).status.success());
}

/// What comes back to a request from an address of this machine, whole, with `Connection: close`.
async fn send_from(app: &TestApp, address: [u8; 4], request: &str) -> String {
    let mut stream = crate::tls::connect_from(address.into(), app.address).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request(app: &TestApp, path: &str, fields: &str, kind: &str, body: &str) -> String {
    let (port, length) = (app.address.port(), body.len());
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{fields}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_trusted_proxy_hands_a_certificate_on_and_nobody_else_does() {
    let authority = Authority::new();
    let (own, other) = (authority.issue("own", "/CN=desk", "DNS:desk.hotel.example"), authority.self_signed("other"));
    let root = authority.root.certificate.clone();
    let app = TestApp::spawn_with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.9/32".parse().unwrap()];
        config.tls.client_ca = Some(root);
    })
    .await;
    let client = create_client(&app, &["--tls-san-dns", "desk.hotel.example"]);
    let field = |pair: &Pair| {
        format!("Client-Cert: :{}:\r\n", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair.der()))
    };
    let form = format!("grant_type=client_credentials&client_id={}", id_of(&client));
    let form_type = "application/x-www-form-urlencoded";
    let ask = async |from: [u8; 4], fields: String| {
        send_from(&app, from, &request(&app, "/oauth2/token", &fields, form_type, &form)).await
    };
    let proxy = [127, 0, 0, 9];
    let answer = ask(proxy, field(&own)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (from, fields) in [
        ([127, 0, 0, 1], field(&own)),
        (proxy, String::new()),
        (proxy, field(&other)),
        (proxy, field(&own) + &field(&other)),
        (proxy, "Client-Cert: :AAAA:\r\n".to_owned()),
        (proxy, field(&own).replacen(": :", ": ", 1)),
    ] {
        let refused = ask(from, fields.clone()).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{from:?} {fields}: {refused}");
    }
    let check = async |from: [u8; 4], fields: String| {
        let fields = format!("Authorization: Bearer {token}\r\n{fields}");
        let body = check_of(&random_number(), None).to_string();
        send_from(&app, from, &request(&app, "/v1/checks", &fields, "application/json", &body)).await
    };
    let answer = check(proxy, field(&own)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for (from, fields) in [([127, 0, 0, 1], field(&own)), (proxy, field(&other)), (proxy, String::new())] {
        let refused = check(from, fields).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{from:?}: {refused}");
    }
    // Behind a preface the head is the client's own.
    let passing = app.sibling_with(|config| config.server.forwarded = Forwarded::ProxyProtocol).await;
    let bytes = request(&passing, "/oauth2/token", &field(&own), form_type, &form);
    let refused = send_from(&passing, proxy, &format!("PROXY TCP4 192.0.2.1 127.0.0.1 4000 443\r\n{bytes}")).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
}
