//! What describes the API: the OpenAPI document, the reference in the browser, a page for every problem.

use std::collections::BTreeSet;

use lostcard::http::contract::openapi::files;
use lostcard::http::contract::problem;
use lostcard::http::routes::{ROUTES, document};
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number};
use crate::helpers::TestApp;
use crate::http::target;
use crate::registry_log;

/// Method and path of each operation of the document.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &'_ Value)| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect()
    };
    let all: Vec<_> = paths.iter().flat_map(of_path).collect();
    all.into_iter()
        .map(|(method, path)| {
            let operation = &document["paths"][&path][&method];
            (method, path, operation)
        })
        .collect()
}

#[tokio::test]
async fn the_served_document_is_the_exported_one() {
    let app = TestApp::spawn().await;
    let answer = app.get("", "/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let [(name, text), (older_name, older)] = files(&document()).unwrap();
    assert_eq!((name, older_name), ("lostcard.json", "lostcard-3.0.json"));
    let exported: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer.json(), exported);
    let mut twin: Value = serde_json::from_str(&older).unwrap();
    assert_eq!((&exported["openapi"], &twin["openapi"]), (&"3.1.0".into(), &"3.0.3".into()));
    twin["openapi"] = exported["openapi"].clone();
    // 3.0 has no section for them.
    let webhooks = twin.as_object_mut().unwrap().remove("x-webhooks").unwrap();
    assert!(webhooks["alertCreated"]["post"].is_object());
    twin["webhooks"] = webhooks;
    assert_eq!(
        twin,
        with_bearer_alone(exported),
        "the twins differ in the version, in the name of one section and in what 3.0 does not know"
    );
}

/// `mutualTLS` came with 3.1, and generators make clients that fail at a scheme that they do not know.
fn with_bearer_alone(mut document: Value) -> Value {
    let schemes = document["components"]["securitySchemes"].as_object_mut().unwrap();
    let is_beside = |name: &str| ["dpop", "mtls"].contains(&name);
    schemes.retain(|name, _| !is_beside(name));
    for path in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in path.as_object_mut().unwrap().values_mut() {
            if let Some(ways) = operation.get_mut("security").and_then(Value::as_array_mut) {
                ways.retain(|way| !way.as_object().unwrap().keys().any(|name| is_beside(name)));
            }
        }
    }
    document
}

#[tokio::test]
async fn who_has_the_document_or_the_keys_is_not_sent_them_again() {
    let app = TestApp::spawn().await;
    for path in ["/openapi.json", "/.well-known/jwks.json"] {
        let first = app.get("", path).await;
        let tag = first.header("etag");
        assert!(first.status == 200 && tag.starts_with('"') && !first.text.is_empty(), "{path}");
        for (known, status) in [(tag, 304), (&format!("\"other\", W/{tag}"), 304), ("*", 304), ("\"other\"", 200)] {
            let answer = app.send(app.request("GET", path).header("if-none-match", known)).await;
            assert_eq!((answer.status, answer.header("etag")), (status, tag), "{path} {known}");
            assert_eq!(answer.text.is_empty(), status == 304, "{path} {known}");
        }
    }
}

