//! The policies of retention: the dated file of the crate, read strictly, with the operator's own periods where the file leaves
//! a choice. Deletes nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::retention::{Class, Period, Policies, Policy, PolicyError, Rule};

const POLICIES: &str = include_str!("policy.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoliciesFile {
    policy: Vec<PolicyText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    effective_from: String,
    rules: BTreeMap<String, RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    keep: String,
    choice: Option<[String; 2]>,
    ground: String,
}

/// The policies, or what the operator chose, cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    #[error("the file of policies")]
    Unreadable(#[from] toml_edit::de::Error),
    #[error("retention: {0:?} is no date")]
    NoDate(String),
    #[error("retention: {0:?} is no class; classes are {classes}", classes = class_names())]
    NoClass(String),
    #[error("retention: {0:?} is no period: write 24 hours, 30 days or 20 years")]
    NoPeriod(String),
    #[error("retention of {}: {error}", class.as_str())]
    Refused { class: Class, error: PolicyError },
    #[error("retention: {0}")]
    Policy(#[from] PolicyError),
}

/// The crate's policies. `chosen` are the operator's periods by class: they hold under each policy.
pub fn policies(chosen: &BTreeMap<Class, Period>) -> Result<Policies, PoliciesError> {
    read(POLICIES, chosen)
}

fn read(text: &str, chosen: &BTreeMap<Class, Period>) -> Result<Policies, PoliciesError> {
    let file: PoliciesFile = toml_edit::de::from_str(text)?;
    let policies = file.policy.into_iter().map(|policy| {
        let effective_from = policy.effective_from.parse().map_err(|_| PoliciesError::NoDate(policy.effective_from))?;
        let rules = policy.rules.into_iter().map(|(name, text)| {
            let class = class(&name)?;
            let rule = rule(text)?;
            let rule = match chosen.get(&class) {
                Some(keep) => rule.chosen(*keep).map_err(|error| PoliciesError::Refused { class, error })?,
                None => rule,
            };
            Ok((class, rule))
        });
        Ok(Policy::new(effective_from, rules.collect::<Result<_, PoliciesError>>()?)?)
    });
    Ok(Policies::new(policies.collect::<Result<_, PoliciesError>>()?)?)
}

fn rule(text: RuleText) -> Result<Rule, PoliciesError> {
    let choice = match &text.choice {
        Some([least, most]) => Some((period(least)?, period(most)?)),
        None => None,
    };
    Ok(Rule { keep: period(&text.keep)?, choice, ground: text.ground })
}

fn class(name: &str) -> Result<Class, PoliciesError> {
    Class::parse(name).ok_or_else(|| PoliciesError::NoClass(name.to_owned()))
}

fn period(text: &str) -> Result<Period, PoliciesError> {
    Period::parse(text).ok_or_else(|| PoliciesError::NoPeriod(text.to_owned()))
}

fn class_names() -> String {
    let names: Vec<_> = Class::ALL.iter().map(|class| class.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn choose(class: Class, keep: &str) -> Result<Policies, PoliciesError> {
        policies(&BTreeMap::from([(class, period(keep)?)]))
    }

    fn kept(policies: &Policies, class: Class) -> String {
        let policy = policies.on(date(2026, 11, 23)).unwrap();
        policy.rules().iter().find(|(of, _)| *of == class).unwrap().1.keep.to_string()
    }

    #[test]
    fn the_periods_are_those_of_the_contract() {
        let policies = policies(&BTreeMap::new()).unwrap();
        for (class, keep) in [
            (Class::Listings, "20 years"),
            (Class::WithdrawnReports, "30 days"),
            (Class::ImportRows, "20 years"),
            (Class::Sightings, "2 years"),
            (Class::Watches, "0 hours"),
            (Class::IdempotencyKeys, "24 hours"),
            (Class::Alerts, "90 days"),
        ] {
            assert_eq!(kept(&policies, class), keep);
        }
        assert!(policies.on(date(2025, 12, 31)).is_none());
        let policy = policies.on(date(2026, 1, 1)).unwrap();
        for (class, rule) in policy.rules() {
            assert!(rule.ground.len() > 20, "{class:?} says why");
            assert!(
                rule.choice.is_none() || rule.clone().chosen(rule.keep).is_ok(),
                "{class:?}: its own period is one"
            );
        }
    }

    #[test]
    fn the_operator_chooses_where_there_is_a_choice() {
        assert_eq!(kept(&choose(Class::Sightings, "30 days").unwrap(), Class::Sightings), "30 days");
        for (class, keep, message) in [
            (Class::Sightings, "3 years", "retention of sightings: the operator may choose from 30 days to 2 years"),
            (Class::Listings, "1 years", "retention of listings: this period is not the operator's to choose"),
            (Class::Sightings, "1 year", "retention: \"1 year\" is no period: write 24 hours, 30 days or 20 years"),
        ] {
            assert_eq!(choose(class, keep).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_file_is_read_strictly() {
        let none = BTreeMap::new();
        assert!(read(POLICIES, &none).is_ok());
        for (from, to) in [
            ("keep = \"2 years\"", "keep = \"2 winters\""),
            ("keep = \"2 years\"", "kept = \"2 years\""),
            ("keep = \"2 years\"", "keep = \"2 years\"\nextra = 1"),
            ("[policy.rules.sightings]", "[policy.rules.sighting]"),
            ("2026-01-01", "2026-13-01"),
            ("effective_from", "effective"),
            ("[policy.rules.alerts]", "[policy.rules.alerts]\nkeep = \"1 days\""),
        ] {
            assert!(POLICIES.contains(from));
            assert!(read(&POLICIES.replacen(from, to, 1), &none).is_err(), "{to}");
        }
        assert!(read("policy = []", &none).is_err());
    }
}
