//! Persons of the operator who are suspended, resumed and ended here, whatever their provider says.

use serde_json::json;

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
