//! Redis whose primary sentinels name: nodes use it as any other, and the next one after a failover.

use std::process::{Command, Stdio};

use crate::bodies::{check_of, random_number, rate};
use crate::helpers::{Answer, eventually};
use crate::redis::{FROM_REDIS, LOST, free_port, kept, keys, metric, node_with};
use crate::servers::process::Process;
use crate::servers::redis::Redis;
use crate::servers::wait_until;

/// A sentinel of its own, which knows one server and, through that, its replicas.
fn sentinel(folder: &std::path::Path, of: &Redis, port: &str) -> Process {
    let (host, of_port) = (of.address().ip(), of.address().port());
    let text = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor registry {host} {of_port} 1\n\
         sentinel down-after-milliseconds registry 500\nsentinel failover-timeout registry 2000\n",
        folder.display()
    );
    let path = folder.join("sentinel.conf");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new("redis-server");
    let process = Process::start(command.arg(path).arg("--sentinel").stdout(Stdio::null()));
    let knows = |what: &str| {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", port, "--raw", "SENTINEL", "MASTER", "registry"]);
        let told = String::from_utf8(cli.output().unwrap().stdout).unwrap();
        let lines: Vec<_> = told.lines().collect();
        lines.windows(2).any(|pair| pair[0] == what && pair[1] == "1")
    };
    wait_until("the sentinel knows the replica", || knows("num-slaves"));
    process
}

#[tokio::test]
async fn a_node_follows_the_primary_that_sentinels_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut primary = Redis::start();
    let (host, port) = (primary.address().ip().to_string(), primary.address().port().to_string());
    let replica = Redis::start_with(&["--replicaof", &host, &port, "--repl-diskless-sync-delay", "0"]);
    wait_until("the replica follows", || replica.command(&["INFO", "replication"]).contains("master_link_status:up"));
    let sentinel_port = free_port().to_string();
    let _sentinel = sentinel(folder.path(), &primary, &sentinel_port);
    let silent = free_port();
    let url = format!("redis-sentinel://127.0.0.1:{silent},127.0.0.1:{sentinel_port}/registry");
    let one = node_with(&url, |config| config.limits.client = rate("4000/600000s")).await;
    let two = one.sibling().await;
    let number = random_number();
    one.report_lost(&number, Some(LOST)).await;
    assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed");
    kept(&primary, "listing", 1).await;
    assert_eq!(two.verdict(&number, Some(LOST)).await, "card_listed");
    assert_eq!(metric(&two, FROM_REDIS).await, 1);
    let left = |answer: &Answer| {
        let (_, rest) = answer.header("ratelimit").split_once("r=")?;
        rest.split(';').next()?.parse::<u32>().ok()
    };
    let check = check_of(&number, Some(LOST));
    // Each node alone would give the same to both.
    eventually("one limit for both nodes", || async {
        let (before, after) = (left(&one.check(&check).await), left(&two.check(&check).await));
        before.is_some() && before == after.map(|after| after + 1)
    })
    .await;
    primary.kill();
    wait_until("the replica is promoted", || replica.is_primary());
    let other = random_number();
    eventually("the nodes use the new primary", || async {
        one.report_lost(&random_number(), Some(LOST)).await;
        assert_eq!(one.verdict(&number, Some(LOST)).await, "card_listed", "whatever Redis does");
        metric(&one, "redis_breaker_open").await == 0 && metric(&two, "redis_breaker_open").await == 0
    })
    .await;
    one.report_lost(&other, Some(LOST)).await;
    let had = keys(&replica, "listing").len();
    eventually("a listing is kept there", || async {
        assert_eq!(one.verdict(&other, Some(LOST)).await, "card_listed");
        keys(&replica, "listing").len() > had
    })
    .await;
}
