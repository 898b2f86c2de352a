//! Identity numbers by GB 11643-1999: the one canonical form behind reports, checks and imports.
//!
//! The number names a person. It lives in memory for the length of one request, so this type has no
//! `Display`, no `Hash` and no serialization, prints itself redacted and wipes itself on drop.
//! Hashing it is the work of `crypto`.

use std::fmt;

use jiff::civil::Date;
use zeroize::Zeroize;

use super::numbers::Neighbourhood;
use super::redacted::IdNumberText;

/// Six digits of region, eight of birth date, three of sequence, one check character (GB
/// 11643-1999).
const LENGTH: usize = 18;

/// Nobody who was born before has a card, or had one in 1984. The standard's own example was born in 1880.
pub const FIRST_BIRTHS_ON: Date = Date::constant(1850, 1, 1);

/// Inputs above this many bytes are not even scanned to say what is wrong with them. Eighteen
/// full-width characters take 54 bytes and still get their own answer.
const SCANNED_BYTES_MAX: usize = 128;

/// A valid identity number in canonical form: 17 digits, then a digit or an upper-case `X`.
#[derive(Clone, PartialEq, Eq)]
pub struct IdNumber([u8; LENGTH]);

impl IdNumber {
    /// Reads untrusted text. `today` is the day in China on which the number is presented: nobody
    /// is born after it.
    ///
    /// Only a lower-case `x` is folded; nothing is trimmed, since a form that one path repairs and
    /// another does not would be a report that a check never finds.
    pub fn parse(input: &str, today: Date) -> Result<Self, IdNumberError> {
        let bytes = input.as_bytes();
        if bytes.is_empty() {
            return Err(IdNumberError::Empty);
        }
        if bytes.len() > SCANNED_BYTES_MAX {
            return Err(IdNumberError::WrongLength);
        }
        if !input.is_ascii() {
            let full_width = input.chars().any(is_full_width);
            return Err(if full_width { IdNumberError::FullWidth } else { IdNumberError::NotAscii });
        }
        let Some((first_17, [check])) = bytes.split_first_chunk::<17>() else {
            let is_old_form = bytes.len() == 15 && bytes.iter().all(u8::is_ascii_digit);
            return Err(if is_old_form { IdNumberError::FifteenDigits } else { IdNumberError::WrongLength });
        };
        let check = check.to_ascii_uppercase();
        if !check.is_ascii_digit() && check != b'X' {
            return Err(IdNumberError::WrongCharacter);
        }
        check_first_17(first_17, today)?;
        let number = Self::complete(first_17);
        if number.0[17] == check { Ok(number) } else { Err(IdNumberError::WrongCheckCharacter) }
    }

    /// Completes 17 digits by their check character. `today` as for [`IdNumber::parse`].
    pub fn from_first_17(first_17: [u8; 17], today: Date) -> Result<Self, IdNumberError> {
        check_first_17(&first_17, today)?;
        Ok(Self::complete(&first_17))
    }

    fn complete(first_17: &[u8; 17]) -> Self {
        let mut number = Self([0; LENGTH]);
        number.0[..17].copy_from_slice(first_17);
        number.0[17] = check_character(first_17);
        number
    }

    /// Where it belongs.
    pub fn neighbourhood(&self) -> Neighbourhood {
        let decimal =
            |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0')));
        Neighbourhood { county: decimal(&self.0[..6]), born: decimal(&self.0[6..14]) }
    }

    /// The canonical form, for the digest and for nothing else.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl IdNumberText {
    /// The number, or why it is none. `today` as for [`IdNumber::parse`].
    pub fn parse(&self, today: Date) -> Result<IdNumber, IdNumberError> {
        IdNumber::parse(self.expose(), today)
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdNumber(redacted)")
    }
}

