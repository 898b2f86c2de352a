//! From the cells of a row to a report, by the rules of the API and those that files need beside: dates in more forms, and names
//! for what spreadsheets do to numbers.

use jiff::civil::Date;
use jiff::tz::Offset;

use super::dates::{PLACEHOLDER, is_placeholder, read_day, read_end, read_instant};
use super::row::{Cell, Column, FORMULA, ID_AS_NUMBER, MERGED, Row, is_spreadsheet_number};
use super::words::code_of;
use crate::clock::beijing_date;
use crate::domain::card::{CardValidityError, FIRST_CARDS_ON};
use crate::domain::instant::UnixMs;
use crate::domain::redacted::{IdNumberText, PhoneText};
use crate::domain::report::LostOnError;
use crate::service::fields::{Fields, WrongMember};
use crate::service::filing::{ContactText, Filing, FilingText};

/// By what rows are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judge {
    /// The day on which the file is read, from its first row to its last.
    pub(super) today: Date,
    /// Of instants that name none.
    pub(super) zone: Offset,
}

/// A valid row.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) filing: Filing,
    /// None: not known, so the time of the import.
    pub(super) reported_at_ms: Option<UnixMs>,
}

impl Judge {
    /// The report, or, in `fields`, all that is wrong with the row. `phone` is the pointer to it.
    pub(super) fn judge(self, row: &Row<'_>, phone: &'static str, fields: &mut Fields) -> Option<Judged> {
        let [mut from, mut until] = [None; 2];
        let number = IdNumberText::from(row.text(Column::IdNumber).unwrap_or_default().to_owned());
        let contact = row.text(Column::ContactPhone).map(|text| PhoneText::from(text.to_owned()));
        let text = filing_text(row, &number, contact.as_ref());
        let filing = Filing::read_with(fields, &text, self.today, |fields, pointer, text| {
            let text = text?;
            let day = match pointer {
                "/card_valid_until" => read_end(text),
                _ => read_day(text).map(Some),
            };
            let day = day.unwrap_or_else(|(code, detail)| {
                fields.refuse(pointer, code, detail);
                None
            });
            match pointer {
                "/card_valid_from" => from = day,
                "/card_valid_until" => until = day,
                _ => {}
            }
            day
        });
        let reported_at_ms = self.reported_at(row, fields);
        refuse_placeholders(row, fields);
        name_what_is_wrong(row, from.zip(until), phone, fields);
        filing.filter(|_| fields.errors.is_empty()).map(|filing| Judged { filing, reported_at_ms })
    }

    /// Not before there were cards and not after the day of the import.
    fn reported_at(self, row: &Row<'_>, fields: &mut Fields) -> Option<UnixMs> {
        let pointer = Column::ReportedAt.pointer();
        match read_instant(row.text(Column::ReportedAt)?, self.zone) {
            Ok(at_ms) => {
                let day = beijing_date(at_ms);
                if day > self.today {
                    let detail = "the report cannot have been made after today";
                    fields.refuse(pointer, "reported_in_future", detail);
                } else if day < FIRST_CARDS_ON {
                    fields.refuse(pointer, "before_first_cards", "resident identity cards exist since 1984-04-06");
                }
                Some(at_ms)
            }
            Err((code, detail)) => {
                fields.refuse(pointer, code, detail);
                None
            }
        }
    }
}

fn filing_text<'a>(row: &'a Row<'_>, number: &'a IdNumberText, contact: Option<&'a PhoneText>) -> FilingText<'a> {
    let required = |column| code_of(column, row.text(column).unwrap_or_default());
    FilingText {
        id_number: number,
        card_valid_from: row.text(Column::CardValidFrom),
        card_valid_until: row.text(Column::CardValidUntil),
        reason: required(Column::Reason),
        lost_on: row.text(Column::LostOn),
        reporter: required(Column::Reporter),
        office: required(Column::Office),
        channel: required(Column::Channel),
        contact: contact.map_or(ContactText::Absent, ContactText::Phone),
    }
}

/// Words, in which each code may be anything: an office could even be called `NULL`.
const WORDS: [Column; 4] = [Column::Reason, Column::Reporter, Column::Office, Column::Channel];

fn refuse_placeholders(row: &Row<'_>, fields: &mut Fields) {
    for column in WORDS.into_iter().filter(|column| row.text(*column).is_some_and(is_placeholder)) {
        let ((code, detail), pointer) = (PLACEHOLDER, column.pointer());
        fields.errors.retain(|wrong| wrong.pointer != pointer);
        fields.refuse(pointer, code, detail);
    }
}

