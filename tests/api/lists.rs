//! Lists of what a registrar keeps: pages while rows are added, states, offices and instants, whose rows they are, and what a query does not
//! take. Misuse reports have their own rules beside these (`misuse_reports`).

use std::collections::BTreeSet;
use std::time::Duration;

use lostcard::clock::Rfc3339;
use serde_json::{Value, json};

use crate::applications::application_of;
use crate::bodies::{later, random_number, report_of, with};
use crate::certificates::certificate_of;
use crate::helpers::{Answer, TestApp, TestClient};

/// A collection, what a row of it is made of, and what that row is called.
struct Collection {
    path: &'static str,
    member: &'static str,
    id: &'static str,
    /// The member of the body that names the office.
    office: &'static str,
    body: fn(&TestApp) -> Value,
}

const COLLECTIONS: [Collection; 5] = [
    Collection {
        path: "/v1/loss-reports",
        member: "loss_reports",
        id: "report_id",
        office: "office",
        body: |_| report_of(&random_number(), Some("2016-05-01")),
    },
    Collection {
        path: "/v1/replacements",
        member: "replacements",
        id: "replacement_id",
        office: "office",
        body: |_| json!({"id_number": random_number(), "card_valid_from": "2026-11-01", "office": "110105-03"}),
    },
    Collection {
        path: "/v1/found-cards",
        member: "found_cards",
        id: "found_card_id",
        office: "office",
        body: |app| {
            json!({"id_number": random_number(), "card_valid_from": "2016-05-01",
                "found_on": app.clock.today().to_string(), "found_at_region": "110105", "office": "110105-03"})
        },
    },
    Collection {
        path: "/v1/replacement-applications",
        member: "replacement_applications",
        id: "application_id",
        office: "applied_at_office",
        body: |_| with(application_of(&random_number()), "applied_at_office", "110105-03"),
    },
    Collection {
        path: "/v1/temporary-certificates",
        member: "temporary_certificates",
        id: "certificate_id",
        office: "office",
        body: |_| certificate_of(&random_number(), "lodging"),
    },
];

impl Collection {
    /// Makes a row of a police office; its id.
    async fn add(&self, app: &TestApp, office: &str) -> String {
        let body = with((self.body)(app), self.office, office);
        let answer = app.post(&app.police.token, self.path, &body).await;
        assert_eq!(answer.status, 201, "{}: {}", self.path, answer.text);
        // An id begins with its instant; certificates count seconds.
        app.clock.advance(Duration::from_secs(1));
        answer.json()[self.id].as_str().unwrap().to_owned()
    }

    async fn list(&self, app: &TestApp, by: &TestClient, query: &str) -> Answer {
        app.get(&by.token, &format!("{}{query}", self.path)).await
    }

    async fn page(&self, app: &TestApp, query: &str) -> Value {
        let answer = self.list(app, &app.police, query).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store"),
            "{}: {}",
            self.path,
            answer.text
        );
        answer.json()
    }

    fn ids(&self, page: &Value) -> Vec<String> {
        let rows = page[self.member].as_array().unwrap();
        rows.iter().map(|row| row[self.id].as_str().unwrap().to_owned()).collect()
    }

    async fn found(&self, app: &TestApp, query: &str) -> Vec<String> {
        self.ids(&self.page(app, query).await)
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_end_while_rows_are_added() {
    let app = TestApp::spawn().await;
    for of in &COLLECTIONS {
        assert_eq!(of.page(&app, "").await, json!({of.member: []}), "{}", of.path);
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(of.add(&app, "110105-03").await);
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = of.page(&app, &format!("?limit=2{cursor}")).await;
            let ids = of.ids(&page);
            assert!(ids.len() <= 2, "{}", of.path);
            seen.extend(ids);
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            // A row that is added meanwhile disturbs no page.
            if all.len() < 7 {
                all.push(of.add(&app, "110105-03").await);
            }
        }
        assert_eq!(seen, all, "{}: oldest first, each once", of.path);
        assert_eq!(of.found(&app, "?limit=500").await, all, "{}", of.path);
    }
}

