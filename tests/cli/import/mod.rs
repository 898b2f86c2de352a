//! `import` as offices meet it: files as spreadsheets and registries really write them, what is refused and why, and what the store
//! holds afterwards. The readers' own rules are tested beside their code.

mod forms;
mod inputs;
mod limits;
mod sources;
mod stopping;
pub(crate) mod workbook;

use serde_json::Value;
use snapbox::cmd::OutputAssert;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::run::{Folder, stderr, stdout};

const HEADER: &str =
    "id_number,card_valid_from,card_valid_until,reason,lost_on,reporter,office,channel,reported_at,contact_phone";

/// Valid numbers that nobody has: region 119999 does not exist.
pub(crate) fn number(at: u64) -> String {
    // Births of 1950 on, a day a step, so that no two are the same.
    let (year, month, day, sequence) = (1950 + at / 336 % 50, at / 28 % 12 + 1, at % 28 + 1, at / 16_800 % 900 + 11);
    with_check(&format!("119999{year:04}{month:02}{day:02}{sequence:03}"))
}

/// Seventeen digits and their check character.
fn with_check(first_17: &str) -> String {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = first_17.bytes().zip(weights).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    format!("{first_17}{}", &"10X98765432"[(sum % 11) as usize..=(sum % 11) as usize])
}

/// A valid row of [`HEADER`].
fn row(at: u64) -> String {
    row_of(&number(at))
}

fn row_of(number: &str) -> String {
    format!("{number},2016-05-01,2036-05-01,lost,2026-11-01,holder,110105-03,station,2026-11-02T08:00:00+08:00,")
}

fn rows(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(row).collect()
}

fn write(folder: &Folder, name: &str, rows: &[String]) {
    folder.write(name, &format!("{HEADER}\n{}\n", rows.join("\n")));
}

/// Runs an import; its JSON and what it wrote beside.
fn import(folder: &Folder, args: &[&str], code: i32) -> (Value, String) {
    let output = folder.run(&[&["import", "--json"], args].concat()).code(code);
    told(&output)
}

fn told(output: &OutputAssert) -> (Value, String) {
    let said = stderr(output);
    let told = serde_json::from_str(&stdout(output)).unwrap_or_default();
    for text in [&said, &stdout(output)] {
        assert!(!text.contains("119999"), "a number: {text}");
    }
    (told, said)
}

/// The columns of a query on the folder's own store, as text.
fn query(folder: &Folder, statement: &str) -> Vec<Vec<Option<String>>> {
    query_at(&format!("sqlite:{}", folder.path().join("lostcard-data/lostcard.db").display()), statement)
}

fn query_at(url: &str, statement: &str) -> Vec<Vec<Option<String>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let text = |row: &sqlx::any::AnyRow| (0..row.len()).map(|at| row.get::<Option<String>, _>(at)).collect();
        rows.iter().map(text).collect()
    })
}

/// How many reports there are in that state.
fn count(folder: &Folder, state: &str) -> u64 {
    let statement = format!("SELECT CAST(COUNT(*) AS TEXT) FROM loss_reports WHERE state = '{state}'");
    query(folder, &statement)[0][0].as_ref().unwrap().parse().unwrap()
}

/// The rejects of a file, as line, pointer and code.
fn rejects(folder: &Folder, name: &str) -> Vec<(u64, String, String)> {
    let text = std::fs::read_to_string(folder.path().join(format!("{name}.rejects.ndjson"))).unwrap();
    assert!(!text.contains("119999"), "a number: {text}");
    let read = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        assert!(entry.get("column").is_some() && !text("detail").is_empty(), "{line}");
        (entry["line"].as_u64().unwrap(), text("pointer"), text("code"))
    };
    text.lines().map(read).collect()
}
