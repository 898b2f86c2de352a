//! Lists in every form, and what each exit code stands for.

use super::{LISTED_FROM, Service, guests, json, mode, rows};
use crate::import::number;
use crate::import::workbook::{Cell, workbook};
use crate::run::{Folder, stderr};

const ADDED: &str = "verdict,advice,since,check_id,receipt,problem";

#[test]
fn a_list_comes_back_with_all_it_had_and_the_verdicts_at_its_end() {
    let service = Service::start("6000/1s");
    let [listed, other, free] = [0, 1, 7].map(number);
    let list = format!(
        "\u{FEFF}姓名;证件号码;有效期起始日期;房间\r\n\"Wang; \"\"A\"\"\r\nsecond line\";{listed};2016.05.01;101\r\n\
         Li;{other};;102\r\n\r\nZhao;'{other};2020年1月1日;103\r\nSun;{free};20160501;=\"104\"\r\n"
    );
    service.folder.write("guests.csv", &list);
    let (told, _) = service.check(&["--purpose", "lodging", "--json", "guests.csv"], 10);
    let told = json(&told);
    let figures = ["rows", "not_listed", "other_card_listed", "number_listed", "card_listed", "problems"];
    assert_eq!(figures.map(|name| told[name].as_u64().unwrap()), [4, 1, 1, 1, 1, 0]);
    assert_eq!(told["output"], "guests.csv.checked.csv");
    let output = service.read("guests.csv.checked.csv");
    let (header, rest) = output.split_once('\n').unwrap();
    assert_eq!(header, format!("\u{FEFF}姓名;证件号码;有效期起始日期;房间;{}", ADDED.replace(',', ";")));
    let first = format!("\"Wang; \"\"A\"\"\nsecond line\";{listed};2016.05.01;101;card_listed;refuse_and_report;20");
    assert!(rest.starts_with(&first), "{rest}");
    let rows = rows(rest, ';');
    let rows = &rows[2..];
    let of = |row: &[String]| row[..6].join(";");
    assert_eq!(of(&rows[0]), format!("Li;{other};;102;number_listed;confirm_card"));
    assert_eq!(of(&rows[1]), format!("Zhao;'{other};2020年1月1日;103;other_card_listed;proceed"));
    assert_eq!(of(&rows[2]), format!("Sun;{free};20160501;\"=\"\"104\"\"\";not_listed;proceed"));
    assert!(rows[2][6].is_empty() && rows[0][6].starts_with("20"), "since");
    assert_eq!((rows[0][8].as_str(), rows[0][9].as_str()), ("row-2.json", ""));
    let path = |name: &str| service.folder.path().join(name);
    assert_eq!(mode(&path("guests.csv.checked.csv")), 0o600);
    let kept = json(&service.read("guests.csv.checked.csv.receipts/row-2.json"));
    assert_eq!(kept["check_id"], rows[0][7].as_str());
    assert_eq!(service.verify("guests.csv.checked.csv.receipts", 0), "4 receipts are authentic\n");
    // Each receipt is about its number.
    for (row, number) in [(1, &listed), (4, &free)] {
        let kept = json(&service.read(&format!("guests.csv.checked.csv.receipts/row-{row}.json")));
        service.folder.write("receipt.txt", kept["receipt"].as_str().unwrap());
        service.folder.write("number.txt", number);
        let salt = kept["receipt_salt"].as_str().unwrap();
        let args = ["receipt", "verify", "--jwks", "jwks.json", "--salt", salt, "--id-number-file", "number.txt"];
        service.folder.run(&[&args[..], &["receipt.txt"]].concat()).success();
    }
}

