//! A device that moves or is renamed, and a code that is asked for twice.

use serde_json::{Value, json};

use crate::bodies::with;
use crate::helpers::{TestApp, eventually};
use crate::pairing::{PAIRINGS, Page};

/// Its page and its client are told, at each node within its lease.
#[tokio::test]
async fn a_device_that_moves_or_is_renamed_learns_it() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let page = Page::pair(&app, &operator, json!(["checks"])).await;
    let token = page.unlock(&app, "Wang").await;
    let told = async || {
        let request = app.request("GET", "/v1/organization").header("Authorization", format!("DPoP {token}"));
        let proof = page.holder.proof(&app, "GET", "/v1/organization", Some(&token));
        app.send(request.header("DPoP", proof)).await.json()["client"].clone()
    };
    assert_eq!((&told().await["site"], &told().await["name"]), (&json!("110105-03"), &json!("front desk")));
    let moved = json!({"site": "110105-04", "name": "back desk"});
    let changed = app.patch(&operator.token, &format!("{PAIRINGS}/{}", page.pairing), &moved).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    eventually("the page is told", async || told().await["site"] == "110105-04").await;
    assert_eq!(told().await["name"], "back desk");
    let client = app.get(&operator.token, &format!("/v1/admin/clients/{}", page.client)).await.json();
    assert_eq!(client["name"], "back desk");
    let hotel = app.get(&app.hotel.token, "/v1/organization").await.json();
    assert_eq!((hotel["client"].get("site"), hotel["client"].get("name")), (None, None), "no device");
}

#[tokio::test]
async fn a_repeated_request_for_a_code_makes_no_second_one_and_does_not_tell_it() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    let body = json!({"organization_id": app.hotel.organization, "scopes": ["checks"], "site": "harbour-1"});
    let ask = async |key: &str, body: &Value| {
        let request = app.request("POST", PAIRINGS).bearer_auth(&operator.token).header("Idempotency-Key", key);
        app.send(request.json(body)).await
    };
    let first = ask("one", &body).await;
    let again = ask("one", &body).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text);
    assert_eq!(first.json()["pairing_id"], again.json()["pairing_id"]);
    assert_eq!(first.header("location"), again.header("location"));
    assert!(first.json()["code"].is_string() && again.json().get("code").is_none(), "{}", again.text);
    ask("one", &with(body.clone(), "site", "harbour-2")).await.problem(422, "idempotency_key_reused");
    assert_ne!(ask("two", &body).await.json()["pairing_id"], first.json()["pairing_id"]);
}
