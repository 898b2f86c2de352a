//! `POST /v1/checks`: every row of the product's table, the forms of a number, the shape of the answer.

use serde_json::{Value, json};

use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::helpers::TestApp;
use crate::registry_log;

const BEFORE: &str = "2006-05-01";
const LOST: &str = "2016-05-01";
const AFTER: &str = "2016-05-02";

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_start_that_no_card_has_is_no_newer_card() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    let ahead = |days| app.clock.today().checked_add(jiff::Span::new().days(days)).unwrap().to_string();
    // The end of validity of a card for twenty years, in the start's place.
    for (date, code) in [
        ("2036-05-01", "starts_too_far_ahead"),
        (&*ahead(2), "starts_too_far_ahead"),
        (&*ahead(90), "starts_too_far_ahead"),
        ("9999-12-31", "starts_too_far_ahead"),
        ("1984-04-05", "before_first_cards"),
    ] {
        let errors = app.check(&check_of(&number, Some(date))).await.field_errors();
        assert_eq!(errors, [("/card_valid_from".to_owned(), code.to_owned())], "{date}");
        let batch = app.check_batch(&[check_of(&number, Some(date))]).await.json();
        assert_eq!(batch["results"][0]["problem"]["errors"][0]["code"], code, "{date}");
    }
    assert_eq!(app.verdict(&number, Some("1984-04-06")).await, "card_listed");
    // A new card may be handed out on the day before it starts.
    assert_eq!(app.verdict(&number, Some(&ahead(1))).await, "other_card_listed");
}

#[tokio::test]
async fn every_row_of_the_verdict_table_holds() {
    let app = TestApp::spawn().await;
    let (none, known, unknown) = (random_number(), random_number(), random_number());
    app.report_lost(&known, Some(LOST)).await;
    app.report_lost(&unknown, None).await;
    for (number, presented, verdict, advice) in [
        (&none, None, "not_listed", "proceed"),
        (&none, Some(LOST), "not_listed", "proceed"),
        (&known, Some(BEFORE), "card_listed", "refuse_and_report"),
        (&known, Some(LOST), "card_listed", "refuse_and_report"),
        (&known, Some(AFTER), "other_card_listed", "proceed"),
        (&known, None, "number_listed", "confirm_card"),
        (&unknown, None, "number_listed", "confirm_card"),
        (&unknown, Some(LOST), "number_listed", "confirm_card"),
    ] {
        let answer = app.check(&check_of(number, presented)).await.json();
        assert_eq!((&answer["verdict"], &answer["advice"]), (&json!(verdict), &json!(advice)), "{presented:?}");
        assert_eq!(answer.get("listing").is_none(), verdict == "not_listed", "{answer}");
        let text = answer.get("advice_text").map(|text| text.as_str().unwrap());
        assert_eq!(text.is_none(), advice == "proceed", "{answer}");
        assert!(text.is_none_or(|text| text.contains("temporary identification certificate")), "the way out: {answer}");
    }
}

#[tokio::test]
async fn the_latest_of_several_thresholds_wins() {
    let app = TestApp::spawn().await;
    let number = random_number();
    app.report_lost(&number, Some(LOST)).await;
    app.report_lost(&number, Some(BEFORE)).await;
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(app.verdict(&number, Some(AFTER)).await, "other_card_listed");
}

#[tokio::test]
async fn a_digest_asks_for_the_same_person_as_the_number() {
    let app = TestApp::spawn().await;
    let (number, other) = (random_number(), random_number());
    app.report_lost(&number, Some(LOST)).await;
    for digest in [digest_of(&number), digest_of(&number).to_uppercase()] {
        let body = json!({"id_digest": digest, "card_valid_from": LOST, "purpose": "banking"});
        assert_eq!(app.check(&body).await.json()["verdict"], "card_listed");
    }
    let body = json!({"id_digest": digest_of(&other), "purpose": "banking"});
    assert_eq!(app.check(&body).await.json()["verdict"], "not_listed");
}

#[tokio::test]
async fn a_lower_case_x_is_the_same_number_in_reports_and_checks() {
    let app = TestApp::spawn().await;
    let ends_in_x = || loop {
        let number = random_number();
        if number.ends_with('X') {
            return number;
        }
    };
    let (one, two) = (ends_in_x(), ends_in_x());
    app.report_lost(&one.to_lowercase(), Some(LOST)).await;
    app.report_lost(&two, Some(LOST)).await;
    for number in [&one, &two] {
        assert_eq!(app.verdict(number, Some(LOST)).await, "card_listed");
        assert_eq!(app.verdict(&number.to_lowercase(), Some(LOST)).await, "card_listed");
        assert_eq!(app.search(&number.to_lowercase()).await.json()["reports"].as_array().unwrap().len(), 1);
    }
    // The receipt of one form opens with the other.
    let answer = app.check(&check_of(&one.to_lowercase(), None)).await.json();
    let opening = json!({"receipt": answer["receipt"], "receipt_salt": answer["receipt_salt"], "id_number": one});
    assert_eq!(app.verify_receipt(&opening).await.json()["opens"], true);
}

