//! When a file is refused as a whole, its summary, and what the rejects file is.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::{count, import, number, rejects, row, row_of, rows, told, with_check, write};
use crate::run::{Folder, stderr, stdout};

/// A row whose check character is wrong.
fn bad(at: u64) -> String {
    let number = number(at);
    let check = if number.ends_with('1') { "2" } else { "1" };
    row_of(&format!("{}{check}", &number[..17]))
}

fn mixed(good: u64, wrong: u64) -> Vec<String> {
    rows(0..good).into_iter().chain((good..good + wrong).map(bad)).collect()
}

#[test]
fn rejects_within_the_limit_are_told_and_beyond_it_nothing_is_stored() {
    for (good, wrong, args, code) in [
        (99, 1, &[] as &[&str], 0),
        (98, 1, &[], 65),
        (98, 1, &["--max-rejects", "1"], 0),
        (98, 2, &["--max-rejects", "1"], 65),
        (1, 1, &["--max-rejects", "50%"], 0),
        (0, 3, &["--max-rejects", "100%"], 65),
        (99, 1, &["--strict"], 65),
        (99, 0, &["--strict"], 0),
    ] {
        let folder = Folder::new();
        write(&folder, "a.csv", &mixed(good, wrong));
        let dry = import(&folder, &[&["a.csv", "--dry-run"], args].concat(), code).0;
        assert_eq!((dry["rows"].as_u64(), dry["rejected"].as_u64()), (Some(good + wrong), Some(wrong)));
        assert!(!folder.path().join("a.csv.rejects.ndjson").exists(), "a dry run writes none");
        assert!(!folder.path().join("lostcard-data").exists(), "and makes no store");
        let (real, said) = import(&folder, &[&["a.csv"], args].concat(), code);
        let is_stored = code == 0 || args == ["--strict"];
        assert_eq!(count(&folder, "active"), if is_stored { good } else { 0 }, "{said}");
        assert_eq!(real["stored"].as_u64(), Some(if is_stored { good } else { 0 }));
        assert_eq!(folder.path().join("a.csv.rejects.ndjson").exists(), wrong > 0);
    }
    let folder = Folder::new();
    write(&folder, "a.csv", &mixed(99, 1));
    let output = folder.run(&["import", "a.csv"]).success();
    told(&output);
    let last = stdout(&output).lines().last().unwrap().to_owned();
    assert_eq!(last, "1 of 100 rows were rejected: see a.csv.rejects.ndjson");
}

#[test]
fn a_hundred_rejects_are_the_limit_of_a_large_file() {
    for (wrong, code) in [(100, 0), (101, 65)] {
        let folder = Folder::new();
        write(&folder, "a.csv", &mixed(11_000 - wrong, wrong));
        import(&folder, &["a.csv"], code);
    }
}

#[test]
fn a_dry_run_tells_each_reason_and_three_lines() {
    let folder = Folder::new();
    let mut lines = mixed(3, 5);
    lines.push(row(900).replace("lost,", "mislaid,"));
    write(&folder, "a.csv", &lines);
    let output = folder.run(&["import", "--dry-run", "a.csv"]).code(65);
    told(&output);
    let said = stdout(&output);
    assert!(said.contains("5  id_number wrong_check_character, line 5, 6, 7, ...: "), "{said}");
    assert!(said.contains("1  reason unknown_value, line 10: "), "{said}");
    assert!(stderr(&output).contains("6 of 9 rows are wrong"), "{}", stderr(&output));
}

