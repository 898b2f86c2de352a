//! Labels: marks and codes that callers choose, which are stored, shown and logged in plain text. None carries an identity number,
//! however it is cut up; the long numbers of booking systems are taken.

use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of, with};
use crate::helpers::TestApp;

/// Numbers with separators that each label takes.
fn cut_up(number: &str, separator: &str) -> Vec<String> {
    let (region, birth, rest) = (&number[..6], &number[6..14], &number[14..]);
    vec![
        number.to_owned(),
        format!("{region}{separator}{birth}{separator}{rest}"),
        format!("f{separator}{number}{separator}7"),
        number.chars().map(String::from).collect::<Vec<_>>().join(separator),
    ]
}

#[tokio::test]
async fn a_label_that_holds_a_number_is_refused_by_its_pointer() {
    let app = TestApp::spawn().await;
    for number in [random_number(), "531504200701017707".to_owned(), "11010519491231002X".to_owned()] {
        for (member, separators) in [("site", "._:-"), ("client_ref", "._:-")] {
            for label in separators.chars().flat_map(|separator| cut_up(&number, &separator.to_string())) {
                let answer = app.check(&with(check_of(&random_number(), None), member, label.clone())).await;
                assert_eq!(answer.field_errors(), [(format!("/{member}"), "malformed_label".to_owned())], "{label}");
            }
        }
        for office in cut_up(&number, "-").into_iter().filter(|office| office.len() <= 32) {
            let answer = app.report(&with(report_of(&random_number(), None), "office", office.clone())).await;
            assert_eq!(answer.field_errors(), [("/office".to_owned(), "malformed_office".to_owned())], "{office}");
        }
    }
}

#[tokio::test]
async fn long_numbers_of_other_systems_are_taken() {
    let app = TestApp::spawn().await;
    for label in [
        "4200001234202611281234567890",
        "1234567890123456",
        "01993c5e-0000-7000-8000-000000000000",
        "2026-11-28:0042",
        "110105194912310021",
    ] {
        for member in ["site", "client_ref"] {
            let answer = app.check(&with(check_of(&random_number(), None), member, label)).await;
            assert_eq!(answer.status, 200, "{member} {label}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn an_id_of_a_request_that_holds_a_number_is_replaced() {
    let app = TestApp::spawn().await;
    for id in cut_up("531504200701017707", "-").into_iter().chain(cut_up("11010519491231002X", "-")) {
        let answer = app.send(app.request("GET", "/health/live").header("X-Request-Id", &id)).await;
        let made: uuid::Uuid = answer.header("x-request-id").parse().unwrap();
        assert_eq!((answer.status, made.get_version_num()), (200, 7), "{id}");
    }
}

#[tokio::test]
async fn an_id_of_a_request_that_holds_none_stays() {
    let app = TestApp::spawn().await;
    for id in [
        "4200001234202611281234567890",
        "110105194912310021",
        "123456789012345",
        "01993c5e-0000-7000-8000-000000000000",
    ] {
        let answer = app.send(app.request("GET", "/health/live").header("X-Request-Id", id)).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (200, id));
    }
}

#[tokio::test]
async fn a_key_of_a_repeatable_request_holds_no_number() {
    let app = TestApp::spawn().await;
    for separator in ["-", "/", "_", "."] {
        for key in cut_up("531504200701017707", separator) {
            app.report_once(&key, &report_of(&random_number(), None)).await.problem(400, "malformed_request");
        }
    }
    let report: Value = report_of(&random_number(), None);
    assert_eq!(app.report_once("4200001234202611281234567890", &report).await.status, 201);
    let body = json!({"id_number": "x"});
    app.report_once("4200001234202611281234567891", &body).await.problem(400, "malformed_json");
}
