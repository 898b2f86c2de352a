//! Valid random id numbers by GB 11643, check character by ISO 7064 MOD 11-2.
//! Written out here rather than taken from the server, so that a mistake in
//! the server's own arithmetic cannot hide in its load test.

use rand::RngExt;
use rand::rngs::StdRng;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECK_CHARACTERS: &[u8; 11] = b"10X98765432";
const PROVINCES: [u32; 31] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65,
];

/// The check character of the first 17 digits; `None` unless they are digits.
pub(crate) fn check_character(first_17: &str) -> Option<char> {
    if first_17.len() != WEIGHTS.len() {
        return None;
    }
    let mut sum = 0;
    for (character, weight) in first_17.chars().zip(WEIGHTS) {
        sum += character.to_digit(10)? * weight;
    }
    let index = usize::try_from(sum % 11).ok()?;
    CHECK_CHARACTERS.get(index).copied().map(char::from)
}

/// Whether the text is 18 characters with a right check character.
pub(crate) fn is_valid(text: &str) -> bool {
    text.is_ascii() && text.len() == 18 && text.chars().last() == check_character(&text[..17])
}

/// A random number of a plausible adult.
pub(crate) fn random(rng: &mut StdRng) -> String {
    let province = PROVINCES[rng.random_range(0..PROVINCES.len())];
    let first_17 = format!(
        "{province}{:02}{:02}{:04}{:02}{:02}{:03}",
        rng.random_range(1..=12),
        rng.random_range(1..=30),
        rng.random_range(1940..=2007),
        rng.random_range(1..=12),
        rng.random_range(1..=28),
        rng.random_range(1..=999),
    );
    let check = check_character(&first_17).unwrap_or('0');
    format!("{first_17}{check}")
}

/// A random start of validity, `YYYY-MM-DD`, always a day of the calendar.
pub(crate) fn random_valid_from(rng: &mut StdRng) -> String {
    format!("{:04}-{:02}-{:02}", rng.random_range(2007..=2025), rng.random_range(1..=12), rng.random_range(1..=28))
}

#[cfg(test)]
mod tests {
    use super::{is_valid, random};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn known_numbers_are_told_apart() {
        for valid in ["11010519491231002X", "440524188001010014", "810000199408230021", "830000199201300022"] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in ["110105194912310021", "11010519491231002x", "1101051949123100", "１１０１０５", ""] {
            assert!(!is_valid(invalid), "{invalid}");
        }
    }

    #[test]
    fn random_numbers_are_valid_and_repeat_with_the_seed() {
        let mut first = StdRng::seed_from_u64(7);
        let mut second = StdRng::seed_from_u64(7);
        for _ in 0..1_000 {
            let number = random(&mut first);
            assert!(is_valid(&number), "{number}");
            assert_eq!(number, random(&mut second));
        }
    }
}
