//! What the columns of a guest list are called, and the words that it may have for a purpose. Which names stand for number and
//! start is the affair of `import`, which reads the same offices' files.

use crate::cli::exits::{refused, usage};
use crate::cli::import::header::{column_named, plain_name};
use crate::cli::import::row::Column;
use crate::domain::verdict::Purpose;

/// The columns that a checked list has at its end.
pub(super) const ADDED: [&str; 6] = ["verdict", "advice", "since", "check_id", "receipt", "problem"];

/// In which cell of a row stands what is asked about, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) number: usize,
    pub(super) start: Option<usize>,
    pub(super) purpose: Option<usize>,
}

impl Places {
    /// By the names of the columns. None of them is repeated in an error: a list without a header begins with a number.
    pub(super) fn among(names: &[String], has_purpose: bool) -> anyhow::Result<Self> {
        let number = only(names, "id_number", |name| column_named(name) == Some(Column::IdNumber))?;
        let start = only(names, "card_valid_from", |name| column_named(name) == Some(Column::CardValidFrom))?;
        let purpose = only(names, "purpose", |name| PURPOSE_NAMES.contains(&plain_name(name).as_str()))?;
        if let Some(at) = names.iter().position(|name| ADDED.contains(&plain_name(name).as_str())) {
            let why = "is one that a checked list has: check the list that it was made of";
            return Err(refused(format!("the header: column {} {why}", at + 1)));
        }
        let Some(number) = number else {
            return Err(refused("the header: there is no column id_number, 公民身份号码 or 证件号码"));
        };
        if purpose.is_none() && !has_purpose {
            return Err(usage("what are the cards checked for? --purpose lodging, or a column purpose"));
        }
        Ok(Self { number, start, purpose })
    }
}

const PURPOSE_NAMES: [&str; 6] = ["purpose", "用途", "核验用途", "查验用途", "核验目的", "查验目的"];

fn only(names: &[String], what: &str, is_it: impl Fn(&str) -> bool) -> anyhow::Result<Option<usize>> {
    let mut found = names.iter().enumerate().filter(|(_, name)| is_it(name)).map(|(at, _)| at);
    let first = found.next();
    match (first, found.next()) {
        (Some(first), Some(second)) => Err(refused(format!(
            "the header: column {what} is named twice, in columns {} and {}",
            first + 1,
            second + 1
        ))),
        _ => Ok(first),
    }
}

/// A purpose by its code, or by the Chinese word for it.
pub(super) fn purpose(word: &str) -> Option<Purpose> {
    Purpose::parse(word).or(match word {
        "住宿" => Some(Purpose::Lodging),
        "银行" => Some(Purpose::Banking),
        "交通" => Some(Purpose::Transport),
        "电信" => Some(Purpose::Telecom),
        "其他" => Some(Purpose::Other),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(header: &str, has_purpose: bool) -> anyhow::Result<Places> {
        Places::among(&header.split(',').map(str::to_owned).collect::<Vec<_>>(), has_purpose)
    }

    #[test]
    fn columns_are_found_by_their_names_in_either_language() {
        for (header, number, start, purpose) in [
            ("id_number", 0, None, None),
            ("Name,ID Number,Room,Card_Valid_From,Purpose", 1, Some(3), Some(4)),
            ("姓名,证件号码,有效期起始日期,用途", 1, Some(2), Some(3)),
            ("\u{FEFF}公民身份号码,备注,备注", 0, None, None),
            ("=\"id_number\",'card_valid_from,=\"用途\",,", 0, Some(1), Some(2)),
        ] {
            assert_eq!(places(header, true).unwrap(), Places { number, start, purpose }, "{header}");
        }
    }

    #[test]
    fn a_header_that_leaves_a_doubt_is_refused() {
        for (header, has_purpose, expected) in [
            ("11010519491231002X,Wang", true, "no column id_number"),
            ("id_number,证件号", true, "id_number is named twice, in columns 1 and 2"),
            ("id_number,purpose,用途", true, "purpose is named twice"),
            ("id_number,verdict", true, "column 2 is one that a checked list has"),
            ("id_number,room", false, "--purpose"),
        ] {
            let why = places(header, has_purpose).unwrap_err().to_string();
            assert!(why.contains(expected) && !why.contains("1101"), "{why}");
        }
    }
}
