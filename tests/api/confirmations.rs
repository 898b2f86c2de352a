//! Withdrawals beyond a day's number: a second client of the organization confirms them.

use serde_json::json;

use crate::bodies::random_number;
use crate::helpers::{Answer, TestApp, TestClient, eventually};
use crate::offices::{START, text};
use crate::pairing::Page;

#[tokio::test]
async fn withdrawals_beyond_a_days_number_wait_for_a_second_client() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 2).await;
    let sibling = app.sibling().await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let mut reports = Vec::new();
    for _ in 0..5 {
        let number = random_number();
        reports.push((app.file(&app.police, &number).await, number));
    }
    let [(first, _), (second, _), (third, number), (fourth, _), (fifth, _)] = &reports[..] else { panic!() };
    assert_eq!(app.withdraw_as(&app.police, first).await.status, 200);
    // A report that is withdrawn already costs nothing.
    app.withdraw_as(&app.police, first).await.problem(409, "report_not_active");
    assert_eq!(sibling.withdraw_as(&app.police, second).await.status, 200, "counted for all nodes together");
    for node in [&app, &sibling] {
        let waits = node.withdraw_as(&app.police, third).await;
        let location = format!("/v1/loss-reports/{third}/withdrawal");
        assert_eq!((waits.status, waits.header("location")), (202, location.as_str()), "{}", waits.text);
        assert_eq!(
            (&waits.json()["state"], &waits.json()["reason"]),
            (&json!("awaiting_confirmation"), &json!("found"))
        );
        assert_eq!(node.get(&app.police.token, &location).await.json(), waits.json());
    }
    assert_eq!(app.verdict(number, Some(START)).await, "card_listed");
    let location = format!("/v1/loss-reports/{third}/withdrawal");
    app.confirm_as(&app.police, &location).await.problem(403, "another_must_confirm");
    let stranger = app.add_client("registry", None).await;
    app.confirm_as(&stranger, &location).await.problem(404, "not_found");
    app.get(&stranger.token, &location).await.problem(404, "not_found");
    app.confirm_as(&colleague, &format!("/v1/loss-reports/{fourth}/withdrawal")).await.problem(404, "not_found");
    let confirmed = app.confirm_as(&colleague, &location).await;
    assert_eq!((confirmed.status, &confirmed.json()["state"]), (200, &json!("withdrawn")), "{}", confirmed.text);
    assert_eq!(app.verdict(number, Some(START)).await, "not_listed");
    let done = app.get(&app.police.token, &location).await.json();
    assert_eq!((&done["state"], done["withdrawn_at"].is_string()), (&json!("withdrawn"), true), "{done}");
    app.confirm_as(&colleague, &location).await.problem(404, "not_found");
    // The other client has a number of its own, and what it withdraws waits no more.
    assert_eq!(app.withdraw_as(&app.police, fourth).await.status, 202);
    assert_eq!(app.withdraw_as(&colleague, fourth).await.status, 200);
    app.confirm_as(&colleague, &format!("/v1/loss-reports/{fourth}/withdrawal")).await.problem(404, "not_found");
    app.clock.advance(std::time::Duration::from_hours(24));
    let police = TestClient { token: app.token_for(&app.police).await, ..app.police.clone() };
    assert_eq!(app.withdraw_as(&police, fifth).await.status, 200, "a new day in Beijing");
}

