//! The OpenAPI document as an integrator reads it: each operation says what it needs, costs and refuses, and its examples
//! are true of a running node. That they validate against their schemas is the linters' matter (`tests/openapi/run`).

use std::collections::BTreeSet;

use lostcard::clock::Clock;
use lostcard::domain::instant::UnixMs;
use lostcard::domain::verdict::Verdict;
use lostcard::http::routes::document;
use serde_json::Value;

use crate::audit;
use crate::child;
use crate::deeds::{There, perform, send};
use crate::helpers::TestApp;

/// The day of the examples' story: 2026-11-24 in Beijing.
const STORY_MS: UnixMs = UnixMs::new(1_795_480_000_000);

struct Operation {
    method: &'static str,
    path: &'static str,
    writes: bool,
    value: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn needs_token(&self) -> bool {
        self.value["security"].as_array().is_some_and(|ways| !ways.is_empty())
    }

    fn documents(&self, status: u16) -> bool {
        self.value["responses"].get(status.to_string()).is_some()
    }

    /// Name and value of each example of the request's JSON body; `None` where it has none.
    fn requests(&self) -> Option<Vec<(String, Value)>> {
        let body = |form| self.value.pointer(&format!("/requestBody/content/{form}"));
        body("application~1json").or_else(|| body("application~1merge-patch+json")).map(examples)
    }

    /// The same of each successful JSON answer.
    fn answers(&self) -> Vec<Vec<(String, Value)>> {
        let all = self.value["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
        all.filter_map(|(_, answer)| answer.pointer("/content/application~1json").map(examples)).collect()
    }
}

/// Every operation that is documented and performed; that none is left out of either is told elsewhere.
fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(document()).unwrap();
    let all = audit::operations().map(|(method, path, writes)| {
        let value = document["paths"][path][method].clone();
        Operation { method, path, writes, value }
    });
    all.filter(|operation| !operation.value.is_null()).collect()
}

/// Of one body: named ones, or the single one.
fn examples(content: &Value) -> Vec<(String, Value)> {
    let named = content["examples"].as_object().into_iter().flatten();
    let named = named.map(|(name, example)| (name.clone(), example["value"].clone()));
    named.chain(content.get("example").map(|example| ("example".to_owned(), example.clone()))).collect()
}

/// Path and kind of each member, whatever its place in a list.
fn shape(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                shape(member, &format!("{at}/{name}"), into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, &format!("{at}/-"), into)),
        Value::String(_) => drop(into.insert(format!("{at}: string"))),
        Value::Number(_) => drop(into.insert(format!("{at}: number"))),
        Value::Bool(_) => drop(into.insert(format!("{at}: boolean"))),
        Value::Null => drop(into.insert(format!("{at}: null"))),
    }
}

#[test]
fn every_operation_says_what_it_needs_costs_and_refuses() {
    for operation in operations() {
        let (name, value) = (operation.name(), &operation.value);
        let summary = value["summary"].as_str().unwrap_or_default();
        assert!((5..=60).contains(&summary.len()) && !summary.ends_with('.'), "{name}: summary");
        let description = value["description"].as_str().unwrap_or_default().to_lowercase().replace('\n', " ");
        assert!(description.len() > 40, "{name}: description");
        let has_body = value.get("requestBody").is_some();
        let is_limited = operation.documents(429);
        if operation.needs_token() {
            assert!(
                (description.contains("scope `") || description.contains("any scope")) && description.contains("cost"),
                "{name}: scope and cost"
            );
        } else {
            let tells_cost = if is_limited { "spends" } else { "no limit" };
            assert!(description.contains("no token") && description.contains(tells_cost), "{name}: no token, and cost");
        }
        let takes = |place: &str| value["parameters"].as_array().into_iter().flatten().any(|of| of["in"] == place);
        let mut expected = vec![(400, true), (500, true), (421, !operation.path.starts_with("/health/"))];
        expected.extend([(401, operation.needs_token()), (403, operation.needs_token())]);
        expected.extend([(429, operation.needs_token()), (503, is_limited), (404, takes("path"))]);
        expected.extend([(408, has_body), (413, has_body), (415, has_body)]);
        expected.push((422, operation.requests().is_some()));
        expected.push((507, operation.writes));
        for (status, is_due) in expected {
            assert!(operation.documents(status) || !is_due, "{name}: {status}");
        }
        for (status, answer) in value["responses"].as_object().unwrap() {
            let tells_limit = answer["headers"].get("RateLimit").is_some();
            assert_eq!(
                tells_limit,
                is_limited && status.starts_with('2') && !operation.path.starts_with("/oauth2/"),
                "{name}"
            );
        }
    }
}

