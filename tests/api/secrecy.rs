//! What must hold for citizens: after a broad scenario against the real binary, neither the database, nor the log at its
//! finest level, nor the metrics, nor any error holds a number or its unkeyed digest, in any form they could have.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lostcard::clock::{Clock, Rfc3339};
use lostcard::domain::ids::ClientId;
use serde_json::{Value, json};

use crate::backend::{database_files, is_postgres, redis_contents};
use crate::bodies::{check_of, digest_of, random_number, report_of, with};
use crate::child::{self, Server, run_json};
use crate::helpers::{Answer, eventually};
use crate::needles::{assert_absent, holds};
use crate::raw;
use crate::sightings::holds_sightings;

const ISSUER: &str = "http://lostcard.test";
const IMPORTED: usize = 5;
const SITE: &str = "west-wing-of-secrecy";
const PHONE: &str = "+86 139-2468-0135";
/// Of narratives and notes, which hold a number besides.
const STORY: &str = "younger than the holder";

/// The binary, a station's client that checks too, a portal's, and all that was sent or refused.
struct Scenario {
    server: Server,
    token: String,
    portal_token: String,
    client_id: ClientId,
    numbers: Vec<String>,
    /// Of certificates: anybody who has one can try numbers against it.
    credentials: Vec<String>,
    errors: Vec<Answer>,
    data: PathBuf,
    /// What the journal of sightings held from one moment to the next.
    journal: Vec<u8>,
}

/// A client of an organization of its own, which acts for offices all over the country.
fn new_client(data: &Path, kind: &str, scopes: &[&str]) -> Value {
    let make = ["organization", "create", "--name", "Harbour Office", "--kind", kind, "--region", "110105", "--json"];
    let organization = run_json(data, &[&make[..], &["--office", "1", "--office", "3"]].concat());
    let create = ["client", "create", "--organization", organization["organization_id"].as_str().unwrap(), "--json"];
    let scopes: Vec<_> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
    run_json(data, &[&create[..], &scopes].concat())
}

