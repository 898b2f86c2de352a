//! JSON as real clients send it, and how a body of another shape is told: by the pointer to its member.

use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, report_of, with};
use crate::helpers::{Answer, TestApp};

/// Pointer and code of the member that a 400 names.
#[track_caller]
fn member_of(answer: &Answer) -> (String, String) {
    let problem = answer.problem(400, "malformed_json");
    let [error] = problem["errors"].as_array().unwrap().as_slice() else { panic!("{problem}") };
    (error["pointer"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
}

async fn send(app: &TestApp, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = app.request("POST", "/v1/checks").bearer_auth(&app.hotel.token).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request).await
}

#[tokio::test]
async fn what_real_clients_add_to_the_type_is_passed_over() {
    let app = TestApp::spawn().await;
    let body = || check_of(&random_number(), None).to_string().into_bytes();
    for good in [
        "application/json; charset=utf8",
        "application/json;charset=us-ascii",
        "application/json; charset=utf-8;",
        "application/json; odata.metadata=minimal; charset=utf-8",
        "application/json; version=1",
    ] {
        assert_eq!(send(&app, &[("Content-Type", good)], body()).await.status, 200, "{good}");
    }
    for bad in ["application/json; charset=charset=utf-8", "application/json; charset=utf-8; charset=utf-16"] {
        send(&app, &[("Content-Type", bad)], body()).await.problem(415, "unsupported_media_type");
    }
    let json = ("Content-Type", "application/json");
    for second in ["text/plain", "application/json"] {
        send(&app, &[json, ("Content-Type", second)], body()).await.problem(400, "malformed_request");
    }
    let encoding = |value| ("Content-Encoding", value);
    assert_eq!(send(&app, &[json, encoding("identity"), encoding("identity")], body()).await.status, 200);
    for encodings in [["identity", "gzip"], ["gzip", "identity"], ["br", "gzip"]] {
        let headers = [json, encoding(encodings[0]), encoding(encodings[1])];
        send(&app, &headers, body()).await.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let app = TestApp::spawn().await;
    let marked = format!("\u{feff}{}", check_of(&random_number(), None));
    let json = ("Content-Type", "application/json");
    assert_eq!(send(&app, &[json], marked.clone().into_bytes()).await.status, 200);
    send(&app, &[json], format!("\u{feff}{marked}").into_bytes()).await.problem(400, "malformed_json");
}

#[tokio::test]
async fn a_member_of_another_type_is_told_by_its_pointer() {
    let app = TestApp::spawn().await;
    let check = check_of(&random_number(), None);
    for (member, value, code) in [
        ("card_valid_from", Value::Null, "null"),
        ("id_digest", Value::Null, "null"),
        ("site", Value::Null, "null"),
        ("receipt", Value::Null, "null"),
        ("receipt", json!("yes"), "wrong_type"),
        ("watch_hours", json!("24"), "wrong_type"),
        ("purpose", json!(7), "wrong_type"),
        ("id_number", json!([1]), "wrong_type"),
    ] {
        let answer = app.check(&with(check.clone(), member, value)).await;
        assert_eq!(member_of(&answer), (format!("/{member}"), code.to_owned()));
        let problem = answer.json();
        let told = problem["detail"].as_str().unwrap();
        assert!(code != "null" || told.contains("null"), "{told}");
    }
    assert_eq!(
        member_of(&app.check(&json!({"id_number": "x"})).await),
        ("/purpose".to_owned(), "missing_member".to_owned())
    );
    assert_eq!(
        member_of(&app.check(&with(check.clone(), "secret", 1)).await),
        (String::new(), "unknown_member".to_owned())
    );
    // Its name is the caller's and stays unsaid, whatever it looks like.
    for name in ["a`b", "`110105194912310", "110105194912310`", "1101051949", "a`, expected `b", "/a~b", "\u{0}"] {
        let answer = app.check(&with(check.clone(), name, json!({"a": 1}))).await;
        assert_eq!(member_of(&answer), (String::new(), "unknown_member".to_owned()), "{name}");
        assert!(!answer.text.contains("110105") && !answer.text.contains('`'), "{name}: {}", answer.text);
    }
    let batch = app.check_batch(&[with(check.clone(), "site", Value::Null), with(check, "a`b", 1)]).await.json();
    let error = &batch["results"][1]["problem"]["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!(""), &json!("unknown_member")));
    let error = &batch["results"][0]["problem"]["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/site"), &json!("null")));
    let answer = app.post(&app.hotel.token, "/v1/checks/batch", &json!({"checks": null})).await;
    assert_eq!(member_of(&answer), ("/checks".to_owned(), "null".to_owned()));
}

#[tokio::test]
async fn a_contact_of_another_shape_is_told_by_its_pointer() {
    let app = TestApp::spawn().await;
    let number = random_number();
    let found = json!({"id_number": number, "found_on": app.clock.today().to_string(), "found_at_region": "310104",
        "office": "310104-01"});
    for (path, member, body) in
        [("/v1/loss-reports", "contact", report_of(&number, None)), ("/v1/found-cards", "finder_contact", found)]
    {
        let send = async |text: &str| {
            let body = body.to_string();
            let body = format!("{},\"{member}\":{text}}}", body.strip_suffix('}').unwrap());
            let request = app.request("POST", path).bearer_auth(&app.police.token);
            app.send(request.header("Content-Type", "application/json").body(body)).await
        };
        for (text, pointer, code) in [
            ("null", "", "null"),
            ("7", "", "wrong_type"),
            ("[\"13800138000\"]", "", "wrong_type"),
            ("true", "", "wrong_type"),
            ("{}", "/phone", "missing_member"),
            ("{\"phone\":null}", "/phone", "null"),
            ("{\"phone\":13800138000}", "/phone", "wrong_type"),
            ("{\"phone\":\"13800138000\",\"email\":\"a\"}", "", "unknown_member"),
            ("{\"phone\":\"13800138000\",\"a`b\":\"a\"}", "", "unknown_member"),
            ("{\"phone\":\"13800138000\",\"`110105194912310\":\"a\"}", "", "unknown_member"),
            ("{\"phone\":\"13800138000\",\"ph\\u006fne\":\"13800138001\"}", "/phone", "duplicate_member"),
        ] {
            let expected = (format!("/{member}{pointer}"), code.to_owned());
            assert_eq!(member_of(&send(text).await), expected, "{path} {text}");
        }
        for (text, pointer, code) in
            [("\"13800138000\"", "", "not_a_contact"), ("{\"phone\":\"none\"}", "/phone", "malformed_phone")]
        {
            assert_eq!(
                send(text).await.field_errors(),
                [(format!("/{member}{pointer}"), code.to_owned())],
                "{path} {text}"
            );
        }
        assert_eq!(send("{\"phone\":\"13800138000\"}").await.status, 201);
    }
}

/// Whatever the type that holds it, and whatever a reader of JSON makes of it.
#[tokio::test]
async fn a_whole_number_out_of_its_range_is_told_so_however_large_it_is() {
    let app = TestApp::spawn().await;
    let id = random_number();
    let operator = app.add_client("admin", None).await;
    let portal = app.add_client("citizen", None).await;
    let blind = app.add_client("blind", None).await;
    let certificate = json!({"id_number": id, "purpose": "lodging", "office": "110105-03"});
    let element = json!({"key": "1", "blinded": ["2HJGxW2spaB-sMYZuHdCsK-ucg7GOQLQwNuBNwkPl2o"], "purpose": "lodging"});
    for (token, path, member, body, beyond) in [
        (&app.hotel.token, "/v1/checks", "watch_hours", check_of(&id, None), &["169"][..]),
        (&app.police.token, "/v1/temporary-certificates", "valid_hours", certificate, &["73"]),
        (&portal.token, "/v1/citizen/records", "limit", json!({"id_number": id}), &["1001"]),
        (&portal.token, "/v1/citizen/accesses", "limit", json!({"id_number": id}), &["1001"]),
        (&operator.token, "/v1/admin/accesses", "limit", json!({"id_number": id}), &["1001"]),
        (&operator.token, "/v1/admin/audit-exports", "after", json!({"reason": "a visit"}), &[]),
        (&blind.token, "/v1/blind/evaluations", "after", element, &[]),
    ] {
        let send = async |number: &str| {
            let body = body.to_string();
            let body = format!("{},\"{member}\":{number}}}", body.strip_suffix('}').unwrap());
            let request = app.request("POST", path).bearer_auth(token).header("Content-Type", "application/json");
            app.send(request.body(body)).await
        };
        for number in ["-1", "-2147483649", "-9223372036854775809", "-99999999999999999999"].iter().chain(beyond) {
            let expected = [(format!("/{member}"), "out_of_range".to_owned())];
            assert_eq!(send(number).await.field_errors(), expected, "{path} {number}");
        }
        for number in ["2147483648", "4294967296", "9223372036854775808", "18446744073709551616", "1e30"] {
            let answer = send(number).await;
            assert_eq!(answer.status, 422, "{path} {number}: {}", answer.text);
            assert!(path.starts_with("/v1/blind") || answer.field_errors()[0].1 == "out_of_range", "{}", answer.text);
        }
        for number in ["1.5", "\"1\"", "true", "[1]", "{}"] {
            assert_eq!(member_of(&send(number).await), (format!("/{member}"), "wrong_type".to_owned()), "{number}");
        }
        let problem = send("1e400").await.problem(400, "malformed_json");
        assert!(problem["detail"].as_str().unwrap().contains("larger than any"), "{problem}");
    }
}

/// Nobody here knows all members of a key or of a browser's answer.
#[tokio::test]
async fn an_object_of_another_standard_has_no_member_twice() {
    let app = TestApp::spawn().await;
    let operator = app.add_client("admin", None).await;
    // A key that two readers would read as two keys. Its members are nobody's but its sender's.
    let twice = r#"{"kty":"OKP","crv":"Ed25519","x":"a","wombat":{"zebra":1,"zebra":2}}"#;
    let client = json!({"organization_id": app.hotel.organization, "scopes": ["checks"]}).to_string();
    let device = r#"{"code":"7K3M-Q9TX","pin_key":"a"}"#.to_owned();
    let passkey = r#"{"ceremony_id":"a"}"#.to_owned();
    for (path, body, member, keys, pointer) in [
        (
            format!("/v1/admin/clients/{}/keys", app.hotel.client_id),
            "{}".to_owned(),
            "keys",
            format!("[{{}},{twice}]"),
            "/keys/1",
        ),
        ("/v1/admin/clients".to_owned(), client, "keys", format!("[{twice}]"), "/keys/0"),
        ("/v1/pairings/registration".to_owned(), device, "key", twice.to_owned(), "/key"),
        ("/v1/passkeys/sign-in".to_owned(), passkey, "credential", twice.to_owned(), "/credential"),
    ] {
        let body = format!("{},\"{member}\":{keys}}}", body.strip_suffix('}').unwrap()).replace("{,", "{");
        let request =
            app.request("POST", &path).bearer_auth(&operator.token).header("Content-Type", "application/json");
        let refused = app.send(request.body(body)).await;
        let problem = refused.problem(400, "malformed_json");
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("duplicate_member")), "{problem}");
        assert!(!refused.text.contains("zebra"));
    }
}

#[tokio::test]
async fn spaces_before_a_token_are_fine() {
    let app = TestApp::spawn().await;
    let body = check_of(&random_number(), None);
    let request = app.request("POST", "/v1/checks").header("Authorization", format!("Bearer   {}", app.hotel.token));
    assert_eq!(app.send(request.json(&body)).await.status, 200);
}