#[test]
fn every_body_has_an_example() {
    for operation in operations() {
        let name = operation.name();
        assert!(operation.requests().is_none_or(|examples| !examples.is_empty()), "{name}: request");
        assert!(operation.answers().iter().all(|examples| !examples.is_empty()), "{name}: answer");
    }
    let document = serde_json::to_value(document()).unwrap();
    for (name, refused) in document["components"]["responses"].as_object().unwrap() {
        let examples = examples(&refused["content"]["application/problem+json"]);
        assert!(!examples.is_empty() && examples.iter().all(|(code, problem)| problem["code"] == **code), "{name}");
    }
}

/// A request example is taken: what it may be refused for is that nothing of the story is there, never its form or its values.
/// An answer holds nothing that no example shows.
#[tokio::test]
async fn the_examples_are_true_of_a_running_node() {
    let app = TestApp::spawn_at(Clock::fixed_at(STORY_MS), |config| config.sandbox = true).await;
    let there = There::prepare(&app).await;
    let mut hidden = Vec::new();
    for operation in operations().iter().filter(|operation| operation.path != "/oauth2/token") {
        let name = operation.name();
        let (by, answer) = perform(&app, &there, operation.method, operation.path).await;
        assert!((200..300).contains(&answer.status), "{name}: {}", answer.text);
        assert!(operation.documents(answer.status), "{name}: {} is not documented", answer.status);
        if !operation.answers().is_empty() && answer.header("content-type").contains("json") {
            let (mut shown, mut told) = (BTreeSet::new(), BTreeSet::new());
            operation.answers().iter().flatten().for_each(|(_, example)| shape(example, "", &mut shown));
            shape(&answer.json(), "", &mut told);
            hidden.extend(told.difference(&shown).map(|member| format!("{name} {member}")));
        }
        let nobody = uuid::Uuid::nil().to_string();
        let target: String = operation.path.split('/').fold(String::new(), |target, part| {
            let part = if part.starts_with('{') { nobody.as_str() } else { part };
            if part.is_empty() { target } else { target + "/" + part }
        });
        for (example, body) in operation.requests().into_iter().flatten() {
            let taken = send(&app, &by.token, operation.method, &target, &body).await;
            // The receipt of the story is that of its own service, and none of its codes is good.
            let is_foreign = operation.path == "/v1/receipts/audit"
                && taken.field_errors() == [("/receipt".to_owned(), "not_authentic".to_owned())];
            let is_no_code = taken.status == 403 && taken.json()["code"] == "pairing_refused";
            let is_right = is_foreign || is_no_code || matches!(taken.status, 200..300 | 404 | 409);
            assert!(is_right, "{name} {example}: {}", taken.text);
            assert!(operation.documents(taken.status), "{name} {example}: {}", taken.status);
        }
    }
    assert!(hidden.is_empty(), "members that no example shows: {hidden:#?}");
}

#[test]
fn the_verdicts_are_all_shown_with_their_advice() {
    let all = operations();
    let check = all.iter().find(|operation| operation.path == "/v1/checks").unwrap();
    let mut shown = BTreeSet::new();
    for (name, answer) in check.answers().remove(0) {
        let verdict = Verdict::ALL.iter().find(|verdict| answer["verdict"] == verdict.as_str()).unwrap();
        assert_eq!(name, verdict.as_str());
        assert_eq!(answer["advice"], verdict.advice().as_str());
        assert_eq!(answer["advice_text"].as_str().unwrap_or_default(), verdict.advice().text());
        shown.insert(name);
    }
    assert_eq!(shown.len(), Verdict::ALL.len());
}

/// The author of a verifier has a receipt and keys that belong together.
#[test]
fn the_receipt_of_the_examples_is_signed_by_their_keys() {
    let all = operations();
    let of = |path: &str| all.iter().find(|operation| operation.path == path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = of("/.well-known/jwks.json").answers()[0][0].1.to_string();
    std::fs::write(path("jwks.json"), keys).unwrap();
    let requests = of("/v1/receipts/verify").requests().unwrap();
    let (_, asked) = requests.iter().find(|(_, body)| body.get("receipt_salt").is_some()).unwrap();
    let text = |member: &str| asked[member].as_str().unwrap();
    std::fs::write(path("receipt"), text("receipt")).unwrap();
    std::fs::write(path("number"), text("id_number")).unwrap();
    let (jwks, number, receipt) = (path("jwks.json"), path("number"), path("receipt"));
    let args = ["receipt", "verify", "--json", "--jwks", &jwks, "--salt", text("receipt_salt"), "--id-number-file"];
    let rest = [number.as_str(), &receipt];
    let verified = child::run_json(folder.path(), &[args.as_slice(), rest.as_slice()].concat());
    assert_eq!((&verified["authentic"], &verified["opens"]), (&true.into(), &true.into()), "{verified}");
}
