//! The credential of a certificate in other hands: read from its QR code, verified by a library that is not ours and offline by
//! the binary; and the key that signs it, in folders that never had one.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::node::{self, Application};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Executor, Row};

use crate::bodies::{random_number, with};
use crate::certificates::{certificate_of, issue};
use crate::child;
use crate::helpers::{ISSUER, TestApp, config_in};

/// What a phone reads from the picture: its strokes on a raster of four pixels a module.
fn scan(svg: &str) -> String {
    const PIXELS: usize = 4;
    let between = |text: &str, start: &str, end: &str| -> String {
        text.split(start).nth(1).unwrap().split(end).next().unwrap().to_owned()
    };
    let size: usize = between(svg, "viewBox='0 0 ", " ").parse().unwrap();
    let mut dark = vec![vec![false; size]; size];
    let strokes = between(svg, "stroke='#000' d='", "'");
    for stroke in strokes.split('M').skip(1) {
        let (at, length) = stroke.split_once('h').unwrap();
        let (x, y) = at.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.strip_suffix(".5").unwrap().parse().unwrap());
        dark[y][x..x + length.parse::<usize>().unwrap()].fill(true);
    }
    let width = size * PIXELS;
    let grey = |x: usize, y: usize| if dark[y / PIXELS][x / PIXELS] { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, grey);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code, with its margin");
    let (found, text) = grids[0].decode().unwrap();
    assert!(found.version.0 <= 20, "small enough for a phone: {:?}", found.version);
    text
}

#[tokio::test]
async fn the_qr_code_holds_the_credential() {
    let app = TestApp::spawn().await;
    let day = app.clock.today().tomorrow().unwrap().to_string();
    let longest = with(
        with(certificate_of(&random_number(), "lodging"), "journey_on", day),
        "office",
        format!("1{}", "-A".repeat(15) + "-"),
    );
    for body in [certificate_of(&random_number(), "air"), longest] {
        let issued = app.post(&app.police.token, "/v1/temporary-certificates", &body).await.json();
        let svg = issued["qr_svg"].as_str().unwrap();
        assert!(svg.starts_with("<svg xmlns='http://www.w3.org/2000/svg'") && svg.len() < 40_000, "{}", svg.len());
        assert_eq!(scan(svg), issued["certificate"]);
    }
}

#[tokio::test]
async fn any_library_verifies_the_credential_and_it_holds_no_number() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let day = app.clock.today().to_string();
    let body = with(certificate_of(&number, "rail"), "journey_on", day.clone());
    let issued = app.post(&app.police.token, "/v1/temporary-certificates", &body).await.json();
    let credential = issued["certificate"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(credential).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("lostcard-certificate+jwt"), Algorithm::EdDSA));
    let set = app.get("", "/.well-known/jwks.json").await.json();
    let kid = header.kid.unwrap();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid.as_str()).unwrap();
    let key = DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss"]);
    let claims = jsonwebtoken::decode::<Value>(credential, &key, &validation).unwrap().claims;
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cm", "exp", "iat", "iss", "journey_on", "jti", "nbf", "office", "purpose", "salt"]);
    assert_eq!((&claims["jti"], &claims["purpose"]), (&issued["certificate_id"], &json!("rail")));
    assert_eq!((&claims["journey_on"], &claims["office"]), (&json!(day), &json!("110105-03")));
    assert!(!claims.to_string().contains(&number[..17]));
}

#[tokio::test]
async fn a_hotel_without_a_line_verifies_offline() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let issued = issue(&app, &number, "lodging").await;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let credential = issued["certificate"].as_str().unwrap();
    let jwks = write("jwks.json", &app.get("", "/.well-known/jwks.json").await.text);
    let (file, own, others) =
        (write("certificate.txt", credential), write("own.txt", &number), write("others.txt", &random_number()));
    let data = dir.path().join("unused");
    let verify = |extra: &[&str], stdin: &str| {
        use std::io::Write as _;
        use std::process::Stdio;
        let base = ["certificate", "verify", "--jwks", &jwks];
        let mut command = child::command(&data);
        command.args(base).args(extra).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let found = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        (output.status.code(), found, String::from_utf8(output.stderr).unwrap())
    };
    let (code, found, _) = verify(&["--json", "--number-stdin", "--purpose", "lodging", &file], &number);
    assert_eq!(
        (code, found),
        (
            Some(0),
            json!({"authentic": true, "status": "valid", "revocation": "unknown", "issuer": ISSUER,
                "certificate_id": issued["certificate_id"], "purpose": "lodging", "office": "110105-03",
                "issued_at": issued["issued_at"], "valid_from": issued["valid_from"], "expires_at": issued["expires_at"]})
        )
    );
    assert_eq!(verify(&["--id-number-file", &own, "-"], credential).0, Some(0));
    for (extra, stdin, status) in [
        (["--json", "--id-number-file", &others, "-"], credential, "another_person"),
        (["--json", "--number-stdin", "--purpose=banking", &file], number.as_str(), "another_purpose"),
    ] {
        let (code, found, said) = verify(&extra, stdin);
        assert_eq!((code, &found["status"]), (Some(1), &json!(status)));
        assert!(said.contains(status) && !said.contains(&number[..17]), "{said}");
    }
    let forged = write("forged.txt", &format!("{credential}AAAA"));
    let (code, found, said) = verify(&["--json", "--number-stdin", &forged], &number);
    assert_eq!((code, found), (Some(1), Value::Null));
    assert!(said.contains("not an authentic certificate"), "{said}");
    assert_eq!(verify(&["--number-stdin", "-"], &number).0, Some(1), "one stream cannot hold both");
    assert!(!data.exists(), "offline means without a data folder");
}

