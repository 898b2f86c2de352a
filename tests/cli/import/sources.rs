//! Dumps of one source day by day, and the undoing of an import, over both databases.

use serde_json::{Value, json};

use super::{import, number, query, query_at, row, rows, write};
use crate::run::Folder;
use crate::servers::node::Node;
use crate::servers::postgres::Postgres;

/// A folder and the store that its commands use.
struct Place {
    folder: Folder,
    url: Option<String>,
}

impl Place {
    fn import(&self, args: &[&str], code: i32) -> (Value, String) {
        let store: Vec<&str> = self.url.iter().flat_map(|url| ["--database-url", url]).collect();
        import(&self.folder, &[args, &store].concat(), code)
    }

    /// Imports rows as a dump; what was told.
    fn dump(&self, rows: &[String], args: &[&str], code: i32) -> Value {
        write(&self.folder, "dump.csv", rows);
        self.import(&[&["dump.csv"], args].concat(), code).0
    }

    /// Takes an import back; what was told.
    fn undo(&self, id: &str) -> Value {
        self.import(&[&["undo", id], BEHIND].concat(), 0).0
    }

    /// Deletes what is due; how many rows of each class.
    fn expire(&self) -> Value {
        let store: Vec<&str> = self.url.iter().flat_map(|url| ["--database-url", url]).collect();
        self.folder.json(&[&["retention", "run", "--json"], &store[..]].concat())
    }

    fn query(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        match &self.url {
            None => query(&self.folder, statement),
            Some(url) => query_at(url, statement),
        }
    }

    fn count(&self, state: &str) -> u64 {
        let statement = format!("SELECT CAST(COUNT(*) AS TEXT) FROM loss_reports WHERE state = '{state}'");
        self.query(&statement)[0][0].as_ref().unwrap().parse().unwrap()
    }
}

/// Runs a case over SQLite and over PostgreSQL.
fn over_both(case: impl Fn(&Place)) {
    case(&Place { folder: Folder::new(), url: None });
    let server = Postgres::start();
    case(&Place { folder: Folder::new(), url: Some(server.create_database()) });
}

const BEHIND: &[&str] = &["--as", "Wang Fang", "--reason", "ticket 7"];
const SOURCE: &[&str] = &["--source", "police"];
const FULL: &[&str] = &["--source", "police", "--full"];

fn figures(told: &Value) -> [u64; 2] {
    ["stored", "already_stored"].map(|name| told[name].as_u64().unwrap())
}

#[test]
fn a_dump_of_every_day_brings_what_is_new() {
    over_both(|place| {
        let without_time = |at: u64| row(at).replace("2026-11-02T08:00:00+08:00", "");
        let mut lines = rows(0..99);
        lines.push(without_time(99));
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [100, 0]);
        // The same file once more, and the next day's.
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [0, 100]);
        lines.push(row(100));
        lines.push(row(100));
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [1, 101]);
        // The same number, but another time, start or office, is another row.
        let others = [("T08:", "T09:"), ("2016-", "2015-"), ("110105-03", "110105-04")];
        lines.extend(others.map(|(this, that)| row(5).replace(this, that)));
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [3, 102]);
        // Another source's rows are reports of their own.
        assert_eq!(figures(&place.dump(&rows(0..3), &["--source", "embassy"], 0)), [3, 0]);
        assert_eq!(figures(&place.dump(&rows(0..3), &[], 0)), [3, 0]);
        assert_eq!(place.count("active"), 110);
        // What is known is keyed: no name and no number stands there.
        let lengths = place.query("SELECT DISTINCT CAST(LENGTH(source_id) AS TEXT) FROM import_rows");
        assert_eq!(lengths, [[Some("16".to_owned())]]);
    });
}

/// Otherwise each day's dump would list again what a registrar has withdrawn, and cards that have ended.
#[test]
fn a_row_stays_known_when_its_report_has_gone() {
    over_both(|place| {
        let ended = |at: u64| row(at).replace("2036-05-01", "2026-05-01");
        let lines: Vec<_> = rows(0..6).into_iter().chain((6..16).map(ended)).collect();
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [16, 0]);
        // A registrar withdraws two reports, and a month goes by.
        place.query(
            "UPDATE loss_reports SET state = 'withdrawn', closed_at = 1700000000000, closed_by_office = 'A', \
             withdrawal_reason = 'found' WHERE sequence IN (SELECT sequence FROM loss_reports \
             WHERE card_valid_until = '2036-05-01' ORDER BY sequence LIMIT 2)",
        );
        place.expire();
        assert_eq!([place.count("active"), place.count("withdrawn")], [4, 0]);
        // The source has not learnt of it, and the doubt of new rows does not come up.
        for _ in 0..2 {
            assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [0, 16]);
            place.expire();
        }
        assert_eq!(figures(&place.dump(&lines[1..], SOURCE, 0)), [0, 15]);
        assert_eq!(place.count("active"), 4);
        // What the source lists no longer is forgotten, and no doubt whether so many should be withdrawn.
        let told = place.dump(&lines[..6], FULL, 0);
        assert_eq!((figures(&told), told["withdrawn"].as_u64()), ([0, 6], Some(0)));
        let left = place.query("SELECT CAST(COUNT(*) AS TEXT) FROM import_rows");
        assert_eq!(left, [[Some("6".to_owned())]]);
    });
}