/// Says more exactly what the rules of the API say in general, and what they do not see: cells that are no text.
fn name_what_is_wrong(row: &Row<'_>, validity: Option<(Date, Date)>, phone: &'static str, fields: &mut Fields) {
    let not_text = |column: &Column| !matches!(row.cell(*column), Cell::Absent | Cell::Text(_));
    let is_all_text = !Column::ALL.iter().any(not_text);
    if fields.errors.is_empty() && is_all_text {
        return;
    }
    let is_swapped = validity.is_some_and(|(from, until)| until <= from);
    // It follows from the other.
    fields.errors.retain(|wrong| !(is_swapped && wrong.code == LostOnError::BeforeCardStart.code()));
    for wrong in &mut fields.errors {
        name_one(row, is_swapped, wrong);
        if wrong.pointer == "/contact/phone" {
            wrong.pointer = phone;
        }
    }
    for column in Column::ALL.into_iter().filter(not_text) {
        let pointer = if column == Column::ContactPhone { phone } else { column.pointer() };
        fields.errors.retain(|wrong| wrong.pointer != pointer);
        let (code, detail) = match (column, row.cell(column)) {
            (_, Cell::Formula) => FORMULA,
            (_, Cell::Merged) => MERGED,
            (Column::IdNumber, Cell::Number) => ID_AS_NUMBER,
            (Column::ContactPhone, Cell::Number) => PHONE_AS_NUMBER,
            (_, Cell::Number) => ("number_as_value", "a number stands where text must: save the column as text"),
            _ => ("not_text", "text must stand here: save the column as text"),
        };
        fields.refuse(pointer, code, detail);
    }
}

fn name_one(row: &Row<'_>, is_swapped: bool, wrong: &mut WrongMember) {
    let rename = |wrong: &mut WrongMember, (code, detail): (&'static str, &'static str)| {
        (wrong.code, wrong.detail) = (code, detail.into());
    };
    match wrong.pointer {
        "/id_number" if row.text(Column::IdNumber).is_some_and(is_spreadsheet_number) => rename(wrong, ID_AS_NUMBER),
        "/contact/phone" if row.text(Column::ContactPhone).is_some_and(is_spreadsheet_number) => {
            rename(wrong, PHONE_AS_NUMBER);
        }
        "/contact/phone" if row.text(Column::ContactPhone).is_some_and(is_placeholder) => rename(wrong, PLACEHOLDER),
        // Swapped days are told as such: that the start lies ahead is only how it shows.
        "/card_valid_from" if is_swapped && wrong.code == CardValidityError::StartsInFuture.code() => {
            let swapped = CardValidityError::EndsBeforeStart;
            *wrong =
                WrongMember { pointer: swapped.pointer(), code: swapped.code(), detail: swapped.to_string().into() };
        }
        _ => {}
    }
}

