//! The files that version 0.1.0 got wrong, as they are, with the right answers.

use std::path::Path;

use super::{count, import, query, rejects};
use crate::run::Folder;

/// A folder with one of the files in it.
fn with(name: &str) -> Folder {
    let folder = Folder::new();
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/inputs/import");
    std::fs::copy(inputs.join(name), folder.path().join(name)).unwrap();
    folder
}

#[test]
fn files_of_offices_and_spreadsheets_are_stored_whole() {
    for (name, rows) in [
        ("utf16-tab.csv", 1),
        ("semicolon.csv", 1),
        ("chinese-header.csv", 1),
        ("chinese-header-gb18030.csv", 1),
        ("cr-only.csv", 2),
        ("crcrlf.csv", 1),
        ("blank-rows.csv", 1),
        ("apostrophe.csv", 1),
        ("equals-quoted.csv", 2),
        ("bom-and-nulls.ndjson", 2),
        ("UPPER.CSV", 1),
    ] {
        let folder = with(name);
        let (told, said) = import(&folder, &[name], 0);
        let figures = ["stored", "rejected", "rows"].map(|figure| told[figure].as_u64().unwrap());
        assert_eq!(figures, [rows, 0, rows], "{name}: {said}");
        assert_eq!(count(&folder, "active"), rows, "{name}");
        assert!(!folder.path().join(format!("{name}.rejects.ndjson")).exists(), "{name}: no rejects");
        assert_eq!(said.contains("GB18030"), name.contains("gb18030"), "{name}: {said}");
    }
}

#[test]
fn numbers_that_a_spreadsheet_rounded_are_not_stored() {
    let name = "rounded-by-spreadsheet.csv";
    let folder = with(name);
    let (told, said) = import(&folder, &[name], 65);
    assert_eq!((told["stored"].as_u64(), told["outcome"].as_str()), (Some(0), Some("refused")));
    assert!(said.contains("300 of 300 numbers end in 000 or 00X: a spreadsheet has rounded them"), "{said}");
    assert!(said.contains("save the column id_number as text"), "{said}");
    let valid = told["rows"].as_u64().unwrap() - told["rejected"].as_u64().unwrap();
    assert!(valid > 0, "some pass the check character: that is the danger");
    // Where rejects are allowed the doubt still holds, and where the doubt is lifted the limit on rejects.
    import(&folder, &[name, "--max-rejects", "100%"], 65);
    import(&folder, &[name, "--yes-really"], 65);
    assert_eq!(count(&folder, "active"), 0);
    import(&folder, &[name, "--yes-really", "--max-rejects", "100%"], 0);
    assert_eq!(count(&folder, "active"), valid);
}

#[test]
fn dates_in_seven_forms_are_the_same_days() {
    let name = "date-forms.csv";
    let folder = with(name);
    assert_eq!(import(&folder, &[name], 65).0["stored"], 0);
    assert_eq!(import(&folder, &[name, "--max-rejects", "50%"], 0).0["stored"], 7);
    let days = query(&folder, "SELECT DISTINCT card_valid_from, card_valid_until, lost_on FROM loss_reports");
    assert_eq!(days, [["2016-05-01", "2036-05-01", "2026-11-01"].map(|day| Some(day.to_owned())).to_vec()]);
    let expected = [(9, "date_as_number"), (10, "ambiguous_date")];
    for (line, code) in expected {
        let of_line: Vec<_> = rejects(&folder, name).into_iter().filter(|reject| reject.0 == line).collect();
        assert_eq!(of_line.len(), 3, "three dates: {of_line:?}");
        assert!(of_line.iter().all(|reject| reject.2 == code), "{of_line:?}");
    }
}

#[test]
fn long_term_cards_have_no_end_however_it_is_written() {
    let name = "long-term-forms.csv";
    let folder = with(name);
    assert_eq!(import(&folder, &[name], 65).0["stored"], 0);
    let (told, said) = import(&folder, &[name, "--max-rejects", "50%"], 0);
    assert_eq!((told["stored"].as_u64(), told["rejected"].as_u64()), (Some(7), Some(4)), "{said}");
    assert_eq!(query(&folder, "SELECT DISTINCT card_valid_until FROM loss_reports"), [[None]]);
    let all = rejects(&folder, name);
    assert!(all.iter().all(|reject| reject.1 == "/card_valid_until" && reject.2 == "placeholder"), "{all:?}");
    assert_eq!(all.iter().map(|reject| reject.0).collect::<Vec<_>>(), [8, 9, 10, 11]);
    assert!(told["reasons"][0]["detail"].as_str().unwrap().contains("leave the cell empty"));
}

#[test]
fn swapped_days_and_files_without_rows_are_refused() {
    let name = "swapped-from-until.csv";
    let folder = with(name);
    import(&folder, &[name], 65);
    let expected = (2, "/card_valid_until".to_owned(), "ends_before_start".to_owned());
    assert_eq!(rejects(&folder, name), [expected]);
    let folder = with("header-only.csv");
    let (_, said) = import(&folder, &["header-only.csv"], 65);
    assert!(said.contains("no rows"), "{said}");
}
