//! Steps of the wall clock, made by `libfaketime` for one node. Leases and limits are measured by boot time and notice nothing;
//! what people read, and how long tokens live, goes by the wall.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use lostcard::clock::Clock;

use crate::bodies::random_number;
use crate::servers::process::run;
use crate::service::{Service, eventually};

fn library() -> PathBuf {
    let found = run(std::process::Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"]));
    PathBuf::from(found.lines().next().unwrap())
}

/// Steps the clock by so many seconds against the true time. Renamed into place: the library reads the file at every call.
fn step(file: &Path, seconds: i64) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_the_wall_clock_end_no_lease_and_lose_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("time");
    step(&file, 0);
    let mut service = Service::new(None);
    let node = service
        .start_with(|command| {
            command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", &file);
            command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
        })
        .await;
    let listed = service.report_lost(&node).await;
    for hours in [1, -1, 24, 0] {
        step(&file, hours * 3600);
        let began = Instant::now();
        // Tokens live by the wall clock: an hour later the old ones have expired.
        service.get_tokens(&node).await;
        let ask = || async { service.check(&node, &random_number()).await };
        let stepped = eventually("the node's clock is stepped", ask, |answer| {
            assert_eq!((answer.status, answer.word()), (200, "not_listed"), "{answer:?}");
            let as_of: Timestamp = answer.body["as_of"].as_str().unwrap().parse().unwrap();
            let off = as_of.as_second() - Clock::System.now_s() - hours * 3600;
            off.abs() < 60
        });
        stepped.await;
        while began.elapsed().as_millis() < 1500 {
            assert!(node.is_ready(), "{hours} h: the lease was lost");
            assert_eq!(service.check(&node, &random_number()).await.word(), "not_listed", "{hours} h");
            Service::assert_listed(&service.check(&node, &listed).await);
        }
        let number = service.report_lost(&node).await;
        Service::assert_listed(&service.check(&node, &number).await);
    }
}