#[tokio::test]
async fn an_answer_has_the_documented_members_and_no_others() {
    let app = TestApp::spawn().await;
    let (listed, unlisted) = (random_number(), random_number());
    let report = app.report_lost(&listed, Some(LOST)).await;
    let full = with(with(check_of(&unlisted, Some(LOST)), "client_ref", "folio-77"), "site", "hotel:3");
    let miss = app.check(&full).await;
    assert_eq!((miss.status, miss.header("content-type")), (200, "application/json"));
    let miss = miss.json();
    let always = ["advice", "as_of", "check_id", "receipt", "receipt_salt", "registry_sequence", "verdict"];
    assert_eq!(members(&miss), always);
    let hit = app.check(&check_of(&listed, Some(LOST))).await.json();
    let mut with_listing = [always.as_slice(), &["advice_text", "listing"]].concat();
    with_listing.sort_unstable();
    assert_eq!(members(&hit), with_listing);
    assert_eq!(members(&hit["listing"]), ["kind", "since"]);
    assert_eq!(hit["listing"]["kind"], "reported");
    // Not equal: a filter that is saved in the background puts its mark into the feed.
    assert!(hit["registry_sequence"].as_u64() >= report["registry_sequence"].as_u64());
    assert_eq!(hit["listing"]["since"], app.clock.today().to_string());
    let id: uuid::Uuid = hit["check_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let as_of = hit["as_of"].as_str().unwrap();
    assert!(as_of.len() == 24 && as_of.ends_with('Z') && as_of.parse::<jiff::Timestamp>().is_ok(), "{as_of}");
}

#[tokio::test]
async fn a_receipt_comes_unless_it_is_declined() {
    let app = TestApp::spawn().await;
    let number = random_number();
    for (wanted, comes) in [(json!(true), true), (json!(false), false)] {
        let answer = app.check(&with(check_of(&number, None), "receipt", wanted)).await.json();
        assert_eq!((answer.get("receipt").is_some(), answer.get("receipt_salt").is_some()), (comes, comes));
    }
}

#[tokio::test]
async fn a_hit_and_a_miss_are_of_the_same_length() {
    let app = TestApp::spawn().await;
    let (none, known, unknown, replaced) = (random_number(), random_number(), random_number(), random_number());
    app.report_lost(&known, Some(LOST)).await;
    app.report_lost(&unknown, None).await;
    assert_eq!(app.replace(&replaced, LOST).await.status, 201);
    // Heads of receipts name the log's checkpoint from here on, always the same one.
    registry_log::begin(&app).await;
    for receipt in [true, false] {
        let mut lengths = Vec::new();
        for (number, presented) in
            [(&none, LOST), (&known, LOST), (&known, AFTER), (&unknown, LOST), (&replaced, BEFORE), (&replaced, LOST)]
        {
            let answer = app.check(&with(check_of(number, Some(presented)), "receipt", receipt)).await;
            assert_eq!(answer.status, 200);
            lengths.push((answer.text.len(), answer.headers.len()));
        }
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
    }
}

#[tokio::test]
async fn wrong_values_are_refused_by_pointer_and_code() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let good = check_of(&number, None);
    let digest = digest_of(&number);
    let run = format!("folio-{number}");
    for (body, pointer, code) in [
        (json!({"purpose": "lodging"}), "", "exactly_one"),
        (with(good.clone(), "id_digest", digest.clone()), "", "exactly_one"),
        (json!({"id_digest": &digest[1..], "purpose": "other"}), "/id_digest", "malformed_digest"),
        (with(good.clone(), "purpose", "Lodging"), "/purpose", "unknown_value"),
        (with(good.clone(), "card_valid_from", "2016-5-1"), "/card_valid_from", "malformed_date"),
        (with(good.clone(), "card_valid_from", "2023-02-29"), "/card_valid_from", "malformed_date"),
        (with(good.clone(), "client_ref", run), "/client_ref", "malformed_label"),
        (with(good.clone(), "client_ref", "a b"), "/client_ref", "malformed_label"),
        (with(good.clone(), "site", "x".repeat(65)), "/site", "malformed_label"),
        (with(good.clone(), "site", ""), "/site", "malformed_label"),
        (check_of("110105194912310021", None), "/id_number", "wrong_check_character"),
        (check_of("110105491231002", None), "/id_number", "fifteen_digits"),
        (check_of("１１０１０５１９４９１２３１００２Ｘ", None), "/id_number", "full_width"),
    ] {
        assert_eq!(app.check(&body).await.field_errors(), [(pointer.to_owned(), code.to_owned())]);
    }
    let all = with(with(check_of("1", Some("x")), "purpose", "x"), "site", "?");
    assert_eq!(app.check(&all).await.field_errors().len(), 4, "every wrong member is reported");
}

#[tokio::test]
async fn wrong_shapes_are_refused_whatever_they_hold() {
    let app = TestApp::spawn().await;
    let number = random_number();
    for body in [
        // Every member in its place: an array that filled the structure would get as far as a 422.
        json!([number, digest_of(&number), LOST, "lodging", "site", "ref", true]),
        with(check_of(&number, None), "site", Value::Null),
        with(check_of(&number, None), "receipt", "true"),
        with(check_of(&number, None), "extra", 1),
        json!({"id_number": number}),
    ] {
        let problem = app.check(&body).await.problem(400, "malformed_json");
        assert!(!problem.to_string().contains(&number));
    }
    let twice = format!(r#"{{"id_number":"{number}","id_number":"{number}","purpose":"lodging"}}"#);
    let request = app.request("POST", "/v1/checks").header("content-type", "application/json").body(twice);
    app.send(request.bearer_auth(&app.hotel.token)).await.problem(400, "malformed_json");
}

#[tokio::test]
async fn checks_need_their_scope() {
    let app = TestApp::spawn().await;
    let answer = app.post(&app.police.token, "/v1/checks", &check_of(&random_number(), None)).await;
    answer.problem(403, "insufficient_scope");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer error="insufficient_scope", scope="checks""#);
    let answer = app.post(&app.hotel.token, "/v1/loss-reports", &report_of(&random_number(), None)).await;
    answer.problem(403, "insufficient_scope");
}
