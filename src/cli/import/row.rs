//! One row of a file, whatever its form: ten cells with the names of the members that they fill. Also what spreadsheets put
//! around text, and take from numbers.

use std::borrow::Cow;
use std::fmt;

/// What a file says of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    IdNumber,
    CardValidFrom,
    CardValidUntil,
    Reason,
    LostOn,
    Reporter,
    Office,
    Channel,
    ReportedAt,
    ContactPhone,
}

impl Column {
    pub(crate) const COUNT: usize = 10;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::IdNumber,
        Self::CardValidFrom,
        Self::CardValidUntil,
        Self::Reason,
        Self::LostOn,
        Self::Reporter,
        Self::Office,
        Self::Channel,
        Self::ReportedAt,
        Self::ContactPhone,
    ];
    pub(crate) const REQUIRED: [Self; 5] = [Self::IdNumber, Self::Reason, Self::Reporter, Self::Office, Self::Channel];

    /// JSON Pointer (RFC 6901) to the member; a column of a table is one too.
    pub(crate) fn pointer(self) -> &'static str {
        match self {
            Self::IdNumber => "/id_number",
            Self::CardValidFrom => "/card_valid_from",
            Self::CardValidUntil => "/card_valid_until",
            Self::Reason => "/reason",
            Self::LostOn => "/lost_on",
            Self::Reporter => "/reporter",
            Self::Office => "/office",
            Self::Channel => "/channel",
            Self::ReportedAt => "/reported_at",
            Self::ContactPhone => "/contact_phone",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        &self.pointer()[1..]
    }
}

/// What is in a cell. It may be a number, in any of them: `Debug` does not show it.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// A number of JSON or of a spreadsheet: what it was as text is not known any more.
    Number,
    /// Neither text nor number: a date of a spreadsheet, an object, true.
    OtherType,
    /// A formula that nobody has calculated: it shows something, and the file does not say what.
    Formula,
    /// Merged with a cell of a row above, whose value it shows.
    Merged,
}

impl Cell<'_> {
    /// Whether nothing is in it.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            // A row that is merged in all its columns is no row of its own.
            Cell::Absent | Cell::Merged => true,
            Cell::Text(text) => is_nothing(text),
            Cell::Number | Cell::OtherType | Cell::Formula => false,
        }
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Text(_) => "Text(redacted)",
            Self::Number => "Number",
            Self::OtherType => "OtherType",
            Self::Formula => "Formula",
            Self::Merged => "Merged",
        })
    }
}

/// The cells of a row, by column.
#[derive(Debug, Default)]
pub(crate) struct Row<'a>(pub(crate) [Cell<'a>; Column::COUNT]);

impl Row<'_> {
    pub(crate) fn cell(&self, column: Column) -> &Cell<'_> {
        &self.0[column as usize]
    }

    /// The text of a cell without what spreadsheets put around it; none where there is nothing.
    pub(crate) fn text(&self, column: Column) -> Option<&str> {
        match self.cell(column) {
            Cell::Text(text) => Some(unwrapped(text)).filter(|text| !is_nothing(text)),
            Cell::Absent | Cell::Number | Cell::OtherType | Cell::Formula | Cell::Merged => None,
        }
    }

    /// Rows without a word are no rows.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(Cell::is_blank)
    }
}

/// What stands for a blank in files of offices: the ideographic one, too.
pub(crate) const BLANKS: [char; 4] = [' ', '\t', '\u{A0}', '\u{3000}'];

/// Whether a cell shows nothing.
pub(crate) fn is_nothing(text: &str) -> bool {
    unwrapped(text.trim_matches(BLANKS)).trim_matches(BLANKS).is_empty()
}

/// Takes off what makes a spreadsheet keep text as text: `="..."`, a leading apostrophe, a tab on either side. Nothing else.
pub(crate) fn unwrapped(text: &str) -> &str {
    match text.as_bytes() {
        [b'=', b'"', .., b'"'] if text.len() >= 3 => &text[2..text.len() - 1],
        [b'\'', ..] => &text[1..],
        [b'\t', ..] | [.., b'\t'] => {
            let text = text.strip_prefix('\t').unwrap_or(text);
            text.strip_suffix('\t').unwrap_or(text)
        }
        _ => text,
    }
}

/// Why a cell is refused whose value the file does not say.
pub(crate) const FORMULA: (&str, &str) = (
    "formula_without_value",
    "the cell has a formula that was never calculated: open the workbook in a spreadsheet program and save it, or save values",
);
/// Why a cell is refused whose value another row has.
pub(crate) const MERGED: (&str, &str) =
    ("merged_cells", "the cell is merged with one of a row above: undo the merge, and fill in the value in each row");

/// Why such a number is refused where an identity number must stand.
pub(crate) const ID_AS_NUMBER: (&str, &str) = (
    "id_as_number",
    "a spreadsheet took the number for a quantity and keeps 15 of its digits: save the column as text, from the source",
);

/// `1.19999E+17` or `13800138000.0`: a spreadsheet took text for a number, and digits are lost or may be.
pub(crate) fn is_spreadsheet_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = |text: &str| text.contains(',') && text.split(',').all(|group| !group.is_empty() && digits(group));
    let is_whole = !whole.is_empty() && (digits(whole) || grouped(whole));
    is_whole
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
        && (fraction.is_some() || exponent.is_some() || whole.contains(','))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unwrap(text: &str) -> String {
        unwrapped(text).to_owned()
    }

    #[test]
    fn only_the_wrappings_of_spreadsheets_are_taken_off() {
        for (text, expected) in [
            ("119999", "119999"),
            ("=\"119999\"", "119999"),
            ("'119999", "119999"),
            ("\t119999", "119999"),
            ("119999\t", "119999"),
            ("\t119999\t", "119999"),
            ("=\"\"", ""),
            ("'", ""),
            ("=\"", "=\""),
            ("=119999", "=119999"),
            ("'119999'", "119999'"),
            (" 119999", " 119999"),
            ("119999 ", "119999 "),
            ("''119999", "'119999"),
            ("\u{200B}119999", "\u{200B}119999"),
            ("", ""),
        ] {
            assert_eq!(unwrapped(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_of_spreadsheets_are_known() {
        for text in
            ["1.38E+10", "1.38001E+10", "1E10", "1.2e+17", "13800138000.0", "13800138000.", "13,800,138,000", "-1.5E3"]
        {
            assert!(is_spreadsheet_number(text), "{text}");
        }
        for text in ["13800138000", "+86 138", "11010519491231002X", "E10", "1.2.3", "", ".", "1E", "1.5x", ","] {
            assert!(!is_spreadsheet_number(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_wrapping_of_a_plain_text_is_taken_off(text in "[0-9A-Za-z-]{1,20}") {
            for wrapped in
                [text.clone(), format!("=\"{text}\""), format!("'{text}"), format!("\t{text}"), format!("{text}\t")]
            {
                prop_assert_eq!(unwrap(&wrapped), &text[..]);
            }
        }

        #[test]
        fn no_text_is_a_panic(text in "[\\t'=\"a é]{0,6}") {
            let _ = (unwrapped(&text), is_spreadsheet_number(&text));
        }
    }
}
