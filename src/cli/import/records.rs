//! The rows of a file, in its order, each valid or not. Which form they have is known here and nowhere above.

use anyhow::anyhow;

use super::csv_form;
use super::header::Header;
use super::judge::{Judge, Judged};
use super::lines::Lines;
use super::ndjson_form;
use super::row::{Cell, Column, FORMULA, Row};
use super::xlsx_form::{Sheet, SheetRows, arrange};
use crate::cli::exits::refused;
use crate::service::fields::Fields;

/// Reads rows.
pub(super) struct Records {
    form: Form,
    judge: Judge,
}

enum Form {
    Csv { lines: Lines, header: Header },
    Ndjson { lines: Lines, ignored: Vec<String> },
    Xlsx { rows: SheetRows, header: Header },
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Valid(Judged),
    /// What is wrong is in the caller's `fields`.
    Wrong,
    End,
}

impl Next {
    fn of(judged: Option<Judged>) -> Self {
        judged.map_or(Self::Wrong, Self::Valid)
    }
}

/// The columns that `--ignore-column` names.
pub(super) type Ignored = [String];

impl Records {
    /// CSV: the first line that is not blank names the columns, after one that may name what divides them.
    pub(super) fn csv(mut lines: Lines, ignored: &Ignored, judge: Judge) -> anyhow::Result<Self> {
        let mut separator = None;
        loop {
            let number = lines.number() + 1;
            let Some(line) = lines.next()? else { return Err(no_rows()) };
            let line = line.map_err(|error| refused(format!("line {number}: {}", error.detail())))?;
            if separator.is_none() {
                separator = Header::named_separator(line);
                if separator.is_some() {
                    continue;
                }
            }
            if csv_form::is_blank(line, b',') || csv_form::is_blank(line, b';') {
                continue;
            }
            check_is_text(line)?;
            let header = Header::read(line, separator, ignored).map_err(|error| at_line(number, &error))?;
            return Ok(Self { form: Form::Csv { lines, header }, judge });
        }
    }

    pub(super) fn ndjson(lines: Lines, ignored: &Ignored, judge: Judge) -> Self {
        Self { form: Form::Ndjson { lines, ignored: ignored.to_owned() }, judge }
    }

    /// The first row of a sheet names the columns.
    pub(super) fn xlsx(sheet: &Sheet, ignored: &Ignored, judge: Judge) -> anyhow::Result<Self> {
        let mut rows = sheet.rows();
        let Some(cells) = rows.next() else { return Err(no_rows()) };
        let names: Result<Vec<String>, usize> = cells
            .enumerate()
            .map(|(at, cell)| match cell {
                Cell::Text(text) => Ok(text.into_owned()),
                // It has a name, and nobody knows which: it must not pass for a column without one.
                Cell::Formula => Err(at + 1),
                _ => Ok(String::new()),
            })
            .collect();
        let names = names.map_err(|at| at_line(rows.number(), &format!("the header, column {at}: {}", FORMULA.1)))?;
        let header = Header::of_names(names.iter().map(String::as_str), b',', ignored);
        let header = header.map_err(|error| at_line(rows.number(), &error))?;
        Ok(Self { form: Form::Xlsx { rows, header }, judge })
    }

