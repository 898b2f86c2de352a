//! The rules of off-site acceptance in force: those of `acceptance.toml`, which is part of the binary, and the places that the
//! operator adds. Both are read strictly: a rule without a date or a source, or of a region that is none, stops the start.

use jiff::civil::Date;
use serde::Deserialize;

use crate::domain::acceptance::{Acceptance, Applicant, Division, Reach, Rule, decide};

const RULES: &str = include_str!("acceptance.toml");
/// Every county of the country, with room.
pub const PLACES_MAX: usize = 4000;

/// Cities and counties that take applications away from home beside those of the rules.
#[derive(Debug, Clone, Default)]
pub struct AcceptanceOptions {
    pub places: Vec<ListedPlace>,
}

/// A province, prefecture or county by two, four or six digits, and the first day.
#[derive(Debug, Clone)]
pub struct ListedPlace {
    pub region: String,
    pub since: String,
}

/// The rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("the rules of off-site acceptance cannot be read")]
    Unreadable(#[from] toml_edit::de::Error),
    #[error("{0}")]
    Wrong(&'static str),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    pairs: Vec<Pair>,
    within: Vec<Within>,
    listed: Listed,
    everywhere: Everywhere,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    provinces: Vec<String>,
    since: String,
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Within {
    province: String,
    since: String,
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    regions: Vec<String>,
    since: String,
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everywhere {
    since: String,
    source: String,
}

/// Answers where a holder may apply.
#[derive(Debug)]
pub struct AcceptanceRules(Vec<Rule>);

impl AcceptanceRules {
    /// The rules of the binary and the operator's places.
    pub fn new(options: &AcceptanceOptions) -> Result<Self, RulesError> {
        Self::read(RULES, options)
    }

    /// Whether an application is taken.
    pub fn decide(&self, applicant: &Applicant) -> Acceptance {
        decide(applicant, &self.0)
    }

    fn read(text: &str, options: &AcceptanceOptions) -> Result<Self, RulesError> {
        let file: RulesFile = toml_edit::de::from_str(text)?;
        let mut rules = Vec::new();
        for Pair { provinces, since, source } in &file.pairs {
            let [one, other] = provinces.as_slice() else {
                return Err(RulesError::Wrong("a pilot of off-site acceptance is of two provinces"));
            };
            let reach = Reach::Between(province(one)?, province(other)?);
            rules.push(rule(reach, since, source)?);
        }
        for Within { province: within, since, source } in &file.within {
            rules.push(rule(Reach::Within(province(within)?), since, source)?);
        }
        let Listed { regions, since, source } = &file.listed;
        let listed_since = day(since)?;
        for region in regions {
            rules.push(rule(Reach::At(division(region)?), since, source)?);
        }
        rules.push(rule(Reach::Everywhere, &file.everywhere.since, &file.everywhere.source)?);
        if options.places.len() > PLACES_MAX {
            return Err(RulesError::Wrong("acceptance.places must have at most 4000 entries"));
        }
        for ListedPlace { region, since } in &options.places {
            let rule = rule(Reach::At(division(region)?), since, "the operator")?;
            if rule.since < listed_since {
                return Err(RulesError::Wrong("since of acceptance.places must be 2016-07-01 or later"));
            }
            rules.push(rule);
        }
        Ok(Self(rules))
    }
}

fn rule(reach: Reach, since: &str, source: &str) -> Result<Rule, RulesError> {
    if source.trim().is_empty() {
        return Err(RulesError::Wrong("a rule of off-site acceptance must name its source"));
    }
    Ok(Rule { reach, since: day(since)?, source: source.to_owned() })
}

fn day(text: &str) -> Result<Date, RulesError> {
    // The parser takes more forms than the one that files and the API write.
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    date.ok_or(RulesError::Wrong("since of a rule of off-site acceptance must be a date written YYYY-MM-DD"))
}

fn division(text: &str) -> Result<Division, RulesError> {
    Division::parse(text).ok_or(RulesError::Wrong(
        "region of a rule of off-site acceptance must be two, four or six digits of GB/T 2260, of a province of the mainland",
    ))
}

fn province(text: &str) -> Result<Division, RulesError> {
    Division::parse_province(text)
        .ok_or(RulesError::Wrong("province of a rule of off-site acceptance must be two digits of GB/T 2260"))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;

    use super::*;
    use crate::domain::acceptance::{Ground, Place};

    fn rules_with(places: &[(&str, &str)]) -> Result<AcceptanceRules, RulesError> {
        let places = places
            .iter()
            .map(|(region, since)| ListedPlace { region: (*region).to_owned(), since: (*since).to_owned() });
        AcceptanceRules::new(&AcceptanceOptions { places: places.collect() })
    }

    fn shipped() -> AcceptanceRules {
        rules_with(&[]).unwrap()
    }

    fn applicant(household: &str, applying: &str, on: Date) -> Applicant {
        Applicant {
            household: Place::parse(household).unwrap(),
            applying: Place::parse(applying).unwrap(),
            on,
            fingerprint_on_file: false,
            appearance_changed: false,
            credit_flag: false,
        }
    }

    /// Asserts ground and first day, to the day.
    #[track_caller]
    fn assert_since(rules: &AcceptanceRules, household: &str, applying: &str, ground: Ground, since: Date) {
        let decide = |on| rules.decide(&applicant(household, applying, on));
        assert_eq!(decide(since.saturating_sub(1.day())).ground, Ground::NotYet, "{household} at {applying}");
        for on in [since, date(2026, 11, 23)] {
            assert_eq!(decide(on), Acceptance { ground, since: Some(since) }, "{household} at {applying}");
        }
    }

    const PILOTS: [(&str, &str); 5] =
        [("120221", "410221"), ("320321", "340321"), ("330421", "360421"), ("500229", "510421"), ("420521", "430521")];

    #[test]
    fn the_pilots_are_five_pairs_in_both_directions() {
        let rules = shipped();
        for (one, other) in PILOTS {
            assert_since(&rules, one, other, Ground::PilotPair, date(2015, 7, 1));
            assert_since(&rules, other, one, Ground::PilotPair, date(2015, 7, 1));
        }
        // Each with its own partner alone.
        for (at, (one, _)) in PILOTS.iter().enumerate() {
            for (_, other) in PILOTS.iter().enumerate().filter(|(of, _)| *of != at).map(|(_, pair)| pair) {
                assert_eq!(rules.decide(&applicant(one, other, date(2015, 7, 1))).ground, Ground::NotYet);
            }
        }
    }

    #[test]
    fn five_provinces_serve_their_own_residents_anywhere_in_2016() {
        let rules = shipped();
        for province in ["22", "13", "44", "63", "52"] {
            let (one, other) = (format!("{province}2521"), format!("{province}2624"));
            assert_since(&rules, &one, &other, Ground::WithinProvince, date(2016, 1, 1));
            // Who comes from elsewhere waits.
            assert_since(&rules, "140221", &other, Ground::Nationwide, date(2017, 7, 1));
        }
        assert_since(&rules, "140221", "140322", Ground::Nationwide, date(2017, 7, 1));
    }

    #[test]
    fn large_cities_serve_everybody_a_year_before_the_country() {
        let rules = shipped();
        let text = RULES.split("regions = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
        let listed: Vec<_> = text.split('"').filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(listed.len(), 36);
        for division in listed {
            let applying = format!("{:0<6}", format!("{division:0<4}21"));
            // From a county that has no other rule with it: Xizang is in no pair.
            assert_since(&rules, "542621", &applying, Ground::ListedPlace, date(2016, 7, 1));
        }
        assert_since(&rules, "110105", "542621", Ground::Nationwide, date(2017, 7, 1));
    }

    #[test]
    fn the_country_follows() {
        assert_since(&shipped(), "652922", "469023", Ground::Nationwide, date(2017, 7, 1));
    }

    #[test]
    fn the_operator_adds_places() {
        let rules = rules_with(&[("4690", "2016-09-01"), ("652922", "2016-07-01")]).unwrap();
        assert_since(&rules, "652922", "469023", Ground::ListedPlace, date(2016, 9, 1));
        assert_since(&rules, "469023", "652922", Ground::ListedPlace, date(2016, 7, 1));
        assert_since(&rules, "469023", "652923", Ground::Nationwide, date(2017, 7, 1));
        for bad in [
            ("4690", "2016-06-30"),
            ("4690", "2016-9-1"),
            ("4690", "20160901"),
            ("4690", "2016-09-31"),
            ("4690", ""),
            ("469", "2016-09-01"),
            ("81", "2016-09-01"),
            ("", "2016-09-01"),
        ] {
            assert!(matches!(rules_with(&[bad]), Err(RulesError::Wrong(_))), "{bad:?}");
        }
        assert!(rules_with(&vec![("4690", "2016-09-01"); PLACES_MAX]).is_ok());
        assert!(rules_with(&vec![("4690", "2016-09-01"); PLACES_MAX + 1]).is_err());
    }

    #[test]
    fn a_file_that_is_not_strictly_right_is_refused() {
        let read = |text: &str| AcceptanceRules::read(text, &AcceptanceOptions::default());
        assert!(read(RULES).is_ok());
        for (from, to) in [
            ("since = \"2017-07-01\"", ""),
            ("since = \"2017-07-01\"", "since = \"2017-7-1\""),
            ("since = \"2017-07-01\"", "since = \"2017-07-01\"\nuntil = \"2018-07-01\""),
            ("source = \"the Opinions: the whole country\"", "source = \" \""),
            ("source = \"the Opinions: the whole country\"", ""),
            ("[everywhere]", "[anywhere]"),
            ("provinces = [\"12\", \"41\"]", "provinces = [\"12\"]"),
            ("provinces = [\"12\", \"41\"]", "provinces = [\"12\", \"41\", \"13\"]"),
            ("provinces = [\"12\", \"41\"]", "provinces = [\"12\", \"4101\"]"),
            ("province = \"22\"", "province = \"81\""),
            ("province = \"22\"", "province = 22"),
            ("\"1301\"", "\"130\""),
        ] {
            assert!(RULES.contains(from), "{from}");
            assert!(read(&RULES.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }
}