/// What waits is done as done by the client that asked: it is judged again by what holds then.
#[tokio::test]
async fn a_withdrawal_is_not_confirmed_whose_asker_may_not_ask_any_more() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 0).await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let mut reports = Vec::new();
    for asker in ["disabled", "suspended", "of no office", "late", "of another", "in force"] {
        let client = app.add_client_of(app.police.organization, "registry").await;
        let number = random_number();
        let report = app.file(&app.police, &number).await;
        assert_eq!(app.withdraw_as(&client, &report).await.status, 202, "{asker}");
        reports.push((asker, client, format!("/v1/loss-reports/{report}/withdrawal"), number));
    }
    let refused = async |at: usize, status, code: &str, why: &str| {
        let (asker, _, location, number) = &reports[at];
        let problem = app.confirm_as(&colleague, location).await.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(why), "{asker}: {problem}");
        assert_eq!(app.verdict(number, Some(START)).await, "card_listed", "{asker}");
    };
    app.change_client(&reports[0].1, |client, now_ms| client.disabled_at_ms = Some(now_ms)).await;
    refused(0, 409, "wrong_state", "not let in").await;
    app.change_client(&reports[1].1, |client, now_ms| client.suspended_at_ms = Some(now_ms)).await;
    refused(1, 409, "wrong_state", "not let in").await;
    app.set_offices(&app.police, "110106", false).await;
    let path = format!("{}/confirmation", reports[2].2);
    let confirm = async || app.post(&colleague.token, &path, &json!({"office": "110106-01"})).await;
    eventually("the node knows its offices", async || confirm().await.text.contains("any more")).await;
    confirm().await.problem(403, "office_not_yours");
    app.set_offices(&app.police, "", false).await;
    eventually("the node knows its offices", async || app.confirm_as(&colleague, &reports[5].2).await.status == 200)
        .await;
    assert_eq!(app.verdict(&reports[5].3, Some(START)).await, "not_listed");
    // Another client asks in the place of one that is locked out.
    let location = &reports[0].2;
    let again = app.post(&reports[3].1.token, location, &json!({"office": "110105-03", "reason": "found"})).await;
    assert_eq!(again.status, 202, "{}", again.text);
    assert_eq!(app.confirm_as(&colleague, location).await.status, 200);
    app.clock.advance(std::time::Duration::from_hours(7 * 24 + 1));
    let colleague = TestClient { token: app.token_for(&colleague).await, ..colleague };
    let (_, asker, location, _) = &reports[3];
    app.confirm_as(&colleague, location).await.problem(409, "wrong_state");
    app.get(&colleague.token, location).await.problem(404, "not_found");
    let asker = TestClient { token: app.token_for(asker).await, ..asker.clone() };
    let again = app.post(&asker.token, location, &json!({"office": "110105-03", "reason": "found"})).await;
    assert_eq!(again.status, 202, "{}", again.text);
    assert_eq!(app.confirm_as(&colleague, location).await.status, 200);
}

/// Nor is one of a report that its organization may end no more.
#[tokio::test]
async fn a_withdrawal_of_others_is_confirmed_only_while_they_may_be_ended() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 0).await;
    let other = app.add_client("registry", None).await;
    let colleague = app.add_client_of(other.organization, "registry").await;
    app.set_offices(&other, "1", true).await;
    let (number, found) = (random_number(), random_number());
    let report = app.file(&app.police, &number).await;
    app.file(&app.police, &found).await;
    let card = app.found_as(&other, &found).await;
    eventually("the node knows it", async || app.withdraw_as(&other, &report).await.status == 202).await;
    let waits = app.hand_back_as(&other, &card).await;
    assert_eq!(waits.status, 202, "{}", waits.text);
    app.set_offices(&other, "1", false).await;
    app.confirm_as(&colleague, &format!("/v1/loss-reports/{report}/withdrawal")).await.problem(404, "not_found");
    app.confirm_as(&colleague, waits.header("location")).await.problem(403, "office_not_yours");
    for number in [&number, &found] {
        assert_eq!(app.verdict(number, Some(START)).await, "card_listed");
    }
}

