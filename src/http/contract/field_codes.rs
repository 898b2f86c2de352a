//! The words for what is wrong with one member: the catalogue that the document shows on `FieldError.code`. A test reads the
//! sources and misses every word here that they use, so that none goes out undocumented.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{Object, ObjectBuilder, Type};

/// Each word, and when it comes.
pub const FIELD_CODES: &[(&str, &str)] = &[
    ("after_to", "`from` is a later day than `to`."),
    ("before_application", "The new card starts before the day of its application."),
    ("before_first_cards", "No card of this kind started that early."),
    ("birth_before_1850", "The number's date of birth is before 1850."),
    ("does_not_open", "Number, card and salt do not open the receipt."),
    ("duplicate_member", "A member stands twice."),
    ("element_invalid", "Not an element of the group in its only form, or the identity."),
    ("empty", "The number is empty."),
    ("ends_before_start", "The end of validity is before its start."),
    ("exactly_one", "Two members were sent that exclude one another, or neither."),
    ("fifteen_digits", "A number of the first generation: 15 digits."),
    ("found_before_card_start", "The day of finding is before the card's start of validity."),
    ("found_in_future", "The day of finding is in the future."),
    ("full_width", "The number is written with full-width characters."),
    ("future_birth_date", "The number's date of birth is in the future."),
    ("impossible_birth_date", "The number's date of birth is not in the calendar."),
    ("journey_after_expiry", "The day of the journey is after the certificate's last hour."),
    ("journey_in_past", "The day of the journey is past."),
    ("lost_before_card_start", "The day of the loss is before the card's start of validity."),
    ("lost_in_future", "The day of the loss is in the future."),
    ("malformed_certificate", "Longer than any certificate."),
    ("malformed_code", "Not a code of two groups of four letters and digits, as it was given."),
    ("malformed_cursor", "Not the `next_cursor` of a page."),
    ("malformed_date", "Not a day of the calendar, written YYYY-MM-DD."),
    ("malformed_digest", "Not 64 hexadecimal characters."),
    ("malformed_id", "Not an id as it was given out."),
    ("malformed_instant", "Not an instant as RFC 3339 writes it."),
    ("malformed_key", "Not the public half of a P-256 key as JWK, or not the key of a PIN."),
    ("malformed_keys", "Not one or two public keys as JWK for signatures: the detail says what is wrong."),
    ("malformed_label", "Not a label of the documented characters, or one that could hold a number."),
    ("malformed_numbers", "Not so many guests a day, written 250/1d, nor `none`."),
    ("malformed_office", "Not an office's code, or one that could hold a number."),
    ("malformed_pem", "Not an X.509 certificate as PEM, or one that has ended."),
    ("malformed_period", "Not a time written 7d, 24h, 30m or 0s, up to ninety days."),
    ("malformed_phone", "Not a telephone number."),
    ("malformed_rate", "Not so many requests in so many seconds, written 600/60s."),
    ("malformed_receipt", "Not of the form of a receipt."),
    ("malformed_region", "Not six digits."),
    ("malformed_salt", "Not 32 bytes as base64url without padding."),
    ("malformed_text", "Empty, too long, or with control characters."),
    ("missing_member", "A member that must be there is not."),
    ("not_a_contact", "Not an object with the member `phone`."),
    ("not_ascii", "The number has characters other than ASCII."),
    ("not_authentic", "A receipt that no published key of this service has signed, or that was changed."),
    ("null", "A member is null: leave it out instead."),
    ("observed_in_future", "The instant of the observation is in the future."),
    ("observed_too_long_ago", "The observation is more than two years old."),
    ("other_start", "The card was registered with another start."),
    ("out_of_range", "The number is smaller or larger than what is taken."),
    ("range_too_long", "More days than are told at a time."),
    ("reported_in_future", "The instant of the report is in the future."),
    ("same_office", "The card is at that office already."),
    ("scope_of_other_kind", "The kind of the organization may not have this scope: the detail says which it may."),
    ("start_needed", "The start is not known yet and must be sent."),
    ("starts_in_future", "The card would start after today."),
    ("starts_too_far_ahead", "The card would start further ahead than any card does."),
    ("unknown_member", "A member that is not documented."),
    ("unknown_place", "The office's code does not begin with a known place."),
    ("unknown_province", "The number's first two digits are no province."),
    ("unknown_region", "The first two digits are no province."),
    ("unknown_value", "Not one of the words of a closed list: the detail lists them."),
    ("wrong_character", "The number has a character that no number has in that place."),
    ("wrong_check_character", "The check character does not fit the other 17: nearly always a misread card."),
    ("wrong_length", "The number has not 18 characters, or the list not as many items as it must."),
    ("wrong_type", "A value of another JSON type than the documented one."),
];