#[test]
fn every_route_is_in_the_document_and_the_reverse() {
    let [(_, text), _] = files(&document()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let documented: BTreeSet<_> = operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let routed: BTreeSet<_> = ROUTES.iter().map(|row| (row.verb().to_owned(), row.path.to_owned())).collect();
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn every_documented_operation_is_served() {
    let app = TestApp::spawn_sandbox().await;
    registry_log::begin(&app).await;
    let [(_, text), _] = files(&document()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    for (method, path, operation) in operations(&document) {
        let answer = app.send(app.request(&method.to_uppercase(), &target(&path))).await;
        assert!(!matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
        // What asks for a token says so in the document, and the reverse.
        let asks = answer.status == 401 && answer.header("www-authenticate").starts_with("Bearer");
        assert_eq!(operation["security"] != serde_json::json!([]), asks, "{method} {path}");
        let status = answer.status.to_string();
        assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {status} is not documented");
    }
}

#[test]
fn the_document_keeps_to_shapes_that_every_generator_handles() {
    let [(_, text), _] = files(&document()).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    // Words of the catalogue are no shapes: one is `null`.
    document["components"]["schemas"]["FieldError"]["properties"]["code"]["x-extensible-enum"].take();
    let text = serde_json::to_string_pretty(&document).unwrap();
    for word in ["\"oneOf\"", "\"anyOf\"", "\"allOf\"", "\"null\"", "\"prefixItems\"", "\"oauth2\"", "\"int64u\""] {
        assert!(!text.contains(word), "{word}");
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        assert!(operation["responses"].get("default").is_none());
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[tokio::test]
async fn every_problem_has_its_page() {
    let app = TestApp::spawn().await;
    let start = app.get("", "/").await;
    for kind in problem::ALL {
        let path = format!("/problems/{}", kind.code);
        let page = app.get("", &path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert!(page.text.contains(kind.title) && page.text.contains(&kind.status.as_u16().to_string()), "{path}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        let words = app.send(app.request("GET", &path).header("accept", "application/json")).await;
        assert_eq!((words.header("content-type"), words.header("vary")), ("application/json", "Accept"));
        let words = words.json();
        assert_eq!((&words["code"], &words["status"]), (&kind.code.into(), &kind.status.as_u16().into()));
        for text in ["title", "happened", "why", "remedy"].iter().flat_map(|word| ["en", "zh"].map(|l| &words[l][word]))
        {
            let text = text.as_str().unwrap().replace('<', "&lt;").replace('>', "&gt;");
            assert!(page.text.contains(&text), "{path}: {text}");
        }
        let bridges = kind.status.is_server_error() || ["408", "429"].contains(&kind.status.as_str());
        assert_eq!(words["zh"].get("at_the_desk").is_some(), bridges, "{path}");
        assert_eq!(page.text.contains("Never keep the card"), bridges, "{path}");
        assert!(start.text.contains(&path), "{path} is not on the start page");
    }
    app.get("", "/problems/no_such_code").await.problem(404, "not_found");
    // Programs and browsers say what they take in many ways (RFC 9110, 12.5.1).
    for (accept, is_json) in [
        ("*/*", false),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
        ("application/json, text/plain, */*", true),
        ("APPLICATION/JSON", true),
        ("application/json; charset=utf-8", true),
        ("application/json, text/html;q=0.1", true),
        ("application/json;q=0.1, text/html", false),
        ("application/json;q=0, text/*", false),
        ("text/html;q=0, */*", true),
        ("application/*", true),
        ("application/json, text/html", false),
        ("text/csv", false),
        ("", false),
    ] {
        let answer = app.send(app.request("GET", "/problems/not_found").header("accept", accept)).await;
        let expected = if is_json { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{accept}");
    }
}

#[tokio::test]
async fn security_txt_is_the_operators_word_and_never_out_of_date() {
    const PATH: &str = "/.well-known/security.txt";
    let app = TestApp::spawn().await;
    app.get("", PATH).await.problem(404, "not_found");

    let app = TestApp::spawn_with(|config| {
        config.public_url = Some("https://lostcard.example".to_owned());
        config.security.contact = Some("mailto:security@lostcard.example".to_owned());
        config.security.policy = Some("https://lostcard.example/disclosure".to_owned());
    })
    .await;
    let answer = app.get("", PATH).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    let field = |name: &str| {
        let lines: Vec<_> =
            answer.text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
        assert_eq!(lines.len(), 1, "{name}: {}", answer.text);
        lines[0]
    };
    assert_eq!(field("Contact"), "mailto:security@lostcard.example");
    assert_eq!(field("Canonical"), "https://lostcard.example/.well-known/security.txt");
    assert_eq!(field("Policy"), "https://lostcard.example/disclosure");
    assert_eq!(field("Preferred-Languages"), "zh, en");
    let expires: jiff::Timestamp = field("Expires").parse().unwrap();
    let days = (expires.as_second() - app.clock.now_s()) / (24 * 60 * 60);
    assert!((29..=31).contains(&days), "{days}");
    assert!(answer.text.ends_with('\n') && answer.text.lines().count() == 5, "{}", answer.text);
}

#[tokio::test]
async fn the_reference_comes_from_the_binary_alone() {
    let app = TestApp::spawn().await;
    let bare = app.send(app.request("GET", "/docs")).await;
    assert_eq!((bare.status, bare.header("content-type")), (200, "text/html"), "follows to /docs/");
    let page = app.get("", "/docs/").await;
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let links = |text: &str| -> Vec<String> {
        let after =
            |mark: &'static str| text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        after("src=\"").chain(after("href=\"")).collect()
    };
    let assets = links(&page.text);
    assert!(assets.iter().any(|asset| asset.contains("swagger-ui")), "{assets:?}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} comes from elsewhere");
        let path = format!("/docs/{}", asset.trim_start_matches("./"));
        let answer = app.get("", &path).await;
        assert!(answer.status == 200 && !answer.text.is_empty(), "{path}: {}", answer.status);
    }
    let initializer = app.get("", "/docs/swagger-initializer.js").await;
    assert!(
        initializer.text.contains("/openapi.json") && !initializer.text.contains("petstore"),
        "{}",
        initializer.text
    );
    app.get("", "/docs/nothing.js").await.problem(404, "not_found");
}

/// What the page's "Authorize" does: the flow of its own document, from its own place, below a prefix or not.
#[tokio::test]
async fn the_reference_gets_a_token_by_itself() {
    let app = TestApp::spawn_with(|config| config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let initializer = app.get("", "/docs/swagger-initializer.js").await.text;
    let named =
        initializer.split("\"url\": \"").nth(1).unwrap_or_else(|| panic!("{initializer}")).split('"').next().unwrap();
    let page = reqwest::Url::parse(&format!("http://{}/docs/", app.address)).unwrap();
    let path = page.join(named).unwrap().path().to_owned();
    for prefix in ["", "/registry"] {
        let request = app.request("GET", &path);
        let request = if prefix.is_empty() { request } else { request.header("X-Forwarded-Prefix", prefix) };
        let document = app.send(request).await.json();
        assert_eq!(document["servers"][0]["url"], format!("{prefix}/"));
        let flow = &document["components"]["securitySchemes"]["client"]["flows"]["clientCredentials"];
        assert_eq!(flow["tokenUrl"], format!("{prefix}/oauth2/token"));
        assert!(flow["scopes"]["checks"].is_string());
        let security = &document["paths"]["/v1/checks"]["post"]["security"];
        assert_eq!(security, &json!([{"client": ["checks"]}, {"bearer": []}]));
        assert_eq!(document["paths"]["/v1/acceptance/eligibility"]["post"]["security"], json!([]));
        // As Swagger UI asks: Basic, a form, and scopes that may be none.
        for scope in ["", "checks"] {
            let token = flow["tokenUrl"].as_str().unwrap().trim_start_matches(prefix);
            let request = app.request("POST", token).basic_auth(app.hotel.client_id, Some(&app.hotel.secret));
            let request = request.header("X-Requested-With", "XMLHttpRequest");
            let answer = app.send(request.form(&[("grant_type", "client_credentials"), ("scope", scope)])).await;
            let answer = answer.json();
            let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert_eq!(app.post(token, "/v1/checks", &check_of(&random_number(), None)).await.status, 200);
        }
    }
    let exported = app.get("", "/openapi.json").await.json();
    assert_eq!(
        exported["components"]["securitySchemes"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["bearer", "dpop", "mtls"]
    );
}
