//! From a row of a list to the question about its card, judged here by the rules of the API: what it would refuse is not sent.

use jiff::civil::Date;

use super::cutting::{Kind, List, Row, Rows};
use super::names::{Places, purpose};
use crate::cli::import::dates::read_day;
use crate::cli::import::input::Input;
use crate::cli::import::row::{FORMULA, ID_AS_NUMBER, MERGED, is_nothing, is_spreadsheet_number, unwrapped};
use crate::domain::redacted::IdNumberText;
use crate::domain::verdict::Purpose;
use crate::service::fields::Fields;

/// What is asked about one card.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) number: IdNumberText,
    pub(super) card_valid_from: Option<Date>,
    pub(super) purpose: Purpose,
}

/// A row of the list: no `Debug`, its cells name persons.
pub(super) struct Guest {
    /// Its cells, as many as there are columns.
    pub(super) cells: Vec<String>,
    /// The question, or why there is none.
    pub(super) question: Result<Question, String>,
}

/// Reads guests.
pub(super) struct Guests {
    pub(super) names: Vec<String>,
    pub(super) separator: u8,
    rows: Rows,
    places: Places,
    purpose: Option<Purpose>,
    today: Date,
}

impl Guests {
    pub(super) fn open(input: &Input, purpose: Option<Purpose>, today: Date) -> anyhow::Result<Self> {
        let List { names, separator, rows } = List::open(input)?;
        let places = Places::among(&names, purpose.is_some())?;
        Ok(Self { names, separator, rows, places, purpose, today })
    }

    /// The next row; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Guest>> {
        let columns = self.names.len();
        let (at, today) = (self.places.number, self.today);
        let has_guest = |cells: &[&str]| {
            // A quote that ends before the number is that of a cell which began in a line above.
            let is_whole = |cell: &&str| cell.matches('"').count().is_multiple_of(2);
            let Some(number) = cells.get(at).filter(|_| cells[..=at].iter().all(is_whole)) else { return false };
            let number = IdNumberText::from(unwrapped(number.trim_matches('"')).to_owned());
            Fields::default().id_number(&number, today).is_some()
        };
        let Some(row) = self.rows.next(columns, has_guest)? else { return Ok(None) };
        let question = match row.wrong {
            Some((code, detail)) => Err(format!("{code}: {detail} (line {})", row.line)),
            None if row.cells.len() > columns => {
                Err(format!("wrong_cell_count: a row has no more cells than the header (line {})", row.line))
            }
            None => self.question(&row),
        };
        let mut cells: Vec<String> = row.cells.into_iter().map(|(_, text)| text).collect();
        // What is beside the columns stays, in the last of them.
        if cells.len() > columns {
            let beside = cells.split_off(columns - 1);
            cells.push(beside.join(&char::from(self.separator).to_string()));
        }
        cells.resize(columns, String::new());
        Ok(Some(Guest { cells, question }))
    }

    fn question(&self, row: &Row) -> Result<Question, String> {
        let cell = |at: usize| match row.cells.get(at) {
            Some((Kind::Text, text)) if is_nothing(text) => (Kind::Text, ""),
            Some((kind, text)) => (*kind, unwrapped(text)),
            None => (Kind::Text, ""),
        };
        let mut fields = Fields::default();
        let number = match cell(self.places.number) {
            (Kind::Number, _) => refuse(&mut fields, ID_AS_NUMBER),
            (Kind::Text, text) if is_spreadsheet_number(text) => refuse(&mut fields, ID_AS_NUMBER),
            (Kind::Text, text) => {
                let number = IdNumberText::from(text.to_owned());
                fields.id_number(&number, self.today).map(|_| number)
            }
            (Kind::Other, _) => refuse(&mut fields, NOT_TEXT),
            (Kind::Formula, _) => refuse(&mut fields, FORMULA),
            (Kind::Merged, _) => refuse(&mut fields, MERGED),
        };
        let start = match self.places.start.map(cell) {
            None | Some((Kind::Text, "")) => None,
            Some((Kind::Text, text)) => match read_day(text) {
                Ok(day) => fields.shown_start(Some(&day.to_string()), self.today),
                Err(refusal) => refuse(&mut fields, refusal),
            },
            Some((Kind::Number, _)) => refuse(&mut fields, NUMBER_AS_VALUE),
            Some((Kind::Other, _)) => refuse(&mut fields, NOT_TEXT),
            Some((Kind::Formula, _)) => refuse(&mut fields, FORMULA),
            Some((Kind::Merged, _)) => refuse(&mut fields, MERGED),
        };
        let purpose = match self.places.purpose.map(cell) {
            Some((Kind::Formula, _)) => refuse(&mut fields, FORMULA),
            Some((Kind::Merged, _)) => refuse(&mut fields, MERGED),
            None | Some((_, "")) => {
                fields.take("/purpose", self.purpose, "empty", "the row has no purpose, and --purpose names none")
            }
            Some((_, word)) => fields.word("/purpose", word, purpose, "lodging, banking, transport, telecom, other"),
        };
        match (number, purpose) {
            (Some(number), Some(purpose)) if fields.errors.is_empty() => {
                Ok(Question { number, card_valid_from: start, purpose })
            }
            _ => {
                let said = fields.errors.iter().map(|wrong| format!("{}: {}", wrong.code, wrong.detail));
                Err(said.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

const NOT_TEXT: (&str, &str) = ("not_text", "text must stand here: save the column as text");
const NUMBER_AS_VALUE: (&str, &str) = ("number_as_value", "a number stands where text must: save the column as text");

fn refuse<T>(fields: &mut Fields, (code, detail): (&'static str, &'static str)) -> Option<T> {
    fields.refuse("", code, detail);
    None
}