#[tokio::test]
async fn returns_of_found_cards_count_and_a_portals_own_withdrawals_do_not() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 1).await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let (first, second) = (random_number(), random_number());
    app.file(&app.police, &first).await;
    let report = app.file(&app.police, &second).await;
    let cards = [app.found_as(&app.police, &first).await, app.found_as(&app.police, &second).await];
    assert_eq!(app.hand_back_as(&app.police, &cards[0]).await.status, 200);
    let waits = app.hand_back_as(&app.police, &cards[1]).await;
    let location = format!("/v1/loss-reports/{report}/withdrawal");
    assert_eq!((waits.status, waits.header("location")), (202, location.as_str()), "{}", waits.text);
    assert_eq!(cards[1], format!("/v1/found-cards/{}", text(&waits.json()["found_card_id"])));
    assert_eq!(app.get(&app.police.token, &cards[1]).await.json()["state"], "held");
    assert_eq!(app.verdict(&second, Some(START)).await, "card_listed");
    assert_eq!(app.confirm_as(&colleague, &location).await.status, 200);
    assert_eq!(app.get(&app.police.token, &cards[1]).await.json()["state"], "returned");
    assert_eq!(app.verdict(&second, Some(START)).await, "not_listed");
    // A card that nobody has reported ends nothing.
    let unreported = app.found_as(&app.police, &random_number()).await;
    assert_eq!(app.hand_back_as(&app.police, &unreported).await.status, 200);
    let portal = app.add_client("citizen", None).await;
    for _ in 0..3 {
        let number = random_number();
        let filed = json!({"id_number": number, "reason": "lost"});
        let filed = app.post(&portal.token, "/v1/citizen/loss-reports", &filed).await.json();
        let path = format!("/v1/citizen/loss-reports/{}/withdrawal", text(&filed["report_id"]));
        let answer = app.post(&portal.token, &path, &json!({"id_number": number, "reason": "found"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn what_happens_otherwise_waits_no_more() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 1).await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let spent = app.file(&app.police, &random_number()).await;
    assert_eq!(app.withdraw_as(&app.police, &spent).await.status, 200);
    let number = random_number();
    let report = app.file(&app.police, &number).await;
    let location = format!("/v1/loss-reports/{report}/withdrawal");
    assert_eq!(app.withdraw_as(&app.police, &report).await.status, 202);
    assert_eq!(app.replace(&number, "2026-11-01").await.status, 201);
    app.confirm_as(&colleague, &location).await.problem(404, "not_found");
    app.withdraw_as(&app.police, &report).await.problem(409, "report_not_active");
    // A card that left otherwise is not returned with it.
    let number = random_number();
    let report = app.file(&app.police, &number).await;
    let card = app.found_as(&app.police, &number).await;
    assert_eq!(app.hand_back_as(&app.police, &card).await.status, 202);
    let transfer = json!({"office": "110105-03", "to_office": "310104-01"});
    assert_eq!(app.post(&app.police.token, &format!("{card}/transfer"), &transfer).await.status, 200);
    app.confirm_as(&colleague, &format!("/v1/loss-reports/{report}/withdrawal")).await.problem(404, "not_found");
}

/// An earlier start of a replacement ends the listing of cards, as a withdrawal does.
#[tokio::test]
async fn earlier_starts_of_replacements_count_as_withdrawals_and_later_ones_do_not() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 2).await;
    let sibling = app.sibling().await;
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    let mut recorded = Vec::new();
    for _ in 0..4 {
        let number = random_number();
        let answer = app.replace(&number, "2026-11-01").await;
        recorded.push((text(&answer.json()["replacement_id"]), number));
    }
    let correct = async |by: &TestClient, at: usize, start: &str| -> Answer {
        let path = format!("/v1/replacements/{}/correction", recorded[at].0);
        [&app, &sibling][at % 2].post(&by.token, &path, &json!({"card_valid_from": start, "office": "110105-03"})).await
    };
    let police = &app.police;
    for at in [0, 1] {
        assert_eq!(correct(police, at, "1984-04-07").await.status, 200);
    }
    for at in [2, 3] {
        correct(police, at, "1984-04-07").await.problem(403, "another_must_confirm");
        assert_eq!(app.verdict(&recorded[at].1, Some(START)).await, "card_listed");
        assert_eq!(correct(police, at, "2026-11-02").await.status, 200, "a later one lists more cards");
    }
    let filed = app.file(police, &random_number()).await;
    assert_eq!(app.withdraw_as(police, &filed).await.status, 202, "one number for both");
    // What is set right again ended nothing.
    assert_eq!(correct(police, 0, "2026-11-01").await.status, 200);
    assert_eq!(app.withdraw_as(police, &filed).await.status, 200);
    correct(police, 2, "1984-04-07").await.problem(403, "another_must_confirm");
    assert_eq!(correct(&colleague, 2, "2016-05-01").await.status, 200);
    assert_eq!(app.verdict(&recorded[2].1, Some(START)).await, "other_card_listed");
    app.clock.advance(std::time::Duration::from_hours(24));
    sibling.clock.advance(std::time::Duration::from_hours(24));
    let police = TestClient { token: app.token_for(police).await, ..police.clone() };
    assert_eq!(correct(&police, 3, "1984-04-07").await.status, 200, "a new day in Beijing");
}

/// Two devices are two clients, and one clerk is one clerk.
#[tokio::test]
async fn a_clerk_does_not_confirm_their_own_withdrawal_at_another_device() {
    let app = TestApp::spawn_with(|config| config.registry.withdrawals_per_day = 0).await;
    let operator = app.add_client("admin", None).await;
    let (first, second) = (
        Page::pair(&app, &operator, json!(["registry"])).await,
        Page::pair(&app, &operator, json!(["registry"])).await,
    );
    let report = app.file(&app.police, &random_number()).await;
    let (location, office) = (format!("/v1/loss-reports/{report}/withdrawal"), json!({"office": "110105-03"}));
    let asked = json!({"office": "110105-03", "reason": "found"});
    let waits = first.post(&app, &first.unlock(&app, "Li").await, &location, &asked).await;
    assert_eq!(waits.status, 202, "{}", waits.text);
    let confirm = async |clerk: &str| {
        let token = second.unlock(&app, clerk).await;
        second.post(&app, &token, &format!("{location}/confirmation"), &office).await
    };
    for same in ["Li", "li"] {
        confirm(same).await.problem(403, "another_must_confirm");
    }
    assert_eq!(confirm("Wang").await.status, 200);
}
