//! Labels: codes and marks that callers choose freely. They are stored, shown and logged in plain text, so none may carry an
//! identity number. One rule for all of them: offices, sites, references, ids of requests, keys of repeatable requests.

use jiff::civil::Date;

use super::id_number::{FIRST_BIRTHS_ON, birth_date, check_character};

/// `text` is 1 to `length_max` bytes, all of them `allowed`.
pub(super) fn is_code(text: &str, length_max: usize, allowed: fn(u8) -> bool) -> bool {
    // The length first: a text of any size must cost nothing.
    (1..=length_max).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether `text` holds an identity number, whole or cut up by separators: eighteen characters with the right check character,
/// and the date of a birth until `today` where a number has it. A letter separates; any other character does not. So UUIDs and
/// the long order numbers of booking systems are no numbers, but for one in some fifteen thousand.
pub fn holds_id_number(text: &str, today: Date) -> bool {
    if text.len() < 18 {
        return false;
    }
    let run: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    run.windows(18).any(|window| {
        let Some((first_17, [check])) = window.split_first_chunk::<17>() else { return false };
        first_17.iter().all(u8::is_ascii_digit)
            && check_character(first_17) == check.to_ascii_uppercase()
            && birth_date(first_17).is_some_and(|born_on| (FIRST_BIRTHS_ON..=today).contains(&born_on))
    })
}

/// Control characters, and the invisible ones by which a name can pass for another one on a screen
/// (Unicode UTR 36).
pub(super) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    #[test]
    fn a_number_is_found_however_it_is_cut_up() {
        for text in [
            "531504200701017707",
            "531504.20070101.7707",
            "531504-20070101-7707",
            "531504_2007:01/01 7707",
            "5-3-1-5-0-4-2-0-0-7-0-1-0-1-7-7-0-7",
            "folio-11010519491231002X",
            "1101051949123100.2x",
            "77531504200701017707",
            "531504200701017707123",
            "a531504200701017707b",
            "11010519491231002-X1X",
            // No province is asked for: permits of tomorrow may have others.
            "991504200701017702",
        ] {
            assert!(holds_id_number(text, TODAY), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_a_label() {
        for text in [
            "",
            "folio-77",
            "110105-03",
            // The check character of another number.
            "531504200701017708",
            // No date, a date before all births, and one to come.
            "531504200713017704",
            "110105000101010025",
            "110105202712310022",
            // A letter separates.
            "531504a20070101b7707",
            "01993c5e-0000-7000-8000-000000000000",
            "4200001234202611281234567890",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
        ] {
            assert!(!holds_id_number(text, TODAY), "{text}");
        }
        // A number of tomorrow is none today.
        assert!(!holds_id_number("110105202611240029", TODAY));
        assert!(holds_id_number("110105202611240029", date(2026, 11, 24)));
    }

    #[test]
    fn a_code_is_of_its_characters_and_length() {
        let is_code = |text: &str| is_code(text, 8, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_code("a") && is_code("110105-3"));
        assert!(!is_code("") && !is_code("110105-03") && !is_code("a b") && !is_code("\u{e9}"));
    }
}
