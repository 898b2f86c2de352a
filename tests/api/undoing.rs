//! `undo`: what a client did that somebody had stolen is countered by the command line beside running nodes: act by act, once, and
//! nothing that others did since.

use std::time::Duration;

use lostcard::clock::beijing_date;
use serde_json::{Value, json};

use crate::applications::application_of;
use crate::blind_client::Client;
use crate::bodies::{check_of, random_number, report_of, with};
use crate::certificates::certificate_of;
use crate::child;
use crate::found_cards::{read, register};
use crate::helpers::{TestApp, TestClient, eventually};
use crate::registry_log;

const LOST: &str = "2016-05-01";
const EVE: &str = "2026-10-31";
const NEW: &str = "2026-11-01";
const LATE: &str = "2026-11-10";
const BY: [&str; 4] = ["--as", "Wang Fang", "--reason", "ticket 7"];

/// A thief with a client of the police, and the time in which it acts.
struct Theft {
    app: TestApp,
    thief: TestClient,
    from: String,
}

impl Theft {
    /// `prepare` is what was before.
    async fn begin<T>(prepare: impl AsyncFnOnce(&TestApp) -> T) -> (Self, T) {
        let app = TestApp::spawn().await;
        let prepared = prepare(&app).await;
        let thief = app.add_client_of(app.police.organization, "registry").await;
        app.clock.advance(Duration::from_mins(1));
        let from = now(&app);
        (Self { app, thief, from }, prepared)
    }

    async fn act(&self, path: &str, body: &Value) -> Value {
        let answer = self.app.post(&self.thief.token, path, body).await;
        assert!((200..=201).contains(&answer.status), "{path}: {}", answer.text);
        answer.json()
    }

    async fn file(&self, number: &str) -> String {
        text(&self.act("/v1/loss-reports", &report_of(number, Some(LOST))).await["report_id"])
    }

    async fn withdraw(&self, report: &str) {
        let body = json!({"office": "110105-03", "reason": "found"});
        self.act(&format!("/v1/loss-reports/{report}/withdrawal"), &body).await;
    }

    async fn replace(&self, number: &str, start: &str) -> String {
        let body = json!({"id_number": number, "card_valid_from": start, "office": "110105-03"});
        text(&self.act("/v1/replacements", &body).await["replacement_id"])
    }

    /// The theft is over: whatever comes now is not undone.
    fn end(&self) -> String {
        let to = now(&self.app);
        self.app.clock.advance(Duration::from_mins(1));
        to
    }

    fn undo(&self, to: &str, more: &[&str]) -> Value {
        let client = self.thief.client_id.to_string();
        let args = ["undo", "--client", &client, "--from", &self.from, "--to", to, "--json"];
        child::run_json(&self.app.config.data, &[&args[..], &BY, more].concat())
    }
}

