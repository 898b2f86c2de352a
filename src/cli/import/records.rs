//! The valid records of a file, in its order; every other one goes to the file of rejects, once for each wrong member, with the
//! number of its line and never with its content.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use jiff::civil::Date;
use serde_json::json;

use super::csv_form::Header;
use super::lines::Lines;
use super::ndjson_form::ReportLine;
use crate::clock::beijing_date;
use crate::domain::card::FIRST_CARDS_ON;
use crate::service::fields::{Fields, WrongMember};
use crate::service::filing::Filing;

/// A valid record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) filing: Filing,
    /// None: not known, so the time of the import.
    pub(super) reported_at_ms: Option<i64>,
}

#[derive(Debug)]
enum Form {
    Csv(Header),
    Ndjson,
}

/// Reads records.
pub(super) struct Records<R> {
    lines: Lines<R>,
    form: Form,
    judged_on: Date,
    rejects: Rejects,
}

impl Records<BufReader<File>> {
    pub(super) fn csv(file: File, judged_on: Date, rejects: Rejects) -> anyhow::Result<Self> {
        let mut lines = lines_of(file);
        let header = match lines.next()? {
            None => bail!("the file is empty: its first line names the columns"),
            Some(line) => Header::read(line.map_err(|error| anyhow::anyhow!("line 1: {}", error.detail()))?)?,
        };
        Ok(Self { lines, form: Form::Csv(header), judged_on, rejects })
    }

    pub(super) fn ndjson(file: File, judged_on: Date, rejects: Rejects) -> Self {
        Self { lines: lines_of(file), form: Form::Ndjson, judged_on, rejects }
    }

    /// The next valid record; none at the end of the file.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Record>> {
        let mut fields = Fields::default();
        loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            let read = match line {
                Ok("") => continue,
                Ok(text) => read(&self.form, text, &mut fields, self.judged_on),
                Err(error) => {
                    fields.refuse("", error.code(), error.detail());
                    None
                }
            };
            if let Some((filing, reported_at_ms)) = read {
                return Ok(Some(Record { line: self.lines.number(), filing, reported_at_ms }));
            }
            self.rejects.write(self.lines.number(), &fields.errors)?;
            fields.errors.clear();
        }
    }

    /// The number of the last line read.
    pub(super) fn line(&self) -> u64 {
        self.lines.number()
    }

    /// Makes the rejects durable.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.rejects.out.flush()?;
        self.rejects.out.get_ref().sync_all()?;
        Ok(())
    }
}

fn lines_of(file: File) -> Lines<BufReader<File>> {
    Lines::new(BufReader::with_capacity(1 << 20, file))
}

fn read(form: &Form, line: &str, fields: &mut Fields, judged_on: Date) -> Option<(Filing, Option<i64>)> {
    let (filing, reported_at) = match form {
        Form::Csv(header) => {
            let row = header.cut(line, fields)?;
            let filing = Filing::read(fields, &row.text(), judged_on);
            // A column has another name than the member that it fills.
            for wrong in fields.errors.iter_mut().filter(|wrong| wrong.pointer == "/contact/phone") {
                wrong.pointer = "/contact_phone";
            }
            (filing, read_reported_at(fields, row.reported_at(), judged_on))
        }
        Form::Ndjson => {
            let object = ReportLine::parse(line, fields)?;
            let filing = Filing::read(fields, &object.text(), judged_on);
            (filing, read_reported_at(fields, object.reported_at(), judged_on))
        }
    };
    filing.filter(|_| fields.errors.is_empty()).map(|filing| (filing, reported_at))
}

/// An instant as RFC 3339 writes it, not before there were cards and not after the day of the import.
fn read_reported_at(fields: &mut Fields, text: Option<&str>, judged_on: Date) -> Option<i64> {
    let at_ms = fields.instant("/reported_at", text)?;
    let day = beijing_date(at_ms);
    if day > judged_on {
        fields.refuse("/reported_at", "reported_in_future", "the report cannot have been made after today");
    } else if day < FIRST_CARDS_ON {
        fields.refuse("/reported_at", "before_first_cards", "resident identity cards exist since 1984-04-06");
    }
    Some(at_ms)
}

