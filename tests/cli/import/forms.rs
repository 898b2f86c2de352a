//! Further members of the kinds of file that are taken, and of those that are refused by name.

use std::process::Command;

use super::workbook::{Cell, workbook, workbook_behind};
use super::{HEADER, count, import, number, query, rejects, row, rows, write};
use crate::run::Folder;

fn utf_16(text: &str, be: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{FEFF}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16()).collect::<Vec<_>>();
    units.into_iter().flat_map(|unit| if be { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn stored(name: &str, content: &[u8], args: &[&str], expected: u64) {
    let folder = Folder::new();
    std::fs::write(folder.path().join(name), content).unwrap();
    let (told, said) = import(&folder, &[&[name], args].concat(), 0);
    assert_eq!((told["stored"].as_u64(), told["rejected"].as_u64()), (Some(expected), Some(0)), "{name}: {said}");
}

fn refused(name: &str, content: &[u8], args: &[&str], why: &str) {
    let folder = Folder::new();
    std::fs::write(folder.path().join(name), content).unwrap();
    let (_, said) = import(&folder, &[&[name], args].concat(), 65);
    assert!(said.contains(why), "{name}: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
}

#[test]
fn encodings_are_known_by_mark_bytes_or_word() {
    let text = format!("{HEADER}\r\n{}\r\n", rows(0..3).join("\r\n"));
    let chinese = text.replace("id_number", "证件号码").replace("2036-05-01", "长期");
    stored("a.csv", &utf_16(&text, true, true), &[], 3);
    stored("b.csv", &utf_16(&chinese, false, false), &["--encoding", "utf-16le"], 3);
    stored("c.txt", &utf_16(&chinese.replace(',', "\t"), true, false), &["--encoding", "utf-16be"], 3);
    refused("d.csv", &utf_16(&text, false, false), &[], "--encoding utf-16le");
    let (gb18030, ..) = encoding_rs::GB18030.encode(&chinese);
    stored("e.csv", &gb18030, &[], 3);
    stored("f.csv", &gb18030, &["--encoding", "gb18030"], 3);
    refused("g.csv", &gb18030, &["--encoding", "utf-8"], "--encoding");
    refused("h.csv", &[&gb18030[..], b"\xFF\xFF\r\n"].concat(), &[], "--encoding");
    stored("i.csv", &[b"\xEF\xBB\xBF", chinese.as_bytes()].concat(), &[], 3);
}

#[test]
fn separators_ends_of_lines_and_blank_rows_do_not_matter() {
    for end in ["\n", "\r\n", "\r", "\r\r\n"] {
        for separator in [",", ";", "\t"] {
            let text = format!("{HEADER}\n\n{}\n,,,,,,,,,\n  \n{}", row(1), row(2));
            let text = text.replace(',', separator).replace('\n', end);
            stored("a.csv", text.as_bytes(), &[], 2);
            stored("b.csv", format!("sep={separator}{end}{text}").as_bytes(), &[], 2);
        }
    }
}

#[test]
fn chinese_words_stand_for_the_codes_of_the_contract() {
    let folder = Folder::new();
    let cells = [
        ("丢失", "本人", "派出所", "lost holder station"),
        ("被盗", "代办", "办事大厅", "stolen agent hall"),
        ("遗失", "监护人", "网上", "lost guardian online"),
        ("失窃", "否", "政务服务大厅", "stolen agent hall"),
        ("lost", "是", "hall", "lost holder hall"),
    ];
    let row = |(at, (reason, reporter, channel, _)): (u64, &(&str, &str, &str, &str))| {
        format!("{},{reason},{reporter},110105-03,{channel}\n", number(at))
    };
    let text: String = (1..).zip(&cells).map(row).collect();
    folder.write("words.csv", &format!("证件号码,挂失原因,申报人,受理单位,受理渠道\n{text}"));
    import(&folder, &["words.csv"], 0);
    let stored = query(&folder, "SELECT reason || ' ' || reporter || ' ' || channel FROM loss_reports ORDER BY 1");
    let mut expected: Vec<_> = cells.iter().map(|(.., codes)| vec![Some((*codes).to_owned())]).collect();
    expected.sort();
    assert_eq!(stored, expected);
    // A word that no code stands for is wrong, by the name of its column.
    folder.write("other.csv", &format!("证件号码,挂失原因,申报人,受理单位,受理渠道\n{},损坏,邻居,A,hall\n", number(9)));
    import(&folder, &["other.csv"], 65);
    let expected = [
        (2, "/reason".to_owned(), "unknown_value".to_owned()),
        (2, "/reporter".to_owned(), "unknown_value".to_owned()),
    ];
    assert_eq!(rejects(&folder, "other.csv"), expected);
}

#[test]
fn headers_are_english_or_chinese_in_any_case_and_extra_columns_are_named() {
    let line = |names: &str| format!("{names}\n{},lost,holder,A,hall,x\n", number(1));
    for names in [
        "ID_NUMBER,Reason,REPORTER,Office,channel,remark",
        "公民身份号码,挂失原因,挂失人,受理单位,渠道,remark",
        "证件号码,原因,申报人,受理机关,受理渠道,Remark",
    ] {
        stored("a.csv", line(names).as_bytes(), &["--ignore-column", "remark"], 1);
        refused("b.csv", line(names).as_bytes(), &[], "column 6");
    }
    refused("c.csv", line("id_number,reason,reporter,office,office,remark").as_bytes(), &[], "named twice");
}

#[test]
fn wrappings_are_taken_off_and_quantities_refused_by_name() {
    let folder = Folder::new();
    let line = |number: &str, phone: &str| format!("{number},,,lost,,holder,A,hall,,{phone}");
    let wrapped = ["'{}", "=\"{}\"", "\"=\"\"{}\"\"\"", "\"\t{}\"", "\t{}", "{}\t"];
    let mut lines: Vec<_> =
        (0..).zip(wrapped).map(|(at, form)| line(&form.replace("{}", &number(at)), "'13800138000")).collect();
    let good = lines.len() as u64;
    lines.push(line("1.19999E+17", ""));
    lines.push(line(&number(90), "1.38E+10"));
    lines.push(line(&number(91), "13800138000.0"));
    lines.push(line(&number(92), "N/A"));
    lines.push(line(&format!(" {}", number(93)), ""));
    write(&folder, "a.csv", &lines);
    assert_eq!(import(&folder, &["a.csv", "--max-rejects", "5"], 0).0["stored"], good);
    let codes: Vec<_> = rejects(&folder, "a.csv").into_iter().map(|reject| reject.2).collect();
    assert_eq!(codes, ["id_as_number", "phone_as_number", "phone_as_number", "placeholder", "wrong_length"]);
}

#[test]
fn times_are_in_the_zone_that_is_told() {
    for (zone, expected) in [(&[] as &[&str], 1_793_577_600_000_i64), (&["--zone", "-03:00"], 1_793_617_200_000)] {
        let folder = Folder::new();
        let text = ["2026/11/2 8:00", "20261102 08:00:00", "2026-11-02T8:00", "2026年11月2日 08:00"];
        let lines: Vec<_> =
            (0..).zip(text).map(|(at, text)| format!("{},,,lost,,holder,A,hall,{text},", number(at))).collect();
        write(&folder, "a.csv", &lines);
        assert_eq!(import(&folder, &[&["a.csv"], zone].concat(), 0).0["stored"], 4);
        let instants = query(&folder, "SELECT DISTINCT CAST(reported_at AS TEXT) FROM loss_reports");
        assert_eq!(instants, [[Some(expected.to_string())]]);
    }
    Folder::new().run(&["import", "--zone", "Beijing", "a.csv"]).code(2);
}

#[test]
fn json_is_one_object_a_line() {
    let object = |at| {
        format!(r#"{{"id_number":"{}","reason":"lost","reporter":"holder","office":"A","channel":"hall""#, number(at))
    };
    for array in [format!("[{}}}]", object(0)), format!("\u{FEFF}\n  [\n{}}}\n]", object(0))] {
        for name in ["a.ndjson", "a.JSON"] {
            refused(name, array.as_bytes(), &[], "jq -c '.[]'");
        }
    }
    let extra = format!("{},\"remark\":[1],\"contact\":null}}\n\n", object(0));
    stored("b.jsonl", extra.as_bytes(), &["--ignore-column", "remark"], 1);
    let folder = Folder::new();
    let lines = [
        format!("{}}}", object(0)),
        object(1).replace(&format!("\"{}\"", number(1)), "110101199001011234") + "}",
        format!("{},\"contact\":{{\"phone\":13800138000}}}}", object(2)),
        format!("{},\"lost_on\":42491}}", object(3)),
    ];
    folder.write("c.ndjson", &lines.join("\n"));
    import(&folder, &["c.ndjson", "--max-rejects", "3"], 0);
    let expected = [
        (2, "/id_number", "id_as_number"),
        (3, "/contact/phone", "phone_as_number"),
        (4, "/lost_on", "number_as_value"),
    ];
    let expected = expected.map(|(line, pointer, code)| (line, pointer.to_owned(), code.to_owned()));
    assert_eq!(rejects(&folder, "c.ndjson"), expected);
}

#[test]
fn a_workbook_is_read_as_cells_of_text() {
    let header = ["ID_Number", "有效期止", "reason", "reporter", "office", "channel", "contact_phone"].map(Cell::text);
    let line = |number: Cell, phone: Cell| {
        let text = ["长期", "lost", "holder", "A", "hall"].map(Cell::text);
        [vec![number], text.to_vec(), vec![phone]].concat()
    };
    let good = line(Cell::text(&number(1)), Cell::Empty);
    let shared = line(Cell::shared(&number(2)), Cell::text("13800138000"));
    let book = workbook(&[header.to_vec(), good.clone(), vec![], shared]);
    stored("a.xlsx", &book, &[], 2);
    stored("b.XLSX", &book, &[], 2);
    refused("c.csv", &book, &[], ".xlsx");
    refused("d.xlsx", b"id_number\n", &[], "no .xlsx workbook");
    refused("e.csv", &[0xD0, 0xCF, 0x11, 0xE0, 0xA1], &[], "save it as .xlsx");
    refused("f.xlsx", &workbook(&[header.to_vec()]), &[], "no rows");
    let folder = Folder::new();
    let wrong = [
        line(Cell::Number("119999199003071234"), Cell::Empty),
        line(Cell::text(&number(3)), Cell::Number("13800138000")),
        line(Cell::Other, Cell::Empty),
        [good, vec![Cell::text("beside")]].concat(),
    ];
    std::fs::write(folder.path().join("g.xlsx"), workbook(&[vec![header.to_vec()], wrong.to_vec()].concat())).unwrap();
    import(&folder, &["g.xlsx"], 65);
    let expected = [
        (2, "/id_number", "id_as_number"),
        (3, "/contact_phone", "phone_as_number"),
        (4, "/id_number", "not_text"),
        (5, "", "wrong_cell_count"),
    ];
    let expected = expected.map(|(line, pointer, code)| (line, pointer.to_owned(), code.to_owned()));
    assert_eq!(rejects(&folder, "g.xlsx"), expected);
    assert_eq!(count(&folder, "active"), 0);
}

/// Stored as if it were empty, such a cell would list a number without the start of its card.
#[test]
fn cells_that_show_what_is_not_in_them_are_rejected() {
    let header = ["id_number", "card_valid_from", "reason", "reporter", "office", "channel"].map(Cell::text);
    let line = |at: u64, start: Cell| {
        let text = ["lost", "holder", "A", "hall"].map(Cell::text);
        [vec![Cell::text(&number(at)), start], text.to_vec()].concat()
    };
    let day = || Cell::text("2016-05-01");
    let under = [line(4, day()), vec![Cell::MergedUp; 6], line(5, day())];
    let rows = [
        vec![header.to_vec(), line(1, day()), line(2, Cell::MergedUp), line(3, Cell::Formula)],
        // A row that is merged in all its columns is none.
        under.to_vec(),
    ];
    let folder = Folder::new();
    std::fs::write(folder.path().join("a.xlsx"), workbook(&rows.concat())).unwrap();
    let (told, said) = import(&folder, &["--max-rejects", "2", "a.xlsx"], 0);
    assert_eq!((told["stored"].as_u64(), told["rejected"].as_u64()), (Some(3), Some(2)), "{said}");
    let expected = [(3, "merged_cells"), (4, "formula_without_value")];
    let expected = expected.map(|(line, code)| (line, "/card_valid_from".to_owned(), code.to_owned()));
    assert_eq!(rejects(&folder, "a.xlsx"), expected);
    assert_eq!(query(&folder, "SELECT DISTINCT card_valid_from FROM loss_reports"), [[Some("2016-05-01".to_owned())]]);
    // A column whose name nobody knows is not one without a name.
    let mut nameless = rows.concat();
    nameless[0][1] = Cell::Formula;
    std::fs::write(folder.path().join("b.xlsx"), workbook(&nameless)).unwrap();
    let (_, said) = import(&folder, &["b.xlsx"], 65);
    assert!(said.contains("the header, column 2: the cell has a formula"), "{said}");
}

#[test]
fn the_first_sheet_that_shows_is_read() {
    let header = ["id_number", "reason", "reporter", "office", "channel"].map(Cell::text);
    let rows = [header.to_vec(), [&number(1), "lost", "holder", "A", "hall"].map(Cell::text).to_vec()];
    let folder = Folder::new();
    for (before, place) in [("<sheet name=\"H\" sheetId=\"2\" state=\"hidden\" r:id=\"r3\"/>", 2), ("", 1)] {
        let name = format!("{place}.xlsx");
        std::fs::write(folder.path().join(&name), workbook_behind(before, &rows)).unwrap();
        let (told, said) = import(&folder, &[&name, "--again"], 0);
        assert_eq!(told["stored"], 1, "{said}");
        assert_eq!(said.contains(&format!("sheet {place} is read")), place == 2, "{said}");
    }
}

#[test]
fn a_dry_run_makes_nothing() {
    let folder = Folder::new();
    write(&folder, "a.csv", &rows(0..5));
    for more in [&[] as &[&str], &["--source", "police", "--full"]] {
        let (told, said) = import(&folder, &[&["a.csv", "--dry-run"], more].concat(), 0);
        assert_eq!((told["rows"].as_u64(), told["outcome"].as_str()), (Some(5), Some("planned")), "{said}");
    }
    write(&folder, "b.csv", &["x".to_owned()]);
    import(&folder, &["b.csv", "--dry-run"], 65);
    assert!(!folder.path().join("lostcard-data").exists());
}

#[test]
fn what_cannot_be_read_twice_is_refused_at_once() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for name in ["pipe.csv", "-", "/dev/null", "."] {
        let (_, said) = import(&folder, &["--format", "csv", name], 2);
        assert!(said.contains("read twice"), "{name}: {said}");
    }
    assert!(!folder.path().join("lostcard-data").exists());
}

/// What spreadsheets and old programs leave around a table.
#[test]
fn wrapped_headers_empty_columns_and_marks_are_no_fault() {
    let short = "id_number,reason,reporter,office,channel";
    let line = |at: u64| format!("{},lost,holder,A,hall", number(at));
    let wrapped = |line: &str| line.split(',').map(|cell| format!("=\"{cell}\"")).collect::<Vec<_>>().join(",");
    let twice = |line: &str| line.split(',').map(|cell| format!("\"=\"\"{cell}\"\"\"")).collect::<Vec<_>>().join(",");
    for text in [
        format!("{}\n{}\n", wrapped(short), wrapped(&line(1))),
        format!("{}\n{}\n", twice(short), twice(&line(1))),
        format!("{short},,\n{},,\n,,,,,,\n", line(1)),
        format!("{short}\n{},,\n", line(1)),
        format!("{short},,\n{}\n", line(1)),
        format!("{short}\n\u{A0},\u{3000},,,\n{}\n=\"\",=\"\",=\"\",=\"\",=\"\"\n", line(1)),
        format!("\u{FEFF}\u{FEFF}{short}\n{}\n", line(1)),
        format!("\u{FEFF}\u{FEFF}sep=,\n{short}\n{}\n", line(1)),
        format!("{short}\r\n{}\r\n\u{1A}", line(1)),
        format!("{short}\r\n{}\r\n\u{1A}\r\n", line(1)),
    ] {
        stored("a.csv", text.as_bytes(), &[], 1);
    }
    let object =
        format!(r#"{{"id_number":"{}","reason":"lost","reporter":"holder","office":"A","channel":"hall"}}"#, number(1));
    stored("a.ndjson", format!("\u{FEFF}\u{FEFF}{object}\n\u{3000}\n\u{1A}").as_bytes(), &[], 1);
    refused("b.csv", format!("{short},,\n{},,x\n", line(1)).as_bytes(), &[], "1 of 1 rows are wrong");
    refused("c.csv", format!("id_number,,reason,reporter,office,channel\n{}\n", line(1)).as_bytes(), &[], "column 2");
    // By what it is, and not by its name.
    for name in ["d.xls", "d.csv", "d"] {
        refused(name, &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], &[], "old form, .xls");
    }
}

#[test]
fn words_for_nothing_and_members_that_stand_twice_are_refused_by_name_and_place() {
    let folder = Folder::new();
    let lines: Vec<String> = ["NULL", "null", "NA", "nan", "None", "-", "--", "N/A", "\\N"]
        .iter()
        .zip(1..)
        .map(|(word, at)| format!("{},,,lost,,holder,{word},hall,,", number(at)))
        .collect();
    write(&folder, "words.csv", &lines);
    import(&folder, &["words.csv", "--max-rejects", "100%"], 65);
    let found: Vec<_> = rejects(&folder, "words.csv").into_iter().map(|(_, pointer, code)| (pointer, code)).collect();
    assert_eq!(found, vec![("/office".to_owned(), "placeholder".to_owned()); 9]);
    write(
        &folder,
        "days.csv",
        &[format!("{},0000-00-00,,lost,00000000,holder,A,hall,0000-00-00 00:00:00,", number(1))],
    );
    import(&folder, &["days.csv", "--max-rejects", "100%"], 65);
    let found: Vec<_> = rejects(&folder, "days.csv").into_iter().map(|(_, pointer, code)| (pointer, code)).collect();
    for pointer in ["/card_valid_from", "/lost_on", "/reported_at"] {
        assert!(found.contains(&(pointer.to_owned(), "placeholder".to_owned())), "{found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    let object = |more: &str| {
        let number = number(1);
        format!(r#"{{"id_number":"{number}","reason":"lost","reporter":"holder","office":"A","channel":"hall"{more}}}"#)
    };
    let cases = [
        (r#","reason":null"#, "/reason", "duplicate_member"),
        (r#","contact":{"phone":null,"phone":"13800138000"}"#, "/contact/phone", "duplicate_member"),
        (r#","contact":{"fax":"1"}"#, "/contact", "unknown_member"),
        (r#","fax":"1""#, "", "unknown_member"),
    ];
    let text: String = cases.iter().map(|(more, ..)| object(more) + "\n").collect();
    folder.write("objects.ndjson", &text);
    import(&folder, &["objects.ndjson", "--max-rejects", "100%"], 65);
    let expected: Vec<_> =
        (1..).zip(cases).map(|(line, (_, pointer, code))| (line, pointer.to_owned(), code.to_owned())).collect();
    assert_eq!(rejects(&folder, "objects.ndjson"), expected);
}

/// One byte that a transfer has changed spoils its row, and not the encoding of all others.
#[test]
fn a_broken_byte_does_not_make_utf_8_another_encoding() {
    let folder = Folder::new();
    let line = |at: u64| format!("{},丢失,本人,A,大厅\n", number(at)).into_bytes();
    let mut content = "证件号码,挂失原因,是否本人,受理单位,受理渠道\n".as_bytes().to_vec();
    (0..200).for_each(|at| content.extend(line(at)));
    let mut broken = line(200);
    // Each two bytes of a column of UTF-8 are a character of GB18030, this one with them.
    let at = broken.windows(3).position(|bytes| bytes == "失".as_bytes()).unwrap() + 2;
    broken[at] = 0xC1;
    content.extend(broken);
    assert!(!encoding_rs::GB18030.decode_without_bom_handling(&content).1, "all of it could be GB18030");
    std::fs::write(folder.path().join("a.csv"), content).unwrap();
    let (told, said) = import(&folder, &["a.csv"], 0);
    assert_eq!((told["stored"].as_u64(), told["rejected"].as_u64()), (Some(200), Some(1)), "{said}");
    assert!(!said.contains("GB18030"), "{said}");
    assert_eq!(rejects(&folder, "a.csv"), [(202, String::new(), "wrong_encoding".to_owned())]);
}
