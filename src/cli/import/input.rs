//! The file itself: what form and encoding it has, its keyed fingerprint, and its reading from the beginning as often as needed.

use std::fs::{File, Metadata};
use std::io::{BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use super::encoding::{Encoding, Validity};
use super::judge::Judge;
use super::lines::Lines;
use super::ndjson_form;
use super::records::Records;
use super::xlsx_form::Sheet;
use crate::cli::exits::{refused, try_again, usage};
use crate::own_files;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Ndjson,
    Xlsx,
}

impl Format {
    /// By the end of a file's name, in capitals or not.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// A file as it is at a moment: which one, how large, and when it was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment([u64; 3], [i64; 2]);

impl Moment {
    fn of(found: &Metadata) -> Self {
        Self([found.dev(), found.ino(), found.len()], [found.mtime(), found.mtime_nsec()])
    }
}

/// A file, and how it is read.
#[derive(Clone)]
pub(crate) struct Input {
    path: PathBuf,
    /// Each reading is of this file: what was planned is what is stored.
    moment: Moment,
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    /// Whether the encoding is a first guess, which the whole file may prove wrong.
    is_guess: bool,
    ignored: Vec<String>,
    sheet: Option<(Sheet, [u8; 32])>,
    has_mark: bool,
}

/// What reading the whole file tells, whatever its form.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) hash: [u8; 32],
    pub(crate) lines: u64,
    is_utf8: bool,
}

