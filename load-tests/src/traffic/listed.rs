//! Numbers the server has as listed, taken from the file that `lostcard
//! sample` wrote and `lostcard import` read. Rows are drawn at random places
//! of the file, so that ten million of them need not be read.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, ensure};
use rand::RngExt;
use rand::rngs::StdRng;

use super::id_number;

const HEADER_START: &str = "id_number,card_valid_from,";
const ROW_BYTES_MAX: u64 = 4_096;

/// A card that was reported lost.
#[derive(Debug, Clone)]
pub(crate) struct ListedCard {
    pub(crate) id_number: String,
    /// `YYYY-MM-DD`; a report may not know it.
    pub(crate) card_valid_from: Option<String>,
}

/// Every row, from the first to the last.
pub(crate) fn all(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<ListedCard>>> {
    let mut reader = open(path)?;
    let path = path.to_owned();
    Ok(std::iter::from_fn(move || row(&mut reader).transpose()).map(move |text| card(&path, &text?)))
}

/// Draws `count` rows with replacement.
pub(crate) fn draw(path: &Path, count: usize, rng: &mut StdRng) -> anyhow::Result<Vec<ListedCard>> {
    let mut reader = open(path)?;
    let size_bytes = reader.get_ref().metadata()?.len();
    let first_row_at = reader.stream_position()?;
    ensure!(size_bytes > first_row_at, "{} has no rows", path.display());
    let mut cards = Vec::with_capacity(count);
    for _ in 0..count {
        reader.seek(SeekFrom::Start(rng.random_range(first_row_at..size_bytes)))?;
        // The first piece is most likely the rest of a row: read the next.
        row(&mut reader)?;
        let text = if let Some(text) = row(&mut reader)? {
            text
        } else {
            reader.seek(SeekFrom::Start(first_row_at))?;
            row(&mut reader)?.unwrap_or_default()
        };
        cards.push(card(path, &text)?);
    }
    Ok(cards)
}

/// The file, read up to its first row.
fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let mut reader = BufReader::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
    let header = row(&mut reader)?.unwrap_or_default();
    ensure!(header.starts_with(HEADER_START), "{}: the header must start with {HEADER_START}", path.display());
    Ok(reader)
}

fn card(path: &Path, row: &str) -> anyhow::Result<ListedCard> {
    parse(row).with_context(|| format!("{}: a row has no valid id_number", path.display()))
}

fn row(reader: &mut BufReader<File>) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    let read = std::io::Read::take(&mut *reader, ROW_BYTES_MAX).read_line(&mut text)?;
    text.truncate(text.trim_end().len());
    Ok((read > 0).then_some(text))
}

fn parse(row: &str) -> Option<ListedCard> {
    let mut columns = row.split(',');
    let id_number = columns.next().filter(|text| id_number::is_valid(text))?.to_owned();
    let card_valid_from = columns.next().filter(|text| !text.is_empty()).map(str::to_owned);
    Some(ListedCard { id_number, card_valid_from })
}

#[cfg(test)]
mod tests {
    use super::{all, draw};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn rows_are_drawn_from_the_whole_file() {
        let file = file("id_number,card_valid_from,x\n11010519491231002X,2016-05-01,a\n440524188001010014,,b\n");
        let cards = draw(file.path(), 200, &mut StdRng::seed_from_u64(1)).unwrap();
        assert!(cards.iter().any(|card| card.card_valid_from.as_deref() == Some("2016-05-01")));
        assert!(cards.iter().any(|card| card.card_valid_from.is_none()));
    }

    #[test]
    fn all_rows_are_read_in_order() {
        let file = file("id_number,card_valid_from,x\n11010519491231002X,2016-05-01,a\n440524188001010014,,b\n");
        let cards: Vec<_> = all(file.path()).unwrap().map(|card| card.unwrap().id_number).collect();
        assert_eq!(cards, ["11010519491231002X", "440524188001010014"]);
    }

    #[test]
    fn wrong_files_are_refused() {
        for text in ["", "number\n1\n", "id_number,card_valid_from,x\n", "id_number,card_valid_from,x\nnonsense,,\n"] {
            let file = file(text);
            assert!(draw(file.path(), 3, &mut StdRng::seed_from_u64(1)).is_err(), "{text:?}");
        }
    }
}
