//! Persons of the operator who are suspended, resumed and ended here, whatever their provider says.

use std::time::Duration;

use lostcard::domain::person::{Role, ShortName};
use lostcard::store::persons::MetPerson;
use serde_json::{Value, json};

use crate::administration::ORGANIZATIONS;
use crate::helpers::eventually;
use crate::persons::Provider;

#[tokio::test]
async fn a_person_who_is_suspended_or_ended_here_is_let_in_no_more_at_any_node() {
    let provider = Provider::spawn().await;
    let one = &provider.app;
    let two = one.sibling().await;
    let (wang, li) = (provider.token("wang", "ops"), provider.token("li", "ops"));
    for (app, token) in [(one, &wang), (&two, &wang), (one, &li)] {
        assert_eq!(app.get(token, ORGANIZATIONS).await.status, 200);
    }
    let id = std::cell::RefCell::new(String::new());
    eventually("they are met", async || {
        let all = one.get(&li, "/v1/admin/persons").await.json();
        let wang = all["persons"].as_array().unwrap().iter().find(|person| person["name"] == "wang").cloned();
        *id.borrow_mut() = wang.unwrap_or_default()["person_id"].as_str().unwrap_or_default().to_owned();
        !id.borrow().is_empty()
    })
    .await;
    let path = format!("/v1/admin/persons/{}", id.borrow());
    let told = one.get(&provider.token("zhao", "watch"), &path).await;
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("active")), "{}", told.text);
    let say = async |token: &str, state: &str| one.patch(token, &path, &json!({ "state": state })).await;
    say(&provider.token("zhao", "watch"), "suspended").await.problem(403, "insufficient_role");
    say(&wang, "suspended").await.problem(403, "another_must_confirm");
    say(&li, "gone").await.problem(422, "invalid_value");
    let nobody = "/v1/admin/persons/00000000-0000-0000-0000-000000000000";
    one.patch(&li, nobody, &json!({"state": "ended"})).await.problem(404, "not_found");
    one.get(&li, nobody).await.problem(404, "not_found");
    let is_out = async || {
        let mut newest = Vec::new();
        for app in [one, &two] {
            newest.push(app.get(&wang, ORGANIZATIONS).await.status);
        }
        newest == [401, 401]
    };
    let suspended = say(&li, "suspended").await;
    assert_eq!((suspended.status, &suspended.json()["state"]), (200, &json!("suspended")), "{}", suspended.text);
    eventually("out at each node", is_out).await;
    one.clock.advance(std::time::Duration::from_secs(2));
    two.clock.advance(std::time::Duration::from_secs(2));
    let again = provider.token("wang", "sec");
    two.get(&again, ORGANIZATIONS).await.problem(401, "invalid_token");
    assert_eq!(provider.newest(1).await, [("person_suspended".to_owned(), Some("li".to_owned()))]);
    let li = provider.token("li", "ops");
    let say = async |state: &str| one.patch(&li, &path, &json!({ "state": state })).await;
    assert_eq!(say("active").await.json()["state"], "active");
    eventually("in again", async || two.get(&again, ORGANIZATIONS).await.status == 200).await;
    assert_eq!(say("ended").await.json()["state"], "ended");
    eventually("out for good", async || two.get(&again, ORGANIZATIONS).await.status == 401).await;
    say("active").await.problem(409, "wrong_state");
    assert_eq!(provider.newest(1).await, [("person_ended".to_owned(), Some("li".to_owned()))]);
}

/// What waits is done as done by who asked for it, and judged by what holds then.
#[tokio::test]
async fn nothing_is_approved_of_a_person_who_may_not_ask_for_it_any_more() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let li = provider.token("li", "sec");
    let approve = async |location: &str| app.post(&li, &format!("{location}/approval"), &json!({})).await;
    let ask = async |path: &str, body: Value| {
        let asked = app.post(&provider.token("wang", "ops"), path, &body).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        asked.header("location").to_owned()
    };
    let portal = app.add_client("citizen", None).await;
    let client = json!({"organization_id": portal.organization, "scopes": ["citizen"]});
    let span = json!({"client_id": app.police.client_id, "from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z",
        "reason": "ticket 7"});
    let first = provider.ask_for_registrar(&provider.token("wang", "ops")).await;
    let waiting = [
        ask("/v1/admin/clients", client).await,
        ask("/v1/admin/undo", span).await,
        ask("/v1/admin/audit-exports", json!({"reason": "ticket 7"})).await,
    ];
    let all = app.get(&li, "/v1/admin/persons").await.json();
    let wang = all["persons"].as_array().unwrap().iter().find(|person| person["name"] == "wang").unwrap();
    let path = format!("/v1/admin/persons/{}", wang["person_id"].as_str().unwrap());
    let say = async |state: &str| app.patch(&li, &path, &json!({ "state": state })).await;
    assert_eq!(say("suspended").await.status, 200);
    let refused = approve(&first).await.problem(409, "wrong_state");
    assert!(refused["detail"].as_str().unwrap().contains("not let in"), "{refused}");
    assert_eq!(say("active").await.status, 200);
    // Their provider says that they only look, and then that they may change things again.
    let meet = async |role, after_s| {
        let id = wang["person_id"].as_str().unwrap().parse().unwrap();
        let at_ms = app.clock.now_ms().plus(Duration::from_secs(after_s));
        let met = MetPerson { id, name: ShortName::stored("wang").unwrap(), role, group: None, at_ms };
        app.store.note_persons(&[met]).await.unwrap();
    };
    meet(Role::Viewer, 1).await;
    approve(&first).await.problem(409, "wrong_state");
    meet(Role::Operator, 2).await;
    assert_eq!(approve(&first).await.status, 200);
    assert_eq!(say("ended").await.status, 200);
    for location in &waiting {
        approve(location).await.problem(409, "wrong_state");
        assert_eq!(app.get(&li, location).await.json()["state"], "awaiting_approval", "it may be refused");
    }
}
