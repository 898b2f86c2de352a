//! Decisions hang on the matched row, never on the path as it was spelled: tokens and scopes of every operation, and spellings of
//! a path that the router takes for another.

use lostcard::domain::client::Scope;
use lostcard::http::routes::ROUTES;
use serde_json::json;

use crate::bodies::{check_of, random_number};
use crate::helpers::TestApp;
use crate::http::target;

#[tokio::test]
async fn every_operation_with_scopes_refuses_who_has_no_token_or_another_scope() {
    let app = TestApp::spawn_sandbox().await;
    let mut clients = Vec::new();
    for scope in Scope::ALL {
        clients.push((*scope, app.add_client(scope.as_str(), None).await));
    }
    for row in ROUTES.iter().filter(|row| !row.scopes.is_empty()) {
        let path = target(row.path);
        let ask = |token: &str| {
            let request = app.request(row.method.as_str(), &path).header("content-type", "application/json").body("{}");
            app.send(if token.is_empty() { request } else { request.bearer_auth(token) })
        };
        ask("").await.problem(401, "invalid_token");
        for (scope, client) in &clients {
            let answer = ask(&client.token).await;
            let is_refused = answer.status == 403 && answer.json()["code"] == "insufficient_scope";
            assert_eq!(is_refused, !row.scopes.contains(scope), "{scope:?} {} {path}: {}", row.verb(), answer.text);
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_past_its_rules() {
    let app = TestApp::spawn().await;
    for spelled in ["/%761/checks", "/v1/%63hecks", "/v%31/checks", "/%76%31/%63%68%65%63%6B%73", "/v1/check%73"] {
        let with_query = format!("{spelled}?id_number=110105194912310021");
        for method in ["GET", "POST"] {
            let answer = app.send(app.request(method, &with_query).bearer_auth(&app.hotel.token)).await;
            answer.problem(400, "malformed_request");
            assert_eq!(answer.header("cache-control"), "no-store", "{method} {spelled}");
        }
        let answer = app.post(&app.hotel.token, spelled, &json!(check_of(&random_number(), None))).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{spelled}: {}", answer.text);
        assert!(!answer.header("ratelimit").is_empty());
    }
    // What no row names is careful all the same, below the roots of the API.
    for unknown in ["/v1/nothing", "/%76%31/nothing", "/oauth2/nothing"] {
        let answer = app.get("", unknown).await;
        answer.problem(404, "not_found");
        assert_eq!(answer.header("cache-control"), "no-store", "{unknown}");
        app.get("", &format!("{unknown}?id_number=1")).await.problem(400, "malformed_request");
    }
    // An encoded slash is no slash to the router: it names nothing.
    app.get("", "/v1%2Fchecks").await.problem(404, "not_found");
}

/// What the row says and nothing else: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) on answers and refusals of the operations
/// that are on their way out, and on no other.
#[tokio::test]
async fn answers_say_that_an_operation_is_on_its_way_out_where_its_row_does() {
    let app = TestApp::spawn_sandbox().await;
    let document = app.get("", "/openapi.json").await.json();
    for row in ROUTES {
        let request = app.request(row.method.as_str(), &target(row.path)).bearer_auth(&app.hotel.token);
        let answer = app.send(request.header("content-type", "application/json").body("{}")).await;
        let is_said = row.deprecation.is_some();
        for name in ["deprecation", "sunset"] {
            assert_eq!(!answer.header(name).is_empty(), is_said, "{name}: {} {}", row.verb(), row.path);
        }
        let operation = &document["paths"][row.path][row.verb()];
        assert_eq!(operation["deprecated"] == true, is_said, "{} {}", row.verb(), row.path);
    }
}
