//! The audit log: every operation that writes or reads records of persons leaves its entry, and no other one does; the log
//! exported by the command line beside a running node, and verified offline.

use lostcard::crypto::audit::{End, Entry};
use lostcard::domain::audit::Action;
use lostcard::domain::ids::RecordId;
use lostcard::http::routes::ROUTES;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bodies::{check_of, random_number, report_of, with};
use crate::child;
use crate::deeds::{There, perform};
use crate::helpers::{ISSUER, TestApp, TestClient};

/// What an operation leaves in the log.
enum Leaves {
    /// An entry, whose subject is the id in this member of the answer.
    Entry(Action, &'static str),
    /// An entry about the report of the path.
    EntryOfReport(Action),
    /// An entry about the client that operators change.
    EntryOfClient(Action),
    /// An entry about no single record.
    EntryOfNone(Action),
    /// Two, the second about the record that the first changed as well.
    Two(Action, Action),
    /// Two that concern no person.
    TwoOfNobody(Action, Action),
    /// None, for this reason.
    Nothing(&'static str),
}

use Leaves::{Entry as Of, EntryOfClient, EntryOfNone, EntryOfReport, Nothing, Two, TwoOfNobody};

/// Every operation. One that is routed and not here fails the test: say what it leaves, and in `perform` how it is done.
const OPERATIONS: &[(&str, &str, Leaves)] = &[
    ("post", "/v1/checks", Nothing("a check reads no record of a person; one that finds a listing becomes a sighting")),
    ("post", "/v1/checks/batch", Nothing("as a check")),
    ("post", "/v1/blind/evaluations", Nothing("nobody here knows whom it is about")),
    ("get", "/v1/blind/keys", Nothing("of the service")),
    ("get", "/v1/blind/bases/{epoch}", Nothing("says nothing about a number that was not evaluated")),
    (
        "post",
        "/v1/receipts/verify",
        Nothing("by those who check: their own evidence; an auditor's is a case of its own"),
    ),
    ("post", "/v1/receipts/audit", Nothing("as a verification")),
    ("post", "/v1/loss-reports", Of(Action::ReportFiled, "report_id")),
    ("get", "/v1/loss-reports", EntryOfNone(Action::ReportsListed)),
    ("post", "/v1/loss-reports/search", EntryOfNone(Action::ReportsSearched)),
    ("get", "/v1/loss-reports/{report_id}", Of(Action::ReportRead, "report_id")),
    ("post", "/v1/loss-reports/{report_id}/withdrawal", Of(Action::ReportWithdrawn, "report_id")),
    ("get", "/v1/loss-reports/{report_id}/withdrawal", EntryOfReport(Action::ReportRead)),
    (
        "post",
        "/v1/loss-reports/{report_id}/withdrawal/confirmation",
        Two(Action::WithdrawalConfirmed, Action::ReportWithdrawn),
    ),
    ("post", "/v1/replacements", Of(Action::ReplacementRecorded, "replacement_id")),
    ("get", "/v1/replacements", EntryOfNone(Action::ReplacementsListed)),
    ("post", "/v1/replacements/{replacement_id}/correction", Of(Action::ReplacementCorrected, "replacement_id")),
    ("post", "/v1/misuse-reports", Of(Action::MisuseReported, "misuse_report_id")),
    ("get", "/v1/misuse-reports", EntryOfNone(Action::MisuseReportsListed)),
    ("get", "/v1/misuse-reports/{misuse_report_id}", Of(Action::MisuseReportRead, "misuse_report_id")),
    ("post", "/v1/misuse-reports/{misuse_report_id}/resolution", Of(Action::MisuseResolved, "misuse_report_id")),
    ("get", "/v1/alerts", Nothing("they name checks of the one who reads them, and nobody")),
    ("get", "/v1/loss-reports/{report_id}/sightings", EntryOfReport(Action::SightingsRead)),
    ("post", "/v1/found-cards", Of(Action::FoundCardRegistered, "found_card_id")),
    ("get", "/v1/found-cards", EntryOfNone(Action::FoundCardsListed)),
    ("get", "/v1/found-cards/{found_card_id}", Of(Action::FoundCardRead, "found_card_id")),
    ("post", "/v1/found-cards/{found_card_id}/return", Two(Action::ReportWithdrawn, Action::FoundCardReturned)),
    ("post", "/v1/found-cards/{found_card_id}/destruction", Of(Action::FoundCardDestroyed, "found_card_id")),
    ("post", "/v1/found-cards/{found_card_id}/transfer", Of(Action::FoundCardTransferred, "found_card_id")),
    ("post", "/v1/citizen/records", EntryOfNone(Action::CitizenRecordsRead)),
    ("post", "/v1/citizen/card-status", EntryOfNone(Action::CardStatusGiven)),
    ("post", "/v1/citizen/accesses", EntryOfNone(Action::AccessesRead)),
    ("post", "/v1/admin/accesses", EntryOfNone(Action::AccessesRead)),
    ("post", "/v1/citizen/loss-reports", Of(Action::ReportFiled, "report_id")),
    ("post", "/v1/citizen/loss-reports/{report_id}/withdrawal", Of(Action::ReportWithdrawn, "report_id")),
    ("post", "/v1/replacement-applications", Of(Action::ApplicationMade, "application_id")),
    ("get", "/v1/replacement-applications", EntryOfNone(Action::ApplicationsListed)),
    ("get", "/v1/replacement-applications/{application_id}", Of(Action::ApplicationRead, "application_id")),
    (
        "post",
        "/v1/replacement-applications/{application_id}/temporary-card",
        Of(Action::TemporaryCardIssued, "temporary_card_id"),
    ),
    (
        "post",
        "/v1/replacement-applications/{application_id}/temporary-card/return",
        Of(Action::TemporaryCardReturned, "temporary_card_id"),
    ),
    (
        "post",
        "/v1/replacement-applications/{application_id}/issue",
        Two(Action::ReplacementRecorded, Action::ApplicationIssued),
    ),
    (
        "post",
        "/v1/replacement-applications/{application_id}/cancellation",
        Of(Action::ApplicationCancelled, "application_id"),
    ),
    ("post", "/v1/acceptance/eligibility", Nothing("about nobody")),
    ("post", "/v1/temporary-certificates", Of(Action::CertificateIssued, "certificate_id")),
    ("post", "/v1/temporary-certificates/verify", Nothing("what its holder shows")),
    ("get", "/v1/temporary-certificates", EntryOfNone(Action::CertificatesListed)),
    ("get", "/v1/temporary-certificates/{certificate_id}", Of(Action::CertificateRead, "certificate_id")),
    (
        "post",
        "/v1/temporary-certificates/{certificate_id}/revocation",
        Of(Action::CertificateRevoked, "certificate_id"),
    ),
    ("get", "/v1/usage", Nothing("sums of the one who reads them, about nobody")),
    ("get", "/v1/organization", Nothing("about the one who reads it")),
    ("get", "/v1/status", Nothing("about the service")),
    ("post", "/v1/sandbox/reset", EntryOfNone(Action::SandboxReset)),
    ("post", "/oauth2/token", Nothing("it is about a client, not a person")),
    ("get", "/.well-known/jwks.json", Nothing("public keys")),
    ("get", "/.well-known/oauth-authorization-server", Nothing("public settings")),
    ("get", "/v1/console", Nothing("about the node")),
    ("get", "/v1/console/history", Nothing("about the node")),
    ("get", "/v1/admin/organizations", Nothing("about authorities and firms")),
    ("post", "/v1/admin/organizations", Of(Action::OrganizationCreated, "organization_id")),
    ("get", "/v1/admin/organizations/{organization_id}", Nothing("about an authority or a firm")),
    ("patch", "/v1/admin/organizations/{organization_id}", Of(Action::OrganizationUpdated, "organization_id")),
    ("get", "/v1/admin/offices", Nothing("about authorities")),
    ("post", "/v1/admin/offices", EntryOfNone(Action::OfficeDescribed)),
    ("get", "/v1/admin/clients", Nothing("about programs")),
    ("post", "/v1/admin/clients", Of(Action::ClientCreated, "client_id")),
    ("get", "/v1/admin/clients/{client_id}", Nothing("about a program")),
    ("patch", "/v1/admin/clients/{client_id}", Of(Action::ClientUpdated, "client_id")),
    ("get", "/v1/admin/clients/{client_id}/credentials", Nothing("about a program")),
    (
        "post",
        "/v1/admin/clients/{client_id}/credentials/{credential_id}/revocation",
        EntryOfClient(Action::ClientCredentialEnded),
    ),
    ("post", "/v1/admin/clients/{client_id}/secrets", Of(Action::ClientSecretRotated, "client_id")),
    ("post", "/v1/admin/clients/{client_id}/certificates", Of(Action::ClientCertificateAdded, "client_id")),
    ("post", "/v1/admin/clients/{client_id}/keys", Of(Action::ClientKeysAdded, "client_id")),
    ("post", "/v1/admin/clients/{client_id}/release", Of(Action::ClientReleased, "client_id")),
    ("post", "/v1/admin/clients/{client_id}/revocation", Of(Action::ClientTokensRevoked, "client_id")),
    ("get", "/v1/admin/pairings", Nothing("about devices")),
    ("post", "/v1/admin/pairings", Of(Action::PairingCreated, "pairing_id")),
    ("get", "/v1/admin/pairings/{pairing_id}", Nothing("about a device")),
    ("patch", "/v1/admin/pairings/{pairing_id}", Of(Action::PairingUpdated, "pairing_id")),
    ("post", "/v1/admin/pairings/{pairing_id}/release", Of(Action::DeviceReleased, "pairing_id")),
    ("post", "/v1/pairings/registration", Of(Action::DevicePaired, "pairing_id")),
    ("post", "/v1/passkeys/registration-options", Nothing("a question, about who administers")),
    ("post", "/v1/passkeys/registration", Of(Action::PasskeyRegistered, "person_id")),
    ("post", "/v1/passkeys/sign-in-options", Nothing("a question to nobody yet")),
    ("post", "/v1/passkeys/sign-in", Nothing("as a token; the list of persons has it")),
    ("get", "/v1/admin/persons", Nothing("about those who administer")),
    ("get", "/v1/admin/persons/{person_id}", Nothing("about one who administers")),
    ("patch", "/v1/admin/persons/{person_id}", Of(Action::PersonSuspended, "person_id")),
    ("get", "/v1/admin/requests", Nothing("about what operators ask for")),
    ("post", "/v1/admin/undo", Of(Action::AdministrationRequested, "request_id")),
    ("post", "/v1/admin/audit-exports", Of(Action::AdministrationRequested, "request_id")),
    ("get", "/v1/admin/requests/{request_id}/export", Of(Action::AuditExported, "request_id")),
    ("post", "/v1/admin/requests/{request_id}/refusal", Of(Action::AdministrationRefused, "request_id")),
    ("get", "/v1/admin/requests/{request_id}", Nothing("about what an operator asks for")),
    (
        "post",
        "/v1/admin/requests/{request_id}/approval",
        TwoOfNobody(Action::AdministrationApproved, Action::OrganizationCreated),
    ),
    ("get", "/health/live", Nothing("about the node")),
    ("get", "/health/ready", Nothing("about the node")),
    ("get", "/problems/{code}", Nothing("a page")),
    ("get", "/registry-log/{epoch}/checkpoint", Nothing("about the log")),
    ("get", "/registry-log/{epoch}/tile/entries/{bundle}", Nothing("blind bytes: of whom, its reader cannot tell")),
    ("get", "/registry-log/{epoch}/tile/{tile}", Nothing("about the log")),
    ("get", "/registry-log/keys", Nothing("public keys")),
];

/// Method and path of every operation, in an order in which all can be performed, and whether it writes to the registry's disk,
/// be it its entry alone: then a full disk refuses it.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    OPERATIONS.iter().map(|(method, path, leaves)| (*method, *path, !matches!(leaves, Nothing(_))))
}

/// The entries behind a sequence.
async fn entries_after(app: &TestApp, after: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = app.store.list_audit(entries.last().map_or(after, |last| last.sequence)).await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

async fn last_sequence(app: &TestApp) -> u64 {
    entries_after(app, 0).await.last().map_or(0, |last| last.sequence)
}

#[tokio::test]
async fn every_operation_leaves_the_entry_that_it_must_and_no_other() {
    for (method, path) in ROUTES.iter().map(|row| (row.verb(), row.path)) {
        let known =
            OPERATIONS.iter().filter(|(of_method, of_path, _)| (*of_method, *of_path) == (method, path)).count();
        assert_eq!(known, 1, "{method} {path}: say in OPERATIONS what it leaves in the audit log");
    }
    assert_eq!(OPERATIONS.len(), ROUTES.len(), "an operation here is routed no more");
    let app = TestApp::spawn_sandbox().await;
    let there = There::prepare(&app).await;
    for (method, path, leaves) in OPERATIONS {
        let before = last_sequence(&app).await;
        app.clock.advance(std::time::Duration::from_millis(1));
        let (by, answer) = perform(&app, &there, method, path).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
        let left = entries_after(&app, before).await;
        let expected = match leaves {
            Nothing(why) => {
                assert!(left.is_empty(), "{method} {path} ({why}): {left:?}");
                continue;
            }
            Of(action, member) => (action, Some(answer.json()[member].as_str().unwrap().parse::<RecordId>().unwrap())),
            EntryOfReport(action) => (action, Some(there.report.parse::<RecordId>().unwrap())),
            EntryOfNone(action) => (action, None),
            EntryOfClient(action) => (action, Some(there.administered.client_id.into())),
            Two(one, other) | TwoOfNobody(one, other) => {
                let persons = usize::from(matches!(leaves, Two(..)));
                assert!(left.iter().all(|entry| entry.persons.len() == persons), "{method} {path}: {left:?}");
                let actions: Vec<_> = left.iter().map(|entry| entry.action.as_str()).collect();
                assert_eq!(actions, [one.as_str(), other.as_str()], "{method} {path}");
                continue;
            }
        };
        let [entry] = left.as_slice() else { panic!("{method} {path}: {left:?}") };
        assert_eq!((entry.action.as_str(), entry.subject), (expected.0.as_str(), expected.1), "{method} {path}");
        // A page that becomes a device is nobody before.
        let is_new = *path == "/v1/pairings/registration";
        let is_by = (entry.organization, entry.client) == (Some(by.organization), Some(by.client_id));
        assert_ne!(is_by, is_new, "{method} {path}: {entry:?}");
        assert_eq!(entry.at_ms, app.clock.now_ms(), "{method} {path}");
        assert_eq!(entry.origin.as_deref(), Some("loopback"), "{method} {path}");
        let concerns_nobody = *expected.0 == Action::SandboxReset
            || is_new
            || path.starts_with("/v1/passkeys/")
            || (path.starts_with("/v1/admin/") && *path != "/v1/admin/accesses");
        assert_eq!(entry.persons.is_empty(), concerns_nobody, "{method} {path}: who looked at whom?");
    }
    let mut end = End::BEGINNING;
    for entry in &entries_after(&app, 0).await {
        end.follow(entry).unwrap();
    }
}

#[tokio::test]
async fn what_was_refused_or_repeated_leaves_nothing() {
    let app = TestApp::spawn().await;
    let there = There::prepare(&app).await;
    let body = report_of(&random_number(), None);
    assert_eq!(app.report_once("key", &body).await.status, 201);
    assert_eq!(app.withdraw(&there.report).await.status, 200);
    let before = last_sequence(&app).await;
    assert_eq!(app.report_once("key", &body).await.status, 201);
    app.withdraw(&there.report).await.problem(409, "report_not_active");
    app.read_report(&Uuid::nil().to_string()).await.problem(404, "not_found");
    app.report(&with(body, "reason", "eaten")).await.problem(422, "invalid_value");
    let (station, hotel) = (app.add_client("registry checks", None).await, app.add_client("checks", None).await);
    app.get(&station.token, &format!("/v1/loss-reports/{}", there.report)).await.problem(404, "not_found");
    app.get(&hotel.token, &format!("/v1/misuse-reports/{}", there.misuse_report)).await.problem(404, "not_found");
    app.get(&hotel.token, "/v1/loss-reports").await.problem(403, "insufficient_scope");
    assert_eq!(entries_after(&app, before).await, []);
}

#[tokio::test]
async fn an_auditors_look_at_a_receipt_is_in_the_log() {
    let app = TestApp::spawn().await;
    let check = app.check(&check_of(&random_number(), None)).await.json();
    let verify = async |client: &TestClient, receipt: &Value| {
        let before = last_sequence(&app).await;
        app.post(&client.token, "/v1/receipts/verify", &json!({ "receipt": receipt })).await;
        entries_after(&app, before).await
    };
    let auditor = app.add_client("audit", None).await;
    let left = verify(&auditor, &check["receipt"]).await;
    let [entry] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((entry.action.as_str(), entry.client), ("receipt_verified", Some(auditor.client_id)));
    assert_eq!(entry.subject.map(|id| id.to_string()).as_deref(), check["check_id"].as_str());
    // What is no receipt of this service's told the auditor nothing.
    let other = TestApp::spawn().await.check(&check_of(&random_number(), None)).await.json();
    assert_eq!(verify(&auditor, &other["receipt"]).await, []);
    assert_eq!(verify(&auditor, &json!("a~b~c")).await, []);
    assert_eq!(verify(&app.hotel, &check["receipt"]).await, []);
}

#[tokio::test]
async fn an_export_is_verified_offline_and_against_an_earlier_one() {
    let app = TestApp::spawn().await;
    There::prepare(&app).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("jwks.json"), app.get("", "/.well-known/jwks.json").await.text).unwrap();
    let export = |name: &str, after: u64| {
        let (output, after) = (path(name), after.to_string());
        let mut command = child::command(&app.config.data);
        command.args(["audit", "export", "--output", &output, "--after", &after]).env("LOSTCARD_PUBLIC_URL", ISSUER);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read_to_string(output).unwrap()
    };
    // Offline means without a data folder.
    let nowhere = dir.path().join("nowhere");
    let verify = |args: &[&str]| {
        let args: Vec<_> =
            args.iter().map(|arg| if arg.starts_with("--") { (*arg).to_owned() } else { path(arg) }).collect();
        let args: Vec<_> = ["audit", "verify", "--json"].into_iter().chain(args.iter().map(String::as_str)).collect();
        child::run(&nowhere, &args)
    };
    let first = export("first", 0);
    let last = last_sequence(&app).await;
    assert_eq!(first.lines().count() as u64, last + 1, "an entry a line, and the head");
    There::prepare(&app).await;
    export("second", last);
    export("all", 0);
    for (args, entries) in [
        (&["--jwks", "jwks.json", "first"] as &[&str], last),
        (&["--jwks", "jwks.json", "all", "--previous", "first"], 2 * last),
        (&["--jwks", "jwks.json", "second", "--previous", "first"], last),
        (&["--jwks", "jwks.json", "all", "--previous", "second"], 2 * last),
    ] {
        let output = verify(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&value["in_order"], &value["entries"]), (&json!(true), &json!(entries)), "{args:?}");
        assert_eq!(value["issuer"], ISSUER);
    }
    std::fs::write(path("tampered"), first.replacen("report_filed", "report_read", 1)).unwrap();
    let foreign = json!({"keys": []}).to_string();
    std::fs::write(path("foreign.json"), foreign).unwrap();
    for (args, why) in [
        (&["--jwks", "jwks.json", "tampered"] as &[&str], "does not have the hash"),
        (&["--jwks", "foreign.json", "first"], "signed by no key of this set"),
        (&["--jwks", "jwks.json", "second"], "--previous"),
        (&["--jwks", "jwks.json", "first", "--previous", "all"], "its end was cut off"),
        (&["--jwks", "jwks.json", "all", "--previous", "tampered"], "does not have the hash"),
        (&["--jwks", "jwks.json", "absent"], "absent"),
    ] {
        let (output, said) = (verify(args), |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned());
        let error = said(&output.stderr);
        assert_eq!((output.status.code(), said(&output.stdout)), (Some(1), String::new()), "{args:?}");
        assert!(error.starts_with("error: ") && error.contains(why) && error.lines().count() == 1, "{args:?}: {error}");
    }
    assert!(!nowhere.exists());
    let again = child::run(&app.config.data, &["audit", "export", "--output", &path("first")]);
    assert_eq!(again.status.code(), Some(1), "an export is not overwritten");
    assert_eq!(std::fs::read_to_string(path("first")).unwrap(), first);
    // The store itself, with the keys of its folder.
    let of_store = child::run_json(&app.config.data, &["audit", "verify", "--json", "--previous", &path("first")]);
    assert_eq!((&of_store["in_order"], &of_store["entries"]), (&json!(true), &json!(2 * last)));
    // What is exported holds nothing of a person: ids, words and times.
    assert!(!first.contains("secret") && !first.contains("110105-03"), "{first}");
}
