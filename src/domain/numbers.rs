//! Whose numbers a client asks about: how many it declares for a day, where a number's holder was born, why a client is held.
//! What is counted, and by what, is the work of `limits`.

use std::fmt;
use std::num::NonZeroU32;

words!(
    /// Whether limits of numbers refuse.
    NumbersMode {
        /// They count and tell, and let pass.
        Observe = "observe",
        Enforce = "enforce",
    }
);

words!(
    /// Why a client is held.
    HeldFor {
        /// Out of numbers on two days of thirty, far ahead of what was declared, or by digests once.
        OutOfNumbers = "out_of_numbers",
        /// Too many numbers with a wrong check character.
        WrongNumbers = "wrong_numbers",
    }
);

words!(
    /// Whether a client may send digests, which hide where a number belongs.
    Digests {
        Taken = "taken",
        Refused = "refused",
    }
);

/// How many different people a client expects to ask about on a day, written `250/1d`; `none`: nobody counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guests {
    ADay(NonZeroU32),
    Uncounted,
}

impl Guests {
    /// More than any railway has.
    pub const MAX: u32 = 10_000_000;
    /// What a paired device asks for that declares nothing: a desk has no more.
    const OF_A_DEVICE: u32 = 250;

    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::Uncounted);
        }
        let number = text.strip_suffix("/1d")?;
        // The standard parser takes `+1` and `01` too; there is one way to write it.
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        let number: u32 = if is_plain { number.parse().ok()? } else { return None };
        NonZeroU32::new(number).filter(|number| number.get() <= Self::MAX).map(Self::ADay)
    }

    pub fn of_a_device() -> Option<Self> {
        NonZeroU32::new(Self::OF_A_DEVICE).map(Self::ADay)
    }

    /// So many a day; none where nobody counts.
    pub fn a_day(self) -> Option<NonZeroU32> {
        match self {
            Self::ADay(number) => Some(number),
            Self::Uncounted => None,
        }
    }
}

impl fmt::Display for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ADay(number) => write!(f, "{number}/1d"),
            Self::Uncounted => f.write_str("none"),
        }
    }
}

/// The county and the birth date of a number: 14 of its 18 digits, so that it prints itself redacted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Neighbourhood {
    pub county: u32,
    /// `YYYYMMDD`, as a number.
    pub born: u32,
}

impl fmt::Debug for Neighbourhood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Neighbourhood(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_one_way_to_be_written() {
        for text in ["1/1d", "250/1d", "10000000/1d", "none"] {
            assert_eq!(Guests::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "250", "0/1d", "+1/1d", "01/1d", "1/2d", "1/1s", "/1d", "10000001/1d", "99999999999/1d", "None"]
        {
            assert_eq!(Guests::parse(text), None, "{text}");
        }
    }
}
