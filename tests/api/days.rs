//! Days and instants that cannot be: starts of cards to come, offsets that no zone has, journeys and counts of other ages, births
//! before anybody had a card.

use jiff::ToSpan;
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of, with};
use crate::helpers::TestApp;

fn errors_of(pointer: &str, code: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), code.to_owned())]
}

#[tokio::test]
async fn no_card_that_is_shown_starts_later_than_tomorrow() {
    let app = TestApp::spawn().await;
    let day = |days: i64| app.clock.today().saturating_add(days.days()).to_string();
    let number = random_number();
    app.report_lost(&number, Some("2016-05-01")).await;
    for days in [0, 1] {
        assert_eq!(app.verdict(&number, Some(&day(days))).await, "other_card_listed", "in {days} days");
    }
    for days in [2, 30, 90, 91, 4000] {
        let refused = app.check(&check_of(&number, Some(&day(days)))).await;
        assert_eq!(refused.field_errors(), errors_of("/card_valid_from", "starts_too_far_ahead"), "in {days} days");
    }
    let batch = app.check_batch(&[check_of(&number, Some(&day(90))), check_of(&number, Some(&day(1)))]).await.json();
    assert_eq!(batch["results"][0]["problem"]["errors"][0]["pointer"], "/card_valid_from");
    assert_eq!(batch["results"][1]["check"]["verdict"], "other_card_listed");
}

#[tokio::test]
async fn instants_have_offsets_of_this_world() {
    let app = TestApp::spawn().await;
    let tell = async |observed_at: String| {
        let body = json!({"id_number": random_number(), "kind": "impersonation", "observed_at": observed_at});
        app.post(&app.hotel.token, "/v1/misuse-reports", &body).await
    };
    let yesterday = app.clock.today().yesterday().unwrap();
    for offset in ["Z", "z", "+08:00", "-00:00", "+23:59", ".5Z", ".123456789+05:30"] {
        for letter in ["T", "t"] {
            let answer = tell(format!("{yesterday}{letter}01:02:03{offset}")).await;
            assert_eq!(answer.status, 201, "{letter} {offset} {}", answer.text);
        }
    }
    for offset in ["+24:00", "+25:59", "+08:00:30", "+23:59:59", "+08", "+0800", "+08:60", "-24:00", "", " Z", ".Z"] {
        let answer = tell(format!("{yesterday}T01:02:03{offset}")).await;
        assert_eq!(answer.field_errors(), errors_of("/observed_at", "malformed_instant"), "{offset}");
    }
}

#[tokio::test]
async fn one_lodges_on_a_journey_of_these_days() {
    let app = TestApp::spawn().await;
    let certify = async |journey_on: &str| {
        let body = json!({"id_number": random_number(), "purpose": "lodging", "office": "110105-03", "valid_hours": 24,
            "journey_on": journey_on});
        app.post(&app.police.token, "/v1/temporary-certificates", &body).await
    };
    for days in [-2_i64, 0, 3] {
        let answer = certify(&app.clock.today().saturating_add(days.days()).to_string()).await;
        assert_eq!(answer.status, 201, "{days}: {}", answer.text);
    }
    for (day, code) in [
        ("0000-01-01", "journey_in_past"),
        ("0001-01-01", "journey_in_past"),
        ("1900-01-01", "journey_in_past"),
        ("9999-12-31", "journey_after_expiry"),
    ] {
        assert_eq!(certify(day).await.field_errors(), errors_of("/journey_on", code), "{day}");
    }
}

#[tokio::test]
async fn nothing_was_counted_in_another_age() {
    let app = TestApp::spawn().await;
    for (query, pointer) in [
        ("to=0000-01-01", "/to"),
        ("to=0001-01-01", "/to"),
        ("from=0000-01-01&to=0000-01-02", "/to"),
        ("from=1999-01-01&to=2020-01-01", "/from"),
    ] {
        let answer = app.get(&app.hotel.token, &format!("/v1/usage?{query}")).await;
        assert_eq!(answer.field_errors(), errors_of(pointer, "out_of_range"), "{query}");
    }
}

#[tokio::test]
async fn nobody_was_born_before_1850() {
    let app = TestApp::spawn().await;
    for number in ["110105000101010025", "110105184912310020"] {
        let expected = errors_of("/id_number", "birth_before_1850");
        assert_eq!(app.check(&check_of(number, None)).await.field_errors(), expected);
        assert_eq!(app.report(&report_of(number, None)).await.field_errors(), expected);
        assert_eq!(app.search(number).await.field_errors(), expected);
    }
    assert_eq!(app.verdict("440524188001010014", None).await, "not_listed");
}

#[tokio::test]
async fn ids_in_paths_are_written_as_they_were_given() {
    let app = TestApp::spawn().await;
    let report = app.report_lost(&random_number(), None).await;
    let id = report["report_id"].as_str().unwrap();
    assert_eq!(app.read_report(&id.to_uppercase()).await.json(), app.read_report(id).await.json());
    assert_eq!(app.read_report(&id.to_uppercase()).await.status, 200);
    for other in
        [id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), format!("%7B{id}%7D"), format!("{id}%20")]
    {
        app.read_report(&other).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_story_has_something_to_be_read() {
    let app = TestApp::spawn().await;
    let misuse = json!({"id_number": random_number(), "kind": "impersonation",
        "observed_at": format!("{}T00:00:00Z", app.clock.today().yesterday().unwrap())});
    let tell = async |narrative: &str| {
        app.post(&app.hotel.token, "/v1/misuse-reports", &with(misuse.clone(), "narrative", narrative)).await
    };
    for blank in
        ["\u{200b}\u{200b}", "\u{feff}", "\u{2060}\u{200d}\u{fe0f}", "\u{3164}", " \u{ad} ", "\u{2800}", "\u{e0020}"]
    {
        assert_eq!(tell(blank).await.field_errors(), errors_of("/narrative", "malformed_text"), "{blank:?}");
    }
    assert_eq!(tell("\u{200b}a").await.status, 201);
}

#[tokio::test]
async fn a_state_that_is_none_is_a_wrong_value() {
    let app = TestApp::spawn().await;
    for (query, pointer, code) in [
        ("state=OPEN", "/state", "unknown_value"),
        ("state=", "/state", "unknown_value"),
        ("cursor=x", "/cursor", "malformed_cursor"),
    ] {
        let answer = app.get(&app.police.token, &format!("/v1/misuse-reports?{query}")).await;
        assert_eq!(answer.field_errors(), errors_of(pointer, code), "{query}");
    }
    for query in ["state=open&state=open", "number=1"] {
        let answer = app.get(&app.police.token, &format!("/v1/misuse-reports?{query}")).await;
        answer.problem(400, "malformed_request");
    }
    let open: Value = app.get(&app.police.token, "/v1/misuse-reports?state=open").await.json();
    assert_eq!(open["misuse_reports"], json!([]));
}