async fn token_of(server: &Server, client: &Value) -> String {
    let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let headers = [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let request = raw::request("POST", "/oauth2/token", &headers, form.as_bytes());
    let answer = raw::exchange(server.address, &request).await.unwrap();
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

impl Scenario {
    async fn start(data: &Path, imported: &[String]) -> Self {
        let station = new_client(data, "registrar", &["checks", "registry"]);
        let portal = new_client(data, "portal", &["citizen"]);
        import(data, imported);
        let server = child::serve(data, ISSUER);
        let client_id = station["client_id"].as_str().unwrap().parse().unwrap();
        let (token, portal_token) = (token_of(&server, &station).await, token_of(&server, &portal).await);
        Self {
            server,
            token,
            portal_token,
            client_id,
            numbers: imported.to_vec(),
            credentials: Vec::new(),
            errors: Vec::new(),
            data: data.to_owned(),
            journal: Vec::new(),
        }
    }

    fn number(&mut self) -> String {
        self.numbers.push(random_number());
        self.numbers[self.numbers.len() - 1].clone()
    }

    async fn send(&mut self, status: u16, method: &str, target: &str, extra: &[(&str, &str)], body: &str) -> Answer {
        let mut headers: Vec<_> = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if !headers.iter().any(|(name, _)| name == "Authorization") {
            let token = if target.starts_with("/v1/citizen/") { &self.portal_token } else { &self.token };
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        let request = raw::request(method, target, &headers, body.as_bytes());
        let answer = raw::exchange(self.server.address, &request).await.unwrap();
        assert_eq!(answer.status, status, "{method} {}: {}", target.split('/').nth(2).unwrap_or_default(), answer.text);
        if status >= 400 {
            self.errors.push(answer.clone());
        }
        answer
    }

    async fn post(&mut self, status: u16, path: &str, body: &Value) -> Answer {
        self.send(status, "POST", path, &[], &body.to_string()).await
    }

    /// What registrars and hotels do all day.
    async fn good_day(&mut self) {
        for _ in 0..5 {
            let number = self.number();
            let report = with(report_of(&number, Some("2016-05-01")), "contact", json!({"phone": PHONE}));
            self.post(200, "/v1/checks", &with(check_of(&number, Some("2016-05-01")), "watch_hours", 24)).await;
            let filed = self.post(201, "/v1/loss-reports", &report).await;
            let at_site = with(check_of(&number, Some("2016-05-01")), "site", SITE);
            let check = self.post(200, "/v1/checks", &at_site).await.json();
            assert_eq!(check["verdict"], "card_listed");
            self.read_journal();
            let digest = json!({"id_digest": digest_of(&number), "purpose": "other"});
            self.post(200, "/v1/checks", &digest).await;
            let opening =
                json!({"receipt": check["receipt"], "receipt_salt": check["receipt_salt"], "id_number": number});
            assert_eq!(self.post(200, "/v1/receipts/verify", &opening).await.json()["opens"], true);
            let path = format!("{}/sightings", filed.header("location"));
            self.send(200, "GET", &path, &[], "").await;
            self.post(200, "/v1/loss-reports/search", &json!({ "id_number": number })).await;
            let path = format!("{}/withdrawal", filed.header("location"));
            self.post(200, &path, &json!({"office": "110105-03", "reason": "found"})).await;
            self.post(409, &path, &json!({"office": "110105-03", "reason": "found"})).await;
            let replacement = json!({"id_number": number, "card_valid_from": "2020-05-01", "office": "110105-03"});
            self.post(201, "/v1/replacements", &replacement).await;
            self.apply_for_a_card(&number).await;
        }
        self.misuse().await;
        self.found_and_online().await;
        for n in 0..IMPORTED {
            let number = self.numbers[n].clone();
            let check = self.post(200, "/v1/checks", &check_of(&number, Some("2016-05-01"))).await.json();
            assert_eq!(check["verdict"], "card_listed", "it was imported");
            self.read_journal();
        }
        let alerts = self.send(200, "GET", "/v1/alerts", &[], "").await;
        assert_eq!(alerts.json()["alerts"].as_array().unwrap().len(), 5);
        // What is said is said to those who may read it, and names nobody.
        self.errors.push(alerts);
        let watched = with(check_of(&self.number(), None), "watch_hours", 168);
        self.post(200, "/v1/checks", &watched).await;
        let checks: Vec<_> = (0..20).map(|_| check_of(&self.number(), None)).collect();
        self.post(200, "/v1/checks/batch", &json!({ "checks": checks })).await;
        for number in self.numbers.clone() {
            self.post(200, "/v1/checks", &check_of(&number, None)).await;
        }
    }

    /// Misuse reported, read, listed and resolved. A person who writes in their own words writes the number.
    async fn misuse(&mut self) {
        for _ in 0..3 {
            let number = self.number();
            let now = Clock::System.now_ms();
            let story = format!("Showed {number} of {}, {STORY}", digest_of(&number));
            let misuse = json!({
                "id_number": number, "kind": "impersonation", "observed_at": Rfc3339::of(now).as_str(), "narrative": story,
            });
            let body = misuse.to_string();
            self.send(400, "POST", "/v1/misuse-reports", &[("Idempotency-Key", &number)], &body).await;
            let key = digest_of(&number);
            let told = self.send(201, "POST", "/v1/misuse-reports", &[("Idempotency-Key", &key)], &body).await;
            assert!(!told.text.contains(&number), "the answer is kept");
            let again = self.send(201, "POST", "/v1/misuse-reports", &[("Idempotency-Key", &key)], &body).await;
            assert_eq!(again.text, told.text);
            let path = told.header("location").to_owned();
            let read = self.send(200, "GET", &path, &[], "").await.json();
            assert_eq!(read["narrative"], story.as_str(), "who may read it reads it");
            self.send(200, "GET", "/v1/misuse-reports?state=open", &[], "").await;
            self.send(422, "GET", &format!("/v1/misuse-reports?cursor={number}"), &[], "").await;
            self.send(400, "GET", &format!("/v1/misuse-reports?{number}=open"), &[], "").await;
            let resolution = json!({"office": "110105-03", "outcome": "confirmed", "note": story});
            self.post(200, &format!("{path}/resolution"), &resolution).await;
            self.post(409, &format!("{path}/resolution"), &resolution).await;
            for member in ["kind", "check_id", "observed_at", "site", number.as_str()] {
                let status = if member == number { 400 } else { 422 };
                self.post(status, "/v1/misuse-reports", &with(misuse.clone(), member, number.clone())).await;
            }
            self.post(422, "/v1/misuse-reports", &with(misuse, "narrative", format!("{number}\u{0}{STORY}"))).await;
        }
    }

    /// A card that is found and returned, and a person who reports online.
    async fn found_and_online(&mut self) {
        let number = self.number();
        let online = json!({"id_number": number, "reason": "stolen", "contact": {"phone": PHONE}});
        let filed = self.post(201, "/v1/citizen/loss-reports", &online).await.json();
        let found = json!({"id_number": number, "found_on": "2026-01-01", "found_at_region": "310104", "office": "310104-01",
            "finder_contact": {"phone": PHONE}});
        let card = self.post(201, "/v1/found-cards", &found).await;
        assert_eq!(card.json()["matched_report_id"], filed["report_id"]);
        let asked = json!({ "id_number": number });
        assert_eq!(self.post(200, "/v1/citizen/records", &asked).await.json()["found_cards"][0]["state"], "held");
        let back = json!({"card_valid_from": "2016-05-01", "office": "310104-01", "holder_verified_by": "face"});
        self.post(200, &format!("{}/return", card.header("location")), &back).await;
        self.post(409, &format!("{}/return", card.header("location")), &back).await;
        let filed = self.post(201, "/v1/citizen/loss-reports", &online).await.json();
        let path = format!("/v1/citizen/loss-reports/{}/withdrawal", filed["report_id"].as_str().unwrap());
        let other = json!({"id_number": self.number(), "reason": "found"});
        self.post(404, &path, &other).await;
        self.post(200, &path, &with(other, "id_number", number.clone())).await;
        self.post(422, "/v1/found-cards", &with(found.clone(), "finder_contact", number.clone())).await;
        self.post(422, "/v1/found-cards", &with(found, "found_at_region", number.clone())).await;
        self.post(404, &format!("/v1/citizen/loss-reports/{number}/withdrawal"), &online).await;
        self.send(404, "GET", &format!("/v1/found-cards/{number}"), &[], "").await;
    }

    /// The whole life of an application, with a temporary card that is lost.
    async fn apply_for_a_card(&mut self, number: &str) {
        let application = json!({"id_number": number, "applied_at_office": "310104-01", "household_office": "110105-03",
            "reason": "lost", "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false});
        let path = self.post(201, "/v1/replacement-applications", &application).await.header("location").to_owned();
        let office = json!({"office": "310104-01"});
        let card = self.post(201, &format!("{path}/temporary-card"), &office).await.json();
        let start = card["card_valid_from"].as_str().unwrap();
        self.post(201, "/v1/loss-reports", &report_of(number, Some(start))).await;
        let next_month = start.parse::<jiff::civil::Date>().unwrap().saturating_add(jiff::Span::new().days(30));
        let issue = with(office.clone(), "card_valid_from", next_month.to_string());
        self.post(200, &format!("{path}/issue"), &issue).await;
        self.post(409, &format!("{path}/cancellation"), &office).await;
        self.post(200, &format!("{path}/temporary-card/return"), &office).await;
        self.post(422, "/v1/replacement-applications", &with(application.clone(), "household_office", number)).await;
        self.post(422, "/v1/replacement-applications", &with(application, "id_number", format!("{number}0"))).await;
        let question = json!({"household_region": number, "applying_region": &number[..6], "on": number,
            "fingerprint_on_file": true, "appearance_changed": false, "credit_flag": false});
        self.post(422, "/v1/acceptance/eligibility", &question).await;
    }

    /// A segment is there for a moment after a hit, then it is moved to the database.
    fn read_journal(&mut self) {
        for segment in std::fs::read_dir(self.data.join("sightings")).into_iter().flatten() {
            self.journal.extend(std::fs::read(segment.unwrap().path()).unwrap_or_default());
        }
    }

    /// A traveller without a card.
    async fn certificates(&mut self) {
        let number = self.number();
        let asked =
            json!({"id_number": number, "purpose": "rail", "office": "110105-03", "valid_hours": 24}).to_string();
        let key = digest_of(&number);
        for headers in [&[][..], &[("Idempotency-Key", key.as_str())], &[("Idempotency-Key", key.as_str())]] {
            let issued = self.send(201, "POST", "/v1/temporary-certificates", headers, &asked).await;
            let credential = issued.json()["certificate"].as_str().unwrap().to_owned();
            let shown = json!({"certificate": credential, "id_number": number, "purpose": "rail"});
            let verified = self.post(200, "/v1/temporary-certificates/verify", &shown).await.json();
            assert_eq!(verified["status"], "valid");
            self.post(422, "/v1/temporary-certificates/verify", &with(shown, "purpose", number.clone())).await;
            self.credentials.push(credential);
        }
        assert_eq!(self.credentials[1], self.credentials[2], "a repetition");
        let digest = digest_of(&number);
        for target in [&number, &digest, &self.credentials[0].clone()] {
            self.send(404, "GET", &format!("/v1/temporary-certificates/{target}"), &[], "").await;
        }
    }

    /// Numbers wherever clients have been seen to put them.
    async fn bad_day(&mut self) {
        let number = self.number();
        let digest = digest_of(&number);
        let check = check_of(&number, None);
        for target in [
            format!("/v1/loss-reports/{number}"),
            format!("/v1/{number}"),
            format!("/{digest}"),
            format!("/problems/{number}"),
        ] {
            self.send(404, "GET", &target, &[], "").await;
        }
        for target in [format!("/v1/checks?id_number={number}"), format!("/v1/loss-reports/{digest}?x={number}")] {
            self.send(400, "GET", &target, &[], "").await;
        }
        self.send(405, "PUT", "/v1/checks", &[("X-Card", &number)], &check.to_string()).await;
        self.send(421, "POST", "/v1/checks", &[("Host", &format!("{number}.example"))], &check.to_string()).await;
        self.send(417, "POST", "/v1/checks", &[("Expect", &number)], &check.to_string()).await;
        self.send(401, "POST", "/v1/checks", &[("Authorization", &format!("Bearer {number}"))], &check.to_string())
            .await;
        self.send(200, "POST", "/v1/checks", &[("X-Request-Id", &number), ("User-Agent", &number)], &check.to_string())
            .await;
        self.send(400, "POST", "/v1/checks", &[("X-Request-Id", &digest)], &format!("{check}{number}")).await;
        let report = report_of(&number, None).to_string();
        self.send(400, "POST", "/v1/loss-reports", &[("Idempotency-Key", &number)], &report).await;
        self.send(201, "POST", "/v1/loss-reports", &[("Idempotency-Key", &digest)], &report).await;
        let other = report_of(&self.number(), None).to_string();
        self.send(422, "POST", "/v1/loss-reports", &[("Idempotency-Key", &digest)], &other).await;
        // A digest has the form of a reference; it is taken, and kept nowhere, not even as the site of a sighting.
        let taken = 200;
        for (member, of_number, of_digest) in
            [("client_ref", 422, taken), ("site", 422, taken), ("purpose", 422, 422), (number.as_str(), 400, 400)]
        {
            self.post(of_number, "/v1/checks", &with(check.clone(), member, number.clone())).await;
            self.post(of_digest, "/v1/checks", &with(check.clone(), member, digest.clone())).await;
        }
        for wrong in [format!(" {number}"), format!("{number}0"), number[..17].to_owned()] {
            self.post(422, "/v1/checks", &check_of(&wrong, None)).await;
            self.post(422, "/v1/loss-reports", &report_of(&wrong, None)).await;
        }
        self.post(422, "/v1/loss-reports", &with(report_of(&number, None), "office", number.clone())).await;
        self.post(422, "/v1/loss-reports", &with(report_of(&number, None), "contact", number.clone())).await;
        self.post(400, "/v1/checks", &json!({"id_number": number[..17].parse::<u64>().unwrap(), "purpose": "other"}))
            .await;
        self.post(422, "/v1/receipts/verify", &json!({"receipt": number})).await;
        self.post(404, &format!("/v1/loss-reports/{number}/withdrawal"), &json!({"office": "1", "reason": "found"}))
            .await;
    }
}

/// Imports numbers as a registry's first load does.
fn import(data: &Path, numbers: &[String]) {
    let file = data.with_extension("csv");
    let mut text =
        "id_number,card_valid_from,card_valid_until,reason,lost_on,reporter,office,channel,reported_at\n".to_owned();
    for number in numbers {
        let _ =
            writeln!(text, "{number},2016-05-01,,lost,2020-01-01,holder,110105-03,station,2020-01-02T03:04:05.000Z");
    }
    std::fs::write(&file, text).unwrap();
    let output = child::run(data, &["import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = [output.stdout, output.stderr].concat();
    assert_absent("the import's output", &said, numbers);
}

#[tokio::test]
async fn no_number_and_no_digest_is_found_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let imported: Vec<_> = (0..IMPORTED).map(|_| random_number()).collect();
    let mut scenario = Scenario::start(&data, &imported).await;
    scenario.good_day().await;
    scenario.certificates().await;
    scenario.bad_day().await;
    let request = raw::request("GET", "/metrics", &[], b"");
    let metrics = raw::exchange(scenario.server.metrics_address, &request).await.unwrap().text;
    // What a hit carried, a digest in place of a site too, is looked for where it comes to rest.
    let is_moved = || async {
        !std::fs::read_dir(data.join("sightings")).unwrap().any(|entry| holds_sightings(&entry.unwrap().path()))
    };
    eventually("sightings are moved to the database", is_moved).await;
    let while_serving = database_files(&data);
    assert!(is_postgres() || data.join("lostcard.db-wal").exists(), "the log of the database is searched too");
    let exported = child::run(&data, &["audit", "export"]).stdout;
    let log = scenario.server.log();
    let errors = format!("{:?}", scenario.errors);
    let saved = data.join(if redis_contents().is_some() { "snapshot/filter" } else { "snapshot/exact" });
    let saved = &saved;
    eventually("the filter is saved", || async move { saved.exists() }).await;
    let Scenario { server, numbers, credentials, client_id, token, journal, .. } = scenario;
    drop(server);
    let places = [
        ("the database", while_serving),
        ("the database of the ended process", database_files(&data)),
        ("the saved filter", std::fs::read(saved).unwrap()),
        ("the journal of sightings", journal),
        ("Redis", redis_contents().unwrap_or_default()),
        ("the log", log.into_bytes()),
        ("the metrics", metrics.into_bytes()),
        ("an error", errors.into_bytes()),
        ("the exported audit log", exported),
    ];
    for (place, text) in &places {
        assert_absent(place, text, &numbers);
        assert!(!holds(text, PHONE.as_bytes()) && !holds(text, b"139-2468"), "{place} holds a contact");
        assert!(!holds(text, STORY.as_bytes()), "{place} holds a narrative");
        assert!(!holds(text, token.as_bytes()), "{place} holds a token");
        for credential in &credentials {
            let claims = credential.split('.').nth(1).unwrap();
            assert!(!holds(text, claims.as_bytes()), "{place} holds a credential");
        }
    }
    // The search finds what is there: each place was written, and read where it was written.
    let [database, closed, filter, journal, redis, log, metrics, errors, exported] = places.map(|(_, text)| text);
    assert!(holds(&database, client_id.as_bytes()) && holds(&closed, client_id.as_bytes()));
    assert!(
        (holds(&filter, b"lostcard listed") || holds(&filter, b"lostcard filter")) && holds(&journal, b"lostcard seen")
    );
    assert!(
        redis_contents().is_none()
            || [&b":listing:"[..], b":answer:", b";reported;"].iter().all(|part| holds(&redis, part))
    );
    assert!(
        holds(&database, SITE.as_bytes()) && !holds(&journal, SITE.as_bytes()),
        "kept in plain text, sealed on the way"
    );
    assert!(holds(&database, b"Harbour Office") && holds(&log, b"request refused"));
    assert!(holds(&exported, b"misuse_resolved") && holds(&exported, client_id.to_string().as_bytes()));
    assert!(holds(&metrics, b"lostcard_problems_total") && holds(&errors, b"application/problem+json"));
}
