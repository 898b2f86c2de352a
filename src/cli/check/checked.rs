//! The checked list: each row as it was, and what the service said. It is also what a killed run leaves: the rows that are in it
//! are done, and the next run continues behind the last whole one. Written for its owner alone, never through a link.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::guests::{Guest, Guests};
use super::names::ADDED;
use super::service::Answered;
use crate::cli::exits::{try_again, usage};
use crate::own_files;

/// How many rows have which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) not_listed: u64,
    pub(super) other_card_listed: u64,
    pub(super) number_listed: u64,
    pub(super) card_listed: u64,
    /// Rows that could not be checked.
    pub(super) problems: u64,
}

impl Tally {
    fn count(&mut self, verdict: &str) {
        self.rows += 1;
        *match verdict {
            "not_listed" => &mut self.not_listed,
            "other_card_listed" => &mut self.other_card_listed,
            "number_listed" => &mut self.number_listed,
            "card_listed" => &mut self.card_listed,
            _ => &mut self.problems,
        } += 1;
    }

    /// Cards that a clerk must not take without more: an old card of the same number is not the one that was shown.
    pub(super) fn listed(&self) -> u64 {
        self.card_listed + self.number_listed
    }
}

/// The file, open behind its last whole row.
pub(super) struct Checked {
    file: File,
    separator: u8,
    pub(super) tally: Tally,
    /// The guest that comes next, where looking for the end has read it.
    pub(super) next: Option<Guest>,
    waiting: String,
}

impl Checked {
    /// Opens the file, or makes it, and passes the guests that are in it.
    pub(super) fn open(path: &Path, guests: &mut Guests, has_mark: bool) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            bail!("{}: the checked list is not written through a symbolic link", shown());
        }
        let file = own_files::create_or_keep(path).with_context(shown)?;
        if !file.metadata().with_context(shown)?.is_file() {
            bail!("{}: the checked list is written to a file", shown());
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(try_again(format!("{}: another run writes it", shown()))),
            Err(TryLockError::Error(error)) => return Err(error).with_context(shown),
        }
        let mut checked =
            Self { file, separator: guests.separator, tally: Tally::default(), next: None, waiting: String::new() };
        let whole = checked.resume(guests, has_mark).with_context(shown)?;
        let Some(end) = whole else {
            return Err(usage(format!(
                "{}: it is not the checked form of this list: remove it, or name another --output",
                shown()
            )));
        };
        checked.file.set_len(end).and_then(|()| checked.file.seek(SeekFrom::Start(end))).with_context(shown)?;
        if end == 0 {
            checked.waiting = header(guests, has_mark);
            checked.flush().with_context(shown)?;
        }
        Ok(checked)
    }

    /// Where the last whole row ends; none where the file holds something else.
    fn resume(&mut self, guests: &mut Guests, has_mark: bool) -> anyhow::Result<Option<u64>> {
        let mut reader = BufReader::new(self.file.try_clone()?);
        // An earlier version may have begun it without one.
        let begun = reader.fill_buf()?;
        let has_mark = if begun.len() < MARK.len() { has_mark } else { begun.starts_with(MARK.as_bytes()) };
        let header = header(guests, has_mark);
        let mut end = match take(&mut reader, &header)? {
            Taken::All => header.len() as u64,
            Taken::Beginning => return Ok(Some(0)),
            Taken::Other => return Ok(None),
        };
        loop {
            let Some(guest) = guests.next()? else {
                return Ok(reader.fill_buf()?.is_empty().then_some(end));
            };
            let own = self.own_cells(&guest);
            let mut added = Vec::new();
            let is_whole = match take(&mut reader, &own)? {
                Taken::Other => return Ok(None),
                Taken::Beginning => false,
                Taken::All => reader.read_until(b'\n', &mut added)? > 0 && added.ends_with(b"\n"),
            };
            if !is_whole {
                self.next = Some(guest);
                return Ok(Some(end));
            }
            end += (own.len() + added.len()) as u64;
            let verdict = added.split(|byte| *byte == self.separator).next().unwrap_or_default();
            self.tally.count(&String::from_utf8_lossy(verdict));
        }
    }

    /// The row of a guest, with what was said of it. `receipt` names its file.
    pub(super) fn add(&mut self, guest: &Guest, answered: &Answered, receipt: &str) {
        let said = answered.as_ref().ok();
        let verdict = said.map_or("", |said| said.verdict.as_str());
        let check_id = said.map(|said| said.check_id.to_string()).unwrap_or_default();
        let problem = answered.as_ref().err().map_or("", String::as_str);
        let (advice, since) = said.map_or(("", ""), |said| (said.advice.as_str(), said.since().unwrap_or_default()));
        let added = [verdict, advice, since, &check_id, receipt, problem];
        // The end of a row is found by its line feed: what is added has none.
        let added = added.map(|cell| quoted(&cell.replace(['\n', '\r'], " "), self.separator));
        let mut row = self.own_cells(guest);
        row.push_str(&added.join(&char::from(self.separator).to_string()));
        row.push('\n');
        self.tally.count(verdict);
        self.waiting.push_str(&row);
    }

    /// Writes what waits: whole rows, durable when this returns.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all(self.waiting.as_bytes())?;
        self.waiting.clear();
        self.file.sync_data()
    }

    /// A guest's own cells, each with the separator behind it.
    fn own_cells(&self, guest: &Guest) -> String {
        line_of(&guest.cells, self.separator)
    }
}

const MARK: &str = "\u{FEFF}";

fn header(guests: &Guests, has_mark: bool) -> String {
    let mark = if has_mark { MARK } else { "" };
    let separator = char::from(guests.separator).to_string();
    let names: Vec<_> = guests.names.iter().map(|name| name.trim_start_matches('\u{FEFF}').to_owned()).collect();
    format!("{mark}{}{}\n", line_of(&names, guests.separator), ADDED.join(&separator))
}

fn line_of(cells: &[String], separator: u8) -> String {
    let mut line = String::new();
    for cell in cells {
        line.push_str(&quoted(cell, separator));
        line.push(char::from(separator));
    }
    line
}

/// RFC 4180, 2.6 and 2.7.
fn quoted(cell: &str, separator: u8) -> String {
    if cell.bytes().any(|byte| byte == separator || matches!(byte, b'"' | b'\n' | b'\r')) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

enum Taken {
    All,
    /// The reader ended before.
    Beginning,
    Other,
}

/// Whether a text comes next.
fn take(reader: &mut impl Read, expected: &str) -> std::io::Result<Taken> {
    let mut found = Vec::with_capacity(expected.len());
    reader.take(expected.len() as u64).read_to_end(&mut found)?;
    Ok(match expected.as_bytes() == found {
        true => Taken::All,
        false if expected.as_bytes().starts_with(&found) => Taken::Beginning,
        false => Taken::Other,
    })
}
