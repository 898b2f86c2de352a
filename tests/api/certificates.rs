//! Temporary identification certificates: issued, shown, verified, revoked, their times, their key. Offline and as a picture:
//! `credentials`.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use lostcard::clock::{Clock, beijing_day};
use lostcard::crypto::certificate::Claims;
use lostcard::domain::ids::CertificateId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::bodies::{digest_of, random_number, rate, with};
use crate::child;
use crate::helpers::TestApp;

const PATH: &str = "/v1/temporary-certificates";

/// A certificate as a police station near a hotel makes it out.
pub(crate) fn certificate_of(number: &str, purpose: &str) -> Value {
    json!({"id_number": number, "purpose": purpose, "office": "110105-03", "valid_hours": 24})
}

pub(crate) async fn issue(app: &TestApp, number: &str, purpose: &str) -> Value {
    issue_with(app, &certificate_of(number, purpose)).await
}

async fn issue_with(app: &TestApp, body: &Value) -> Value {
    let answer = app.post(&app.police.token, PATH, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn verify(app: &TestApp, body: &Value) -> Value {
    let answer = app.post(&app.hotel.token, &format!("{PATH}/verify"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn shown(issued: &Value, number: &str) -> Value {
    json!({"certificate": issued["certificate"], "id_number": number})
}

/// What a verification for a purpose finds.
async fn status(app: &TestApp, issued: &Value, number: &str, purpose: &str) -> String {
    let found = verify(app, &with(shown(issued, number), "purpose", purpose)).await;
    assert_eq!(found["authentic"], true, "{found}");
    found["status"].as_str().unwrap().to_owned()
}

async fn revoke(app: &TestApp, issued: &Value) -> Answer {
    let id = issued["certificate_id"].as_str().unwrap();
    app.post(&app.police.token, &format!("{PATH}/{id}/revocation"), &json!({"office": "110105-07"})).await
}

/// Moves the clock on. Access tokens live ten minutes.
async fn pass(app: &mut TestApp, time: Duration) {
    app.clock.advance(time);
    app.hotel.token = app.token_for(&app.hotel).await;
    app.police.token = app.token_for(&app.police).await;
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn second(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn an_issued_certificate_has_a_location_and_the_documented_members() {
    let app = TestApp::spawn().await;
    let answer = app.post(&app.police.token, PATH, &certificate_of(&random_number(), "lodging")).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let issued = answer.json();
    let documented = ["certificate", "certificate_id", "expires_at", "issued_at", "purpose", "qr_svg", "valid_from"];
    assert_eq!(members(&issued), documented);
    let now_s = app.clock.now_s();
    let times = ["issued_at", "valid_from", "expires_at"].map(|name| second(&issued[name]));
    assert_eq!(times, [now_s, now_s, now_s + 24 * 3600]);
    let id = issued["certificate_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("{PATH}/{id}"));
    let read = app.get(&app.police.token, answer.header("location")).await.json();
    assert_eq!(
        read,
        json!({"certificate_id": id, "state": "active", "purpose": "lodging", "office": "110105-03",
            "issued_at": issued["issued_at"], "valid_from": issued["valid_from"], "expires_at": issued["expires_at"]})
    );
    assert_eq!(app.metric("lostcard_certificates_total").await, 1);
}

#[tokio::test]
async fn a_certificate_is_valid_for_its_person_and_purpose_alone() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    let issued = issue(&app, &number, "lodging").await;
    let found = verify(&app, &with(shown(&issued, &number), "purpose", "lodging")).await;
    assert_eq!(
        found,
        json!({"authentic": true, "status": "valid", "certificate_id": issued["certificate_id"], "purpose": "lodging",
            "office": "110105-03", "issued_at": issued["issued_at"], "valid_from": issued["valid_from"],
            "expires_at": issued["expires_at"]})
    );
    let by_digest = json!({"certificate": issued["certificate"], "id_digest": digest_of(&number)});
    assert_eq!(verify(&app, &by_digest).await, found, "without a purpose the certificate's own is told");
    assert_eq!(status(&app, &issued, &other, "lodging").await, "another_person");
    assert_eq!(status(&app, &issued, &other, "banking").await, "another_person");
    for refused in ["banking", "telecom", "other", "transport", "air", "rail"] {
        assert_eq!(status(&app, &issued, &number, refused).await, "another_purpose", "{refused}");
    }
    for (purpose, fits) in [("air", ["air", "transport"]), ("rail", ["rail", "transport"])] {
        let issued = issue(&app, &number, purpose).await;
        for shown_for in ["lodging", "banking", "transport", "telecom", "other", "air", "rail"] {
            let expected = if fits.contains(&shown_for) { "valid" } else { "another_purpose" };
            assert_eq!(status(&app, &issued, &number, shown_for).await, expected, "{purpose} for {shown_for}");
        }
    }
}

#[tokio::test]
async fn a_certificate_expires_by_itself() {
    let mut app = TestApp::spawn().await;
    let number = random_number();
    let issued = issue_with(&app, &with(certificate_of(&number, "lodging"), "valid_hours", 1)).await;
    let left_ms = second(&issued["expires_at"]) * 1000 - app.clock.now_ms().get();
    pass(&mut app, Duration::from_millis(u64::try_from(left_ms - 1).unwrap())).await;
    assert_eq!(status(&app, &issued, &number, "lodging").await, "valid");
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(status(&app, &issued, &number, "banking").await, "expired");
    assert_eq!(status(&app, &issued, &random_number(), "lodging").await, "another_person");
    let id = issued["certificate_id"].as_str().unwrap();
    assert_eq!(app.get(&app.police.token, &format!("{PATH}/{id}")).await.json()["state"], "expired");
    revoke(&app, &issued).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn a_revoked_certificate_is_accepted_by_no_node() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let (issued, reissued) = (issue(&app, &number, "lodging").await, issue(&app, &number, "lodging").await);
    let sibling = app.sibling().await;
    assert_eq!(status(&sibling, &issued, &number, "lodging").await, "valid");
    let answer = revoke(&app, &issued).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((&answer.json()["state"], second(&answer.json()["revoked_at"])), (&json!("revoked"), app.clock.now_s()));
    for node in [&app, &sibling] {
        for purpose in ["lodging", "banking"] {
            assert_eq!(status(node, &issued, &number, purpose).await, "revoked");
        }
        assert_eq!(status(node, &issued, &random_number(), "lodging").await, "another_person");
        assert_eq!(status(node, &reissued, &number, "lodging").await, "valid", "each stands for itself");
    }
    revoke(&app, &issued).await.problem(409, "wrong_state");
    let id = issued["certificate_id"].as_str().unwrap();
    assert_eq!(app.get(&app.police.token, &format!("{PATH}/{id}")).await.json(), answer.json());
}

#[tokio::test]
async fn a_journey_by_air_or_rail_is_of_one_day() {
    let mut app = TestApp::spawn().await;
    let number = random_number();
    let day = app.clock.today().tomorrow().unwrap();
    let body = |purpose, day: Date| {
        with(with(certificate_of(&number, purpose), "journey_on", day.to_string()), "valid_hours", 72)
    };
    let issued = issue_with(&app, &body("rail", day)).await;
    let bounds = beijing_day(day);
    assert_eq!(issued["journey_on"], day.to_string());
    assert_eq!((second(&issued["valid_from"]), second(&issued["expires_at"])), (bounds.start, bounds.end));
    // One may sleep before and after one travels.
    let lodging = issue_with(&app, &body("lodging", day)).await;
    assert_eq!(second(&lodging["expires_at"]), app.clock.now_s() + 72 * 3600);
    assert_eq!(status(&app, &lodging, &number, "lodging").await, "valid");
    let until = |app: &TestApp, at_s: i64| Duration::from_secs(u64::try_from(at_s - app.clock.now_s()).unwrap());
    if app.clock.now_s() < bounds.start - 5 {
        assert_eq!(status(&app, &issued, &number, "rail").await, "not_yet_valid");
    }
    let time = until(&app, bounds.start);
    pass(&mut app, time).await;
    let found = verify(&app, &with(shown(&issued, &number), "purpose", "transport")).await;
    assert_eq!((&found["status"], &found["journey_on"]), (&json!("valid"), &json!(day.to_string())));
    let time = until(&app, bounds.end);
    pass(&mut app, time).await;
    assert_eq!(status(&app, &issued, &number, "rail").await, "expired");
    let yesterday = app.clock.today().yesterday().unwrap();
    for (day, hours, code) in [
        (yesterday, 72, "journey_in_past"),
        (app.clock.today().checked_add(4.days()).unwrap(), 72, "journey_after_expiry"),
    ] {
        let body = with(body("air", day), "valid_hours", hours);
        let errors = app.post(&app.police.token, PATH, &body).await.field_errors();
        assert_eq!(errors, [("/journey_on".to_owned(), code.to_owned())]);
    }
}

#[tokio::test]
async fn whatever_this_service_did_not_issue_is_not_authentic() {
    let (mut app, other) = (TestApp::spawn().await, TestApp::spawn().await);
    let number = random_number();
    let issued = issue(&app, &number, "lodging").await;
    let credential = issued["certificate"].as_str().unwrap();
    let parts: Vec<_> = credential.split('.').collect();
    let check = app.check(&json!({"id_number": number, "purpose": "lodging"})).await.json();
    // Signed by the right key, but never issued: the key was stolen, or the store was set back.
    let keys = app.keyring.signing();
    let now_s = app.clock.now_s();
    let claims = |jti: CertificateId, exp| Claims {
        iss: crate::helpers::ISSUER.to_owned(),
        jti,
        iat: now_s,
        nbf: now_s,
        exp,
        purpose: "lodging".to_owned(),
        office: "110105-03".to_owned(),
        journey_on: None,
        cm: String::new(),
        salt: String::new().into(),
    };
    let invented = claims(lostcard::crypto::random::id(app.clock.now_ms()), now_s + 60);
    for text in [
        "",
        "WIFI:S:guest;;",
        &format!("{credential}A"),
        &format!("{}.{}.{}", parts[0], parts[1], parts[2].to_lowercase()),
        &credential.to_uppercase(),
        issue(&other, &number, "lodging").await["certificate"].as_str().unwrap(),
        check["receipt"].as_str().unwrap(),
        &app.hotel.token,
        invented.sign(&keys.certificate).unwrap().expose(),
        invented.sign(&keys.receipt).unwrap().expose(),
        &"A".repeat(4_096),
    ] {
        let found = verify(&app, &json!({"certificate": text, "id_number": number})).await;
        assert_eq!(found, json!({"authentic": false}), "{text:.60}");
    }
    // Longer than any certificate: the document gives the bound.
    let longer = json!({"certificate": "A".repeat(4_097), "id_number": number});
    let refused = app.post(&app.hotel.token, &format!("{PATH}/verify"), &longer).await.field_errors();
    assert_eq!(refused, [("/certificate".to_owned(), "malformed_certificate".to_owned())]);
    // What claims say of times and purpose counts for nothing: the service knows what it issued.
    let id = issued["certificate_id"].as_str().unwrap().parse().unwrap();
    let prolonged = json!({"certificate": claims(id, now_s + 1_000_000).sign(&keys.certificate).unwrap()});
    assert_eq!(status(&app, &prolonged, &number, "lodging").await, "valid");
    pass(&mut app, Duration::from_hours(24)).await;
    assert_eq!(status(&app, &prolonged, &number, "lodging").await, "expired");
    // Nor is a certificate a token.
    app.get(credential, &format!("{PATH}/{id}")).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn wrong_values_are_refused_by_pointer_and_code() {
    let app = TestApp::spawn().await;
    let good = certificate_of(&random_number(), "rail");
    for (member, value, pointer, code) in [
        ("id_number", json!("440524188001010015"), "/id_number", "wrong_check_character"),
        ("purpose", json!("banking"), "/purpose", "unknown_value"),
        ("purpose", json!("Rail"), "/purpose", "unknown_value"),
        ("office", json!(""), "/office", "malformed_office"),
        ("journey_on", json!("tomorrow"), "/journey_on", "malformed_date"),
        ("valid_hours", json!(0), "/valid_hours", "out_of_range"),
        ("valid_hours", json!(-1), "/valid_hours", "out_of_range"),
        ("valid_hours", json!(73), "/valid_hours", "out_of_range"),
    ] {
        let errors = app.post(&app.police.token, PATH, &with(good.clone(), member, value)).await.field_errors();
        assert_eq!(errors, [(pointer.to_owned(), code.to_owned())]);
    }
    for (member, value) in
        [("valid_hours", json!(1.5)), ("valid_hours", json!("24")), ("journey_on", Value::Null), ("extra", json!(1))]
    {
        app.post(&app.police.token, PATH, &with(good.clone(), member, value)).await.problem(400, "malformed_json");
    }
    let refused = async |body: Value| app.post(&app.hotel.token, &format!("{PATH}/verify"), &body).await.field_errors();
    let (number, digest) = (random_number(), digest_of(&random_number()));
    for (body, pointer, code) in [
        (json!({"certificate": "a"}), "", "exactly_one"),
        (json!({"certificate": "a", "id_number": number, "id_digest": digest}), "", "exactly_one"),
        (json!({"certificate": "a", "id_digest": "00"}), "/id_digest", "malformed_digest"),
        (json!({"certificate": "a", "id_number": number, "purpose": "hotel"}), "/purpose", "unknown_value"),
    ] {
        assert_eq!(refused(body).await, [(pointer.to_owned(), code.to_owned())]);
    }
    let issued = issue_with(&app, &good).await;
    let path = format!("{PATH}/{}/revocation", issued["certificate_id"].as_str().unwrap());
    let errors = app.post(&app.police.token, &path, &json!({"office": "a b"})).await.field_errors();
    assert_eq!(errors, [("/office".to_owned(), "malformed_office".to_owned())]);
}

#[tokio::test]
async fn each_operation_asks_for_its_scope_and_its_organization() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let issued = issue(&app, &number, "rail").await;
    let own = format!("{PATH}/{}", issued["certificate_id"].as_str().unwrap());
    let stranger = app.add_client("registry checks", None).await;
    let office = json!({"office": "110105-03"});
    app.get(&stranger.token, &own).await.problem(404, "not_found");
    app.post(&stranger.token, &format!("{own}/revocation"), &office).await.problem(404, "not_found");
    for path in [format!("{PATH}/x"), format!("{PATH}/{}", Uuid::nil())] {
        app.get(&app.police.token, &path).await.problem(404, "not_found");
        app.post(&app.police.token, &format!("{path}/revocation"), &office).await.problem(404, "not_found");
    }
    app.post(&app.hotel.token, PATH, &certificate_of(&number, "rail")).await.problem(403, "insufficient_scope");
    app.get(&app.hotel.token, &own).await.problem(403, "insufficient_scope");
    app.post(&app.hotel.token, &format!("{own}/revocation"), &office).await.problem(403, "insufficient_scope");
    let body = shown(&issued, &number);
    app.post(&app.police.token, &format!("{PATH}/verify"), &body).await.problem(403, "insufficient_scope");
    assert_eq!(status(&app, &issued, &number, "rail").await, "valid", "nothing of this revoked it");
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    assert_eq!(app.post(&colleague.token, &format!("{own}/revocation"), &office).await.status, 200);
}

#[tokio::test]
async fn a_repetition_gets_the_first_credential_again() {
    let app = TestApp::spawn().await;
    let body = certificate_of(&random_number(), "lodging");
    let once = async |key: &str, body: &Value| {
        let request = app.request("POST", PATH).header("Idempotency-Key", key);
        app.send(request.bearer_auth(&app.police.token).json(body)).await
    };
    let first = once("key", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    app.clock.advance(Duration::from_mins(1));
    let again = once("key", &body).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    assert_ne!(once("other", &body).await.json()["certificate_id"], first.json()["certificate_id"]);
    let other = certificate_of(&random_number(), "lodging");
    once("key", &other).await.problem(422, "idempotency_key_reused");
    let together = futures_util::future::join_all((0..4).map(|_| once("together", &other))).await;
    for answer in &together {
        assert_eq!((answer.status, &answer.text), (201, &together[0].text));
    }
}

#[tokio::test]
async fn guessing_numbers_against_a_certificate_is_abnormal_use() {
    let app = TestApp::spawn_with(|config| config.limits.client = rate("20/60s")).await;
    let issued = issue(&app, &random_number(), "rail").await;
    let wrong = shown(&issued, "110105194912310021");
    let guess = async || app.post(&app.hotel.token, &format!("{PATH}/verify"), &wrong).await;
    for _ in 0..10 {
        assert_eq!(guess().await.field_errors(), [("/id_number".to_owned(), "wrong_check_character".to_owned())]);
    }
    guess().await.problem(429, "abnormal_use");
}

#[tokio::test]
async fn certificates_outlive_the_rotation_of_key_and_pepper() {
    let app = TestApp::spawn_at(Clock::System, |_| {}).await;
    let number = random_number();
    let before = issue(&app, &number, "lodging").await;
    let rotated = &child::run_json(&app.config.data, &["keys", "rotate", "--certificates", "--json"])["rotated"][0];
    let kid = rotated["kid"].as_str().unwrap().to_owned();
    assert_eq!((&rotated["purpose"], &rotated["version"]), (&json!("certificate"), &json!(2)));
    // At once: another node may sign by it already, and a client keeps the set for five minutes.
    assert!(app.get("", "/.well-known/jwks.json").await.text.contains(&kid), "the rotated key is published");
    let app = &app;
    let after = issue(app, &number, "lodging").await;
    child::run_json(&app.config.data, &["keys", "rotate", "--pepper", "--json"]);
    for issued in [&before, &after] {
        assert_eq!(status(app, issued, &number, "lodging").await, "valid");
        assert_eq!(status(app, issued, &random_number(), "lodging").await, "another_person");
    }
}