/// What is wrong with one member. Never holds what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the member.
    #[schema(example = "/id_number")]
    pub pointer: Cow<'static, str>,
    /// What is wrong, as a word.
    #[schema(schema_with = schema)]
    pub code: &'static str,
    /// What is wrong, as a sentence.
    pub detail: Cow<'static, str>,
}

/// `FieldError.code` in the document: an open list, so that a new word breaks no client.
pub fn schema() -> Object {
    let words: Vec<_> = FIELD_CODES.iter().map(|(word, _)| *word).collect();
    // One extension alone: the order of several would differ each time.
    let open = ExtensionsBuilder::new().add("x-extensible-enum", words).build();
    let lines = FIELD_CODES.iter().map(|(word, when)| format!("\n- `{word}`: {when}"));
    let description = format!("What is wrong, as a word that programs can rely on:\n{}", lines.collect::<String>());
    let mut schema =
        ObjectBuilder::new().schema_type(Type::String).description(Some(description)).extensions(Some(open)).build();
    schema.example = Some("wrong_check_character".into());
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }

    /// What stands between the bracket with which the text begins and the one that closes it.
    fn bracketed(text: &str) -> &str {
        let mut depth = 0;
        for (at, character) in text.char_indices() {
            match character {
                '(' | '{' => depth += 1,
                ')' | '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &text[..=at];
            }
        }
        text
    }

    fn is_code(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    }

    /// The words that a source gives as codes of members: in calls of `refuse` and `take`, in what `code()` of a rule's error
    /// answers, and in errors that are built by hand.
    fn codes(text: &str) -> BTreeSet<String> {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let starts = [".refuse(", ".take(", "fn code(&self) -> &'static str {", "fn code(self) -> &'static str {"];
        let calls = starts.iter().flat_map(|start| {
            text.match_indices(start).map(|(at, start)| bracketed(&text[at + start.len() - 1..])).collect::<Vec<_>>()
        });
        let words = calls.flat_map(|call| call.split('"').skip(1).step_by(2));
        let built =
            text.match_indices(" code: \"").filter_map(|(at, start)| text[at + start.len()..].split('"').next());
        words.chain(built).filter(|word| is_code(word)).map(str::to_owned).collect()
    }

    #[test]
    fn every_word_that_the_sources_use_is_in_the_catalogue() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        for layer in ["domain", "service", "http"] {
            sources(&root.join(layer), &mut files);
        }
        let used: BTreeSet<_> = files.iter().flat_map(|file| codes(&std::fs::read_to_string(file).unwrap())).collect();
        let known: BTreeSet<_> = FIELD_CODES.iter().map(|(word, _)| (*word).to_owned()).collect();
        assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the catalogue");
        assert!(used.len() > 35, "the sources are still read: {used:?}");
        let wrong =
            "fields.refuse(\"/a\", \"b\", f(1)); Wrong { code: \"c_d\" } fn code(&self) -> &'static str { \"e\" }";
        assert_eq!(codes(wrong), ["b", "c_d", "e"].map(str::to_owned).into(), "the test can fail");
    }

    #[test]
    fn the_catalogue_is_sorted_and_each_word_stands_once() {
        assert!(FIELD_CODES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