const PHONE_AS_NUMBER: (&str, &str) =
    ("phone_as_number", "a spreadsheet took the phone number for a quantity: save the column as text");

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use jiff::civil::date;

    use super::super::dates::BEIJING;
    use super::*;

    const JUDGE: Judge = Judge { today: Date::constant(2026, 11, 23), zone: BEIJING };

    fn row(changes: &[(Column, Cell<'static>)]) -> Row<'static> {
        let text = |text| Cell::Text(Cow::Borrowed(text));
        let mut row = Row::default();
        for (column, value) in [
            (Column::IdNumber, "11010519491231002X"),
            (Column::Reason, "lost"),
            (Column::Reporter, "holder"),
            (Column::Office, "110105-03"),
            (Column::Channel, "station"),
        ] {
            row.0[column as usize] = text(value);
        }
        for (column, cell) in changes {
            row.0[*column as usize] = cell.clone();
        }
        row
    }

    fn text(text: &'static str) -> Cell<'static> {
        Cell::Text(Cow::Borrowed(text))
    }

    fn refusals(changes: &[(Column, Cell<'static>)]) -> Vec<(&'static str, &'static str)> {
        let mut fields = Fields::default();
        let judged = JUDGE.judge(&row(changes), "/contact_phone", &mut fields);
        assert_eq!(judged.is_some(), fields.errors.is_empty());
        fields.errors.iter().map(|wrong| (wrong.pointer, wrong.code)).collect()
    }

    #[test]
    fn days_instants_and_wrappings_are_read() {
        let mut fields = Fields::default();
        let row = row(&[
            (Column::IdNumber, text("=\"11010519491231002x\"")),
            (Column::CardValidFrom, text("2016年5月1日")),
            (Column::CardValidUntil, text("长期")),
            (Column::LostOn, text("20261101")),
            (Column::ReportedAt, text("2026/11/2 8:00")),
            (Column::ContactPhone, text("'13800138000")),
        ]);
        let judged = JUDGE.judge(&row, "/contact_phone", &mut fields).unwrap();
        assert_eq!(judged.filing.validity.valid_from(), Some(date(2016, 5, 1)));
        assert_eq!(judged.filing.validity.valid_until(), None);
        assert_eq!(judged.filing.lost_on, Some(date(2026, 11, 1)));
        assert_eq!(judged.reported_at_ms.map(UnixMs::get), Some(1_793_577_600_000));
        assert!(judged.filing.phone.is_some());
    }

    #[test]
    fn what_spreadsheets_did_is_refused_by_name() {
        for (change, expected) in [
            ((Column::IdNumber, Cell::Number), ("/id_number", "id_as_number")),
            ((Column::IdNumber, text("1.19999E+17")), ("/id_number", "id_as_number")),
            ((Column::IdNumber, text("119999200207144000.0")), ("/id_number", "id_as_number")),
            ((Column::IdNumber, Cell::OtherType), ("/id_number", "not_text")),
            ((Column::IdNumber, text("")), ("/id_number", "empty")),
            ((Column::IdNumber, text("\u{3000}")), ("/id_number", "empty")),
            ((Column::CardValidFrom, Cell::Formula), ("/card_valid_from", "formula_without_value")),
            ((Column::CardValidFrom, Cell::Merged), ("/card_valid_from", "merged_cells")),
            ((Column::IdNumber, Cell::Merged), ("/id_number", "merged_cells")),
            ((Column::ContactPhone, Cell::Formula), ("/contact_phone", "formula_without_value")),
            ((Column::ContactPhone, Cell::Number), ("/contact_phone", "phone_as_number")),
            ((Column::ContactPhone, text("1.38E+10")), ("/contact_phone", "phone_as_number")),
            ((Column::ContactPhone, text("13800138000.0")), ("/contact_phone", "phone_as_number")),
            ((Column::ContactPhone, text("-")), ("/contact_phone", "placeholder")),
            ((Column::ContactPhone, text("secret")), ("/contact_phone", "malformed_phone")),
            ((Column::Office, text("NULL")), ("/office", "placeholder")),
            ((Column::Office, text("--")), ("/office", "placeholder")),
            ((Column::Office, text("=\"N/A\"")), ("/office", "placeholder")),
            ((Column::Reason, text("\\N")), ("/reason", "placeholder")),
            ((Column::Reporter, text("None")), ("/reporter", "placeholder")),
            ((Column::Channel, text("nan")), ("/channel", "placeholder")),
            ((Column::CardValidFrom, text("0000-00-00")), ("/card_valid_from", "placeholder")),
            ((Column::LostOn, text("00000000")), ("/lost_on", "placeholder")),
            ((Column::ReportedAt, text("0000-00-00 00:00:00")), ("/reported_at", "placeholder")),
            ((Column::Office, Cell::Number), ("/office", "number_as_value")),
            ((Column::CardValidFrom, Cell::OtherType), ("/card_valid_from", "not_text")),
            ((Column::CardValidFrom, text("42491")), ("/card_valid_from", "date_as_number")),
            ((Column::CardValidUntil, text("NULL")), ("/card_valid_until", "placeholder")),
            ((Column::LostOn, text("01/11/2026")), ("/lost_on", "ambiguous_date")),
            ((Column::ReportedAt, text("46328.3")), ("/reported_at", "date_as_number")),
            ((Column::ReportedAt, text("2026-11-24 00:00")), ("/reported_at", "reported_in_future")),
            ((Column::ReportedAt, text("1949-12-31 00:00")), ("/reported_at", "before_first_cards")),
        ] {
            assert_eq!(refusals(std::slice::from_ref(&change)), [expected], "{change:?}");
        }
    }

    #[test]
    fn a_cell_of_blanks_is_empty() {
        let optional =
            [Column::CardValidFrom, Column::CardValidUntil, Column::LostOn, Column::ReportedAt, Column::ContactPhone];
        for blanks in [" ", "\u{3000}", "\u{A0}\t ", "=\" \"", "' "] {
            let changes = optional.map(|column| (column, text(blanks)));
            assert_eq!(refusals(&changes), [], "{blanks:?}");
        }
    }

    #[test]
    fn swapped_days_are_refused_as_such() {
        for (from, until) in [("2036-05-01", "2016-05-01"), ("20160501", "2016/5/1"), ("2016-05-01", "2006-05-01")] {
            let changes = [(Column::CardValidFrom, text(from)), (Column::CardValidUntil, text(until))];
            assert_eq!(refusals(&changes), [("/card_valid_until", "ends_before_start")], "{from}");
        }
        assert_eq!(
            refusals(&[(Column::CardValidFrom, text("2036-05-01"))]),
            [("/card_valid_from", "starts_in_future")]
        );
    }
}
