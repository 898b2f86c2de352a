//! A node killed while clients file reports: what was acknowledged is there afterwards.

use crate::clients::{Client, Filing, register, sample};
use crate::node::Folder;
use crate::{Moments, rounds, wait_until};

const CLIENTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_report_survives_a_kill_of_the_server() {
    let mut moments = Moments::new("reports");
    let folder = Folder::new();
    let police = register(&folder, "registrar", "registry");
    let hotel = register(&folder, "certifying", "checks");
    let before = folder.totals();
    let mut acknowledged = Vec::new();
    for round in 0..rounds() {
        let server = folder.serve();
        let client = Client::of(&server.url, &police).await;
        let filing = Filing::start(&client, sample(moments.below(u64::MAX), 20_000), CLIENTS);
        let enough = 1 + moments.below(300);
        tokio::task::block_in_place(|| {
            wait_until("acknowledged reports", || filing.acknowledged() >= enough);
            moments.pause(5);
        });
        server.process.kill();
        let told = filing.end().await;
        eprintln!("round {round}: killed after {} acknowledged reports", told.acknowledged.len());

        let server = folder.serve();
        Client::of(&server.url, &hotel).await.assert_listed(&told.acknowledged).await;
        let totals = folder.totals();
        acknowledged.extend(told.acknowledged);
        // A report whose answer was cut off may be stored or not: one for each client and round.
        let (stored, least) = (totals.reports - before.reports, acknowledged.len() as u64);
        assert!((least..=least + (round + 1) * CLIENTS as u64).contains(&stored), "{stored} of {least}");
    }
    let server = folder.serve();
    Client::of(&server.url, &hotel).await.assert_listed(&acknowledged).await;
    eprintln!("{} acknowledged reports, {} stored, none lost", acknowledged.len(), folder.totals().reports);
}
