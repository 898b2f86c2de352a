//! Imports killed at any moment and started again: each valid record is stored once, the rejects are complete, and a server on
//! the same data loses nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use lostcard::sample::SampleRecord;
use serde_json::Value;

use crate::clients::{Client, Filing, register, sample};
use crate::node::Folder;
use crate::servers::postgres::Postgres;
use crate::{Moments, rounds, wait_until};

const RECORDS: u64 = 30_000;
/// Every so many lines one has a wrong check character.
const BAD_EVERY: usize = 97;
/// How often the import of one file is killed.
const KILLS: usize = 3;

/// A file to import.
struct Input {
    path: PathBuf,
    valid: Vec<SampleRecord>,
    bad_lines: BTreeSet<u64>,
}

fn write_input(folder: &Folder, seed: u64) -> Input {
    let path = folder.path("reports.csv");
    let mut text = "id_number,card_valid_from,reason,reporter,office,channel,reported_at\n".to_owned();
    let (mut valid, mut bad_lines) = (Vec::new(), BTreeSet::new());
    for (index, record) in sample(seed, RECORDS).into_iter().enumerate() {
        let mut number = record.id_number.expose().to_owned();
        let is_bad = index % BAD_EVERY == 0;
        if is_bad {
            let check = if number.ends_with('1') { "2" } else { "1" };
            number.replace_range(17.., check);
            bad_lines.insert(index as u64 + 2);
        }
        let (from, reason, reporter) = (record.card_valid_from, record.reason.as_str(), record.reporter.as_str());
        let (office, channel, at) = (&record.office, record.channel.as_str(), record.reported_at);
        writeln!(text, "{number},{from},{reason},{reporter},{office},{channel},{at}").unwrap();
        if !is_bad {
            valid.push(record);
        }
    }
    std::fs::write(&path, text).unwrap();
    Input { path, valid, bad_lines }
}

/// Starts the import and kills it, several times, then lets it finish. Returns its last summary and the kills that hit.
fn import_with_kills(folder: &Folder, input: &Input, moments: &mut Moments) -> (Value, usize) {
    let before = folder.reports();
    let mut hits = 0;
    for _ in 0..KILLS {
        let mut process = folder.import(&input.path);
        let target = before + moments.below(RECORDS);
        wait_until("imported reports", || process.has_ended() || folder.reports() >= target);
        moments.pause(30);
        hits += usize::from(!process.has_ended());
        process.kill();
    }
    let (status, output) = folder.import(&input.path).end();
    assert!(status.success());
    (serde_json::from_str(&output).unwrap(), hits)
}

fn assert_complete(input: &Input, summary: &Value) {
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(number("stored") + number("already_stored"), input.valid.len() as u64, "{summary}");
    assert_eq!(number("rejected"), input.bad_lines.len() as u64, "{summary}");
    let rejects = std::fs::read_to_string(input.path.with_extension("csv.rejects.ndjson")).unwrap();
    let rejects: Vec<Value> = rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rejects.iter().all(|reject| reject["code"] == "wrong_check_character"));
    let lines: Vec<_> = rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, input.bad_lines.iter().copied().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_stores_each_record_once() {
    stores_each_record_once(&Folder::new(), &mut Moments::new("import")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_by_copy_stores_each_record_once() {
    let server = tokio::task::block_in_place(Postgres::start);
    stores_each_record_once(&Folder::on(server.create_database()), &mut Moments::new("import by COPY")).await;
}

async fn stores_each_record_once(folder: &Folder, moments: &mut Moments) {
    let hotel = register(folder, "certifying", "checks");
    let mut all_hits = 0;
    for round in 0..rounds() {
        let input = write_input(folder, moments.below(u64::MAX));
        let before = folder.totals();
        let (summary, hits) = tokio::task::block_in_place(|| import_with_kills(folder, &input, moments));
        eprintln!("round {round}: {hits} of {KILLS} kills hit, then {summary}");
        all_hits += hits;
        assert_complete(&input, &summary);
        let valid = input.valid.len() as u64;
        let totals = folder.totals();
        assert_eq!((totals.reports - before.reports, totals.feed - before.feed), (valid, valid));
        assert_eq!(folder.numbers_after(before.feed), valid, "a record is there twice");

        let server = folder.serve();
        let some: Vec<_> = input.valid.into_iter().step_by(29).collect();
        Client::of(&server.url, &hotel).await.assert_listed(&some).await;
    }
    assert!(all_hits > 0, "no kill hit a running import");
    eprintln!("{all_hits} kills hit, {:?}", folder.totals());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_loses_no_report_of_a_running_server() {
    let mut moments = Moments::new("import beside a server");
    let folder = Folder::new();
    let police = register(&folder, "registrar", "registry");
    let hotel = register(&folder, "certifying", "checks");
    let server = folder.serve();
    let (mut all_hits, mut acknowledged) = (0, 0);
    for round in 0..rounds() {
        let input = write_input(&folder, moments.below(u64::MAX));
        let before = folder.totals();
        let client = Client::of(&server.url, &police).await;
        let filing = Filing::start(&client, sample(moments.below(u64::MAX), 100_000), 3);
        let (summary, hits) = tokio::task::block_in_place(|| import_with_kills(&folder, &input, &mut moments));
        filing.stop();
        let told = filing.end().await;
        eprintln!(
            "round {round}: {hits} of {KILLS} kills hit; {} filed meanwhile, {} refused, slowest {:?}; {summary}",
            told.acknowledged.len(),
            told.refused,
            told.slowest
        );
        all_hits += hits;
        acknowledged += told.acknowledged.len();
        assert_complete(&input, &summary);
        let both = (input.valid.len() + told.acknowledged.len()) as u64;
        let totals = folder.totals();
        assert!((both..=both + told.refused).contains(&(totals.reports - before.reports)), "{totals:?}");
        let checks = Client::of(&server.url, &hotel).await;
        checks.assert_listed(&told.acknowledged).await;
        // The import has waited for a lease before it ended: the server knows.
        checks.assert_listed(&input.valid).await;
    }
    assert!(all_hits > 0 && acknowledged > 0, "{all_hits} kills hit, {acknowledged} reports filed");
    eprintln!("{all_hits} kills hit, {acknowledged} acknowledged reports, {:?}", folder.totals());
}