    /// The next row, with what is wrong with it in `fields`; none at the end. `look` sees its cells, right or wrong.
    pub(super) fn next(&mut self, fields: &mut Fields, mut look: impl FnMut(&Row<'_>)) -> anyhow::Result<Next> {
        fields.errors.clear();
        let judge = self.judge;
        let mut judged = |row: Option<Row<'_>>, phone, fields: &mut Fields| {
            let row = row.as_ref().inspect(|row| look(row))?;
            judge.judge(row, phone, fields)
        };
        match &mut self.form {
            Form::Csv { lines, header } => loop {
                let row = match lines.next()? {
                    None => return Ok(Next::End),
                    Some(Ok(line)) if csv_form::is_blank(line, header.separator()) => continue,
                    Some(Ok(line)) => csv_form::cut(header, line, fields),
                    Some(Err(error)) => refuse(fields, error.code(), error.detail()),
                };
                return Ok(Next::of(judged(row, Column::ContactPhone.pointer(), fields)));
            },
            Form::Ndjson { lines, ignored } => loop {
                let row = match lines.next()? {
                    None => return Ok(Next::End),
                    Some(Ok(line)) if line.trim().is_empty() => continue,
                    Some(Ok(line)) => ndjson_form::parse(line, ignored, fields),
                    Some(Err(error)) => refuse(fields, error.code(), error.detail()),
                };
                return Ok(Next::of(judged(row, "/contact/phone", fields)));
            },
            Form::Xlsx { rows, header } => loop {
                let Some(cells) = rows.next() else { return Ok(Next::End) };
                let row = arrange(header, cells, fields);
                if row.as_ref().is_some_and(Row::is_blank) {
                    continue;
                }
                return Ok(Next::of(judged(row, Column::ContactPhone.pointer(), fields)));
            },
        }
    }

    /// Passes lines up to and with this one without a look at them.
    pub(super) fn skip_to(&mut self, line: u64) -> anyhow::Result<()> {
        while self.line() < line {
            let is_end = match &mut self.form {
                Form::Csv { lines, .. } | Form::Ndjson { lines, .. } => lines.next()?.is_none(),
                Form::Xlsx { rows, .. } => rows.next().is_none(),
            };
            if is_end {
                break;
            }
        }
        Ok(())
    }

    /// The number of the last line read.
    pub(super) fn line(&self) -> u64 {
        match &self.form {
            Form::Csv { lines, .. } | Form::Ndjson { lines, .. } => lines.number(),
            Form::Xlsx { rows, .. } => rows.number(),
        }
    }

    /// In which cell of a row a member stands, from 1.
    pub(super) fn place(&self, pointer: &str) -> Option<usize> {
        match &self.form {
            Form::Csv { header, .. } | Form::Xlsx { header, .. } => {
                let column = Column::ALL.into_iter().find(|column| column.pointer() == pointer)?;
                header.place(column)
            }
            Form::Ndjson { .. } => None,
        }
    }
}

fn refuse<T>(fields: &mut Fields, code: &'static str, detail: &'static str) -> Option<T> {
    fields.refuse("", code, detail);
    None
}

/// A file that holds nothing is a mistake somewhere before it.
pub(super) fn no_rows() -> anyhow::Error {
    refused("the file has no rows")
}

fn at_line(number: u64, error: &str) -> anyhow::Error {
    refused(format!("line {number}: {error}"))
}

