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
/// the long order numbers of booking systems are no numbers, but for one in some fifteen thousand. Digits and `X` of full width, as
/// input methods write them, are digits and `X`.
pub fn holds_id_number(text: &str, today: Date) -> bool {
    if text.len() < 18 {
        return false;
    }
    let run: Vec<u8> = text
        .chars()
        .filter_map(|character| u8::try_from(narrow(character)).ok())
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    run.windows(18).any(|window| {
        let Some((first_17, [check])) = window.split_first_chunk::<17>() else { return false };
        first_17.iter().all(u8::is_ascii_digit)
            && check_character(first_17) == check.to_ascii_uppercase()
            && birth_date(first_17).is_some_and(|born_on| (FIRST_BIRTHS_ON..=today).contains(&born_on))
    })
}

/// What a character of full width, of those that numbers are written with, is in ASCII.
fn narrow(character: char) -> char {
    match character {
        '\u{ff10}'..='\u{ff19}' | '\u{ff38}' | '\u{ff58}' => {
            char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character)
        }
        other => other,
    }
}

/// Whether a text is 1 to `chars_max` characters for a screen, as names are: at least one is seen, and none is there by which it could
/// pass for another one (Unicode UTR 36). Characters that choose the shape of the one before them (ideographs, Mongolian) stay.
pub(super) fn is_shown(text: &str, chars_max: usize) -> bool {
    // A character takes at most four bytes: longer texts are not even counted.
    if text.len() > chars_max * 4 || text.chars().count() > chars_max || !text.chars().any(is_seen) {
        return false;
    }
    let before = std::iter::once(' ').chain(text.chars());
    text.chars().zip(before).all(|(character, before)| {
        let is_shape = is_selector(character) && is_seen(before) && !before.is_ascii();
        is_shape || !(character.is_control() || is_invisible(character))
    })
}

/// What a shown text that was judged when it was stored still is, whatever has been learnt of characters since.
pub(super) fn is_line(text: &str, chars_max: usize) -> bool {
    let is_control = |character: char| character.is_control() || matches!(character, '\u{2028}'..='\u{2029}');
    (1..=chars_max * 4).contains(&text.len()) && text.chars().count() <= chars_max && !text.chars().any(is_control)
}

/// Whether a character shows on a screen. What does not: white space, and what is invisible.
pub(super) fn is_seen(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !is_invisible(character)
}

/// What Unicode says to leave out where it has no effect (`Default_Ignorable_Code_Point`), what it ends and annotates lines with, and the
/// blank of Braille.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What chooses the shape of the character before it: variation selectors, those of ideographs and of Mongolian among them.
fn is_selector(character: char) -> bool {
    matches!(character, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
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
            "１１０１０５１９４９１２３１００２Ｘ",
            "１１０１０５-１９４９１２３１ 00２ｘ",
            "王芳 １1０１０５１９４９１２３１００２Ｘ 宾",
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
            "５３１５０４ｘ２００７０１０１７７０７",
            // Another check character.
            "１１０１０５１９４９１２３１００２１",
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
    fn a_shown_text_is_seen_and_passes_for_no_other() {
        for good in [
            "x",
            "Harbour Hotels",
            "港口 派出所",
            "\u{845b}\u{e0100}飾区",
            "\u{fa19}\u{fe00}",
            "\u{1820}\u{180b}\u{1821}",
            "\u{260e}\u{fe0f} 010",
            "Zo\u{eb}",
            "e\u{301}",
            "\u{e000}",
            "a\u{a0}b",
            "港\u{3000}口",
        ] {
            assert!(is_shown(good, 20), "{good:?}");
        }
        let invisible = [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{206a}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\0',
            '\n',
            '\u{85}',
        ];
        for character in invisible {
            for bad in
                [format!("{character}"), format!("a{character}b"), format!("港{character}口"), format!(" {character}")]
            {
                assert!(!is_shown(&bad, 20), "{bad:?}");
            }
        }
        // A shape of nothing, of a letter that has none, or of a shape.
        for bad in [
            "\u{e0100}",
            "a\u{fe0f}",
            " \u{fe0f}a",
            "港\u{e0100}\u{e0100}",
            "\u{180e}\u{1820}",
            "",
            " ",
            "\u{3000}",
            "123456",
        ] {
            assert!(!is_shown(bad, 5), "{bad:?}");
        }
    }

    #[test]
    fn a_code_is_of_its_characters_and_length() {
        let is_code = |text: &str| is_code(text, 8, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_code("a") && is_code("110105-3"));
        assert!(!is_code("") && !is_code("110105-03") && !is_code("a b") && !is_code("\u{e9}"));
    }
}