/// A registrar's wrong start ends a report, and its correction brings it back: it is the import's still.
#[test]
fn a_report_that_is_in_force_again_is_taken_back_with_its_import() {
    over_both(|place| {
        let store: Vec<&str> = place.url.iter().flat_map(|url| ["--database-url", url]).collect();
        let create = |args: &[&str]| place.folder.json(&[args, &store, &["--json"]].concat());
        let kind = ["--kind", "registrar", "--region", "110105"];
        let bureau = create(&[&["organization", "create", "--name", "Bureau"], &kind[..]].concat());
        let bureau = bureau["organization_id"].as_str().unwrap();
        let client = create(&["client", "create", "--organization", bureau, "--scope", "registry"]);
        let node = Node::start_with(&place.folder.path().join("lostcard-data"), |command| {
            command.args(&store);
        });
        // Their cards are not known: a replacement from before the loss on ends none.
        let unknown = |at: u64| row(at).replace("2016-05-01,2036", ",2036");
        let told = place.dump(&(0..5).map(unknown).collect::<Vec<_>>(), SOURCE, 0);
        let talk = Talk::of(&node, &client);
        let own = json!({"id_number": number(3), "reason": "lost", "reporter": "holder", "office": "110105-03",
            "channel": "station", "lost_on": "2026-11-01"});
        talk.post("/v1/loss-reports", &own, 201);
        let replacing = |start: &str| json!({"id_number": number(3), "card_valid_from": start, "office": "110105-03"});
        let replaced = talk.post("/v1/replacements", &replacing("2026-11-20"), 201);
        assert_eq!([place.count("active"), place.count("replaced")], [4, 2]);
        let path = format!("/v1/replacements/{}/correction", replaced["replacement_id"].as_str().unwrap());
        talk.post(&path, &json!({"card_valid_from": "2020-11-20", "office": "110105-03"}), 200);
        assert_eq!(place.count("active"), 6);
        assert_eq!(place.undo(told["import_id"].as_str().unwrap())["withdrawn"], 5);
        assert_eq!(place.count("active"), 1, "the bureau's own report stays");
    });
}