impl Input {
    /// Looks at the beginning of a file.
    pub(crate) fn open(
        path: &Path,
        format: Option<Format>,
        encoding: Option<Encoding>,
        ignored: &[String],
    ) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Err(usage("standard input is not taken: the file is read twice, so save it first"));
        }
        let shown = || path.display().to_string();
        // Before it is opened: a pipe would wait.
        if !path.metadata().with_context(shown)?.is_file() {
            return Err(usage(format!("{}: it is read twice, so it must be a file", shown())));
        }
        let file = own_files::open_named(path).with_context(shown)?;
        let moment = Moment::of(&file.metadata().with_context(shown)?);
        let mut beginning = Vec::new();
        file.take(4096).read_to_end(&mut beginning).with_context(shown)?;
        // Before its name: that of an old workbook tells no format either.
        if beginning.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
            return Err(refused(match Format::of_name(path) {
                Some(Format::Xlsx) => {
                    "the workbook is encrypted, or of the old form, .xls: save it as .xlsx without a password"
                }
                _ => "the file is a workbook of the old form, .xls: save it as .xlsx",
            }));
        }
        let by_name = || Format::of_name(path);
        let Some(format) = format.or_else(by_name) else {
            return Err(usage("the name of the file does not tell its format: --format csv, ndjson or xlsx"));
        };
        if beginning.is_empty() {
            return Err(super::records::no_rows());
        }
        check_kind(&beginning, format)?;
        let sheet = match format {
            Format::Xlsx => Some(load(path)?),
            Format::Csv | Format::Ndjson => None,
        };
        let has_mark = sheet.is_none() && Encoding::of_mark(&beginning).is_some();
        let (encoding, is_guess) = match (encoding, Encoding::of_mark(&beginning)) {
            (Some(told), Some(mark)) if told != mark => {
                let (told, mark) = (told.name(), mark.name());
                return Err(refused(format!("the file begins with the mark of {mark}: it is not {told}")));
            }
            (Some(encoding), _) | (None, Some(encoding)) => (encoding, false),
            (None, None) => (Encoding::Utf8, true),
        };
        if let Some(utf_16) = Encoding::looks_like_utf_16(&beginning).filter(|_| is_guess && sheet.is_none()) {
            return Err(refused(format!("the file looks like UTF-16 without its mark: --encoding {}", utf_16.name())));
        }
        let ignored = ignored.to_owned();
        let input = Self { path: path.to_owned(), moment, format, encoding, is_guess, ignored, sheet, has_mark };
        input.expect_unchanged()?;
        Ok(input)
    }

    /// That the file is still the one that was opened.
    pub(crate) fn expect_unchanged(&self) -> anyhow::Result<()> {
        let now = self.path.metadata().with_context(|| self.path.display().to_string())?;
        if Moment::of(&now) == self.moment { Ok(()) } else { Err(self.was_changed()) }
    }

    /// Why it is not read on.
    pub(crate) fn was_changed(&self) -> anyhow::Error {
        let path = self.path.display();
        try_again(format!(
            "{path}: the file was changed while it was read: once it stays as it is, the same command does"
        ))
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> anyhow::Result<u64> {
        Ok(self.path.metadata().with_context(|| self.path.display().to_string())?.len())
    }

    /// Whether a workbook has sheets that are not read.
    pub(crate) fn leaves_sheets_out(&self) -> bool {
        self.sheet().is_some_and(|sheet| sheet.has_others)
    }

    /// Which sheet of a workbook is read, by its place, from 1.
    pub(crate) fn sheet_read(&self) -> Option<usize> {
        self.sheet().map(|sheet| sheet.place)
    }

    /// Reads all of the file for its hash, its lines and its encoding.
    pub(crate) fn survey(&self) -> anyhow::Result<Survey> {
        if let Some((sheet, hash)) = &self.sheet {
            // Of the bytes that its rows were read from.
            return Ok(Survey { hash: *hash, lines: sheet.rows, is_utf8: false });
        }
        let (mut hash, mut utf8) = (Sha256::new(), Validity::of_utf8());
        let (mut feeds, mut returns) = (0, 0);
        self.each_chunk(|chunk| {
            hash.update(chunk);
            feeds += chunk.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            returns += chunk.iter().map(|byte| u64::from(*byte == b'\r')).sum::<u64>();
            if self.is_guess {
                utf8.take(chunk, chunk.is_empty());
            }
        })?;
        let lines = if feeds == 0 { returns } else { feeds };
        Ok(Survey { hash: hash.finalize().into(), lines, is_utf8: utf8.is_valid() })
    }

    /// GB18030, where the whole file is that and is no UTF-8, and nobody has said what it is. None: the encoding stays, as where one
    /// broken byte is all that makes a file no UTF-8.
    pub(crate) fn as_gb18030(&self, survey: &Survey) -> anyhow::Result<Option<Self>> {
        if !self.is_guess || survey.is_utf8 || self.sheet.is_some() {
            return Ok(None);
        }
        let mut gb18030 = Validity::of_gb18030();
        self.each_chunk(|chunk| gb18030.take(chunk, chunk.is_empty()))?;
        let found = Self { encoding: Encoding::Gb18030, is_guess: false, ..self.clone() };
        Ok((gb18030.is_valid() && !self.is_mostly_utf8()?).then_some(found))
    }

    /// Whether no more lines are broken UTF-8 than are UTF-8 beyond ASCII. Hardly a line of GB18030 is that by chance.
    fn is_mostly_utf8(&self) -> anyhow::Result<bool> {
        let mut lines = Lines::new(Box::new(self.file()?));
        let (mut whole, mut broken) = (0_u64, 0_u64);
        while let Some(line) = lines.next()? {
            match line {
                Ok(line) => whole += u64::from(!line.is_ascii()),
                Err(_) => broken += 1,
            }
        }
        Ok(whole >= broken)
    }

    /// Reads its rows from the beginning.
    pub(super) fn records(&self, judge: Judge) -> anyhow::Result<Records> {
        if let Some(sheet) = self.sheet() {
            return Records::xlsx(sheet, &self.ignored, judge);
        }
        match self.format {
            Format::Ndjson => Ok(Records::ndjson(self.lines()?, &self.ignored, judge)),
            _ => Records::csv(self.lines()?, &self.ignored, judge),
        }
    }

    /// Whether UTF-8 that is made of it begins with a byte order mark: without one, spreadsheets of China take it for GBK. What was plain
    /// UTF-8 stays so.
    pub(crate) fn needs_mark(&self) -> bool {
        self.has_mark || self.sheet.is_some() || self.encoding != Encoding::Utf8
    }

    /// The sheet, where the file is a workbook.
    pub(crate) fn sheet(&self) -> Option<&Sheet> {
        self.sheet.as_ref().map(|(sheet, _)| sheet)
    }

    /// Its lines from the beginning.
    pub(crate) fn lines(&self) -> anyhow::Result<Lines> {
        let lines = || anyhow::Ok(Lines::new(self.encoding.read(self.file()?)));
        if self.format == Format::Ndjson {
            let mut first = lines()?;
            while let Some(line) = first.next()? {
                let line = line.unwrap_or_default();
                if ndjson_form::is_array(line) {
                    return Err(refused(
                        "the file is one JSON array: one object a line is taken, as jq -c '.[]' FILE writes them",
                    ));
                }
                if !line.trim().is_empty() {
                    break;
                }
            }
        }
        lines()
    }

    fn file(&self) -> anyhow::Result<File> {
        let file = own_files::open_named(&self.path).with_context(|| self.path.display().to_string())?;
        if Moment::of(&file.metadata()?) == self.moment { Ok(file) } else { Err(self.was_changed()) }
    }

    /// Every piece of the file, then an empty one.
    fn each_chunk(&self, take: impl FnMut(&[u8])) -> anyhow::Result<()> {
        Ok(each_chunk_of(&mut self.file()?, take)?)
    }
}

fn each_chunk_of(file: &mut File, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        take(&buffer[..read]);
        if read == 0 {
            return Ok(());
        }
    }
}

/// The sheet of a workbook, and the hash of the workbook's bytes.
fn load(path: &Path) -> anyhow::Result<(Sheet, [u8; 32])> {
    let mut file = own_files::open_named(path)?;
    let mut hash = Sha256::new();
    each_chunk_of(&mut file, |chunk| hash.update(chunk))?;
    file.rewind()?;
    Ok((Sheet::read(BufReader::new(file))?, hash.finalize().into()))
}