#[test]
fn workbooks_objects_and_other_encodings_are_read_too() {
    let service = Service::start("6000/1s");
    let text = Cell::text;
    let book = workbook(&[
        vec![text("Name"), text("公民身份号码"), text("Room"), text("用途")],
        vec![text("Wang"), Cell::shared(&number(7)), Cell::Number("101"), text("住宿")],
        vec![],
        vec![text("Li"), Cell::Number("110105194912310000"), Cell::Other, text("lodging")],
        vec![text("Zhao"), text(&number(0)), Cell::Empty, text("holiday")],
    ]);
    std::fs::write(service.folder.path().join("guests.xlsx"), book).unwrap();
    let (_, said) = service.check(&["--output", "out.csv", "--receipts", "kept", "guests.xlsx"], 65);
    assert!(said.contains("2 of 3 rows could not be checked"), "{said}");
    let out = rows(&service.read("out.csv"), ',');
    // Without a mark Excel would take what was no plain UTF-8 for GBK.
    assert_eq!(out[0].join(","), format!("\u{FEFF}Name,公民身份号码,Room,用途,{ADDED}"));
    assert_eq!(out[1][..5].join(","), format!("Wang,{},101,住宿,not_listed", number(7)));
    assert_eq!(out[2][..9].join(","), "Li,110105194912310000,TRUE,lodging,,,,,");
    assert!(out[2][9].contains("id_as_number"), "{:?}", out[2]);
    assert!(out[3][9].starts_with("\"unknown_value: expected one of: lodging"), "{:?}", out[3]);
    assert_eq!(service.verify("kept", 0), "1 receipts are authentic\n");

    let [free, listed] = [number(7), number(0)];
    let lines = format!(
        "{{\"room\":7,\"id_number\":\"{free}\"}}\n\n{{\"id_number\":\"{listed}\",\"tags\":[\"a\",1],\"room\":null}}\nnone\n\
         {{\"id_number\":110105194912310000}}\n"
    );
    service.folder.write("guests.ndjson", &lines);
    service.check(&["--purpose", "banking", "guests.ndjson"], 65);
    let out = service.read("guests.ndjson.checked.csv");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], format!("room,id_number,tags,{ADDED}"));
    assert!(lines[1].starts_with(&format!("7,{free},,not_listed,proceed,")), "{}", lines[1]);
    assert!(
        lines[2].starts_with(&format!(",{listed},\"[\"\"a\"\",1]\",number_listed,confirm_card,20")),
        "{}",
        lines[2]
    );
    assert_eq!(lines[3], ",,,,,,,,malformed_json: the line is not one JSON object (line 4)");
    assert!(lines[4].starts_with(",110105194912310000,,,,,,,\"id_as_number: "), "{}", lines[4]);

    let (gb18030, ..) = encoding_rs::GB18030.encode("证件号码,备注\n");
    let list = [&gb18030[..], format!("{free},x\n").as_bytes()].concat();
    std::fs::write(service.folder.path().join("old.csv"), list).unwrap();
    let (_, said) = service.check(&["--purpose", "banking", "old.csv"], 0);
    assert!(said.contains("gb18030"), "{said}");
    let out = service.read("old.csv.checked.csv");
    assert!(out.starts_with(&format!("\u{FEFF}证件号码,备注,{ADDED}\n{free},x,not_listed,")), "{out}");
}

/// What a cell shows and does not hold is not taken for nothing: without its start a listed card could not be told from another one.
#[test]
fn cells_that_show_what_is_not_in_them_are_refused_by_name() {
    let service = Service::start("6000/1s");
    let text = Cell::text;
    let day = || text(LISTED_FROM);
    let book = workbook(&[
        vec![text("id_number"), text("card_valid_from"), text("room")],
        vec![text(&number(0)), Cell::Formula, text("1")],
        vec![text(&number(0)), day(), text("2")],
        vec![text(&number(1)), Cell::MergedUp, text("3")],
        vec![text(&number(1)), day(), Cell::MergedUp],
        vec![text(&number(7)), text("\u{3000}"), Cell::Formula],
    ]);
    std::fs::write(service.folder.path().join("guests.xlsx"), book).unwrap();
    service.check(&["--purpose", "lodging", "guests.xlsx"], 65);
    let out = service.read("guests.xlsx.checked.csv");
    let lines: Vec<_> = out.lines().skip(1).collect();
    for (line, expected) in
        lines.iter().zip(["formula_without_value: ", "card_listed", "merged_cells: ", "card_listed", "not_listed"])
    {
        assert!(line.contains(expected), "{expected}: {out}");
    }
    assert_eq!(lines.len(), 5, "{out}");
}