fn now(app: &TestApp) -> String {
    lostcard::clock::Rfc3339::of(app.clock.now_ms()).as_str().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The acts of a list, each with another member of it, in order.
fn acts(told: &Value, list: &str, member: &str) -> Vec<(String, String)> {
    let entries = told[list].as_array().unwrap().iter();
    let mut acts: Vec<_> = entries.map(|entry| (text(&entry["action"]), text(&entry[member]))).collect();
    acts.sort();
    acts
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

async fn alerts(app: &TestApp, token: &str) -> Vec<(Value, Value)> {
    let answer = app.get(token, "/v1/alerts").await;
    let alerts = answer.json()["alerts"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
    alerts.into_iter().map(|alert| (alert["check_id"].clone(), alert["kind"].clone())).collect()
}

/// The entries that undoings left, as action and person.
async fn undone_in_log(app: &TestApp) -> Vec<(String, Option<String>)> {
    let entries = app.store.list_audit(0).await.unwrap();
    let undone = entries.into_iter().filter(|entry| entry.action.ends_with("_undone"));
    undone.map(|entry| (entry.action, entry.person)).collect()
}

#[tokio::test]
async fn each_act_is_countered_once_and_every_node_knows() {
    let [lost, undated, mine] = [(); 3].map(|()| random_number());
    let (theft, (report, undated_report, card)) = Theft::begin(async |app| {
        let report = text(&app.report_lost(&lost, Some(LOST)).await["report_id"]);
        let undated_report = text(&app.report_lost(&undated, None).await["report_id"]);
        app.report_lost(&mine, Some(LOST)).await;
        (report, undated_report, register(app, &mine, Some(LOST)).await)
    })
    .await;
    let (app, sibling) = (&theft.app, theft.app.sibling().await);
    let [watched, false_report, twice] = [(); 3].map(|()| random_number());
    let before = app.check(&with(check_of(&watched, Some(LOST)), "watch_hours", 24)).await.json();
    theft.file(&watched).await;
    theft.file(&false_report).await;
    let told_wrongly = app.check(&check_of(&false_report, Some(LOST))).await.json();
    assert_eq!(told_wrongly["verdict"], "card_listed");
    theft.withdraw(&report).await;
    let passed = app.check(&with(check_of(&lost, Some(LOST)), "watch_hours", 24)).await.json();
    assert_eq!(passed["verdict"], "not_listed");
    theft.replace(&undated, &app.clock.today().to_string()).await;
    let superseded = app.check(&check_of(&undated, Some(EVE))).await.json();
    assert_eq!(superseded["verdict"], "card_listed");
    let path = format!("/v1/found-cards/{}/return", text(&card["found_card_id"]));
    theft.act(&path, &json!({"office": "310104-01", "holder_verified_by": "face"})).await;
    assert_eq!(app.verdict(&mine, Some(LOST)).await, "not_listed");
    let own = theft.file(&twice).await;
    theft.withdraw(&own).await;
    let certificate = theft.act("/v1/temporary-certificates", &certificate_of(&random_number(), "lodging")).await;
    let application = theft.act("/v1/replacement-applications", &application_of(&random_number())).await;
    assert_eq!(app.get(&theft.thief.token, &format!("/v1/loss-reports/{report}")).await.status, 200);
    let to = theft.end();
    let later = random_number();
    theft.file(&later).await;

    let expected = owned(&[
        ("application_made", "application_undone"),
        ("certificate_issued", "certificate_undone"),
        ("found_card_returned", "found_card_return_undone"),
        ("replacement_recorded", "replacement_undone"),
        ("report_filed", "report_filing_undone"),
        ("report_filed", "report_filing_undone"),
        ("report_filed", "report_filing_undone"),
        ("report_withdrawn", "report_withdrawal_undone"),
        ("report_withdrawn", "report_withdrawal_undone"),
    ]);
    let head = app.changes().await;
    let dry = theft.undo(&to, &["--dry-run"]);
    assert_eq!(acts(&dry, "undone", "undone_by"), expected, "{dry}");
    assert_eq!(app.changes().await, head, "a dry run changes nothing");
    assert!(undone_in_log(app).await.is_empty());

    let told = theft.undo(&to, &[]);
    assert_eq!(acts(&told, "undone", "undone_by"), expected, "{told}");
    assert_eq!((&told["left"], &told["nothing_left"]), (&json!([]), &json!(1)), "the withdrawal of its own report");
    assert_eq!(told["reads"], json!([{"action": "report_read", "count": 1}]));
    // The command has returned: no lease of before is left.
    for node in [app, &sibling] {
        for (number, verdict) in
            [(&watched, "not_listed"), (&false_report, "not_listed"), (&twice, "not_listed"), (&later, "card_listed")]
        {
            assert_eq!(node.verdict(number, Some(LOST)).await, verdict);
        }
        assert_eq!(node.verdict(&lost, Some(LOST)).await, "card_listed");
        assert_eq!(node.verdict(&mine, Some(LOST)).await, "card_listed");
        // The report that does not know its card counts again.
        assert_eq!(node.verdict(&undated, Some(EVE)).await, "number_listed");
    }
    for (report, state) in [(&report, "active"), (&undated_report, "active"), (&own, "withdrawn")] {
        assert_eq!(app.read_report(report).await.json()["state"], state);
    }
    assert_eq!(read(app, &card).await["state"], "held");
    let path = format!("/v1/temporary-certificates/{}", text(&certificate["certificate_id"]));
    assert_eq!(app.get(&app.police.token, &path).await.json()["state"], "revoked");
    let path = format!("/v1/replacement-applications/{}", text(&application["application_id"]));
    assert_eq!(app.get(&app.police.token, &path).await.json()["state"], "cancelled");
    // Those who were told wrongly learn about it, also where the sighting was still in the journal.
    for expected in [
        (before["check_id"].clone(), json!("check_again")),
        (told_wrongly["check_id"].clone(), json!("check_again")),
        (superseded["check_id"].clone(), json!("check_again")),
        (passed["check_id"].clone(), json!("card_listed")),
    ] {
        println!("waiting for {expected:?} of {:?}", alerts(app, &app.hotel.token).await);
        eventually("an alert", || async { alerts(app, &app.hotel.token).await.contains(&expected) }).await;
    }
    let log = undone_in_log(app).await;
    assert_eq!(log.len(), expected.len() + 1, "{log:?}");
    assert!(log.iter().all(|(_, person)| person.as_deref() == Some("Wang Fang")), "{log:?}");
    assert!(child::run(&app.config.data, &["audit", "verify"]).status.success());

    let (head, told_so_far) = (app.changes().await, alerts(app, &app.hotel.token).await.len());
    let again = theft.undo(&to, &[]);
    assert_eq!((&again["undone"], &again["left"], &again["nothing_left"]), (&json!([]), &json!([]), &json!(10)));
    assert_eq!(app.changes().await, head, "a second time there is nothing left");
    assert_eq!((undone_in_log(app).await, alerts(app, &app.hotel.token).await.len()), (log, told_so_far));
}

/// The log says so too: who checks blindly, and who audits, finds what a direct check says.
#[tokio::test]
async fn who_checks_blindly_sees_that_a_replacement_was_taken_back() {
    let (theft, ()) = Theft::begin(async |app| {
        registry_log::begin(app).await;
    })
    .await;
    let (app, number) = (&theft.app, random_number());
    let mut blind = Client::of(app, app.add_client("blind", None).await, "").await;
    theft.replace(&number, EVE).await;
    assert_eq!(blind.verdict(&number, Some(LOST)).await, "card_listed");
    theft.undo(&theft.end(), &[]);
    assert_eq!(app.verdict(&number, Some(LOST)).await, "not_listed");
    assert_eq!(blind.verdict(&number, Some(LOST)).await, "not_listed");
}

#[tokio::test]
async fn what_others_did_since_is_never_overwritten() {
    let [withdrawn, replaced, corrected] = [(); 3].map(|()| random_number());
    let (theft, ()) = Theft::begin(async |_| ()).await;
    let app = &theft.app;
    let withdrawn_report = theft.file(&withdrawn).await;
    let replaced_report = theft.file(&replaced).await;
    let replacement = theft.replace(&corrected, EVE).await;
    let found = json!({"id_number": random_number(), "card_valid_from": LOST, "found_on": app.clock.today().to_string(),
        "found_at_region": "110105", "office": "110105-03"});
    theft.act("/v1/found-cards", &found).await;
    let to = theft.end();
    assert_eq!(app.withdraw(&withdrawn_report).await.status, 200);
    assert_eq!(app.replace(&replaced, NEW).await.status, 201);
    let path = format!("/v1/replacements/{replacement}/correction");
    let body = json!({"card_valid_from": NEW, "office": "110105-03"});
    assert_eq!(app.post(&app.police.token, &path, &body).await.status, 200);
    let head = app.changes().await;
    for more in [&["--dry-run"] as &[&str], &[], &[]] {
        let told = theft.undo(&to, more);
        assert_eq!(told["undone"], json!([]), "{told}");
        let expected = owned(&[
            ("found_card_registered", "out_of_hand"),
            ("replacement_recorded", "changed_by_others"),
            ("report_filed", "changed_by_others"),
            ("report_filed", "replaced_by_others"),
        ]);
        assert_eq!(acts(&told, "left", "why"), expected, "{told}");
        assert!(told["left"].as_array().unwrap().iter().all(|act| !text(&act["detail"]).is_empty()));
    }
    assert_eq!(app.changes().await, head);
    assert_eq!(app.read_report(&replaced_report).await.json()["state"], "replaced");
    assert_eq!(app.verdict(&corrected, Some(EVE)).await, "card_listed");
    assert!(undone_in_log(app).await.is_empty());
}

#[tokio::test]
async fn a_correction_goes_back_to_the_start_of_before() {
    let [number, blocked] = [(); 2].map(|()| random_number());
    let (theft, starts) = Theft::begin(async |app| {
        let recorded = async |number: &str| text(&app.replace(number, EVE).await.json()["replacement_id"]);
        [recorded(&number).await, recorded(&blocked).await]
    })
    .await;
    let app = &theft.app;
    for id in &starts {
        for start in [NEW, LATE] {
            let body = json!({"card_valid_from": start, "office": "110105-03"});
            theft.act(&format!("/v1/replacements/{id}/correction"), &body).await;
        }
    }
    let wrong = app.check(&check_of(&number, Some(NEW))).await.json();
    assert_eq!(wrong["verdict"], "card_listed");
    let to = theft.end();
    // The card with the start of before is listed by now.
    assert_eq!(app.report(&report_of(&blocked, Some(NEW))).await.status, 201);
    let told = theft.undo(&to, &[]);
    let undone = owned(&[("replacement_corrected", "replacement_correction_undone")]);
    assert_eq!(acts(&told, "undone", "undone_by"), undone, "{told}");
    assert_eq!(acts(&told, "left", "why"), owned(&[("replacement_corrected", "start_listed")]), "{told}");
    assert_eq!(told["nothing_left"], 2, "the later ones");
    assert_eq!(app.verdict(&number, Some(EVE)).await, "other_card_listed");
    assert_eq!(app.verdict(&number, Some(LOST)).await, "card_listed");
    let expected = (wrong["check_id"].clone(), json!("check_again"));
    eventually("an alert", || async { alerts(app, &app.hotel.token).await.contains(&expected) }).await;
}

/// A report that was withdrawn when the new card came would have been ended by it.
#[tokio::test]
async fn a_new_card_of_meanwhile_keeps_a_report_replaced() {
    let number = random_number();
    let (theft, report) = Theft::begin(async |app| text(&app.report_lost(&number, None).await["report_id"])).await;
    let app = &theft.app;
    theft.withdraw(&report).await;
    let to = theft.end();
    let today = app.clock.today().to_string();
    assert_eq!(app.replace(&number, &today).await.status, 201);
    let told = theft.undo(&to, &[]);
    assert_eq!(acts(&told, "undone", "undone_by"), owned(&[("report_withdrawn", "report_withdrawal_undone")]));
    assert_eq!(app.read_report(&report).await.json()["state"], "replaced");
    assert_eq!(app.verdict(&number, Some(&today)).await, "other_card_listed", "the new card is in nobody's way");
}

/// A temporary card that was issued while the report was withdrawn is lost as well: it names the card that is lost again.
#[tokio::test]
async fn a_temporary_card_of_meanwhile_is_lost_with_the_card() {
    let number = random_number();
    let (theft, (report, today)) = Theft::begin(async |app| {
        // Report and application are of one day, which may be about to end.
        let rest = Duration::from_mins(5);
        if beijing_date(app.clock.now_ms().plus(rest)) != app.clock.today() {
            app.clock.advance(rest);
        }
        let today = app.clock.today().to_string();
        (text(&app.report_lost(&number, Some(&today)).await["report_id"]), today)
    })
    .await;
    let app = &theft.app;
    theft.withdraw(&report).await;
    let to = theft.end();
    let applied = app.post(&app.police.token, "/v1/replacement-applications", &application_of(&number)).await.json();
    let path = format!("/v1/replacement-applications/{}", text(&applied["application_id"]));
    let issued = json!({"card_valid_from": today, "office": "110105-03"});
    let lent = app.post(&app.police.token, &format!("{path}/temporary-card"), &issued).await;
    assert_eq!(lent.status, 201, "{}", lent.text);
    let state = async || app.get(&app.police.token, &path).await.json()["temporary_card"]["state"].clone();
    assert_ne!(state().await, "lost");
    theft.undo(&to, &[]);
    assert_eq!(app.verdict(&number, Some(&today)).await, "card_listed");
    assert_eq!(state().await, "lost");
}

#[tokio::test]
async fn a_run_that_was_killed_is_continued_and_nothing_is_undone_twice() {
    let (theft, ()) = Theft::begin(async |_| ()).await;
    let app = &theft.app;
    let numbers: Vec<_> = (0..160).map(|_| random_number()).collect();
    for number in &numbers {
        theft.file(number).await;
    }
    let to = theft.end();
    let client = theft.thief.client_id.to_string();
    let args = ["undo", "--client", &client, "--from", &theft.from, "--to", &to];
    let mut command = child::command(&app.config.data);
    let mut process = command.args(args).args(BY).spawn().unwrap();
    eventually("some are undone", || async { !undone_in_log(app).await.is_empty() }).await;
    let holding = app.hold_writers().await;
    process.kill().unwrap();
    process.wait().unwrap();
    drop(holding);
    let so_far = undone_in_log(app).await.len();
    let told = theft.undo(&to, &[]);
    let now = told["undone"].as_array().unwrap().len();
    assert_eq!(told["nothing_left"], 160 - now, "{so_far} were in the log");
    let log = undone_in_log(app).await;
    assert_eq!(log.iter().filter(|(action, _)| action == "report_filing_undone").count(), 160);
    for number in &numbers {
        assert_eq!(app.verdict(number, Some(LOST)).await, "not_listed");
    }
    let head = app.store.feed_totals().await.unwrap();
    assert_eq!((head.0, head.1), (head.2, head.0), "the feed has no gap");
}

#[tokio::test]
async fn who_undoes_and_why_must_be_told() {
    let (theft, ()) = Theft::begin(async |_| ()).await;
    let client = theft.thief.client_id.to_string();
    let run = |args: &[&str]| child::run(&theft.app.config.data, args);
    let span = ["--from", "2026-11-28T08:00:00+08:00", "--to", "2026-11-28T09:00:00+08:00"];
    let of_client = [&["undo", "--client", &client][..], &span].concat();
    for (args, code, why) in [
        (of_client.clone(), 2, "--as NAME and --reason TEXT"),
        ([&of_client[..], &BY[..2]].concat(), 2, "--as NAME and --reason TEXT"),
        ([&["undo", "--client", &client, "--from", span[3], "--to", span[1]], &BY[..]].concat(), 2, "--from is after"),
        (
            [&["undo", "--client", &client, "--from", "yesterday", "--to", span[1]], &BY[..]].concat(),
            2,
            "an instant is written",
        ),
        ([&["undo", "--client", "01993c5e-0000-7000-8000-000000000000"], &span[..], &BY].concat(), 1, "no such client"),
        ([&of_client[..], &BY].concat(), 0, "not disabled"),
    ] {
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
    }
}
