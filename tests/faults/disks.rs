//! Disks that are full, break or take no writes. System calls of the running process fail because `strace` makes them, on the
//! database's files only: that is where a full or a broken disk shows.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::bodies::random_number;
use crate::servers::postgres::{Postgres, query};
use crate::servers::process::Process;
use crate::servers::wait_until;
use crate::service::{Service, eventually};

/// System calls that fail for as long as this lives.
struct BrokenCalls(Process);

impl BrokenCalls {
    /// Of a process and its children, on these files: `calls` fail with `error`.
    fn start(process: u32, calls: &str, error: &str, files: &[&Path]) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-p", &process.to_string(), "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}"), "-o", "/dev/null"]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        let strace = Process::start(strace.stdin(Stdio::null()).stderr(Stdio::null()));
        let status = format!("/proc/{process}/status");
        let tracer = format!("TracerPid:\t{}\n", strace.id());
        wait_until("strace is attached", || std::fs::read_to_string(&status).unwrap().contains(&tracer));
        Self(strace)
    }

    fn end(mut self) {
        self.0.signal(Signal::INT);
        self.0.wait();
    }
}

const WRITES: &str = "pwrite64,pwritev,ftruncate,fallocate";
const FLUSHES: &str = "fsync,fdatasync";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_reports_and_no_check() {
    let mut service = Service::new(None);
    let node = service.start().await;
    let before = service.report_lost(&node).await;
    let database = service.data("first").join("lostcard.db");
    let log = database.with_extension("db-wal");
    let full = BrokenCalls::start(node.id(), WRITES, "ENOSPC", &[&database, &log]);
    let number = random_number();
    for _ in 0..3 {
        let refused = service.report(&node, &number).await;
        assert_eq!((refused.status, refused.word()), (507, "storage_full"), "{refused:?}");
        Service::assert_listed(&service.check(&node, &before).await);
        assert_eq!(service.check(&node, &number).await.word(), "not_listed", "nothing was stored");
    }
    assert!(node.is_ready());
    full.end();
    assert_eq!(service.report(&node, &number).await.status, 201, "there is space again");
    assert_eq!(service.count(&node, &number).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_server_refuses_reports_and_no_check() {
    let postgres = Postgres::start();
    let url = postgres.create_database();
    let mut service = Service::new(Some(&url));
    let node = service.start().await;
    // An empty table takes up its first page with the first report.
    let table = query(&url, "SELECT pg_relation_filepath('loss_reports')");
    let table = postgres.folder().join("data").join(table.trim());
    let full = BrokenCalls::start(postgres.id(), WRITES, "ENOSPC", &[&table]);
    // The server's processes that are there already are children of the traced one, and not traced with it.
    query(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let number = random_number();
    let ask = || service.report(&node, &number);
    let refused = eventually("refused for lack of space", ask, |answer| answer.status != 503).await;
    assert_eq!((refused.status, refused.word()), (507, "storage_full"), "{refused:?}");
    let ask = || service.check(&node, &number);
    let checked = eventually("checks continue", ask, |answer| answer.status == 200).await;
    assert_eq!(checked.word(), "not_listed", "nothing was stored");
    full.end();
    eventually("there is space again", || service.report(&node, &number), |answer| answer.status == 201).await;
    assert_eq!(service.count(&node, &number).await, 1);
}

/// A page that could not be flushed may be dropped by the system, and the next flush succeeds: after the first failure no
/// success can be believed.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_flush_the_node_leaves_service_and_acknowledges_nothing_until_it_is_restarted() {
    let mut service = Service::new(None);
    let node = service.start().await;
    let before = service.report_lost(&node).await;
    let database = service.data("first").join("lostcard.db");
    let broken = BrokenCalls::start(node.id(), FLUSHES, "EIO", &[&database, &database.with_extension("db-wal")]);
    let number = random_number();
    let answer = service.report_once(&node, "once", &number).await;
    // The node's own rows may have met the disk before.
    assert!(answer.status == 503 && ["outcome_unknown", "not_ready"].contains(&answer.word()), "{answer:?}");
    broken.end();
    assert!(!node.is_ready(), "it leaves service");
    for _ in 0..5 {
        let refused = service.report_once(&node, "once", &number).await;
        assert_eq!(refused.status, 503, "the disk only seems to be well again: {refused:?}");
    }
    assert!(!node.is_ready());
    assert!(node.terminate().success());
    let node = service.start().await;
    assert_eq!(service.report_once(&node, "once", &number).await.status, 201);
    assert_eq!(service.count(&node, &number).await, 1);
    Service::assert_listed(&service.check(&node, &number).await);
    Service::assert_listed(&service.check(&node, &before).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_refuses_reports_and_no_check() {
    let postgres = Postgres::start();
    let mut service = Service::new(Some(&postgres.create_database()));
    let node = service.start().await;
    let before = service.report_lost(&node).await;
    postgres.set("default_transaction_read_only", "on");
    let number = random_number();
    for _ in 0..3 {
        service.report(&node, &number).await.assert_unavailable("store_read_only");
        Service::assert_listed(&service.check(&node, &before).await);
        assert_eq!(service.check(&node, &number).await.word(), "not_listed");
    }
    assert!(node.is_ready());
    postgres.set("default_transaction_read_only", "off");
    eventually("reports are taken", || service.report(&node, &number), |answer| answer.status == 201).await;
}
