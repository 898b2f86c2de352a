//! Each operation once, on records that are there for it: who does it, with which body.

use lostcard::domain::client::Actor;
use lostcard::domain::ids::PersonId;
use lostcard::domain::numbers::HeldFor;
use lostcard::domain::person::{Role, ShortName};
use lostcard::domain::report::{OfficeCode, WithdrawalReason};
use lostcard::store::persons::MetPerson;
use lostcard::store::withdrawals::PendingWithdrawal;
use serde_json::{Value, json};

use crate::applications::application_of;
use crate::bodies::{check_of, random_number, report_of};
use crate::certificates::certificate_of;
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::pairing;
use crate::passkey;
use crate::registry_log;

fn misuse_of(app: &TestApp, number: &str) -> Value {
    let observed_at = lostcard::clock::Rfc3339::of(app.clock.now_ms());
    json!({"id_number": number, "kind": "altered_card", "observed_at": observed_at.as_str(), "narrative": "secret"})
}

/// What operators send.
fn administered(there: &There, method: &str, path: &str) -> Value {
    match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("get", _) => Value::Null,
        ("post", "organizations") => json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"}),
        ("patch", "{organization_id}") => json!({"name": "Harbour Group"}),
        ("post", "clients") => json!({"organization_id": there.administered.organization, "scopes": ["checks"]}),
        ("post", "pairings") => json!({"organization_id": there.administered.organization, "scopes": ["checks"],
            "site": "harbour-1"}),
        ("patch", "{pairing_id}") => json!({"name": "front desk"}),
        ("patch", "{client_id}") => json!({"rate": "1200/60s"}),
        ("patch", "{person_id}") => json!({"state": "suspended"}),
        ("post", "secrets") => json!({"keep": "7d"}),
        ("post", "certificates") => json!({"certificate": CERTIFICATE}),
        ("post", "keys") => json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "desk-1",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}),
        ("post", "offices") => json!({"code": "110105-03", "name": "Harbour police station", "reach": "1 Quay Road"}),
        ("post", "undo") => json!({"client_id": there.administered.client_id, "from": "2026-11-28T00:00:00Z",
            "to": "2026-11-28T01:30:00Z", "reason": "ticket 7"}),
        ("post", "audit-exports") => json!({"reason": "the yearly visit"}),
        ("post", "accesses") => json!({"id_number": there.number}),
        ("post", "release" | "revocation" | "approval" | "refusal") => json!({}),
        _ => panic!("{method} {path}: say here how it is done"),
    }
}

/// Of nobody, until 2126.
pub(crate) const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBgTCCASegAwIBAgIULjJXaEX62HlOkKvNSp4AKOnmZM4wCgYIKoZIzj0EAwIw\n\
    FTETMBEGA1UEAwwKZnJvbnQtZGVzazAgFw0yNjExMjkwNDA5MTNaGA8yMTI2MTEw\n\
    NTA0MDkxM1owFTETMBEGA1UEAwwKZnJvbnQtZGVzazBZMBMGByqGSM49AgEGCCqG\n\
    SM49AwEHA0IABEaEc3t5c9cfdSVSfzv++ivml9QFh53iOAGonbMb1AfaxvbrJzj1\n\
    Qsf/nTAb1YKukuZkt4+1ozjWYRK+PvuqpbajUzBRMB0GA1UdDgQWBBSlLDx/wrBS\n\
    Hoqru9chre3VhE4uQzAfBgNVHSMEGDAWgBSlLDx/wrBSHoqru9chre3VhE4uQzAP\n\
    BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDdSBFgZxmJH8PBvWFM\n\
    gRL2PlYEwT3PqfBKN2WGoRy2fQIgHzhiZD9laSC0qVywrRv2V4JngwAw1zRkJh8P\n\
    MnKzWMs=\n\
    -----END CERTIFICATE-----\n";

/// Does an operation once, on records that are there already. Tells by whom.
pub(crate) async fn perform<'a>(
    app: &'a TestApp,
    there: &'a There,
    method: &str,
    path: &str,
) -> (&'a TestClient, Answer) {
    let (by, target, body) = deed(app, there, method, path);
    if path == "/v1/receipts/audit" {
        registry_log::signed(app).await;
    }
    if path == "/oauth2/token" {
        app.token_for(&app.hotel).await;
        return (by, app.get("", "/health/live").await);
    }
    // Where persons sign in no client approves: these are done at a node of their own.
    if path.starts_with("/v1/passkeys/") {
        return (by, passkey::perform(app, there, path).await);
    }
    (by, send(app, &by.token, method, &target, &body).await)
}

