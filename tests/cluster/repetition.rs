//! The repetition of a report while its first request still waits for the other nodes: its 201 promises as much as the first
//! one would, so it may not come sooner.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::servers::proxy::Fault;
use crate::settings::Settings;
use crate::turn;
use crate::wire::{Link, post};

const STORED_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_repeated_report_is_listed_everywhere_when_its_201_comes() {
    let _turn = turn();
    let settings = Settings::read("repetition");
    let cluster = Cluster::start(3);
    let (_, record) = Oracle::new(settings.seed).somebody();
    let body = format!(
        r#"{{"id_number":"{}","reason":"lost","reporter":"holder","office":"110105-03","channel":"station"}}"#,
        record.id_number.expose()
    );
    let report = post("/v1/loss-reports", &cluster.tokens.registry, Some("one-report"), &body);
    let check = format!(r#"{{"id_number":"{}","purpose":"lodging","receipt":false}}"#, record.id_number.expose());
    let check = post("/v1/checks", &cluster.tokens.checks, None, &check);
    let [first, second, cut_off] = [0, 1, 2].map(|node| cluster.nodes[node].address().unwrap());
    // It must know the caller before it is cut off.
    assert_eq!(Link::default().ask(cut_off, &check).unwrap().status, 200);
    // From now on it learns nothing; what it knows it may answer for a lease.
    cluster.nodes[2].postgres.set(Fault::Hang);
    cluster.nodes[2].redis.set(Fault::Hang);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| Link::default().ask(first, &report).unwrap().status);
        let deadline = Instant::now() + STORED_MAX;
        while cluster.query("SELECT COUNT(*) FROM loss_reports").trim() != "1" {
            assert!(Instant::now() < deadline, "the report is not stored within {STORED_MAX:?}");
        }
        assert_eq!(Link::default().ask(second, &report).unwrap().status, 201);
        let mut link = Link::default();
        let answer = link.ask(cut_off, &check).unwrap();
        if answer.status == 200 {
            let checked: Value = serde_json::from_slice(link.body()).unwrap();
            assert_ne!(checked["verdict"], "not_listed", "after the 201 to the repetition");
        }
        assert_eq!(slow.join().unwrap(), 201);
    });
}