#[tokio::test]
async fn a_list_is_of_an_office_and_since_an_instant() {
    let app = TestApp::spawn().await;
    for of in &COLLECTIONS {
        let before = of.add(&app, "110105-03").await;
        let since = Rfc3339::of(app.clock.now_ms());
        let (here, there) = (of.add(&app, "110105-03").await, of.add(&app, "110105-04").await);
        let since = since.as_str();
        assert_eq!(of.found(&app, &format!("?since={since}")).await, [here.clone(), there.clone()], "{}", of.path);
        assert_eq!(of.found(&app, "?office=110105-03").await, [before.clone(), here.clone()], "{}", of.path);
        assert_eq!(of.found(&app, &format!("?office=110105-03&since={since}")).await, [here], "{}", of.path);
        assert_eq!(of.found(&app, "?office=110105-05").await, [] as [String; 0], "{}", of.path);
        let now = Rfc3339::of(app.clock.now_ms());
        assert_eq!(of.found(&app, &format!("?since={}", now.as_str())).await, [] as [String; 0], "{}", of.path);
        let page = of.page(&app, "?limit=1&office=110105-03").await;
        let cursor = page["next_cursor"].as_str().unwrap();
        let after = of.found(&app, &format!("?cursor={cursor}&since=2020-01-01T00:00:00Z")).await;
        assert_eq!(after.last(), Some(&there), "{}: a cursor is a place, and holds no filter", of.path);
    }
}

#[tokio::test]
async fn a_list_is_of_a_state() {
    let app = TestApp::spawn().await;
    let [reports, _, cards, applications, certificates] = &COLLECTIONS;
    for (of, states, first, leave, then, body) in [
        (reports, 3, "active", "withdrawal", "withdrawn", json!({"office": "110105-03", "reason": "found"})),
        (cards, 4, "held", "transfer", "transferred", json!({"office": "110105-03", "to_office": "310104-01"})),
        (applications, 4, "accepted", "cancellation", "cancelled", json!({"office": "110105-03"})),
        (certificates, 3, "active", "revocation", "revoked", json!({"office": "110105-03"})),
    ] {
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(of.add(&app, "110105-03").await);
        }
        for id in [&all[1], &all[3]] {
            let left = app.post(&app.police.token, &format!("{}/{id}/{leave}", of.path), &body).await;
            assert_eq!(left.status, 200, "{}: {}", of.path, left.text);
        }
        for office in ["", "&office=110105-03"] {
            let (stay, gone) = (format!("?state={first}{office}"), format!("?state={then}{office}"));
            assert_eq!(of.found(&app, &stay).await, [all[0].clone(), all[2].clone()], "{}", of.path);
            assert_eq!(of.found(&app, &gone).await, [all[1].clone(), all[3].clone()], "{}", of.path);
            let second = format!("?limit=2&{}", &office.replace('&', ""));
            assert_eq!(of.found(&app, &second).await, all[..2], "{}: the states together, in one order", of.path);
        }
        let told: BTreeSet<String> = of.page(&app, "").await[of.member]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, [first.to_owned(), then.to_owned()].into(), "{}", of.path);
        let refused = of.list(&app, &app.police, "?state=gone").await;
        assert_eq!(refused.field_errors(), [("/state".to_owned(), "unknown_value".to_owned())]);
        assert!(refused.text.matches(", ").count() >= states - 1, "{}", refused.text);
    }
}

#[tokio::test]
async fn a_certificate_expires_in_its_list_without_a_write() {
    let app = TestApp::spawn().await;
    let of = &COLLECTIONS[4];
    let old = of.add(&app, "110105-03").await;
    app.clock.advance(Duration::from_hours(23));
    let token = app.token_for(&app.police).await;
    let issued = app.post(&token, of.path, &(of.body)(&app)).await.json();
    let new = issued["certificate_id"].as_str().unwrap().to_owned();
    let list = async |token: &str, query: &str| of.ids(&app.get(token, &format!("{}{query}", of.path)).await.json());
    assert_eq!(list(&token, "?state=active").await, [old.clone(), new.clone()]);
    app.clock.advance(Duration::from_hours(1));
    let token = app.token_for(&app.police).await;
    assert_eq!(list(&token, "?state=active").await, std::slice::from_ref(&new));
    assert_eq!(list(&token, "?state=expired").await, std::slice::from_ref(&old));
    assert_eq!(list(&token, "").await, [old, new]);
}