/// Sends a request by its method.
pub(crate) async fn send(app: &TestApp, token: &str, method: &str, target: &str, body: &Value) -> Answer {
    match method {
        "get" => app.get(token, target).await,
        "patch" => app.patch(token, target, body).await,
        _ => app.post(token, target, body).await,
    }
}

/// Who does an operation, to what, with which body.
pub(crate) fn deed<'a>(
    app: &'a TestApp,
    there: &'a There,
    method: &str,
    path: &str,
) -> (&'a TestClient, String, Value) {
    let target =
        there.targets.iter().fold(
            path.to_owned(),
            |target, (of, place, id)| {
                if path.ends_with(of) { target.replace(place, id) } else { target }
            },
        );
    let target = target
        .replace("{report_id}", &there.report)
        .replace("{misuse_report_id}", &there.misuse_report)
        .replace("{code}", "not_found")
        .replace("{epoch}", "1")
        .replace("{tile}", "0/000.p/1")
        .replace("{bundle}", "000.p/1");
    let closing = json!({"office": "110105-03", "reason": "found"});
    let (by, body) = match path {
        "/v1/checks" => (&app.hotel, check_of(&there.number, None)),
        "/v1/checks/batch" => (&app.hotel, json!({"checks": [check_of(&there.number, None)]})),
        // The generator of the group: as good an element as any.
        "/v1/blind/evaluations" => (
            &there.blind,
            json!({"key": "1", "blinded": ["4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY"],
                "after": there.head, "purpose": "lodging"}),
        ),
        "/v1/blind/keys" | "/v1/blind/bases/{epoch}" => (&there.blind, Value::Null),
        "/v1/receipts/verify" => (&app.hotel, json!({"receipt": there.receipt})),
        "/v1/receipts/audit" => {
            (&app.hotel, json!({"receipt": there.receipt, "receipt_salt": there.salt, "id_number": there.number}))
        }
        "/v1/citizen/card-status" => {
            (&there.portal, json!({"id_number": there.number, "card_valid_from": "2016-05-01"}))
        }
        "/v1/loss-reports" => (&app.police, report_of(&random_number(), None)),
        "/v1/loss-reports/search" => (&app.police, json!({"id_number": there.number})),
        "/v1/loss-reports/{report_id}/withdrawal" if method == "post" => (&app.police, closing),
        "/v1/replacements" => {
            (&app.police, json!({"id_number": random_number(), "card_valid_from": "2026-11-01", "office": "110105-03"}))
        }
        "/v1/replacements/{replacement_id}/correction" => {
            (&app.police, json!({"card_valid_from": "2026-11-02", "office": "110105-03"}))
        }
        "/v1/misuse-reports" if method == "post" => (&app.hotel, misuse_of(app, &there.number)),
        "/v1/misuse-reports/{misuse_report_id}/resolution" => {
            (&app.police, json!({"office": "110105-03", "outcome": "confirmed"}))
        }
        "/v1/found-cards" => (&app.police, found_of(app, &random_number())),
        "/v1/found-cards/{found_card_id}/return" => {
            (&app.police, json!({"office": "110105-03", "holder_verified_by": "face"}))
        }
        "/v1/found-cards/{found_card_id}/transfer" => {
            (&app.police, json!({"office": "110105-03", "to_office": "310104-01"}))
        }
        "/v1/citizen/records" | "/v1/citizen/accesses" => (&there.portal, json!({"id_number": there.number})),
        "/v1/citizen/loss-reports" => (&there.portal, json!({"id_number": random_number(), "reason": "lost"})),
        "/v1/citizen/loss-reports/{report_id}/withdrawal" => {
            (&there.portal, json!({"id_number": there.online_number, "reason": "found"}))
        }
        "/v1/replacement-applications" => (&app.police, application_of(&random_number())),
        "/v1/replacement-applications/{application_id}/issue" => {
            let start = app.clock.today().tomorrow().unwrap().to_string();
            (&app.police, json!({"card_valid_from": start, "office": "110105-03"}))
        }
        "/v1/acceptance/eligibility" => (
            &app.police,
            json!({"household_region": "410102", "applying_region": "120101", "on": "2015-07-01",
                "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false}),
        ),
        "/v1/temporary-certificates" => (&app.police, certificate_of(&random_number(), "rail")),
        "/v1/temporary-certificates/verify" => {
            (&app.hotel, json!({"certificate": there.certificate, "id_number": there.number}))
        }
        "/v1/pairings/registration" => (&app.hotel, pairing::registration_of(&there.code)),
        passkey::ASK_NEW => (&there.operator, json!({"code": "AAAAAAAAAAAAAAAAAAAAAA"})),
        passkey::ASK_WHO => (&there.operator, json!({})),
        passkey::REGISTER | passkey::SIGN_IN => {
            (&there.operator, json!({"ceremony_id": uuid::Uuid::nil(), "credential": {}}))
        }
        "/v1/alerts" | "/v1/sandbox/reset" => (&app.hotel, Value::Null),
        "/registry-log/{epoch}/tile/entries/{bundle}" => (&there.auditor, Value::Null),
        "/v1/console" | "/v1/console/history" => (&there.operator, Value::Null),
        _ if path.starts_with("/v1/admin/") => (&there.operator, administered(there, method, path)),
        // What an office does, without more.
        _ if method == "post" && path.contains("/{") && path != "/v1/loss-reports/{report_id}/withdrawal" => {
            (&app.police, json!({"office": "110105-03"}))
        }
        "/oauth2/token" => (&app.hotel, Value::Null),
        // What is read without a body, is read by a registrar.
        _ if method == "get" => (&app.police, Value::Null),
        _ => panic!("{method} {path}: say here how it is done"),
    };
    (by, target, body)
}

/// Records that operations are done to.
pub(crate) struct There {
    pub(crate) number: String,
    pub(crate) report: String,
    pub(crate) misuse_report: String,
    pub(crate) receipt: String,
    pub(crate) salt: String,
    pub(crate) blind: TestClient,
    pub(crate) portal: TestClient,
    pub(crate) operator: TestClient,
    /// Whom operators change: it is held.
    pub(crate) administered: TestClient,
    pub(crate) auditor: TestClient,
    /// By which any number of pages become devices.
    pub(crate) code: String,
    pub(crate) online_number: String,
    pub(crate) certificate: String,
    /// Where the feed ended then.
    pub(crate) head: u64,
    /// How a path ends, what is in it, and which record that must be.
    pub(crate) targets: Vec<(&'static str, &'static str, String)>,
}

fn found_of(app: &TestApp, number: &str) -> Value {
    json!({"id_number": number, "card_valid_from": "2016-05-01", "found_on": app.clock.today().to_string(),
        "found_at_region": "110105", "office": "110105-03"})
}

/// A report whose withdrawal another client of the station has asked for.
async fn waiting_report(app: &TestApp) -> String {
    let filed = app.report_lost(&random_number(), None).await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let pending = PendingWithdrawal {
        report_id: filed["report_id"].as_str().unwrap().parse().unwrap(),
        actor: Actor::new(colleague.organization, colleague.client_id),
        office: OfficeCode::parse("110105-03").unwrap(),
        reason: WithdrawalReason::Found,
        requested_at_ms: app.clock.now_ms(),
        returning: None,
    };
    app.change_store(async |tx| tx.keep_withdrawal(&pending).await.unwrap()).await;
    filed["report_id"].as_str().unwrap().to_owned()
}

/// A person of the operator whom a node has met.
async fn met_person(app: &TestApp) -> String {
    let id = PersonId::from_bytes([7; 16]);
    let name = ShortName::stored("wang").unwrap();
    let met = MetPerson { id, name, role: Role::Operator, group: Some("ops".to_owned()), at_ms: app.clock.now_ms() };
    app.store.note_persons(&[met]).await.unwrap();
    id.to_string()
}

impl There {
    pub(crate) async fn prepare(app: &TestApp) -> Self {
        registry_log::begin(app).await;
        let number = random_number();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let report = text(&app.report_lost(&number, None).await["report_id"]);
        let misuse = app.post(&app.hotel.token, "/v1/misuse-reports", &misuse_of(app, &number)).await.json();
        let check = app.check(&check_of(&number, None)).await.json();
        let portal = app.add_client("citizen", None).await;
        let blind = app.add_client("blind", None).await;
        let has_base = || async { app.get(&blind.token, "/v1/blind/bases/1").await.status == 200 };
        eventually("a base", has_base).await;
        let mut targets = vec![("/{epoch}", "{epoch}", "1".to_owned())];
        for (of, place) in [
            ("/{found_card_id}", "{found_card_id}"),
            ("/return", "{found_card_id}"),
            ("/destruction", "{found_card_id}"),
            ("/transfer", "{found_card_id}"),
        ] {
            let lost = random_number();
            match of {
                "/return" => drop(app.report_lost(&lost, Some("2016-05-01")).await),
                "/destruction" => assert_eq!(app.replace(&lost, "2026-11-01").await.status, 201),
                _ => {}
            }
            let card = app.post(&app.police.token, "/v1/found-cards", &found_of(app, &lost)).await.json();
            targets.push((of, place, text(&card["found_card_id"])));
        }
        let replaced = app.replace(&random_number(), "2026-11-01").await.json();
        targets.push(("/correction", "{replacement_id}", text(&replaced["replacement_id"])));
        let made = app.post(&app.police.token, "/v1/replacement-applications", &application_of(&random_number())).await;
        let made = text(&made.json()["application_id"]);
        for of in ["/{application_id}", "/temporary-card", "/temporary-card/return", "/issue"] {
            targets.push((of, "{application_id}", made.clone()));
        }
        let made = app.post(&app.police.token, "/v1/replacement-applications", &application_of(&random_number())).await;
        targets.push(("/cancellation", "{application_id}", text(&made.json()["application_id"])));
        let online_number = random_number();
        let online = json!({"id_number": online_number, "reason": "lost"});
        let online = app.post(&portal.token, "/v1/citizen/loss-reports", &online).await.json();
        targets.push(("/v1/citizen/loss-reports/{report_id}/withdrawal", "{report_id}", text(&online["report_id"])));
        targets.push(("/withdrawal/confirmation", "{report_id}", waiting_report(app).await));
        let certificate =
            app.post(&app.police.token, "/v1/temporary-certificates", &certificate_of(&number, "rail")).await;
        let certificate = certificate.json();
        for of in ["/{certificate_id}", "/revocation"] {
            targets.push((of, "{certificate_id}", text(&certificate["certificate_id"])));
        }
        let (operator, administered) = (app.add_client("admin", None).await, app.add_client("checks", None).await);
        let held = administered.client_id;
        let now_ms = app.clock.now_ms();
        app.change_store(async |tx| assert!(tx.hold_client(held, HeldFor::OutOfNumbers, now_ms).await.unwrap())).await;
        let registrar = json!({"name": "Chaoyang Station", "kind": "registrar", "region": "110105"});
        let other = app.add_client("admin", None).await;
        let waits = app.post(&other.token, "/v1/admin/organizations", &registrar).await;
        let refused = app.post(&other.token, "/v1/admin/organizations", &registrar).await;
        targets.push(("/refusal", "{request_id}", text(&refused.json()["request_id"])));
        let export = json!({"reason": "the yearly visit"});
        let export = app.post(&operator.token, "/v1/admin/audit-exports", &export).await;
        let approval = format!("{}/approval", export.header("location"));
        assert_eq!(app.post(&other.token, &approval, &json!({})).await.status, 200);
        targets.push(("/export", "{request_id}", text(&export.json()["request_id"])));
        let credential = app.store.list_credentials(administered.client_id).await.unwrap()[0].id;
        for (place, id) in [
            ("{credential_id}", credential.to_string()),
            ("{person_id}", met_person(app).await),
            ("{organization_id}", administered.organization.to_string()),
            ("{client_id}", administered.client_id.to_string()),
            ("{request_id}", text(&waits.json()["request_id"])),
            ("{pairing_id}", pairing::locked_pairing(app, &administered).await),
        ] {
            targets.push(("", place, id));
        }
        Self {
            number,
            report,
            misuse_report: text(&misuse["misuse_report_id"]),
            receipt: text(&check["receipt"]),
            salt: text(&check["receipt_salt"]),
            blind,
            portal,
            operator,
            administered,
            auditor: app.add_client("audit", None).await,
            code: pairing::lasting_code(app).await,
            online_number,
            certificate: text(&certificate["certificate"]),
            head: app.store.head().await.unwrap().get(),
            targets,
        }
    }
}
