//! A number as it may be in a file, a log or an answer: in every form that gives the number to its finder.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::bodies::{digest_bytes, digest_of, random_number};

/// Every form in which a number could be somewhere.
pub(crate) fn forms(number: &str) -> Vec<Vec<u8>> {
    let digest = digest_bytes(number);
    // The first 17 characters, for the last may be folded.
    let mut forms = vec![
        number.as_bytes()[..17].to_vec(),
        hex::encode(digest).into_bytes(),
        hex::encode_upper(digest).into_bytes(),
        hex::encode(number).into_bytes(),
        digest.to_vec(),
    ];
    for secret in [&number.as_bytes()[..17], &digest] {
        // As a part of something longer, base64 shows it in one of three alignments, its edges mixed with what is next to it.
        for shift in 0..3 {
            let padded = [&[0; 2][..shift.min(2)], secret].concat();
            for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                forms.push(text.as_bytes()[(shift * 4).div_ceil(3)..text.len() - 1].to_vec());
            }
        }
    }
    forms
}

pub(crate) fn assert_absent(place: &str, text: &[u8], numbers: &[String]) {
    let needles: Vec<_> = numbers.iter().flat_map(|number| forms(number).into_iter().enumerate()).collect();
    // Which pairs of bytes a needle begins with: a database's files are long, and few of their bytes begin one.
    let mut begins = vec![false; 1 << 16];
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    for (_, needle) in &needles {
        begins[pair(needle)] = true;
    }
    for (at, two) in text.windows(2).enumerate() {
        if begins[pair(two)] {
            let found = needles.iter().find(|(_, needle)| text[at..].starts_with(needle));
            assert!(found.is_none(), "{place} holds a number in form {}", found.unwrap().0);
        }
    }
}

pub(crate) fn holds(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn the_search_knows_a_number_in_each_of_its_forms() {
    let number = random_number();
    let digest = digest_bytes(&number);
    for text in [
        format!("card={number};").into_bytes(),
        number.to_lowercase().into_bytes(),
        digest_of(&number).into_bytes(),
        digest_of(&number).to_uppercase().into_bytes(),
        digest.to_vec(),
        STANDARD_NO_PAD.encode(format!("a{number}")).into_bytes(),
        URL_SAFE_NO_PAD.encode(format!("{{\"n\":\"{number}\"}}")).into_bytes(),
        URL_SAFE_NO_PAD.encode(digest).into_bytes(),
        STANDARD_NO_PAD.encode([&[7; 16], digest.as_slice()].concat()).into_bytes(),
        STANDARD_NO_PAD.encode([&[7; 17], digest.as_slice(), &[7]].concat()).into_bytes(),
    ] {
        assert!(forms(&number).iter().any(|form| holds(&text, form)), "{}", String::from_utf8_lossy(&text));
        assert!(!forms(&random_number()).iter().any(|form| holds(&text, form)));
    }
}
