//! Who may do what to whose: every operation by every kind of organization and every scope, to things of another organization, and
//! for an office of another one. An operation that is routed and not here fails the test.

use lostcard::domain::client::{OrganizationKind, Scope};
use lostcard::http::routes::ROUTES;
use serde_json::json;

use crate::bodies::{random_number, report_of, with};
use crate::deeds::{There, deed, send};
use crate::helpers::{TestApp, TestClient, eventually};
use crate::http::target;

/// Whose things an operation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It names none.
    Nothing,
    /// The organization's own: another's are not there for it.
    Own,
    /// The same, but the person has seen it: it is said where it can be changed (decision 017).
    Shown,
    /// Everyone's who has the scope: all registrars, all operators.
    Everybody,
}

use Reach::{Everybody, Nothing, Own, Shown};

/// The office that it names must be one of the organization's.
const OFFICE: bool = true;
const NONE: bool = false;

/// Members that name it.
const OFFICES: [&str; 2] = ["office", "applied_at_office"];

/// Method, path, scopes, reach, whether it names an office that acts.
const MATRIX: &[(&str, &str, &str, Reach, bool)] = &[
    ("post", "/v1/checks", "checks", Nothing, NONE),
    ("post", "/v1/checks/batch", "checks", Nothing, NONE),
    ("get", "/v1/alerts", "checks", Nothing, NONE),
    ("post", "/v1/receipts/verify", "checks audit", Nothing, NONE),
    ("post", "/v1/receipts/audit", "checks audit", Nothing, NONE),
    ("post", "/v1/loss-reports", "registry", Nothing, OFFICE),
    ("get", "/v1/loss-reports", "registry", Nothing, NONE),
    ("post", "/v1/loss-reports/search", "registry", Nothing, NONE),
    ("get", "/v1/loss-reports/{report_id}", "registry", Own, NONE),
    ("post", "/v1/loss-reports/{report_id}/withdrawal", "registry", Own, OFFICE),
    ("get", "/v1/loss-reports/{report_id}/withdrawal", "registry", Own, NONE),
    ("post", "/v1/loss-reports/{report_id}/withdrawal/confirmation", "registry", Own, OFFICE),
    ("get", "/v1/loss-reports/{report_id}/sightings", "registry", Own, NONE),
    ("post", "/v1/replacements", "registry", Nothing, OFFICE),
    ("get", "/v1/replacements", "registry", Nothing, NONE),
    ("post", "/v1/replacements/{replacement_id}/correction", "registry", Own, OFFICE),
    ("post", "/v1/misuse-reports", "checks", Nothing, NONE),
    ("get", "/v1/misuse-reports", "checks registry", Nothing, NONE),
    ("get", "/v1/misuse-reports/{misuse_report_id}", "checks registry", Everybody, NONE),
    ("post", "/v1/misuse-reports/{misuse_report_id}/resolution", "registry", Everybody, OFFICE),
    ("post", "/v1/found-cards", "registry", Nothing, OFFICE),
    ("get", "/v1/found-cards", "registry", Nothing, NONE),
    ("get", "/v1/found-cards/{found_card_id}", "registry", Own, NONE),
    ("post", "/v1/found-cards/{found_card_id}/return", "registry", Own, OFFICE),
    ("post", "/v1/found-cards/{found_card_id}/destruction", "registry", Own, OFFICE),
    ("post", "/v1/found-cards/{found_card_id}/transfer", "registry", Own, OFFICE),
    ("post", "/v1/citizen/records", "citizen", Nothing, NONE),
    ("post", "/v1/citizen/card-status", "citizen", Nothing, NONE),
    ("post", "/v1/citizen/accesses", "citizen", Nothing, NONE),
    ("post", "/v1/citizen/loss-reports", "citizen", Nothing, NONE),
    ("post", "/v1/citizen/loss-reports/{report_id}/withdrawal", "citizen", Shown, NONE),
    ("post", "/v1/replacement-applications", "registry", Nothing, OFFICE),
    ("get", "/v1/replacement-applications", "registry", Nothing, NONE),
    ("get", "/v1/replacement-applications/{application_id}", "registry", Own, NONE),
    ("post", "/v1/replacement-applications/{application_id}/issue", "registry", Own, OFFICE),
    ("post", "/v1/replacement-applications/{application_id}/cancellation", "registry", Own, OFFICE),
    ("post", "/v1/replacement-applications/{application_id}/temporary-card", "registry", Own, OFFICE),
    ("post", "/v1/replacement-applications/{application_id}/temporary-card/return", "registry", Own, OFFICE),
    ("post", "/v1/acceptance/eligibility", "", Nothing, NONE),
    ("post", "/v1/temporary-certificates", "registry", Nothing, OFFICE),
    ("get", "/v1/temporary-certificates", "registry", Nothing, NONE),
    ("post", "/v1/temporary-certificates/verify", "checks", Nothing, NONE),
    ("get", "/v1/temporary-certificates/{certificate_id}", "registry", Own, NONE),
    ("post", "/v1/temporary-certificates/{certificate_id}/revocation", "registry", Own, OFFICE),
    ("get", "/v1/usage", "checks registry citizen audit admin blind", Nothing, NONE),
    ("get", "/v1/organization", "checks registry citizen audit admin blind", Nothing, NONE),
    ("get", "/v1/status", "", Nothing, NONE),
    ("post", "/v1/sandbox/reset", "checks registry citizen audit admin blind", Nothing, NONE),
    ("post", "/oauth2/token", "", Nothing, NONE),
    ("get", "/.well-known/jwks.json", "", Nothing, NONE),
    ("get", "/.well-known/oauth-authorization-server", "", Nothing, NONE),
    ("get", "/v1/console", "admin", Nothing, NONE),
    ("get", "/v1/console/history", "admin", Nothing, NONE),
    ("get", "/v1/admin/organizations", "admin", Nothing, NONE),
    ("post", "/v1/admin/organizations", "admin", Nothing, NONE),
    ("get", "/v1/admin/organizations/{organization_id}", "admin", Everybody, NONE),
    ("patch", "/v1/admin/organizations/{organization_id}", "admin", Everybody, NONE),
    ("get", "/v1/admin/offices", "admin", Nothing, NONE),
    ("post", "/v1/admin/offices", "admin", Nothing, NONE),
    ("get", "/v1/admin/clients", "admin", Nothing, NONE),
    ("post", "/v1/admin/clients", "admin", Nothing, NONE),
    ("get", "/v1/admin/clients/{client_id}", "admin", Everybody, NONE),
    ("patch", "/v1/admin/clients/{client_id}", "admin", Everybody, NONE),
    ("get", "/v1/admin/clients/{client_id}/credentials", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/credentials/{credential_id}/revocation", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/secrets", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/certificates", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/keys", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/release", "admin", Everybody, NONE),
    ("post", "/v1/admin/clients/{client_id}/revocation", "admin", Everybody, NONE),
    ("post", "/v1/admin/accesses", "admin", Nothing, NONE),
    ("post", "/v1/admin/undo", "admin", Nothing, NONE),
    ("post", "/v1/admin/audit-exports", "admin", Nothing, NONE),
    ("get", "/v1/admin/requests/{request_id}/export", "admin", Own, NONE),
    ("get", "/v1/admin/pairings", "admin", Nothing, NONE),
    ("post", "/v1/admin/pairings", "admin", Nothing, NONE),
    ("get", "/v1/admin/pairings/{pairing_id}", "admin", Everybody, NONE),
    ("patch", "/v1/admin/pairings/{pairing_id}", "admin", Everybody, NONE),
    ("post", "/v1/admin/pairings/{pairing_id}/release", "admin", Everybody, NONE),
    ("post", "/v1/pairings/registration", "", Nothing, NONE),
    ("post", "/v1/passkeys/registration-options", "", Nothing, NONE),
    ("post", "/v1/passkeys/registration", "", Nothing, NONE),
    ("post", "/v1/passkeys/sign-in-options", "", Nothing, NONE),
    ("post", "/v1/passkeys/sign-in", "", Nothing, NONE),
    ("get", "/v1/admin/persons", "admin", Nothing, NONE),
    ("get", "/v1/admin/persons/{person_id}", "admin", Everybody, NONE),
    ("patch", "/v1/admin/persons/{person_id}", "admin", Everybody, NONE),
    ("get", "/v1/admin/requests", "admin", Nothing, NONE),
    ("get", "/v1/admin/requests/{request_id}", "admin", Everybody, NONE),
    ("post", "/v1/admin/requests/{request_id}/approval", "admin", Everybody, NONE),
    ("post", "/v1/admin/requests/{request_id}/refusal", "admin", Everybody, NONE),
    ("post", "/v1/blind/evaluations", "blind", Nothing, NONE),
    ("get", "/v1/blind/keys", "blind", Nothing, NONE),
    ("get", "/v1/blind/bases/{epoch}", "blind", Nothing, NONE),
    ("get", "/registry-log/{epoch}/checkpoint", "", Nothing, NONE),
    ("get", "/registry-log/{epoch}/tile/entries/{bundle}", "blind audit", Nothing, NONE),
    ("get", "/registry-log/{epoch}/tile/{tile}", "", Nothing, NONE),
    ("get", "/registry-log/keys", "", Nothing, NONE),
    ("get", "/health/live", "", Nothing, NONE),
    ("get", "/health/ready", "", Nothing, NONE),
    ("get", "/problems/{code}", "", Nothing, NONE),
];

#[test]
fn every_operation_is_in_the_matrix() {
    for row in ROUTES {
        let of = |(method, path, ..): &&(&str, &str, &str, Reach, bool)| (*method, *path) == (row.verb(), row.path);
        let known: Vec<_> = MATRIX.iter().filter(of).collect();
        let [(_, path, scopes, ..)] = known[..] else {
            panic!("{} {}: say in MATRIX who may do it, and to whose", row.verb(), row.path)
        };
        let routed: Vec<_> = row.scopes.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(routed.join(" "), *scopes, "{path}");
    }
    assert_eq!(MATRIX.len(), ROUTES.len(), "an operation here is routed no more");
}

/// A client for each kind of organization and each scope that the kind may have.
async fn clients(app: &TestApp) -> Vec<(OrganizationKind, Scope, TestClient)> {
    let mut all = Vec::new();
    for kind in OrganizationKind::ALL {
        for scope in kind.scopes().iter() {
            let client = app.add_client_of_kind(*kind, scope.as_str()).await;
            all.push((*kind, scope, client));
        }
    }
    all
}

#[tokio::test]
async fn each_kind_and_scope_reaches_its_operations_and_no_other() {
    let app = TestApp::spawn_sandbox().await;
    let clients = clients(&app).await;
    for (method, path, scopes, ..) in MATRIX.iter().filter(|(_, _, scopes, ..)| !scopes.is_empty()) {
        send(&app, "", method, &target(path), &json!({})).await.problem(401, "invalid_token");
        for (kind, scope, client) in &clients {
            let answer = send(&app, &client.token, method, &target(path), &json!({})).await;
            let is_refused = answer.status == 403 && answer.json()["code"] == "insufficient_scope";
            let may = scopes.split(' ').any(|one| one == scope.as_str());
            assert_eq!(is_refused, !may, "{kind:?} {scope:?} {method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn what_is_of_another_organization_is_not_there() {
    let app = TestApp::spawn_sandbox().await;
    let there = There::prepare(&app).await;
    let mut others = Vec::new();
    for scope in Scope::ALL {
        others.push((scope, app.add_client(scope.as_str(), None).await));
    }
    for (method, path, scopes, reach, _) in MATRIX.iter().filter(|(.., reach, _)| *reach != Nothing) {
        let (by, target, body) = deed(&app, &there, method, path);
        // Who has the scope of the one who does it by right.
        let mine = app.store.find_client(by.client_id).await.unwrap().unwrap().scopes;
        let other = others.iter().find(|(scope, _)| mine.contains(**scope) && scopes.contains(scope.as_str()));
        let (_, other) = other.unwrap_or_else(|| panic!("{method} {path}: nobody has its scope"));
        assert_ne!(other.organization, by.organization);
        let answer = send(&app, &other.token, method, &target, &body).await;
        match reach {
            Own => drop(answer.problem(404, "not_found")),
            Shown => drop(answer.problem(409, "wrong_state")),
            _ => assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text),
        }
    }
    // Nothing of it was done: each is still there for its own.
    for (method, path, ..) in MATRIX.iter().filter(|(method, .., reach, _)| *reach == Own && *method == "get") {
        let (by, target, body) = deed(&app, &there, method, path);
        let answer = send(&app, &by.token, method, &target, &body).await;
        let waits = path.ends_with("/withdrawal") && answer.status == 404;
        assert!(answer.status == 200 || waits, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_an_organization_checked_is_read_by_itself_and_by_registrars() {
    let app = TestApp::spawn().await;
    let there = There::prepare(&app).await;
    let path = format!("/v1/misuse-reports/{}", there.misuse_report);
    let other = app.add_client("checks", None).await;
    app.get(&other.token, &path).await.problem(404, "not_found");
    assert_eq!(app.get(&app.hotel.token, &path).await.status, 200);
}

#[tokio::test]
async fn nobody_acts_for_an_office_of_another_organization() {
    let app = TestApp::spawn_sandbox().await;
    let there = There::prepare(&app).await;
    app.set_offices(&app.police, "11", false).await;
    let elsewhere = "310104-01";
    let report = with(report_of(&random_number(), None), "office", elsewhere);
    eventually("the node knows it", async || app.report(&report).await.status == 403).await;
    for (method, path, ..) in MATRIX.iter().filter(|(.., office)| *office) {
        let (by, target, mut body) = deed(&app, &there, method, path);
        let member = OFFICES.iter().find(|member| body[**member].is_string());
        let member = member.unwrap_or_else(|| panic!("{method} {path} names no office"));
        body[*member] = json!(elsewhere);
        let answer = send(&app, &by.token, method, &target, &body).await;
        answer.problem(403, "office_not_yours");
    }
    for (method, path, _, _, office) in MATRIX {
        if *method == "post" && !office && path.starts_with("/v1/") {
            let (_, _, body) = deed(&app, &there, method, path);
            assert!(
                OFFICES.iter().all(|member| body[*member].is_null()),
                "{method} {path} names an office: say so in MATRIX"
            );
        }
    }
}