/// Both store the same: one of them is told to come later, and none that it failed.
#[test]
fn of_two_imports_at_once_one_is_told_to_try_again() {
    for (source, names) in [(&[] as &[&str], ["one.csv", "one.csv"]), (SOURCE, ["one.csv", "two.csv"])] {
        let folder = Folder::new();
        write(&folder, "one.csv", &rows(0..30_000));
        write(&folder, "two.csv", &rows(0..30_001));
        folder.organization();
        let start = |name: &str| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lostcard"));
            command.env_clear().current_dir(folder.path()).arg("import").args(source);
            command.args(["--rejects", &format!("{name}.rejects"), "--yes-really", name]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let both = names.map(start).map(|child| child.wait_with_output().unwrap());
        let codes = both.each_ref().map(|output| output.status.code().unwrap());
        let said = both.map(|output| String::from_utf8(output.stderr).unwrap());
        assert!(codes.iter().all(|code| [0, 75].contains(code)) && codes.contains(&0), "{codes:?} {said:?}");
        if let Some(at) = codes.iter().position(|code| *code == 75) {
            assert!(said[at].contains("another import of this"), "{said:?}");
        }
        let total = query(&folder, "SELECT CAST(COUNT(*) AS TEXT) FROM loss_reports")[0][0].clone().unwrap();
        assert!(["30000", "30001"].contains(&total.as_str()), "{total}");
    }
}

#[test]
fn a_dump_unlike_the_last_is_in_doubt() {
    over_both(|place| {
        place.dump(&rows(0..80), SOURCE, 0);
        write(&place.folder, "dump.csv", &rows(0..101));
        let (_, said) = place.import(&["dump.csv", "--source", "police"], 65);
        assert!(said.contains("this file lists 21 people that the last one of this source did not"), "{said}");
        assert_eq!(place.count("active"), 80);
        assert_eq!(figures(&place.dump(&rows(0..100), SOURCE, 0)), [20, 80]);
        assert_eq!(figures(&place.dump(&rows(200..300), &["--source", "police", "--yes-really"], 0)), [100, 0]);
    });
}

#[test]
fn what_has_vanished_from_a_full_dump_is_withdrawn() {
    over_both(|place| {
        let told = place.dump(&rows(0..200), FULL, 0);
        assert_eq!(told["withdrawn"], 0);
        // Without --full a row that is not there says nothing.
        place.dump(&rows(0..190), SOURCE, 0);
        assert_eq!(place.count("active"), 200);
        let told = place.dump(&rows(2..200), FULL, 0);
        assert_eq!((figures(&told), told["withdrawn"].as_u64()), ([0, 198], Some(2)));
        write(&place.folder, "dump.csv", &rows(4..200));
        let (_, said) = place.import(&[&["dump.csv"], FULL].concat(), 65);
        assert!(said.contains("2 of 198 rows of this source are not in this file"), "{said}");
        let told = place.dump(&rows(4..200), &["--source", "police", "--full", "--yes-really"], 0);
        assert_eq!(told["withdrawn"], 2);
        assert_eq!((place.count("active"), place.count("withdrawn")), (196, 4));
        // What comes back is a new report.
        assert_eq!(figures(&place.dump(&rows(3..200), FULL, 0)), [1, 196]);
        let reasons = place
            .query("SELECT DISTINCT withdrawal_reason, closed_by_office FROM loss_reports WHERE state = 'withdrawn'");
        assert_eq!(reasons, [["found", "import"].map(|word| Some(word.to_owned())).to_vec()]);
    });
}

/// A row that is rejected for its phone is still in the dump: its report stays in force.
#[test]
fn nothing_is_withdrawn_while_rows_are_wrong() {
    over_both(|place| {
        place.dump(&rows(0..200), FULL, 0);
        let mut lines = rows(0..200);
        lines[7] = lines[7].replace("2016-", "1.38E+10-");
        lines.pop();
        write(&place.folder, "dump.csv", &lines);
        let (told, _) = place.import(&[&["dump.csv", "--dry-run"], FULL].concat(), 0);
        assert_eq!((&told["would_withdraw"], &told["rejected"]), (&0.into(), &1.into()), "{told}");
        let (told, said) = place.import(&[&["dump.csv"], FULL].concat(), 0);
        assert_eq!((&told["withdrawn"], &told["rejected"]), (&0.into(), &1.into()), "{told}");
        assert!(said.contains("2 rows of this source are not in the file, and none is withdrawn"), "{said}");
        assert_eq!(place.count("active"), 200);
        write(&place.folder, "dump.csv", &rows(0..199));
        let (told, _) = place.import(&[&["dump.csv", "--dry-run"], FULL].concat(), 0);
        assert_eq!(told["would_withdraw"], 1, "{told}");
        assert_eq!(place.dump(&rows(0..199), FULL, 0)["withdrawn"], 1);
    });
}

#[test]
fn an_import_is_undone_once_and_what_was_replaced_stays() {
    over_both(|place| {
        place.dump(&rows(300..310), &[], 0);
        let mine = place.dump(&rows(0..700), SOURCE, 0);
        let id = mine["import_id"].as_str().unwrap();
        let later = place.dump(&rows(0..701), SOURCE, 0);
        // As a replacement leaves it: another state, another sequence.
        place.query("UPDATE loss_reports SET state = 'replaced', sequence = 0 WHERE sequence = 50");
        let told = place.undo(id);
        assert_eq!(told["withdrawn"], 699);
        assert_eq!([place.count("active"), place.count("withdrawn"), place.count("replaced")], [11, 699, 1]);
        let told = place.undo(id);
        assert_eq!(told["withdrawn"], 0, "a second time there is nothing left");
        let reasons = place.query("SELECT DISTINCT withdrawal_reason FROM loss_reports WHERE state = 'withdrawn'");
        assert_eq!(reasons, [[Some("mistaken".to_owned())]]);
        let entries = place.query("SELECT CAST(COUNT(*) AS TEXT) FROM audit WHERE action = 'import_undone'");
        assert_eq!(entries, [[Some("1".to_owned())]]);
        // The file goes in again, all but the replaced row, and the day after brought what it brought.
        assert_eq!(figures(&place.dump(&rows(0..700), &["--source", "police", "--yes-really"], 0)), [699, 1]);
        place.undo(later["import_id"].as_str().unwrap());
        assert_eq!(place.count("active"), 10 + 699);
        let nobody = ["undo", "01993c5e-0000-8000-8000-000000000000"];
        let (_, said) = place.import(&[&nobody[..], BEHIND].concat(), 1);
        assert!(said.contains("no such import"), "{said}");
    });
}

/// Who undoes says who that is, and why: without them nothing is done.
#[test]
fn an_undoing_names_a_person_and_a_reason() {
    let place = Place { folder: Folder::new(), url: None };
    let told = place.dump(&rows(0..5), &[], 0);
    let id = told["import_id"].as_str().unwrap();
    for behind in [&[] as &[&str], &BEHIND[..2], &BEHIND[2..]] {
        let (_, said) = place.import(&[&["undo", id], behind].concat(), 2);
        assert!(said.contains("--as NAME and --reason TEXT"), "{said}");
    }
    assert_eq!(place.count("active"), 5);
    assert_eq!(place.undo(id)["withdrawn"], 5);
    let behind = place.query("SELECT person, reason FROM audit WHERE action = 'import_undone'");
    assert_eq!(behind, [["Wang Fang", "ticket 7"].map(|text| Some(text.to_owned())).to_vec()]);
}

#[test]
fn an_import_of_known_rows_leaves_nothing_to_undo() {
    over_both(|place| {
        place.dump(&rows(0..50), SOURCE, 0);
        let mut lines = rows(0..50);
        lines.reverse();
        let known = place.dump(&lines, SOURCE, 0);
        assert_eq!(figures(&known), [0, 50]);
        let id = known["import_id"].as_str().unwrap();
        for _ in 0..2 {
            assert_eq!(place.undo(id)["withdrawn"], 0);
        }
        assert_eq!(place.count("active"), 50);
        // Its file is taken once more, as after each undoing.
        assert_eq!(figures(&place.dump(&lines, SOURCE, 0)), [0, 50]);
    });
}

/// A hotel watches a card. The import has it told that the card is listed, and the undoing that it should ask again.
#[test]
fn who_was_told_of_a_listing_is_told_to_check_again() {
    over_both(|place| {
        let store: Vec<&str> = place.url.iter().flat_map(|url| ["--database-url", url]).collect();
        let create = |args: &[&str]| place.folder.json(&[args, &store, &["--json"]].concat());
        let kind = ["--kind", "certifying", "--region", "110105"];
        let organization = create(&[&["organization", "create", "--name", "Harbour"], &kind[..]].concat());
        let organization = organization["organization_id"].as_str().unwrap();
        let client = create(&["client", "create", "--organization", organization, "--scope", "checks"]);
        let node = Node::start_with(&place.folder.path().join("lostcard-data"), |command| {
            command.args(&store);
        });
        let body =
            json!({"id_number": number(3), "card_valid_from": "2016-05-01", "purpose": "lodging", "watch_hours": 24});
        assert_eq!(Talk::of(&node, &client).post("/v1/checks", &body, 200)["verdict"], "not_listed");
        let told = place.dump(&rows(0..5), &[], 0);
        let alerts = || place.query("SELECT kind FROM alerts ORDER BY kind");
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| vec![Some((*kind).to_owned())]).collect::<Vec<_>>();
        assert_eq!(alerts(), kinds(&["card_listed"]));
        assert_eq!(place.undo(told["import_id"].as_str().unwrap())["withdrawn"], 5);
        assert_eq!(alerts(), kinds(&["card_listed", "check_again"]));
    });
}

/// What a client asks a node.
struct Talk<'a> {
    node: &'a Node,
    token: String,
}

impl<'a> Talk<'a> {
    fn of(node: &'a Node, client: &Value) -> Self {
        let [id, secret] = ["client_id", "client_secret"].map(|name| client[name].as_str().unwrap());
        let form = [("grant_type", "client_credentials")];
        let url = format!("{}/oauth2/token", node.url());
        let token = answer(|http| http.post(url).basic_auth(id, Some(secret)).form(&form), 200);
        Self { node, token: token["access_token"].as_str().unwrap().to_owned() }
    }

    fn post(&self, path: &str, body: &Value, status: u16) -> Value {
        let url = format!("{}{path}", self.node.url());
        answer(|http| http.post(url).bearer_auth(&self.token).json(body), status)
    }
}

fn answer(ask: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder, status: u16) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = ask(&reqwest::Client::new()).send().await.unwrap();
        let (found, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(found, status, "{text}");
        serde_json::from_str(&text).unwrap()
    })
}