/// Formats that have a name of CSV now and then.
fn check_is_text(line: &str) -> anyhow::Result<()> {
    if line.starts_with("PK\u{3}\u{4}") {
        return Err(refused("the file is no CSV but a workbook: give it a name that ends in .xlsx, or --format xlsx"));
    }
    if line.starts_with(['{', '[']) {
        return Err(refused("the file is no CSV but JSON: --format ndjson, one object a line"));
    }
    if line.contains('\0') {
        return Err(anyhow!(refused("the file is no CSV: it has bytes of zero; --encoding names that of its text")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::super::dates::BEIJING;
    use super::*;
    use crate::domain::instant::UnixMs;

    const JUDGE: Judge = Judge { today: Date::constant(2026, 11, 23), zone: BEIJING };

    type Wrong = Vec<(u64, &'static str, &'static str)>;

    fn all_of(form: &str, content: &str) -> (Vec<(u64, Option<i64>)>, Wrong) {
        let lines = Lines::new(Box::new(std::io::Cursor::new(content.as_bytes().to_vec())));
        let mut records = match form {
            "csv" => Records::csv(lines, &[], JUDGE).unwrap(),
            _ => Records::ndjson(lines, &[], JUDGE),
        };
        let (mut valid, mut wrong) = (Vec::new(), Vec::new());
        let mut fields = Fields::default();
        loop {
            match records.next(&mut fields, |_| {}).unwrap() {
                Next::End => break,
                Next::Valid(judged) => valid.push((records.line(), judged.reported_at_ms.map(UnixMs::get))),
                Next::Wrong => {
                    for error in &fields.errors {
                        assert!(!error.detail.contains("110105") && !error.detail.contains("secret"), "{error:?}");
                        wrong.push((records.line(), error.pointer, error.code));
                    }
                }
            }
        }
        (valid, wrong)
    }

    #[test]
    fn bad_rows_of_a_csv_file_are_rejected_without_their_content() {
        let (valid, wrong) = all_of(
            "csv",
            "id_number,reason,reporter,office,channel,reported_at,contact_phone\n\
             11010519491231002X,lost,holder,110105-03,hall,1990-01-01T00:00:00Z,13800138000\n\
             110105194912310021,lost,holder,110105-03,hall,,\n\
             \n,,,,,,\n\
             11010519491231002x,stolen,agent,110105-03,online,,\n\
             ,mislaid,holder,11010519491231002X,hall,secret,secret\n\
             11010519491231002X,lost\n\
             11010519491231002X,lost,holder,110105-03,hall,2026-11-24T00:00:00+08:00,\n\
             11010519491231002X,lost,holder,110105-03,hall,1949-12-31T00:00:00Z,",
        );
        assert_eq!(valid, [(2, Some(631_152_000_000)), (6, None)]);
        assert_eq!(
            wrong,
            [
                (3, "/id_number", "wrong_check_character"),
                (7, "/id_number", "empty"),
                (7, "/reason", "unknown_value"),
                (7, "/office", "malformed_office"),
                (7, "/contact_phone", "malformed_phone"),
                (7, "/reported_at", "malformed_instant"),
                (8, "", "wrong_cell_count"),
                (9, "/reported_at", "reported_in_future"),
                (10, "/reported_at", "before_first_cards"),
            ]
        );
    }

    #[test]
    fn bad_lines_of_an_ndjson_file_are_rejected_without_their_content() {
        let good =
            r#""id_number":"11010519491231002X","reason":"lost","reporter":"holder","office":"A","channel":"hall""#;
        let (valid, wrong) = all_of(
            "ndjson",
            &format!(
                "\u{FEFF}{{{good}}}\n[]\n{{{good},\"secret\":1}}\n{{{good},\"contact\":\"secret\"}}\r\n \n{{{good},\
                 \"lost_on\":null}}\n{{{good},\"contact\":{{\"phone\":13800138000}}}}"
            ),
        );
        assert_eq!(valid, [(1, None), (6, None)]);
        assert_eq!(
            wrong,
            [
                (2, "", "malformed_json"),
                (3, "", "unknown_member"),
                (4, "/contact", "not_a_contact"),
                (7, "/contact/phone", "phone_as_number")
            ]
        );
    }

    #[test]
    fn the_header_may_come_after_blank_rows_and_the_separator() {
        let row = "11010519491231002X;lost;holder;110105-03;hall";
        let header = "id_number;reason;reporter;office;channel";
        for content in [format!("sep=;\r\n{header}\r\n{row}"), format!("\n;;;;\n{header}\n{row}\n;;;;\n")] {
            let (valid, wrong) = all_of("csv", &content);
            assert_eq!((valid.len(), wrong.len()), (1, 0), "{content}");
        }
    }

    #[test]
    fn what_is_no_csv_is_refused_with_a_hint() {
        for (content, expected) in [
            ("", "no rows"),
            ("\n,,,\n", "no rows"),
            ("PK\u{3}\u{4}x", "workbook"),
            ("[{\"id_number\":1}]", "JSON"),
            ("i\0d\0", "--encoding"),
            ("a,b\n", "line 1: the header, column 1"),
            ("\n\na,b\n", "line 3: the header, column 1"),
        ] {
            let lines = Lines::new(Box::new(std::io::Cursor::new(content.as_bytes().to_vec())));
            let error = Records::csv(lines, &[], JUDGE).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
