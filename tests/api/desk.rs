//! The desk page and the auditor's as a browser gets them: headers, types, and that each file that they name is there. What they do
//! is tried in a browser by `tests/browser`.

use std::collections::BTreeSet;

use crate::helpers::TestApp;

/// What is named between the marks, in order.
fn named<'a>(text: &'a str, before: &str, after: char) -> BTreeSet<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

/// Pages, and of how many files each is made.
const PAGES: [(&str, usize); 3] = [("/desk", 39), ("/station", 31), ("/verify", 21)];

/// Every file that a page names, and those that they name, each tried.
async fn walk(app: &TestApp, page: &str) -> BTreeSet<String> {
    let mut waiting: Vec<String> = vec![page.to_owned()];
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
        // A vendored file is complete.
        if path.ends_with(".min.js") {
            continue;
        }
        assert_stays_below_a_prefix(&path, &file.text);
        let own = if path.starts_with("/web/") { "/web" } else { page };
        let relative = page.trim_start_matches('/');
        waiting
            .extend(named(&file.text, &format!("\"{relative}/"), '"').into_iter().map(|name| format!("{page}/{name}")));
        waiting.extend(named(&file.text, "\"web/", '"').into_iter().map(|name| format!("/web/{name}")));
        waiting.extend(named(&file.text, "\"../web/", '"').into_iter().map(|name| format!("/web/{name}")));
        waiting.extend(named(&file.text, "\"./", '"').into_iter().map(|name| format!("{own}/{name}")));
    }
    seen
}

#[tokio::test]
async fn each_file_of_the_pages_is_served_with_its_type_and_policy() {
    let app = TestApp::spawn().await;
    for (page, files) in PAGES {
        let seen = walk(&app, page).await;
        assert!(["zh", "en"].iter().all(|name| seen.contains(&format!("{page}/{name}.js"))), "{seen:?}");
        assert_eq!(seen.len(), files, "a file that nothing names, or one too many: {seen:?}");
    }
}

/// A page may be served below a path: it asks for nothing from the root but what `at` puts below it.
#[track_caller]
pub(crate) fn assert_stays_below_a_prefix(path: &str, text: &str) {
    for from_root in
        ["href=\"/", "src=\"/", "from \"/", "import(\"/", "fetch(\"/", "fetch(`/", "url(/", "location.origin"]
    {
        assert!(!text.contains(from_root), "{path}: {from_root}");
    }
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
    // Tags of others may hold what this service's never do (RFC 9110, 8.8.3), and lists of them may be long.
    let long = "\"a\", ".repeat(1000);
    for path in ["/desk/app.js", "/.well-known/jwks.json", "/openapi.json", "/desk"] {
        for odd in ["\"\u{e9}\"", "\u{e9}", "no tag", "", &long] {
            let answer = app.send(app.request("GET", path).header("If-None-Match", odd)).await;
            assert_eq!(answer.status, 200, "{path} {odd:.9}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn nothing_else_is_under_the_pages() {
    let app = TestApp::spawn().await;
    for (page, _) in PAGES {
        for rest in ["/", "/index.html", "/nothing.js", "/..%2fmod.rs", "?id_number=1"] {
            app.get("", &format!("{page}{rest}")).await.problem(404, "not_found");
        }
        app.send(app.request("POST", page)).await.problem(405, "method_not_allowed");
        assert!(app.get("", "/").await.text.contains(&format!("href=\"{page}\"")), "the start page links it");
    }
}

#[tokio::test]
async fn the_pages_carry_no_inline_code_and_name_no_other_host() {
    let app = TestApp::spawn().await;
    for (path, _) in PAGES {
        let page = app.get("", path).await.text;
        for word in ["style=", "onclick=", "onsubmit=", "<style", "http://", "https://"] {
            assert!(!page.contains(word), "{path}: {word}");
        }
        assert!(page.matches("<script").count() == 1 && page.contains("<script type=\"module\" src="));
    }
}
