//! What the document promises about webhooks, held against what a receiver gets; and the time that a receiver asks for.

use lostcard::domain::instant::UnixMs;
use serde_json::{Value, json};

use crate::bodies::random_number;
use crate::helpers::TestApp;
use crate::receiver::{Manner, Received, Receiver};
use crate::webhooks::until_received;

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it_up_to_an_hour() {
    for (status, form, asked_s, expected_s) in [
        (503, "seconds", 1800, 1800..=1800),
        (429, "date", 1800, 1798..=1800),
        (503, "seconds", 86_400, 3600..=3600),
        (503, "date", 86_400, 3600..=3600),
        // Less than the service's own pause, and what is no time at all: its own.
        (503, "seconds", 0, 2..=5),
        (503, "date", -60, 2..=5),
        (503, "words", 0, 2..=5),
    ] {
        let mut app = TestApp::with_webhooks().await;
        let told = match form {
            "seconds" => asked_s.to_string(),
            "date" => {
                let at = jiff::Timestamp::from_second(app.clock.now_s() + asked_s).unwrap();
                at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            _ => "soon".to_owned(),
        };
        let receiver = Receiver::start(Manner::Later(status, told.clone())).await;
        app.add_webhook(&receiver.url()).await;
        app.raise().await;
        app.until_counted("refused", 1).await;
        let due = app.store.due_deliveries(UnixMs::MAX, 1).await.unwrap()[0].next_at_ms;
        let waits_s = due.since(app.clock.now_ms()).as_secs();
        assert!(expected_s.contains(&waits_s), "{told}: {waits_s} s");
        // And then it is sent again.
        receiver.change(Manner::Status(204));
        app.clock.advance(due.since(app.clock.now_ms()));
        app.until_settled().await;
        assert_eq!(receiver.count(), 2, "{told}");
    }
}

/// Whether a value is what a schema of the document says, with all members that it may have named there.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let found = document.pointer(name.trim_start_matches('#'));
        return fits(document, found.unwrap_or_else(|| panic!("{at}: {name}")), value, at);
    }
    if let Some(members) = schema["properties"].as_object() {
        let value = value.as_object().unwrap_or_else(|| panic!("{at}"));
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(value.contains_key(name.as_str().unwrap()), "{at}/{name} is promised and not sent");
        }
        for (name, value) in value {
            let schema = members.get(name).unwrap_or_else(|| panic!("{at}/{name} is sent and not in the document"));
            fits(document, schema, value, &format!("{at}/{name}"));
        }
        return;
    }
    if let Some(words) = schema["x-extensible-enum"].as_array().or(schema["enum"].as_array()) {
        assert!(words.contains(value), "{at}: {value} is not among {words:?}");
    }
    match schema["type"].as_str() {
        Some("string") => assert!(value.is_string(), "{at}: {value}"),
        Some("integer") => assert!(value.is_i64(), "{at}: {value}"),
        other => panic!("{at}: a type that this test does not know: {other:?}"),
    }
    match (schema["format"].as_str(), value.as_str()) {
        (Some("date-time"), Some(text)) => assert!(text.parse::<jiff::Timestamp>().is_ok(), "{at}: {text}"),
        (Some("uuid"), Some(text)) => assert!(uuid::Uuid::parse_str(text).is_ok(), "{at}: {text}"),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_sent_is_what_the_document_says() {
    let mut app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(204)).await;
    app.add_webhook(&receiver.url()).await;
    app.raise().await;
    let told = &until_received(&receiver, 1).await[0];
    let document = app.get("", "/openapi.json").await.json();
    let webhooks = document["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.keys().collect::<Vec<_>>(), ["alertCreated", "noticeCreated"], "each has its test here");
    is_as_promised(&document, "alertCreated", told);
}

#[tokio::test]
async fn a_notice_is_what_the_document_says() {
    let app = TestApp::with_webhooks().await;
    let receiver = Receiver::start(Manner::Status(204)).await;
    let portal = app.add_client("citizen", None).await;
    app.add_webhook_of(portal.organization, &receiver.url()).await;
    let number = random_number();
    app.found(&number).await;
    app.report_online(&portal, &number).await;
    let told = &until_received(&receiver, 1).await[0];
    is_as_promised(&app.get("", "/openapi.json").await.json(), "noticeCreated", told);
}

/// Whether what came is what the document says of it.
fn is_as_promised(document: &Value, event: &str, told: &Received) {
    let operation = &document["webhooks"][event]["post"];
    let named = |parameter: &Value| {
        assert_eq!((&parameter["in"], &parameter["required"]), (&json!("header"), &json!(true)));
        parameter["name"].as_str().unwrap().to_owned()
    };
    let mut promised: Vec<_> = operation["parameters"].as_array().unwrap().iter().map(named).collect();
    promised.sort();
    // What every client sends by itself is in no document.
    let of_http = ["accept", "content-length", "content-type", "host", "user-agent"];
    let sent = told.headers.keys().map(|name| name.as_str().to_owned());
    let mut sent: Vec<_> = sent.filter(|name| !of_http.contains(&name.as_str())).collect();
    sent.sort();
    assert_eq!(sent, promised);
    let content = operation["requestBody"]["content"].as_object().unwrap();
    assert_eq!(content.keys().collect::<Vec<_>>(), [told.header("content-type")]);
    let content = &content["application/json"];
    fits(document, &content["schema"], &told.json(), "sent");
    fits(document, &content["schema"], &content["example"], "example");
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&told.json()), members(&content["example"]));
    assert_eq!(members(&told.json()["data"]), members(&content["example"]["data"]));
    assert_eq!(told.json()["type"], content["example"]["type"]);
    // The examples of the headers have the form of what is sent.
    for parameter in operation["parameters"].as_array().unwrap() {
        let (name, example) = (parameter["name"].as_str().unwrap(), parameter["example"].as_str().unwrap());
        let form = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || "+/".contains(c) { 'x' } else { c }).collect()
        };
        assert_eq!(form(told.header(name)), form(example), "{name}");
    }
}