#[tokio::test]
async fn a_key_folder_of_before_there_were_certificates_gets_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = config_in(&folder);
    node::open(&config).await.unwrap().0.close().await;
    let path = config.key_folder().join("certificate-1.pem");
    let first = std::fs::read(&path).unwrap();
    // Another node has made it meanwhile: a second one would sign what the others refuse.
    std::fs::remove_file(&path).unwrap();
    let refusal = format!("{:#}", Application::build(&config, Clock::System).await.unwrap_err());
    assert!(refusal.contains("holds no certificate key") && !path.exists(), "{refusal}");
    let other = tempfile::tempdir().unwrap();
    node::open(&config_in(&other)).await.unwrap().0.close().await;
    std::fs::copy(config_in(&other).key_folder().join("certificate-1.pem"), &path).unwrap();
    let refusal = format!("{:#}", Application::build(&config, Clock::System).await.unwrap_err());
    assert!(refusal.contains("certificate key 1 differs from this service's"), "{refusal}");
    std::fs::write(&path, &first).unwrap();
    assert!(Application::build(&config, Clock::System).await.is_ok());
    // The earlier store knows none: it is made, and known after that.
    std::fs::remove_file(&path).unwrap();
    forget_certificate_key(&config).await;
    node::open(&config).await.unwrap().0.close().await;
    let second = std::fs::read(&path).unwrap();
    assert_ne!(second, first);
    node::open(&config).await.unwrap().0.close().await;
    assert_eq!(std::fs::read(&path).unwrap(), second);
}

#[tokio::test]
async fn issuing_reading_and_revoking_are_in_the_audit_log_and_a_verification_is_not() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let issued = issue(&app, &number, "rail").await;
    let path = format!("/v1/temporary-certificates/{}", issued["certificate_id"].as_str().unwrap());
    let revoke =
        async || app.post(&app.police.token, &format!("{path}/revocation"), &json!({"office": "1"})).await.status;
    let shown = json!({"certificate": issued["certificate"], "id_number": number});
    assert_eq!(app.post(&app.hotel.token, "/v1/temporary-certificates/verify", &shown).await.status, 200);
    assert_eq!(app.get(&app.police.token, &path).await.status, 200);
    assert_eq!((revoke().await, revoke().await), (200, 409));
    let mut connection = connect(&app.config).await;
    let rows = sqlx::query("SELECT action, subject, client_id FROM audit ORDER BY seq")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let id: uuid::Uuid = issued["certificate_id"].as_str().unwrap().parse().unwrap();
    let entries: Vec<(String, Vec<u8>, Vec<u8>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let expected = ["certificate_issued", "certificate_read", "certificate_revoked"]
        .map(|action| (action.to_owned(), id.as_bytes().to_vec(), app.police.client_id.as_bytes().to_vec()));
    assert_eq!(entries, expected);
}

async fn connect(config: &Config) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let embedded = || format!("sqlite:{}", config.data.join("lostcard.db").display());
    let url = config.database_url.clone().unwrap_or_else(embedded);
    AnyConnection::connect(&url).await.unwrap()
}

/// The store as the version before left it.
async fn forget_certificate_key(config: &Config) {
    let mut connection = connect(config).await;
    let forgotten = connection.execute("DELETE FROM key_checks WHERE purpose = 'certificate'").await.unwrap();
    assert_eq!(forgotten.rows_affected(), 1);
    connection.close().await.unwrap();
}