/// The file of rejects. Every start writes it again, because every start reads the whole file: it is complete and without
/// repeats however often an import was killed.
#[derive(Debug)]
pub(super) struct Rejects {
    out: BufWriter<File>,
    /// Rejected records.
    count: Arc<AtomicU64>,
}

impl Rejects {
    pub(super) fn create(path: &Path, count: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { out: BufWriter::new(file), count })
    }

    fn write(&mut self, line: u64, wrong: &[WrongMember]) -> std::io::Result<()> {
        for WrongMember { pointer, code, detail } in wrong {
            writeln!(self.out, "{}", json!({"line": line, "pointer": pointer, "code": code, "detail": detail}))?;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    fn all_of(name: &str, content: &str) -> (Vec<(u64, Option<i64>)>, Vec<serde_json::Value>) {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join(name), dir.path().join("rejects"));
        std::fs::write(&input, content).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let rejects = Rejects::create(&output, Arc::clone(&count)).unwrap();
        let file = File::open(input).unwrap();
        let mut records = match name {
            "csv" => Records::csv(file, TODAY, rejects).unwrap(),
            _ => Records::ndjson(file, TODAY, rejects),
        };
        let mut valid = Vec::new();
        while let Some(record) = records.next().unwrap() {
            valid.push((record.line, record.reported_at_ms));
        }
        records.finish().unwrap();
        let text = std::fs::read_to_string(output).unwrap();
        assert!(!text.contains("110105") && !text.contains("secret"), "{text}");
        let rejects: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut lines: Vec<_> = rejects.iter().map(|reject| reject["line"].as_u64()).collect();
        lines.dedup();
        assert_eq!(lines.len() as u64, count.load(Ordering::Relaxed));
        (valid, rejects)
    }

    fn words(rejects: &[serde_json::Value]) -> Vec<(u64, &str, &str)> {
        rejects
            .iter()
            .map(|reject| {
                (
                    reject["line"].as_u64().unwrap(),
                    reject["pointer"].as_str().unwrap(),
                    reject["code"].as_str().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn bad_rows_of_a_csv_file_are_rejected_without_their_content() {
        let (valid, rejects) = all_of(
            "csv",
            "id_number,reason,reporter,office,channel,reported_at,contact_phone\n\
             11010519491231002X,lost,holder,110105-03,hall,1990-01-01T00:00:00Z,13800138000\n\
             110105194912310021,lost,holder,110105-03,hall,,\n\
             \n\
             11010519491231002x,stolen,agent,110105-03,online,,\n\
             ,mislaid,holder,11010519491231002X,hall,secret,secret\n\
             11010519491231002X,lost\n\
             11010519491231002X,lost,holder,110105-03,hall,2026-11-24T00:00:00+08:00,\n\
             11010519491231002X,lost,holder,110105-03,hall,1949-12-31T00:00:00Z,",
        );
        assert_eq!(valid, [(2, Some(631_152_000_000)), (5, None)]);
        assert_eq!(
            words(&rejects),
            [
                (3, "/id_number", "wrong_check_character"),
                (6, "/id_number", "empty"),
                (6, "/reason", "unknown_value"),
                (6, "/office", "malformed_office"),
                (6, "/contact_phone", "malformed_phone"),
                (6, "/reported_at", "malformed_instant"),
                (7, "", "wrong_cell_count"),
                (8, "/reported_at", "reported_in_future"),
                (9, "/reported_at", "before_first_cards"),
            ]
        );
    }

    #[test]
    fn bad_lines_of_an_ndjson_file_are_rejected_without_their_content() {
        let good =
            r#""id_number":"11010519491231002X","reason":"lost","reporter":"holder","office":"A","channel":"hall""#;
        let (valid, rejects) = all_of(
            "ndjson",
            &format!("{{{good}}}\n[]\n{{{good},\"secret\":1}}\n{{{good},\"contact\":\"secret\"}}\r\n{{{good}}}"),
        );
        assert_eq!(valid, [(1, None), (5, None)]);
        assert_eq!(
            words(&rejects),
            [(2, "", "malformed_json"), (3, "", "malformed_json"), (4, "/contact", "not_a_contact")]
        );
    }
}