#[test]
fn receipts_of_two_lists_do_not_share_a_folder() {
    let service = Service::start("6000/1s");
    for (name, count) in [("one.csv", 3), ("two.csv", 2)] {
        service.folder.write(name, &guests(count));
    }
    let check = |name, code| service.check(&["--purpose", "lodging", "--receipts", "kept", name], code);
    check("one.csv", 10);
    let first = service.read("kept/row-1.json");
    let (_, said) = check("two.csv", 2);
    assert!(said.contains("kept: it holds receipts of another list"), "{said}");
    assert_eq!(service.read("kept/row-1.json"), first);
    assert_eq!(service.verify("kept", 0), "3 receipts are authentic\n");
    // The folder's own list may be checked once more.
    std::fs::remove_file(service.folder.path().join("one.csv.checked.csv")).unwrap();
    check("one.csv", 10);
    assert_ne!(service.read("kept/row-1.json"), first);
    service.check(&["--purpose", "lodging", "two.csv"], 10);
}

/// What spreadsheets leave around a table is no fault of its rows.
#[test]
fn wrapped_headers_empty_columns_and_blank_rows_are_no_fault() {
    let service = Service::start("6000/1s");
    let free = number(7);
    for (at, list) in [
        format!("=\"id_number\",=\"room\"\n=\"{free}\",=\"1\"\n"),
        format!("id_number,room,,\n{free},1,,\n{free},2\n,,,\n"),
        format!("id_number,room\n{free},1,,\n\u{3000},\u{A0}\n=\"\",=\"\"\n"),
        format!("\u{FEFF}\u{FEFF}\"id_number\",room\n{free},1\n\u{1A}"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("{at}.csv");
        service.folder.write(&name, list);
        service.check(&["--purpose", "lodging", &name], 0);
        let out = service.read(&format!("{name}.checked.csv"));
        assert_eq!(out.lines().count(), if at == 1 { 3 } else { 2 }, "{out}");
        assert!(out.lines().skip(1).all(|line| line.contains(",not_listed,proceed,")), "{out}");
    }
}

#[test]
fn a_row_that_cannot_be_checked_says_why_and_is_not_sent() {
    let service = Service::start("6000/1s");
    let wrong = {
        let right = number(7);
        let last = if right.ends_with('1') { '2' } else { '1' };
        format!("{}{last}", &right[..17])
    };
    let cases = [
        (format!("{wrong},{LISTED_FROM}"), "wrong_check_character: "),
        ("1.19999E+17,".to_owned(), "id_as_number: "),
        (",".to_owned(), ""),
        ("-,".to_owned(), "wrong_"),
        (format!("{},01/05/2016", number(7)), "ambiguous_date: "),
        (format!("{},2100-01-01", number(7)), "starts_"),
        (format!("{},-", number(7)), "placeholder: "),
        (number(7), "wrong_cell_count: "),
        (format!("{},,x", number(7)), "wrong_cell_count: "),
        (format!("\"{},", number(7)), "malformed_quotes: "),
    ];
    let list = cases.iter().map(|(row, _)| row.as_str()).collect::<Vec<_>>().join("\n");
    service.folder.write("guests.csv", &format!("id_number,card_valid_from\n{list}\n"));
    let before = service.metric("lostcard_checks_total");
    service.check(&["--purpose", "lodging", "guests.csv"], 65);
    let out = service.read("guests.csv.checked.csv");
    let out: Vec<_> = out.lines().skip(1).collect();
    // Blank rows are no rows.
    let cases: Vec<_> = cases.iter().filter(|(row, _)| row != ",").collect();
    assert_eq!(out.len(), cases.len());
    for (line, (row, expected)) in out.iter().zip(cases) {
        let problem = line.rsplit_once(",,,,,").unwrap().1;
        assert!(problem.trim_start_matches('"').starts_with(expected), "{row}: {line}");
        assert!(!problem.contains("119999"), "{problem}");
    }
    assert_eq!(service.metric("lostcard_checks_total"), before, "nothing was asked");
}

impl Service {
    fn metric(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.node.metrics_address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        text.lines()
            .filter(|line| line.starts_with(name))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

#[test]
fn exit_codes_are_for_scripts() {
    let service = Service::start("6000/1s");
    let two = |at: u64| format!("id_number\n{}\n", number(at));
    for (name, list, args, code) in [
        ("none.csv", two(7), &["--purpose", "lodging"] as &[&str], 0),
        ("some.csv", two(0), &["--purpose", "lodging"], 10),
        // Rows that were not checked come first: the list is not done.
        ("both.csv", format!("{}x\n", two(0)), &["--purpose", "lodging"], 65),
        ("purpose.csv", two(7), &[], 2),
        ("word.csv", two(7), &["--purpose", "holiday"], 2),
        ("empty.csv", String::new(), &["--purpose", "lodging"], 65),
        ("head.csv", "name\nWang\n".to_owned(), &["--purpose", "lodging"], 65),
        ("no-rows.csv", "id_number,name\n,\n".to_owned(), &["--purpose", "lodging"], 65),
        ("array.ndjson", "[{\"id_number\":\"x\"}]".to_owned(), &["--purpose", "lodging"], 65),
    ] {
        service.folder.write(name, &list);
        service.check(&[args, &[name]].concat(), code);
    }
    // Between two stray quotes is a guest.
    let list = format!("id_number,remark\n{},\"VIP\n{},x\n{},27\"\n", number(7), number(0), number(8));
    service.folder.write("quotes.csv", &list);
    service.check(&["--purpose", "lodging", "quotes.csv"], 65);
    let out = service.read("quotes.csv.checked.csv");
    assert_eq!((out.matches("malformed_quotes").count(), out.matches("number_listed").count()), (2, 1), "{out}");
    // A checked list is no list.
    let (_, said) = service.check(&["--purpose", "lodging", "some.csv.checked.csv"], 65);
    assert!(said.contains("checked list"), "{said}");
    // Its output may stay, but of this list alone.
    service.folder.write("some.csv", &two(9));
    let (_, said) = service.check(&["--purpose", "lodging", "some.csv"], 2);
    assert!(said.contains("not the checked form of this list"), "{said}");
    // What nobody answers.
    service.folder.write("new.csv", &two(7));
    let args = ["check", "--url", "http://127.0.0.1:1", "--credentials", "client.json", "--patience", "1"];
    service.folder.run(&[&args[..], &["--purpose", "lodging", "new.csv"]].concat()).code(75);
    service
        .folder
        .write("client.json", "{\"client_id\":\"01993c5e-0000-7000-8000-000000000000\",\"client_secret\":\"lcs_x\"}");
    let (_, said) = service.check(&["--purpose", "lodging", "new.csv"], 1);
    assert!(said.contains("no token: the service answers 401"), "{said}");
    for wrong in ["{}", "[]", "x", "{\"client_id\":\"01993c5e-0000-7000-8000-000000000000\"}"] {
        service.folder.write("client.json", wrong);
        service.check(&["--purpose", "lodging", "new.csv"], 2);
    }
}

#[test]
fn nothing_is_written_through_links_or_over_the_list() {
    let folder = Folder::new();
    folder.write("guests.csv", &guests(1));
    folder.write("client.json", "{\"client_id\":\"01993c5e-0000-7000-8000-000000000000\",\"client_secret\":\"lcs_x\"}");
    folder.write("precious", "precious");
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(path("precious"), path("link.csv")).unwrap();
    std::fs::create_dir(path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(path("elsewhere"), path("link")).unwrap();
    let args = ["check", "--url", "http://127.0.0.1:1", "--credentials", "client.json", "--purpose", "lodging"];
    for (more, code, expected) in [
        (["--output", "link.csv"], 1, "symbolic link"),
        (["--receipts", "link"], 1, "symbolic link"),
        (["--receipts", "precious"], 1, "folder"),
        (["--output", "guests.csv"], 2, "overwrite"),
        (["--output", "elsewhere"], 1, "elsewhere"),
    ] {
        let output = folder.run(&[&args[..], &more, &["guests.csv"]].concat()).code(code);
        assert!(stderr(&output).contains(expected), "{more:?}: {}", stderr(&output));
    }
    assert_eq!(std::fs::read_to_string(path("precious")).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(path("elsewhere")).unwrap().count(), 0);
}
