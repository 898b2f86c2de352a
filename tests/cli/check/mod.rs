//! `check FILE` against a real node: lists as people have them, what comes out, kills, limits, nodes that go away. And what
//! `verify-receipts` says of the receipts that are left, and of forged ones.

mod failing;
mod forging;
mod going_on;
mod keys;
mod lists;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::import::number;
use crate::run::{Folder, stderr, stdout};
use crate::servers::node::Node;

/// A registry with two listed numbers, a hotel's credentials, and a node that serves both.
struct Service {
    folder: Folder,
    node: Node,
}

/// Reported with the start of their card.
const LISTED: [u64; 2] = [0, 1];
const LISTED_FROM: &str = "2016-05-01";

impl Service {
    fn start(rate: &str) -> Self {
        Self::start_with(&["--rate", rate], "observe")
    }

    /// Whose client was created with these arguments.
    fn start_with(args: &[&str], numbers_mode: &str) -> Self {
        Self::start_by(
            args,
            |_| {},
            |command| {
                command.env("LOSTCARD_LIMITS__NUMBERS_MODE", numbers_mode);
            },
        )
    }

    /// In a folder that was prepared, by a node that was told more.
    fn start_by(args: &[&str], prepare: impl FnOnce(&Folder), tweak: impl FnOnce(&mut Command)) -> Self {
        let folder = Folder::new();
        prepare(&folder);
        let row = |at: u64| format!("{},{LISTED_FROM},lost,holder,110105-03,station\n", number(at));
        let rows = LISTED.map(row).concat();
        folder.write("reports.csv", &format!("id_number,card_valid_from,reason,reporter,office,channel\n{rows}"));
        folder.run(&["import", "reports.csv"]).success();
        let organization = folder.organization();
        let create = ["client", "create", "--organization", &organization, "--scope", "checks", "--json"];
        let credentials = stdout(&folder.run(&[&create, args].concat()).success());
        folder.write("client.json", &credentials);
        let node = Node::start_with(&folder.path().join("lostcard-data"), tweak);
        let keys = ureq(&node, "/.well-known/jwks.json");
        folder.write("jwks.json", &keys);
        Self { folder, node }
    }

    fn args<'a>(url: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        [&["check", "--url", url, "--credentials", "client.json"], args].concat()
    }

    /// Runs a check; what it said on standard output and standard error.
    fn check(&self, args: &[&str], code: i32) -> (String, String) {
        let url = self.node.url();
        let output = self.folder.run(&Self::args(&url, args)).code(code);
        let said = (stdout(&output), stderr(&output));
        assert!(!said.0.contains("119999") && !said.1.contains("119999"), "a number: {said:?}");
        said
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn verify(&self, folder: &str, code: i32) -> String {
        stdout(&self.folder.run(&["verify-receipts", "--jwks", "jwks.json", folder]).code(code))
    }
}

/// Gets a text from the node.
fn ureq(node: &Node, path: &str) -> String {
    let url = format!("{}{path}", node.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
}

/// The rows of a checked list that has no quotes, by cells.
fn rows(text: &str, separator: char) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(separator).map(str::to_owned).collect()).collect()
}

/// A list of so many guests, of whom the first two are listed.
fn guests(count: u64) -> String {
    let row = |at| format!("{},{LISTED_FROM},room {at}\n", number(at));
    format!("id_number,card_valid_from,room\n{}", (0..count).map(row).collect::<String>())
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
