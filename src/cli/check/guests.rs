//! From a row of a list to the question about its card, judged here by the rules of the API: what it would refuse is not sent.

use jiff::civil::Date;

use super::cutting::{Kind, List, Row, Rows};
use super::names::{Places, purpose};
use crate::cli::import::dates::read_day;
use crate::cli::import::input::Input;
use crate::cli::import::row::{ID_AS_NUMBER, is_spreadsheet_number, unwrapped};
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
        let Some(row) = self.rows.next(columns)? else { return Ok(None) };
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
        let cell = |at: usize| row.cells.get(at).map_or((Kind::Text, ""), |(kind, text)| (*kind, unwrapped(text)));
        let mut fields = Fields::default();
        let number = match cell(self.places.number) {
            (Kind::Number, _) => refuse(&mut fields, ID_AS_NUMBER),
            (Kind::Text, text) if is_spreadsheet_number(text) => refuse(&mut fields, ID_AS_NUMBER),
            (Kind::Text, text) => {
                let number = IdNumberText::from(text.to_owned());
                fields.id_number(&number, self.today).map(|_| number)
            }
            (Kind::Other, _) => refuse(&mut fields, NOT_TEXT),
        };
        let start = match self.places.start.map(cell) {
            None | Some((Kind::Text, "")) => None,
            Some((Kind::Text, text)) => match read_day(text) {
                Ok(day) => fields.shown_start(Some(&day.to_string()), self.today),
                Err(refusal) => refuse(&mut fields, refusal),
            },
            Some((Kind::Number, _)) => refuse(&mut fields, NUMBER_AS_VALUE),
            Some((Kind::Other, _)) => refuse(&mut fields, NOT_TEXT),
        };
        let purpose = match self.places.purpose.map(cell) {
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