impl Drop for IdNumber {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a text is no identity number. The messages go to the client and never contain what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdNumberError {
    #[error("the identity number is empty: send its 18 characters")]
    Empty,
    #[error("the identity number contains full-width characters: send half-width (ASCII) digits and X")]
    FullWidth,
    #[error("the identity number contains characters other than ASCII digits and X: send its 18 characters alone")]
    NotAscii,
    #[error("15-digit identity numbers have been void since 2013: send the 18-character number of the same person")]
    FifteenDigits,
    #[error("an identity number has exactly 18 characters, without spaces or separators")]
    WrongLength,
    #[error("an identity number is 17 digits followed by a digit or X: remove any other character")]
    WrongCharacter,
    #[error("the first two digits name no province: read the number from the card again")]
    UnknownProvince,
    #[error("digits 7 to 14 are no date of the calendar: read the number from the card again")]
    ImpossibleBirthDate,
    #[error("digits 7 to 14 are a birth date before 1850: read the number from the card again")]
    BirthBefore1850,
    #[error("digits 7 to 14 are a birth date in the future: read the number from the card again")]
    FutureBirthDate,
    #[error("the last character does not match the first 17: read the number from the card again")]
    WrongCheckCharacter,
}

impl IdNumberError {
    /// The code of the contract; clients branch on it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::FullWidth => "full_width",
            Self::NotAscii => "not_ascii",
            Self::FifteenDigits => "fifteen_digits",
            Self::WrongLength => "wrong_length",
            Self::WrongCharacter => "wrong_character",
            Self::UnknownProvince => "unknown_province",
            Self::ImpossibleBirthDate => "impossible_birth_date",
            Self::BirthBefore1850 => "birth_before_1850",
            Self::FutureBirthDate => "future_birth_date",
            Self::WrongCheckCharacter => "wrong_check_character",
        }
    }

    /// Well-formed but for the check character: what somebody who makes numbers up gets wrong ten
    /// times in eleven. Such errors count towards abnormal use.
    pub const fn is_guess(&self) -> bool {
        matches!(self, Self::WrongCheckCharacter)
    }
}

/// The check character of 17 ASCII digits by ISO 7064 MOD 11-2, as GB 11643-1999 prescribes.
pub fn check_character(first_17: &[u8; 17]) -> u8 {
    /// 2 to the power of the character's place, counted from the right and from 0, modulo 11.
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const BY_REMAINDER: &[u8; 11] = b"10X98765432";
    let sum: u32 = first_17.iter().zip(WEIGHTS).map(|(&byte, weight)| digit(byte) * weight).sum();
    BY_REMAINDER[(sum % 11) as usize]
}

/// Provinces and their like by GB/T 2260; 81 to 83 are the residence permits of Hong Kong, Macao
/// and Taiwan residents.
pub(crate) fn is_known_province(prefix: [u8; 2]) -> bool {
    match prefix[0] {
        b'1' | b'6' => matches!(prefix[1], b'1'..=b'5'),
        b'2' | b'8' => matches!(prefix[1], b'1'..=b'3'),
        b'3' => matches!(prefix[1], b'1'..=b'7'),
        b'4' => matches!(prefix[1], b'1'..=b'6'),
        b'5' => matches!(prefix[1], b'0'..=b'4'),
        b'7' => prefix[1] == b'1',
        _ => false,
    }
}

/// Everything but the check character. Borrows, so that no copy of the digits is left behind.
fn check_first_17(first_17: &[u8; 17], today: Date) -> Result<(), IdNumberError> {
    if !first_17.iter().all(u8::is_ascii_digit) {
        return Err(IdNumberError::WrongCharacter);
    }
    // Foreign permanent residents (cards of the 2023 pattern, issued since December 2023) have a
    // leading 9 and the same check character; what their other digits may be is not for us to
    // judge.
    if first_17[0] == b'9' {
        return Ok(());
    }
    if !is_known_province([first_17[0], first_17[1]]) {
        return Err(IdNumberError::UnknownProvince);
    }
    match birth_date(first_17) {
        None => Err(IdNumberError::ImpossibleBirthDate),
        Some(born_on) if born_on < FIRST_BIRTHS_ON => Err(IdNumberError::BirthBefore1850),
        Some(born_on) if born_on > today => Err(IdNumberError::FutureBirthDate),
        Some(_) => Ok(()),
    }
}

/// Fullwidth forms and the ideographic space: what a Chinese input method leaves behind in
/// full-width mode.
fn is_full_width(character: char) -> bool {
    matches!(character, '\u{3000}' | '\u{FF01}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}')
}

/// Digits 7 to 14, whatever the year.
pub(super) fn birth_date(first_17: &[u8; 17]) -> Option<Date> {
    let number = |digits: &[u8]| digits.iter().fold(0, |value: u32, &byte| value * 10 + digit(byte));
    let year = i16::try_from(number(&first_17[6..10])).ok()?;
    let month = i8::try_from(number(&first_17[10..12])).ok()?;
    let day = i8::try_from(number(&first_17[12..14])).ok()?;
    Date::new(year, month, day).ok()
}

fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    fn parse(input: &str) -> Result<IdNumber, IdNumberError> {
        IdNumber::parse(input, TODAY)
    }

    fn text(number: &IdNumber) -> String {
        number.as_bytes().iter().copied().map(char::from).collect()
    }

    /// The 17 characters with their right check character: isolates the rule under test from the
    /// check.
    fn completed(first_17: &str) -> String {
        let digits: &[u8; 17] = first_17.as_bytes().try_into().unwrap();
        format!("{first_17}{}", char::from(check_character(digits)))
    }

    /// The table that the pages' own reader of numbers is held against, too (`tests/browser/entering.py`).
    #[derive(serde::Deserialize)]
    struct Table {
        accepted: Vec<(String, String)>,
        refused: Vec<(String, String)>,
    }

    fn table() -> Table {
        serde_json::from_str(include_str!("../../tests/id-numbers.json")).unwrap()
    }

    #[test]
    fn valid_numbers_are_accepted_in_canonical_form() {
        for (input, canonical) in table().accepted {
            assert_eq!(text(&parse(&input).unwrap()), canonical);
        }
    }

    #[test]
    fn invalid_numbers_are_refused_by_name() {
        let long = [("1".repeat(100_000), "wrong_length".to_owned()), ("１".repeat(43), "wrong_length".to_owned())];
        for (input, code) in table().refused.into_iter().chain(long) {
            assert_eq!(parse(&input).unwrap_err().code(), code, "{input:.40}");
        }
    }

    #[test]
    fn exactly_the_provinces_of_the_standard_are_known() {
        let known: Vec<u32> =
            (0..100).filter(|prefix| parse(&completed(&format!("{prefix:02}010119900101001"))).is_ok()).collect();
        let ranges = [11..=15, 21..=23, 31..=37, 41..=46, 50..=54, 61..=65, 71..=71, 81..=83, 90..=99];
        assert_eq!(known, ranges.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn unknown_county_is_accepted() {
        assert!(parse(&completed("11999919900101001")).is_ok());
        assert!(parse(&completed("11000019900101001")).is_ok());
    }

    #[test]
    fn foreign_permanent_resident_needs_digits_and_check_character_only() {
        let number = completed("99999999999999999");
        assert!(parse(&number).is_ok());
        let wrong = format!("{}{}", &number[..17], if number.ends_with('0') { '1' } else { '0' });
        assert_eq!(parse(&wrong), Err(IdNumberError::WrongCheckCharacter));
        assert_eq!(parse("9A9999999999999999"), Err(IdNumberError::WrongCharacter));
    }

    #[test]
    fn birth_date_is_one_of_the_calendar_and_not_after_today() {
        use IdNumberError as E;
        for (birth, expected) in [
            ("20261123", None),
            ("20261124", Some(E::FutureBirthDate)),
            ("20270101", Some(E::FutureBirthDate)),
            ("20240229", None),
            ("20230229", Some(E::ImpossibleBirthDate)),
            ("20000229", None),
            ("19000229", Some(E::ImpossibleBirthDate)),
            ("19900431", Some(E::ImpossibleBirthDate)),
            ("19900100", Some(E::ImpossibleBirthDate)),
            ("19900001", Some(E::ImpossibleBirthDate)),
            ("18491231", Some(E::BirthBefore1850)),
            ("00010101", Some(E::BirthBefore1850)),
            ("18500101", None),
            ("18800101", None),
        ] {
            let number = completed(&format!("110105{birth}001"));
            assert_eq!(parse(&number).err(), expected, "{birth}");
        }
    }

    #[test]
    fn every_error_has_its_own_code_and_only_a_wrong_check_is_a_guess() {
        use IdNumberError as E;
        let errors = [
            (E::Empty, "empty"),
            (E::FullWidth, "full_width"),
            (E::NotAscii, "not_ascii"),
            (E::FifteenDigits, "fifteen_digits"),
            (E::WrongLength, "wrong_length"),
            (E::WrongCharacter, "wrong_character"),
            (E::UnknownProvince, "unknown_province"),
            (E::ImpossibleBirthDate, "impossible_birth_date"),
            (E::BirthBefore1850, "birth_before_1850"),
            (E::FutureBirthDate, "future_birth_date"),
            (E::WrongCheckCharacter, "wrong_check_character"),
        ];
        for (error, code) in errors {
            assert_eq!(error.code(), code);
            assert_eq!(error.is_guess(), error == E::WrongCheckCharacter);
            assert!(error.to_string().is_ascii());
        }
    }

    #[test]
    fn debug_is_redacted() {
        let number = parse("11010519491231002X");
        assert_eq!(format!("{number:?}"), "Ok(IdNumber(redacted))");
    }

    fn first_17() -> impl Strategy<Value = [u8; 17]> {
        let provinces: Vec<u8> =
            (10..90).filter(|prefix| is_known_province([b'0' + prefix / 10, b'0' + prefix % 10])).collect();
        let ordinary = (prop::sample::select(provinces), 0..10_000_u32, 0..53_000_i64, 0..1_000_u32).prop_map(
            |(province, county, day, sequence)| {
                let born_on = date(1880, 1, 1).saturating_add(day.days());
                format!("{province}{county:04}{}{sequence:03}", born_on.strftime("%Y%m%d"))
            },
        );
        let foreign = (0..10_u64.pow(16)).prop_map(|rest| format!("9{rest:016}"));
        prop_oneof![9 => ordinary, 1 => foreign].prop_map(|text| text.as_bytes().try_into().unwrap())
    }

    fn valid_number() -> impl Strategy<Value = String> {
        first_17().prop_map(|digits| text(&IdNumber::from_first_17(digits, TODAY).unwrap()))
    }

    proptest! {
        #[test]
        fn check_character_satisfies_iso_7064(digits in first_17()) {
            // The standard's pure definition: the sum of value times 2^place is 1 modulo 11, the
            // check's place being 0.
            let check = check_character(&digits);
            let value = if check == b'X' { 10 } else { u64::from(check - b'0') };
            let sum = digits.iter().fold(0, |sum, byte| (sum + u64::from(byte - b'0')) * 2) + value;
            prop_assert_eq!(sum % 11, 1);
        }

        #[test]
        fn valid_number_parses_to_itself(number in valid_number()) {
            let once = parse(&number).unwrap();
            prop_assert_eq!(&text(&once), &number);
            prop_assert_eq!(parse(&text(&once)).unwrap(), once);
        }

        #[test]
        fn lower_case_x_is_the_same_number(number in valid_number()) {
            prop_assert_eq!(parse(&number.to_ascii_lowercase()).unwrap(), parse(&number).unwrap());
        }

        // MOD 11-2 detects both, always: a single change moves the sum by (difference x weight), a
        // transposition by (difference x difference of neighbouring weights), and no factor is a
        // multiple of the prime 11.
        #[test]
        fn single_substitution_is_refused(number in valid_number(), place in 0..18_usize, by in 0..11_usize) {
            let mut bytes = number.into_bytes();
            let substitute = b"0123456789X"[by];
            prop_assume!(bytes[place] != substitute);
            bytes[place] = substitute;
            prop_assert!(parse(std::str::from_utf8(&bytes).unwrap()).is_err());
        }

        #[test]
        fn adjacent_transposition_is_refused(number in valid_number(), place in 0..17_usize) {
            let mut bytes = number.into_bytes();
            prop_assume!(bytes[place] != bytes[place + 1]);
            bytes.swap(place, place + 1);
            prop_assert!(parse(std::str::from_utf8(&bytes).unwrap()).is_err());
        }

        #[test]
        fn parse_never_panics_and_accepts_canonical_text_only(input in ".{0,60}") {
            if let Ok(number) = parse(&input) {
                prop_assert_eq!(text(&number), input.to_ascii_uppercase());
            }
        }

        #[test]
        fn parse_never_panics_on_near_misses(input in "[0-9Xx１Ｘ +-]{14,20}") {
            if let Ok(number) = parse(&input) {
                prop_assert_eq!(text(&number), input.to_ascii_uppercase());
            }
        }

        #[test]
        fn seventeen_arbitrary_bytes_never_panic(bytes in any::<[u8; 17]>()) {
            let all_digits = bytes.iter().all(u8::is_ascii_digit);
            prop_assert!(all_digits || IdNumber::from_first_17(bytes, TODAY).is_err());
        }
    }
}
