//! The sandbox, where integrators try their software: the two environments that must never be mixed, and the magic numbers with
//! what each is good for. No person has one of them: GB/T 2260 has no region 119999. Everything else in a sandbox is as in
//! production.

use jiff::civil::{Date, date};

words!(
    /// What a store and a key folder are for. Neither ever changes it.
    Environment {
        Production = "production",
        Sandbox = "sandbox",
    }
);

impl Environment {
    /// How the issuer of this environment ends: no issuer of one can be the other's.
    pub const ISSUER_END: &'static str = "/sandbox";

    /// The environment of an issuer.
    pub fn of_issuer(issuer: &str) -> Self {
        if issuer.ends_with(Self::ISSUER_END) { Self::Sandbox } else { Self::Production }
    }

    /// The issuer of this environment whose service is at a URL.
    pub fn issuer(self, url: String) -> String {
        match self {
            Self::Production => url,
            Self::Sandbox => url + Self::ISSUER_END,
        }
    }

    /// The URL of the service of an issuer.
    pub fn url_of(issuer: &str) -> &str {
        issuer.strip_suffix(Self::ISSUER_END).unwrap_or(issuer)
    }
}

/// What the registry of a sandbox holds of a magic number after a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// A loss report, with the start of its card where that is known.
    Report { card_valid_from: Option<Date> },
    /// A new card was issued.
    Replacement { card_valid_from: Date },
}

/// What a check of a magic number meets before it is answered. `Once`: the same client is answered when it asks again within a
/// minute, and has waited as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    Slow,
    TokenExpiredOnce,
    LimitSpent,
    LimitSpentOnce,
    Internal,
    Unavailable,
    UnavailableOnce,
}

impl Trouble {
    /// Whether it is over when the client asks again.
    pub const fn is_once(self) -> bool {
        matches!(self, Self::TokenExpiredOnce | Self::LimitSpentOnce | Self::UnavailableOnce)
    }
}

/// A number of a sandbox.
#[derive(Debug)]
pub struct MagicNumber {
    pub number: &'static str,
    pub seed: Option<Seed>,
    pub trouble: Option<Trouble>,
    /// What a check of it answers, as the guide has it.
    pub answer: &'static str,
}

const fn seeded(number: &'static str, seed: Seed, answer: &'static str) -> MagicNumber {
    MagicNumber { number, seed: Some(seed), trouble: None, answer }
}

const fn troubled(number: &'static str, trouble: Trouble, answer: &'static str) -> MagicNumber {
    MagicNumber { number, seed: None, trouble: Some(trouble), answer }
}

/// How long a slow check takes, in seconds.
pub const SLOW_S: u64 = 5;

/// Every magic number. `docs/guides/sandbox.md` has the same table; a test compares them.
pub const MAGIC_NUMBERS: &[MagicNumber] = &[
    MagicNumber { number: "119999199001010012", seed: None, trouble: None, answer: "`not_listed`" },
    seeded(
        "119999199001011015",
        Seed::Report { card_valid_from: Some(date(2016, 5, 1)) },
        "`card_listed` for a card of 2016-05-01 or before, `other_card_listed` for a later one, `number_listed` without a date",
    ),
    seeded("119999199001011023", Seed::Report { card_valid_from: None }, "`number_listed`, with any date"),
    seeded(
        "119999199001011031",
        Seed::Replacement { card_valid_from: date(2020, 5, 1) },
        "`card_listed` (kind `superseded`) for a card before 2020-05-01, `other_card_listed` from that day, `number_listed` without a date",
    ),
    troubled("119999199001010055", Trouble::Slow, "`not_listed`, after five seconds"),
    troubled(
        "119999199001014013",
        Trouble::TokenExpiredOnce,
        "401 `invalid_token`, as if the token had just expired; asked again within a minute, `not_listed`",
    ),
    troubled("119999199001014291", Trouble::LimitSpent, "429 `limit_spent`"),
    troubled(
        "119999199001014304",
        Trouble::LimitSpentOnce,
        "429 `limit_spent`; asked again after `Retry-After` and within a minute, `not_listed`",
    ),
    troubled("119999199001015008", Trouble::Internal, "500 `internal`"),
    troubled("119999199001015032", Trouble::Unavailable, "503 `registry_unavailable`"),
    troubled(
        "119999199001015040",
        Trouble::UnavailableOnce,
        "503 `registry_unavailable`; asked again after `Retry-After` and within a minute, `not_listed`",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::id_number::IdNumber;

    #[test]
    fn magic_numbers_are_numbers_that_no_person_has() {
        let today = date(2026, 11, 23);
        for magic in MAGIC_NUMBERS {
            assert!(IdNumber::parse(magic.number, today).is_ok(), "{}", magic.number);
            assert!(magic.number.starts_with("119999"), "{}", magic.number);
        }
        let different: BTreeSet<_> = MAGIC_NUMBERS.iter().map(|magic| magic.number).collect();
        assert_eq!(different.len(), MAGIC_NUMBERS.len());
    }

    #[test]
    fn guide_has_the_table_of_the_code() {
        let guide = include_str!("../../docs/guides/sandbox.md");
        let rows: Vec<_> = guide.lines().filter(|line| line.starts_with("| `119999")).collect();
        let expected: Vec<_> =
            MAGIC_NUMBERS.iter().map(|magic| format!("| `{}` | {} |", magic.number, magic.answer)).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn no_issuer_is_of_both_environments() {
        for url in ["https://lostcard.example", "https://lostcard.example/sandbox"] {
            let issuer = Environment::Sandbox.issuer(url.to_owned());
            assert_eq!(Environment::of_issuer(&issuer), Environment::Sandbox);
            assert_eq!(Environment::url_of(&issuer), url);
        }
        let issuer = Environment::Production.issuer("https://lostcard.example".to_owned());
        assert_eq!(Environment::of_issuer(&issuer), Environment::Production);
    }
}
