//! A node killed while clients check lost cards: every hit that was answered is a sighting afterwards, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clients::{Client, register, sample};
use crate::node::Folder;
use crate::{Moments, rounds, wait_until};

const CLIENTS: usize = 6;
const CARDS: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_hit_survives_a_kill_of_the_server_once() {
    let mut moments = Moments::new("sightings");
    let folder = Folder::new();
    let police = register(&folder, "registrar", "registry");
    let hotel = register(&folder, "certifying", "checks");
    let cards = Arc::new(sample(moments.below(u64::MAX), CARDS));
    let server = folder.serve();
    let client = Client::of(&server.url, &police).await;
    for card in cards.iter() {
        assert_eq!(client.file(card).await, Some(201));
    }
    drop(server);
    let mut answered = BTreeSet::new();
    for round in 0..rounds() {
        let server = folder.serve();
        let client = Client::of(&server.url, &hotel).await;
        let count = Arc::new(AtomicU64::new(0));
        let see = |nth: usize| {
            let (client, cards, count) = (client.clone(), Arc::clone(&cards), Arc::clone(&count));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                // One in three asks for many at once.
                let at_once = if nth.is_multiple_of(3) { 5 } else { 1 };
                for some in cards.chunks(at_once).cycle() {
                    let Some(ids) = client.see(some).await else { break };
                    count.fetch_add(ids.len() as u64, Ordering::SeqCst);
                    seen.extend(ids);
                }
                seen
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(see).collect();
        let enough = 1 + moments.below(600);
        tokio::task::block_in_place(|| {
            wait_until("answered hits", || count.load(Ordering::SeqCst) >= enough);
            moments.pause(5);
        });
        server.process.kill();
        for client in clients {
            answered.extend(client.await.unwrap());
        }
        eprintln!("round {round}: killed after {} answered hits in all", answered.len());

        let server = folder.serve();
        let is_whole = || answered.is_subset(&folder.sightings());
        tokio::task::block_in_place(|| wait_until("every answered hit is stored", is_whole));
        drop(server);
    }
    // The primary key keeps a check apart under one report, and every number has one report: twice would be under two.
    let (rows, distinct) = folder.sighting_counts();
    assert_eq!(rows, distinct, "a hit is stored twice");
    // A hit whose answer was cut off may be there or not: five for each client and round.
    let most = answered.len() as u64 + rounds() * CLIENTS as u64 * 5;
    assert!((answered.len() as u64..=most).contains(&distinct), "{distinct} of {}", answered.len());
    eprintln!("{} answered hits, {distinct} stored, none lost", answered.len());
}
