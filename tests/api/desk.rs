//! The desk page as a browser gets it: headers, types, and that each file it names is there. What it does is tried in a browser
//! by `tests/browser`.

use std::collections::BTreeSet;

use crate::helpers::TestApp;

/// What is named between the marks, in order.
fn named<'a>(text: &'a str, before: &str, after: char) -> BTreeSet<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

/// Where a file's neighbours are; the page's are in its own folder.
fn folder_of(path: &str) -> &str {
    if path.starts_with("/web/") { "/web" } else { "/desk" }
}

#[tokio::test]
async fn each_file_of_the_page_is_served_with_its_type_and_policy() {
    let app = TestApp::spawn().await;
    let page = app.get("", "/desk").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let mut waiting: Vec<String> = vec!["/desk".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = app.get("", &path).await;
        assert_eq!(file.status, 200, "{path}");
        let expected = match path.rsplit_once('.').map(|(_, end)| end) {
            None => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(file.header("content-type"), expected, "{path}");
        assert_eq!(file.header("cache-control"), "no-cache", "{path}");
        assert_eq!(file.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(file.header("referrer-policy"), "no-referrer", "{path}");
        let policy = file.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {rule}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        waiting.extend(named(&file.text, "\"/desk/", '"').into_iter().map(|name| format!("/desk/{name}")));
        waiting.extend(named(&file.text, "\"/web/", '"').into_iter().map(|name| format!("/web/{name}")));
        waiting.extend(named(&file.text, "\"../web/", '"').into_iter().map(|name| format!("/web/{name}")));
        waiting.extend(named(&file.text, "\"./", '"').into_iter().map(|name| format!("{}/{name}", folder_of(&path))));
    }
    assert!(seen.contains("/desk/zh.js") && seen.contains("/desk/en.js"), "{seen:?}");
    assert_eq!(seen.len(), 15, "a file that nothing names, or one too many: {seen:?}");
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let app = TestApp::spawn().await;
    let first = app.get("", "/desk/app.js").await;
    let tag = first.header("etag").to_owned();
    let again = app.send(app.request("GET", "/desk/app.js").header("If-None-Match", &tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(again.header("etag"), tag);
    let other = app.send(app.request("GET", "/desk/app.js").header("If-None-Match", "\"another\"")).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn nothing_else_is_under_the_desk() {
    let app = TestApp::spawn().await;
    for path in ["/desk/", "/desk/index.html", "/desk/nothing.js", "/desk/..%2fmod.rs", "/desk?id_number=1"] {
        app.get("", path).await.problem(404, "not_found");
    }
    app.send(app.request("POST", "/desk")).await.problem(405, "method_not_allowed");
    assert!(app.get("", "/").await.text.contains("href=\"/desk\""), "the start page links it");
}

#[tokio::test]
async fn the_page_carries_no_inline_code_and_names_no_other_host() {
    let app = TestApp::spawn().await;
    let page = app.get("", "/desk").await.text;
    for word in ["style=", "onclick=", "onsubmit=", "<style", "http://", "https://"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.matches("<script").count() == 1 && page.contains("<script type=\"module\" src="));
}
