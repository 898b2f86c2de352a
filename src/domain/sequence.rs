//! The places of what is counted in order, each count a type of its own: a place in the registry's feed is taken nowhere for one
//! among an organization's alerts, nor for an instant. Only `store::columns` turns one into what the databases hold.
//!
//! ```compile_fail,E0308
//! use lostcard::domain::sequence::{AlertSequence, Sequence};
//! let known: Sequence = AlertSequence::new(7);
//! ```
//!
//! ```compile_fail,E0308
//! use lostcard::domain::sequence::Sequence;
//! let known: Sequence = 7;
//! ```

/// What the counts have in common.
macro_rules! sequences {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);
            pub const MAX: Self = Self(u64::MAX);

            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            pub const fn get(self) -> u64 {
                self.0
            }

            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }

            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// The one before it; of the first, itself.
            #[must_use]
            pub const fn before(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// How many there are after `earlier`, up to this one.
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl From<$name> for u64 {
            fn from(sequence: $name) -> Self {
                sequence.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    )+};
}

sequences! {
    /// A place in the registry's feed: of a change, or how far somebody knows the feed.
    Sequence;
    /// A place among the alerts of one organization.
    AlertSequence;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_written_and_read_as_its_number_is() {
        let sequence = Sequence::new(1234);
        assert_eq!((sequence.to_string(), format!("{sequence:?}")), ("1234".to_owned(), "1234".to_owned()));
        assert_eq!(serde_json::to_string(&sequence).unwrap(), "1234");
        assert_eq!(serde_json::from_str::<Sequence>("1234").unwrap(), sequence);
        assert_eq!("1234".parse::<Sequence>().unwrap(), sequence);
        for wrong in ["-1", "1.5", "\"1\"", "18446744073709551616"] {
            assert!(serde_json::from_str::<Sequence>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sequences_are_counted_from_zero_and_do_not_wrap() {
        assert_eq!(Sequence::default(), Sequence::ZERO);
        assert_eq!((Sequence::ZERO.next(), Sequence::new(2).plus(3)), (Sequence::new(1), Sequence::new(5)));
        assert_eq!((Sequence::new(5).since(Sequence::new(2)), Sequence::new(2).since(Sequence::new(5))), (3, 0));
        assert_eq!(Sequence::MAX.next(), Sequence::MAX);
        assert!(Sequence::new(2) < Sequence::new(10));
    }
}
