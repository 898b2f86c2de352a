//! Blind checks at three nodes on which others write: after the 201 of a report no node says what was before it, also while the key
//! turns.

use std::sync::atomic::{AtomicBool, Ordering};

use lostcard::wiping::spawn_wiped;

use crate::blind_client::Client;
use crate::bodies::{random_number, report_of};
use crate::helpers::{TestApp, TestClient, eventually};

const LOST_CARD: &str = "2016-05-01";
const NODES: usize = 3;

/// Nodes on one store, and a client at each.
struct Nodes {
    apps: Vec<TestApp>,
    by: TestClient,
}

/// What was asked and answered.
#[derive(Debug, Default)]
struct Seen {
    answered: u32,
    refused: u32,
    stale: u32,
}

impl Nodes {
    async fn start() -> Self {
        let mut apps = vec![TestApp::spawn().await];
        while apps.len() < NODES {
            apps.push(apps[0].sibling().await);
        }
        let by = apps[0].add_client("blind", None).await;
        Self { apps, by }
    }

    async fn clients(&self) -> Vec<Client<'_>> {
        let mut clients = Vec::new();
        for app in &self.apps {
            clients.push(Client::of(app, self.by.clone(), "").await);
        }
        clients
    }

    /// Others report at every node until it is done.
    async fn load(&self, is_done: &AtomicBool) {
        let reports = self.apps.iter().map(|app| async {
            while !is_done.load(Ordering::Relaxed) {
                let status = app.report(&report_of(&random_number(), None)).await.status;
                assert!(status == 201 || status == 503, "{status}");
            }
        });
        futures_util::future::join_all(reports).await;
    }

    /// Reports at one node, then asks at each. A key that is over is followed by the next.
    async fn report_and_ask<'a>(&'a self, round: usize, clients: &mut [Client<'a>], seen: &mut Seen) {
        let number = random_number();
        let app = &self.apps[round % NODES];
        eventually("it is reported", async || app.report(&report_of(&number, Some(LOST_CARD))).await.status == 201)
            .await;
        for (client, app) in clients.iter_mut().zip(&self.apps) {
            let verdict = loop {
                match client.try_look_up(&[&number]).await {
                    Ok(found) => break client.decide(&found[0], Some(LOST_CARD)),
                    Err(refused) => {
                        seen.refused += 1;
                        let is_over = refused.status == 422 && refused.json()["code"] == "blind_key_unknown";
                        assert!(refused.status == 503 || is_over, "{} {}", refused.status, refused.text);
                        let key = if is_over { client.key.clone() } else { String::new() };
                        *client = Client::of(app, self.by.clone(), &key).await;
                    }
                }
            };
            seen.answered += 1;
            seen.stale += u32::from(verdict != "card_listed");
        }
    }
}

#[tokio::test]
async fn no_node_of_three_is_older_than_a_report_that_was_answered() {
    let nodes = Nodes::start().await;
    let (is_done, mut seen) = (AtomicBool::new(false), Seen::default());
    let mut clients = nodes.clients().await;
    let ask = async {
        for round in 0..20 {
            nodes.report_and_ask(round, &mut clients, &mut seen).await;
        }
        is_done.store(true, Ordering::Relaxed);
    };
    tokio::join!(ask, nodes.load(&is_done));
    assert_eq!((seen.stale, seen.answered), (0, 60), "{seen:?}");
    for client in &mut clients {
        assert_eq!(client.verdict(&random_number(), Some(LOST_CARD)).await, "not_listed");
    }
}

#[tokio::test]
async fn a_key_turns_under_load_and_no_answer_is_older_than_a_report() {
    let nodes = Nodes::start().await;
    let (is_done, mut seen) = (AtomicBool::new(false), Seen::default());
    let mut clients = nodes.clients().await;
    let data = nodes.apps[0].config.data.clone();
    let turned = async {
        let done = spawn_wiped(move || crate::child::run(&data, &["keys", "rotate", "--blind"])).await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let app = &nodes.apps[0];
        eventually("the next key has its base", async || {
            let keys = app.store.blind_keys().await.unwrap().keys;
            keys.first().is_some_and(|key| key.epoch == 2 && key.base.is_some())
        })
        .await;
    };
    let has_turned = AtomicBool::new(false);
    let turn = async {
        turned.await;
        has_turned.store(true, Ordering::Relaxed);
    };
    let ask = async {
        let (mut round, mut after) = (0, 0);
        // Before, while it turns, and by the next key at each node.
        while after < 6 {
            nodes.report_and_ask(round, &mut clients, &mut seen).await;
            round += 1;
            if has_turned.load(Ordering::Relaxed) {
                for (client, app) in clients.iter_mut().zip(&nodes.apps) {
                    if client.key == "1" {
                        *client = Client::of(app, nodes.by.clone(), "1").await;
                    }
                }
                after += 1;
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    tokio::join!(ask, turn, nodes.load(&is_done));
    assert_eq!(seen.stale, 0, "{seen:?}");
    assert!(clients.iter().all(|client| client.key == "2") && seen.answered >= 18, "{seen:?}");
    for client in &mut clients {
        assert_eq!(client.verdict(&random_number(), Some(LOST_CARD)).await, "not_listed");
    }
}