#[test]
fn values_in_twenty_rows_are_in_doubt() {
    let phone = |at: u64, phone: &str| format!("{}{phone}", row(at));
    let numbers = |times: usize| {
        let mut lines = rows(0..100);
        // Another office each, for the same row twice is no mistake of a formula.
        lines.extend((0..times).map(|at| row(500).replace("110105-03", &format!("A{at}"))));
        lines
    };
    for (lines, code) in [
        ((0..19).map(|at| phone(at, "13800138000")).collect::<Vec<_>>(), 0),
        ((0..20).map(|at| phone(at, "13800138000")).collect(), 65),
        ((0..40).map(|at| phone(at, &format!("138001380{at:02}"))).collect(), 0),
        (numbers(19), 0),
        (numbers(20), 65),
    ] {
        let folder = Folder::new();
        write(&folder, "a.csv", &lines);
        let (_, said) = import(&folder, &["a.csv"], code);
        if code == 65 {
            assert!(said.contains("is in 20 rows") && said.contains("--yes-really"), "{said}");
            import(&folder, &["a.csv", "--dry-run"], 65);
            import(&folder, &["a.csv", "--yes-really"], 0);
        }
        assert_eq!(count(&folder, "active"), lines.len() as u64);
    }
}

#[test]
fn numbers_that_end_in_zeros_are_in_doubt_from_three_on() {
    let zeros: Vec<_> = (0..60_000).map(number).filter(|number| number.ends_with("000")).collect();
    assert!(zeros.is_empty(), "the numbers of these tests do not");
    // Sequences of 100, 200, ... with a check character of 0.
    let in_zeros = |at: u64| {
        let beginning = number(at)[..14].to_owned();
        (1..10).map(move |hundreds| with_check(&format!("{beginning}{hundreds}00")))
    };
    let rounded = |count: usize| -> Vec<String> {
        let numbers = (0..).flat_map(in_zeros).filter(|number| number.ends_with("000"));
        numbers.take(count).map(|number| row_of(&number)).collect()
    };
    for (good, zeros, code) in [(0, 2, 0), (0, 3, 65), (147, 3, 0), (146, 3, 65)] {
        let folder = Folder::new();
        let lines: Vec<_> = rows(20_000..20_000 + good).into_iter().chain(rounded(zeros)).collect();
        write(&folder, "a.csv", &lines);
        let (_, said) = import(&folder, &["a.csv"], code);
        assert_eq!(said.contains("a spreadsheet has rounded them"), code == 65, "{said}");
        import(&folder, &["a.csv", "--yes-really"], 0);
    }
}

#[test]
fn the_rejects_file_is_its_owners_and_no_link() {
    let folder = Folder::new();
    let path = folder.path().join("a.csv.rejects.ndjson");
    write(&folder, "a.csv", &mixed(99, 1));
    std::fs::write(&path, "of an earlier run").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (done, _) = import(&folder, &["a.csv"], 0);
    assert_eq!(done["rejects_file"], "a.csv.rejects.ndjson");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(rejects(&folder, "a.csv"), [(101, "/id_number".to_owned(), "wrong_check_character".to_owned())]);
    let target = folder.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(&target, &path).unwrap();
    let (_, said) = import(&folder, &["a.csv", "--again"], 1);
    assert!(said.contains("symbolic link"), "{said}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(count(&folder, "active"), 99);
}

#[test]
fn a_store_that_stays_busy_is_75() {
    let folder = Folder::new();
    write(&folder, "a.csv", &rows(0..3));
    // Nobody listens there.
    let url = "postgres://nobody@127.0.0.1:9/none";
    let (_, said) = import(&folder, &["--database-url", url, "a.csv"], 75);
    assert!(said.starts_with("error: store: "), "{said}");
}

#[test]
fn a_file_that_is_known_is_0_and_goes_in_again_on_demand() {
    let folder = Folder::new();
    write(&folder, "a.csv", &rows(0..3));
    let first = import(&folder, &["a.csv"], 0).0;
    let (second, said) = import(&folder, &["a.csv"], 0);
    assert_eq!((second["stored"].as_u64(), second["already_stored"].as_u64()), (Some(0), Some(3)), "{said}");
    assert_eq!(first["import_id"], second["import_id"]);
    assert_eq!(import(&folder, &["a.csv", "--again"], 0).0["stored"], 3);
    assert_eq!(count(&folder, "active"), 6);
}
