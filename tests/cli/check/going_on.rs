//! Kills, limits and nodes that go away in the middle of a list: the same command continues, and the rows are those of one run
//! through, in their order, once each.

use std::fs::File;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::{Service, guests, json, rows};
use crate::import::number;
use crate::run::stderr;
use crate::servers::front::Front;
use crate::servers::node::Node;
use crate::servers::process::Process;
use crate::servers::{free_address, wait_until};

const OUTPUT: &str = "guests.csv.checked.csv";

impl Service {
    fn start_check(&self) -> Process {
        let url = self.node.url();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().current_dir(self.folder.path());
        command.args(Self::args(&url, &["--purpose", "lodging", "--patience", "2", "guests.csv"]));
        let said = File::create(self.folder.path().join("said")).unwrap();
        Process::start(command.stdout(Stdio::null()).stderr(said))
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join(OUTPUT)).map_or(0, |text| text.lines().count())
    }

    /// All rows of the list with the verdicts that they must have; check ids are all there and differ.
    fn assert_whole(&self, count: usize) {
        let out = rows(&self.read(OUTPUT), ',');
        assert_eq!(out.len(), count + 1);
        let list = rows(&guests(count as u64), ',');
        let mut checks: Vec<_> = out.iter().skip(1).map(|row| row[6].clone()).collect();
        for (at, (row, own)) in out.iter().zip(&list).enumerate().skip(1) {
            assert_eq!(row[..3], own[..], "row {at}");
            let expected = if at <= 2 { ["card_listed", "refuse_and_report"] } else { ["not_listed", "proceed"] };
            assert_eq!(row[3..5], expected, "row {at}");
            assert_eq!((row[7].as_str(), row[8].as_str()), (format!("row-{at}.json").as_str(), ""));
        }
        checks.sort();
        checks.dedup();
        assert_eq!(checks.len(), count);
        let folder = format!("{OUTPUT}.receipts");
        assert_eq!(self.verify(&folder, 0), format!("{count} receipts are authentic\n"));
    }
}

#[test]
fn killed_under_a_limit_it_goes_on_where_it_stopped() {
    let mut service = Service::start("200/2s");
    service.folder.write("guests.csv", &guests(900));
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let before = service.lines();
        let mut process = service.start_check();
        wait_until("more rows are done", || process.has_ended() || service.lines() > before + 1);
        assert!(!process.has_ended(), "{}", service.read("said"));
        process.signal(signal);
        let code = process.wait().code();
        assert_eq!(code, (signal == Signal::INT).then_some(75), "{}", service.read("said"));
    }
    // A power cut leaves half a row.
    let path = service.folder.path().join(OUTPUT);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let done = String::from_utf8_lossy(&whole).matches('\n').count() - 2;
    let (told, said) = service.check(&["--purpose", "lodging", "guests.csv"], 10);
    assert!(said.contains(&format!("{done} rows are checked already")), "{said}");
    assert!(
        told.starts_with("900 rows: 898 not_listed, 0 other_card_listed, 0 number_listed, 2 card_listed, 0 could"),
        "{told}"
    );
    service.assert_whole(900);
    assert!(service.limited() > 0, "the limit was met");
    // Once more: nothing is left to do, and nobody is asked.
    let first = service.read(OUTPUT);
    assert!(service.node.is_alive());
    let args =
        ["check", "--url", "http://127.0.0.1:1", "--credentials", "client.json", "--purpose", "lodging", "guests.csv"];
    service.folder.run(&args).code(10);
    assert_eq!(service.read(OUTPUT), first);
}

impl Service {
    fn limited(&self) -> u64 {
        self.counted("lostcard_limited_total")
    }