#[tokio::test]
async fn another_organizations_rows_never_appear() {
    let app = TestApp::spawn().await;
    let other = app.add_client("registry", None).await;
    let (hotel, auditor) = (&app.hotel, app.add_client("audit", None).await);
    let colleague = app.add_client_of(app.police.organization, "registry").await;
    for of in &COLLECTIONS {
        let own = of.add(&app, "110105-03").await;
        let page = of.list(&app, &other, "").await;
        assert_eq!((page.status, page.json()), (200, json!({of.member: []})), "{}", of.path);
        let cursor = {
            of.add(&app, "110105-03").await;
            of.page(&app, "?limit=1").await["next_cursor"].as_str().unwrap().to_owned()
        };
        for query in
            [format!("?cursor={cursor}"), "?office=110105-03".to_owned(), "?since=2020-01-01T00:00:00Z".to_owned()]
        {
            assert_eq!(of.list(&app, &other, &query).await.json(), json!({of.member: []}), "{} {query}", of.path);
        }
        assert_eq!(of.ids(&of.list(&app, &colleague, "?limit=1").await.json()), [own], "{}", of.path);
        for who in [hotel, &auditor] {
            of.list(&app, who, "").await.problem(403, "insufficient_scope");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_query_is_named_and_not_repeated() {
    let app = TestApp::spawn().await;
    let number = random_number();
    for of in &COLLECTIONS {
        for (query, pointer, code) in [
            ("limit=0".to_owned(), "/limit", "out_of_range"),
            ("limit=501".to_owned(), "/limit", "out_of_range"),
            ("limit=1e2".to_owned(), "/limit", "out_of_range"),
            ("cursor=x".to_owned(), "/cursor", "malformed_cursor"),
            (format!("cursor={number}"), "/cursor", "malformed_cursor"),
            (format!("office={number}"), "/office", "malformed_office"),
            ("office=".to_owned(), "/office", "malformed_office"),
            (format!("state={number}"), "/state", "unknown_value"),
            ("since=2026-11-23".to_owned(), "/since", "malformed_instant"),
            (format!("since={number}"), "/since", "malformed_instant"),
        ] {
            let answer = of.list(&app, &app.police, &format!("?{query}")).await;
            assert_eq!(answer.field_errors(), [(pointer.to_owned(), code.to_owned())], "{} {query}", of.path);
            assert!(!answer.text.contains(&number), "{}", answer.text);
        }
        for query in [format!("id_number={number}"), "limit=1&limit=1".to_owned(), "after=1".to_owned()] {
            let answer = of.list(&app, &app.police, &format!("?{query}")).await;
            answer.problem(400, "malformed_request");
            assert!(!answer.text.contains(&number), "{}", answer.text);
        }
    }
    // A cursor leads on in its own list alone.
    let [reports, _, cards, ..] = &COLLECTIONS;
    reports.add(&app, "110105-03").await;
    reports.add(&app, "110105-03").await;
    let cursor = reports.page(&app, "?limit=1").await["next_cursor"].as_str().unwrap().to_owned();
    let answer = cards.list(&app, &app.police, &format!("?cursor={cursor}")).await;
    assert_eq!(answer.field_errors(), [("/cursor".to_owned(), "malformed_cursor".to_owned())]);
}

#[tokio::test]
async fn a_listed_report_says_who_made_it_and_where() {
    let app = TestApp::spawn().await;
    let body = with(with(report_of(&random_number(), None), "reporter", "guardian"), "channel", "hall");
    let filed = later(app.report(&body).await.json());
    let told = with(with(with(filed, "reporter", "guardian"), "office", "110105-03"), "channel", "hall");
    assert_eq!(COLLECTIONS[0].page(&app, "").await["loss_reports"], json!([told]));
}