/// What a workbook, and what else is packed, begins with.
fn check_kind(beginning: &[u8], format: Format) -> anyhow::Result<()> {
    let is_zip = beginning.starts_with(b"PK\x03\x04");
    // Its first part is one of these, or soon names one.
    let names_part = |part: &[u8]| memchr::memmem::find(beginning, part).is_some();
    let is_workbook =
        is_zip && [&b"[Content_Types].xml"[..], b"_rels/", b"xl/", b"docProps/"].into_iter().any(names_part);
    if beginning.starts_with(&[0x1F, 0x8B]) || (is_zip && !is_workbook && format != Format::Xlsx) {
        return Err(refused("the file is an archive (zip or gzip): unpack it first"));
    }
    match format {
        Format::Xlsx if !is_workbook => Err(refused("the file is no .xlsx workbook")),
        Format::Csv | Format::Ndjson if is_workbook => {
            Err(refused("the file is a workbook: give it a name that ends in .xlsx, or --format xlsx"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format() {
        for (name, expected) in [
            ("a.csv", Some(Format::Csv)),
            ("A.CSV", Some(Format::Csv)),
            ("a.Tsv", Some(Format::Csv)),
            ("a.csv.NDJSON", Some(Format::Ndjson)),
            ("a.jsonl", Some(Format::Ndjson)),
            ("a.XLSX", Some(Format::Xlsx)),
            ("csv", None),
            ("a.dat", None),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_utf_8_and_all_gb18030_is_read_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let gb18030 = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
        for (content, expected) in [
            ("公民身份号码\n".as_bytes().to_vec(), false),
            (b"id_number\n".to_vec(), false),
            (gb18030("公民身份号码\n长期\n"), true),
            ([gb18030("公民身份号码\n"), b"\xFF\n".to_vec()].concat(), false),
            ([gb18030("公民身份号码\n"), b"\xB9".to_vec()].concat(), false),
            ([gb18030("公民身份号码\n长期\n"), "长期\n".as_bytes().to_vec()].concat(), true),
            // One byte is changed, and each two are a character of GB18030.
            (["公民身份号码\n长期\n".as_bytes(), b"\xE9\x95\xBF\xE6\x9C\xC1\n"].concat(), false),
        ] {
            std::fs::write(&path, &content).unwrap();
            let input = Input::open(&path, None, None, &[]).unwrap();
            let survey = input.survey().unwrap();
            assert_eq!(input.as_gb18030(&survey).unwrap().is_some(), expected, "{content:?}");
            let told = Input::open(&path, None, Some(Encoding::Utf8), &[]).unwrap();
            assert!(told.as_gb18030(&told.survey().unwrap()).unwrap().is_none(), "what is told stays");
        }
    }

    #[test]
    fn a_file_that_changes_is_not_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let opened = || {
            std::fs::write(&path, "id_number\n1\n").unwrap();
            Input::open(&path, None, None, &[]).unwrap()
        };
        let replace = |bytes: &str| {
            let other = dir.path().join("other");
            std::fs::write(&other, bytes).unwrap();
            std::fs::rename(&other, &path).unwrap();
        };
        let append = || std::fs::write(&path, "id_number\n1\n2\n").unwrap();
        let as_large = || replace("id_number\n2\n");
        for change in [&append as &dyn Fn(), &as_large] {
            let input = opened();
            assert!(input.expect_unchanged().is_ok() && input.survey().is_ok() && input.lines().is_ok());
            change();
            let errors = [input.expect_unchanged().err(), input.survey().err(), input.lines().err()];
            for error in errors.map(Option::unwrap) {
                assert_eq!(crate::cli::exits::code_of(&error), 75, "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_twice_or_is_another_thing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let why = |path: &Path, encoding| Input::open(path, None, encoding, &[]).err().unwrap().to_string();
        assert!(why(Path::new("-"), None).contains("standard input"));
        assert!(why(dir.path(), None).contains("must be a file"));
        assert!(why(&write("a.dat", b"x"), None).contains("--format"));
        assert!(why(&write("a.csv", b""), None).contains("no rows"));
        assert!(why(&write("b.csv", b"PK\x03\x04..[Content_Types].xml"), None).contains(".xlsx"));
        assert!(why(&write("b.csv", b"PK\x03\x04..reports.csv"), None).contains("unpack"));
        assert!(why(&write("b.csv", &[0x1F, 0x8B, 8]), None).contains("unpack"));
        assert!(why(&write("b.xlsx", &[0xD0, 0xCF, 0x11, 0xE0]), None).contains("password"));
        assert!(why(&write("c.xlsx", b"id_number"), None).contains("no .xlsx"));
        for name in ["d.csv", "d.xls", "d.XLS", "d"] {
            assert!(why(&write(name, &[0xD0, 0xCF, 0x11, 0xE0]), None).contains("old form"), "{name}");
        }
        assert!(why(&write("e.csv", b"i\0d\0_\0n\0u\0m\0"), None).contains("--encoding utf-16le"));
        assert!(why(&write("f.csv", b"\xFF\xFEi\0"), Some(Encoding::Gb18030)).contains("mark of utf-16le"));
    }
}