    fn counted(&self, metric: &str) -> u64 {
        let url = format!("http://{}/metrics", self.node.metrics_address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        let of = text.lines().filter(|line| line.starts_with(metric));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

#[test]
fn a_limit_that_is_smaller_than_a_batch_lets_the_list_through() {
    let service = Service::start("30/1s");
    service.folder.write("guests.csv", &guests(150));
    service.check(&["--purpose", "lodging", "guests.csv"], 10);
    service.assert_whole(150);
}

#[test]
fn where_no_new_number_is_left_it_stops_and_goes_on_once_more_are_declared() {
    let service = Service::start_with(&["--numbers", "10/1d"], "enforce");
    service.folder.write("guests.csv", &guests(40));
    let (_, said) = service.check(&["--purpose", "lodging", "guests.csv"], 75);
    assert!(said.contains("numbers_spent") && said.contains("continues"), "{said}");
    let client: Value = json(&service.read("client.json"));
    let declare = ["client", "numbers", client["client_id"].as_str().unwrap(), "--guests", "none"];
    service.folder.run(&declare).success();
    wait_until("the node knows", || {
        let url = service.node.url();
        let args = Service::args(&url, &["--purpose", "lodging", "guests.csv"]);
        service.folder.run(&args).get_output().status.code() == Some(10)
    });
    service.assert_whole(40);
}

#[test]
fn a_row_that_a_limit_refuses_for_its_number_says_so_and_the_others_are_checked() {
    let service = Service::start_with(&["--numbers", "250/1d"], "enforce");
    let starts = (1..=6).map(|day| format!("{},2016-05-0{day}\n", number(7))).collect::<Vec<_>>().concat();
    service.folder.write("guests.csv", &format!("id_number,card_valid_from\n{starts}{},\n", number(8)));
    service.check(&["--purpose", "lodging", "guests.csv"], 65);
    let out = service.read("guests.csv.checked.csv");
    assert_eq!(out.matches("attempts_spent").count(), 3, "{out}");
    assert_eq!(out.matches("not_listed").count(), 4, "{out}");
}

#[test]
fn a_node_that_goes_away_ends_it_and_another_goes_on() {
    let mut service = Service::start("100/1s");
    service.folder.write("guests.csv", &guests(400));
    let mut process = service.start_check();
    wait_until("rows are done", || process.has_ended() || service.lines() > 1);
    let data = service.folder.path().join("lostcard-data");
    std::mem::replace(&mut service.node, Node::start(&data)).kill();
    assert_eq!(process.wait().code(), Some(75), "{}", service.read("said"));
    assert!(
        service.read("said").contains("the same command continues where this one stopped"),
        "{}",
        service.read("said")
    );
    let done = service.lines();
    assert!((2..401).contains(&done), "{done}");
    service.check(&["--purpose", "lodging", "guests.csv"], 10);
    service.assert_whole(400);
}

#[test]
fn two_runs_do_not_write_one_output() {
    let service = Service::start("100/1s");
    service.folder.write("guests.csv", &guests(300));
    let mut process = service.start_check();
    wait_until("rows are done", || process.has_ended() || service.lines() > 1);
    let url = service.node.url();
    let output = service.folder.run(&Service::args(&url, &["--purpose", "lodging", "guests.csv"])).code(75);
    assert!(stderr(&output).contains("another run writes it"), "{}", stderr(&output));
    assert_eq!(process.wait().code(), Some(10));
    service.assert_whole(300);
}

#[test]
fn tokens_that_are_revoked_in_the_middle_of_a_list_are_renewed() {
    let service = Service::start("100/1s");
    service.folder.write("guests.csv", &guests(500));
    let mut process = service.start_check();
    let client: Value = json(&service.read("client.json"));
    for done in [1, 150] {
        wait_until("more rows are done", || process.has_ended() || service.lines() > done);
        assert!(!process.has_ended(), "{}", service.read("said"));
        service.folder.run(&["client", "revoke-tokens", client["client_id"].as_str().unwrap()]).success();
    }
    assert_eq!(process.wait().code(), Some(10), "{}", service.read("said"));
    service.assert_whole(500);
    assert!(service.counted("lostcard_tokens_issued_total") >= 2);
}

#[test]
fn a_proxy_that_takes_no_large_bodies_gets_smaller_ones() {
    let service = Service::start("100000/1s");
    service.folder.write("guests.csv", &guests(250));
    let address = free_address();
    // A batch of a hundred has nine kilobytes; the proxy's own 413 is a page, and says no number.
    let http = format!(
        "server {{ listen {address}; client_max_body_size 2k; location / {{ proxy_pass http://{}; proxy_set_header Host $host; }} }}",
        service.node.address
    );
    let front = Front::nginx(tempfile::tempdir().unwrap(), address, &http);
    let url = format!("http://{}", front.address);
    let args = Service::args(&url, &["--purpose", "lodging", "guests.csv"]);
    let output = service.folder.run(&args).code(10);
    assert!(stderr(&output).lines().count() < 5, "{}", stderr(&output));
    service.assert_whole(250);
}
