//! Clients of a node: one that files reports until the node is gone, one that checks cards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lostcard::clock::Clock;
use lostcard::sample::{SampleRecord, records};
use serde_json::{Value, json};

use crate::node::Folder;

/// Credentials of a client with one scope and no limit that a test could reach.
pub(crate) struct Credentials {
    id: String,
    secret: String,
}

pub(crate) fn register(folder: &Folder, kind: &str, scope: &str) -> Credentials {
    let rate = ["--rate", "100000000/1s", "--json"];
    let organization = ["organization", "create", "--name", "Test", "--kind", kind, "--region", "110105"];
    // The reports of a sample are made at offices all over the country.
    let offices: Vec<_> =
        ["1", "2", "3", "4", "5", "6", "7", "8"].iter().flat_map(|begins| ["--office", begins]).collect();
    let organization = folder.run(&[organization.as_slice(), &offices, &rate].concat());
    let organization = organization["organization_id"].as_str().unwrap();
    let client = ["client", "create", "--organization", organization, "--scope", scope];
    let client = folder.run(&[client.as_slice(), &rate].concat());
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    Credentials { id: text("client_id"), secret: text("client_secret") }
}

pub(crate) fn sample(seed: u64, count: u64) -> Vec<SampleRecord> {
    records(seed, count, Clock::System.today()).collect()
}

/// A client with a token of one node.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub(crate) async fn of(url: &str, credentials: &Credentials) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let request = http.post(format!("{url}/oauth2/token")).basic_auth(&credentials.id, Some(&credentials.secret));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        Self { http, url: url.to_owned(), token: answer["access_token"].as_str().unwrap().to_owned() }
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body).send().await
    }

    /// Files a report; the status, or none if the node is gone.
    pub(crate) async fn file(&self, record: &SampleRecord) -> Option<u16> {
        let body = json!({
            "id_number": record.id_number.expose(), "card_valid_from": record.card_valid_from.to_string(),
            "reason": record.reason.as_str(), "reporter": record.reporter.as_str(), "office": record.office,
            "channel": record.channel.as_str(),
        });
        let answer = self.post("/v1/loss-reports", &body).await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Checks lost cards; the checks' ids, or none if the node is gone.
    pub(crate) async fn see(&self, cards: &[SampleRecord]) -> Option<Vec<String>> {
        let check = |card: &SampleRecord| json!({"id_number": card.id_number.expose(), "card_valid_from": card.card_valid_from.to_string(), "purpose": "lodging"});
        let id = |check: &Value| {
            assert_eq!(check["verdict"], "card_listed", "{check}");
            check["check_id"].as_str().unwrap().replace('-', "")
        };
        if let [card] = cards {
            let answer = self.post("/v1/checks", &check(card)).await.ok()?;
            return Some(vec![id(&answer.json().await.ok()?)]);
        }
        let body = json!({"checks": cards.iter().map(check).collect::<Vec<_>>()});
        let answer: Value = self.post("/v1/checks/batch", &body).await.ok()?.json().await.ok()?;
        Some(answer["results"].as_array().unwrap().iter().map(|result| id(&result["check"])).collect())
    }

    /// Asserts that each of the cards is listed.
    pub(crate) async fn assert_listed(&self, cards: &[SampleRecord]) {
        for cards in cards.chunks(1000) {
            let check = |card: &SampleRecord| {
                json!({"id_number": card.id_number.expose(), "card_valid_from": card.card_valid_from.to_string(),
                    "purpose": "lodging", "receipt": false})
            };
            let body = json!({"checks": cards.iter().map(check).collect::<Vec<_>>()});
            let answer = self.post("/v1/checks/batch", &body).await.unwrap();
            let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
            let results = answer["results"].as_array().unwrap();
            assert_eq!(results.len(), cards.len());
            for (result, card) in results.iter().zip(cards) {
                assert_eq!(result["check"]["verdict"], "card_listed", "{result} {card:?}");
            }
        }
    }
}

/// What several clients were told, and how long the slowest answer took.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: Vec<SampleRecord>,
    pub(crate) refused: u64,
    pub(crate) slowest: Duration,
}

/// Reports on their way in from several clients at once, until the node is gone or `stop` is called.
pub(crate) struct Filing {
    clients: Vec<tokio::task::JoinHandle<Told>>,
    acknowledged: Arc<AtomicU64>,
    stopped: Arc<AtomicU64>,
}

impl Filing {
    pub(crate) fn start(client: &Client, records: Vec<SampleRecord>, clients: usize) -> Self {
        let (acknowledged, stopped) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut shares = vec![Vec::new(); clients];
        for (index, record) in records.into_iter().enumerate() {
            shares[index % clients].push(record);
        }
        let file = |share: Vec<SampleRecord>| {
            let (client, count, stopped) = (client.clone(), Arc::clone(&acknowledged), Arc::clone(&stopped));
            tokio::spawn(async move {
                let mut told = Told::default();
                for record in share {
                    let began = Instant::now();
                    match client.file(&record).await {
                        Some(201) => {
                            told.acknowledged.push(record);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        Some(_) => told.refused += 1,
                        None => break,
                    }
                    told.slowest = told.slowest.max(began.elapsed());
                    if stopped.load(Ordering::SeqCst) > 0 {
                        break;
                    }
                }
                told
            })
        };
        let clients = shares.into_iter().map(file).collect();
        Self { clients, acknowledged, stopped }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(1, Ordering::SeqCst);
    }

    pub(crate) async fn end(self) -> Told {
        let mut all = Told::default();
        for client in self.clients {
            let told = client.await.unwrap();
            all.acknowledged.extend(told.acknowledged);
            all.refused += told.refused;
            all.slowest = all.slowest.max(told.slowest);
        }
        all
    }
}
