//! Where a holder may apply for a new card: at the place of household registration always, away from it ("off-site") by rules
//! that came into force one after the other. The rules are values, made from a dated file elsewhere; `decide` is pure.
//!
//! A place is a county by its code (GB/T 2260) as it is in force now: not the first six digits of the id number, which stay what
//! they were when the number was given.

use jiff::civil::Date;

use super::client::RegionCode;
use super::report::OfficeCode;

words!(
    /// Why an application is taken, or not.
    Ground {
        /// At the place of household registration: never off-site, whatever else holds.
        HouseholdPlace = "household_place",
        /// The two provinces tried it with each other.
        PilotPair = "pilot_pair",
        /// The province takes applications of its own residents anywhere in it.
        WithinProvince = "within_province",
        /// A large or medium city, or a county with the means.
        ListedPlace = "listed_place",
        Nationwide = "nationwide",
        /// No rule for these two places is in force on that day.
        NotYet = "not_yet",
        /// The appearance has changed much and no fingerprint is on file: nobody there can tell who applies.
        AppearanceChanged = "appearance_changed",
        /// A record of forged, bought, borrowed or fraudulently used documents.
        DocumentFraud = "document_fraud",
    }
);

impl Ground {
    /// Whether an application on this ground is taken.
    pub const fn is_eligible(self) -> bool {
        match self {
            Self::HouseholdPlace | Self::PilotPair | Self::WithinProvince | Self::ListedPlace | Self::Nationwide => {
                true
            }
            Self::NotYet | Self::AppearanceChanged | Self::DocumentFraud => false,
        }
    }
}

/// A place where households are registered: a county, or a city without counties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(RegionCode);

impl Place {
    /// Six digits with a province of the mainland: households are registered nowhere else.
    pub fn parse(text: &str) -> Option<Self> {
        RegionCode::parse(text).filter(|region| is_mainland(region.as_str())).map(Self)
    }

    /// The place of an office: its code begins with it.
    pub fn of_office(office: &OfficeCode) -> Option<Self> {
        office.as_str().get(..6).and_then(Self::parse)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Codes of Taiwan, Hong Kong and Macao residents begin with 71, 81, 82 and 83.
fn is_mainland(code: &str) -> bool {
    !code.starts_with(['7', '8'])
}

/// A province, a prefecture or a county: the two, four or six digits that the codes of its places begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Division(String);

impl Division {
    /// Two, four or six digits with a province of the mainland.
    pub fn parse(text: &str) -> Option<Self> {
        let is_whole = matches!(text.len(), 2 | 4 | 6);
        // Filled up to a county of it, its code must be one.
        (is_whole && Place::parse(&format!("{text:0<6}")).is_some()).then(|| Self(text.to_owned()))
    }

    /// The same, of a whole province.
    pub fn parse_province(text: &str) -> Option<Self> {
        Self::parse(text).filter(|division| division.0.len() == 2)
    }

    pub fn holds(&self, place: Place) -> bool {
        place.as_str().starts_with(&self.0)
    }
}

/// For whom and where a rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// From either province to the other.
    Between(Division, Division),
    /// Inside the province, between its places.
    Within(Division),
    /// Anybody who applies there.
    At(Division),
    Everywhere,
}

/// One rule: off-site applications are taken since that day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub reach: Reach,
    pub since: Date,
    /// What says so.
    pub source: String,
}

impl Rule {
    fn ground(&self) -> Ground {
        match self.reach {
            Reach::Between(..) => Ground::PilotPair,
            Reach::Within(_) => Ground::WithinProvince,
            Reach::At(_) => Ground::ListedPlace,
            Reach::Everywhere => Ground::Nationwide,
        }
    }

    fn serves(&self, household: Place, applying: Place) -> bool {
        match &self.reach {
            Reach::Between(one, other) => {
                (one.holds(household) && other.holds(applying)) || (other.holds(household) && one.holds(applying))
            }
            Reach::Within(province) => province.holds(household) && province.holds(applying),
            Reach::At(division) => division.holds(applying),
            Reach::Everywhere => true,
        }
    }
}

/// Who applies where and when, as far as the rules ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applicant {
    pub household: Place,
    pub applying: Place,
    pub on: Date,
    pub fingerprint_on_file: bool,
    /// So much that the photograph on file no longer shows who it is.
    pub appearance_changed: bool,
    /// A record of forged, bought, borrowed or fraudulently used documents.
    pub credit_flag: bool,
}

/// Whether the application is taken, why, and since when the two places have a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    pub ground: Ground,
    /// Only where a rule makes it eligible.
    pub since: Option<Date>,
}

impl Acceptance {
    const fn without_rule(ground: Ground) -> Self {
        Self { ground, since: None }
    }
}

/// What holds at any date comes first, then the rule for the two places that came into force first: so the answer to a later
/// day is that of the earlier one.
pub fn decide(applicant: &Applicant, rules: &[Rule]) -> Acceptance {
    let Applicant { household, applying, on, .. } = *applicant;
    if household == applying {
        return Acceptance::without_rule(Ground::HouseholdPlace);
    }
    if applicant.credit_flag {
        return Acceptance::without_rule(Ground::DocumentFraud);
    }
    if applicant.appearance_changed && !applicant.fingerprint_on_file {
        return Acceptance::without_rule(Ground::AppearanceChanged);
    }
    let first = rules.iter().filter(|rule| rule.serves(household, applying)).min_by_key(|rule| rule.since);
    match first {
        Some(rule) if rule.since <= on => Acceptance { ground: rule.ground(), since: Some(rule.since) },
        _ => Acceptance::without_rule(Ground::NotYet),
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn place(code: &str) -> Place {
        Place::parse(code).unwrap()
    }

    fn applicant(household: &str, applying: &str, on: Date) -> Applicant {
        Applicant {
            household: place(household),
            applying: place(applying),
            on,
            fingerprint_on_file: true,
            appearance_changed: false,
            credit_flag: false,
        }
    }

    fn rule(reach: Reach, since: Date) -> Rule {
        Rule { reach, since, source: "a test".to_owned() }
    }

    fn division(code: &str) -> Division {
        Division::parse(code).unwrap()
    }

    #[test]
    fn a_place_is_a_county_of_the_mainland() {
        for (text, valid) in [
            ("110105", true),
            ("441900", true),
            ("659999", true),
            ("160101", false),
            ("710000", false),
            ("810000", false),
            ("830000", false),
            ("900101", false),
            ("11010", false),
            ("1101055", false),
            ("11010x", false),
            ("\u{ff11}10105", false),
            ("", false),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.as_str().to_owned()).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn an_office_stands_in_the_place_that_its_code_begins_with() {
        for (office, place) in [
            ("110105-03", Some("110105")),
            ("440304", Some("440304")),
            ("4403041", Some("440304")),
            ("HALL-110105", None),
            ("11010-5", None),
            ("810000-1", None),
            ("1", None),
        ] {
            let office = OfficeCode::parse(office).unwrap();
            assert_eq!(Place::of_office(&office), place.and_then(Place::parse), "{office:?}");
        }
    }

    #[test]
    fn a_division_holds_the_places_whose_codes_begin_with_it() {
        for (division, code, holds) in [
            ("44", "440304", true),
            ("4403", "440304", true),
            ("440304", "440304", true),
            ("4401", "440304", false),
            ("440305", "440304", false),
        ] {
            assert_eq!(self::division(division).holds(place(code)), holds, "{division} {code}");
        }
        for bad in ["", "4", "440", "44030", "4403041", "16", "81", "71", "4x", "四四"] {
            assert_eq!(Division::parse(bad), None, "{bad}");
        }
        assert!(Division::parse_province("44").is_some() && Division::parse_province("4403").is_none());
    }

    #[test]
    fn each_reach_has_its_ground_and_its_first_day() {
        let (one, other, far) = ("120101", "410102", "540102");
        for (reach, served, not_served, ground) in [
            (
                Reach::Between(division("12"), division("41")),
                vec![(one, other), (other, one)],
                vec![(one, "120102"), (one, far), (far, other)],
                Ground::PilotPair,
            ),
            (
                Reach::Within(division("22")),
                vec![("220102", "220203"), ("220203", "220102")],
                vec![("220102", one), (one, "220102")],
                Ground::WithinProvince,
            ),
            (
                Reach::At(division("4403")),
                vec![(one, "440304"), ("440106", "440304")],
                vec![("440304", one), (one, "440106")],
                Ground::ListedPlace,
            ),
            (Reach::Everywhere, vec![(one, far), (far, one), (one, "120102")], vec![], Ground::Nationwide),
        ] {
            let rules = [rule(reach, date(2016, 7, 1))];
            for (household, applying) in served {
                let decide = |on| decide(&applicant(household, applying, on), &rules);
                assert_eq!(decide(date(2016, 6, 30)), Acceptance { ground: Ground::NotYet, since: None });
                for on in [date(2016, 7, 1), Date::MAX] {
                    assert_eq!(decide(on), Acceptance { ground, since: Some(date(2016, 7, 1)) });
                }
            }
            for (household, applying) in not_served {
                assert_eq!(decide(&applicant(household, applying, Date::MAX), &rules).ground, Ground::NotYet);
            }
        }
    }

    #[test]
    fn what_holds_at_any_date_comes_first() {
        let rules = [rule(Reach::Everywhere, date(2017, 7, 1))];
        let (clean, changed) = ((true, false, false), (false, true, false));
        for (household, applying, (fingerprint_on_file, appearance_changed, credit_flag), before, after) in [
            ("110105", "310104", clean, Ground::NotYet, Ground::Nationwide),
            ("110105", "110106", clean, Ground::NotYet, Ground::Nationwide),
            ("110105", "310104", (false, false, false), Ground::NotYet, Ground::Nationwide),
            ("110105", "310104", (true, true, false), Ground::NotYet, Ground::Nationwide),
            ("110105", "310104", changed, Ground::AppearanceChanged, Ground::AppearanceChanged),
            ("110105", "310104", (true, false, true), Ground::DocumentFraud, Ground::DocumentFraud),
            ("110105", "310104", (false, true, true), Ground::DocumentFraud, Ground::DocumentFraud),
            ("110105", "110105", clean, Ground::HouseholdPlace, Ground::HouseholdPlace),
            ("110105", "110105", (false, true, true), Ground::HouseholdPlace, Ground::HouseholdPlace),
        ] {
            for (on, ground) in [(date(2014, 1, 1), before), (date(2026, 11, 23), after)] {
                let applicant = Applicant {
                    fingerprint_on_file,
                    appearance_changed,
                    credit_flag,
                    ..applicant(household, applying, on)
                };
                assert_eq!(decide(&applicant, &rules).ground, ground, "{applicant:?}");
            }
        }
    }

    #[test]
    fn the_first_of_several_rules_is_the_ground() {
        let mut rules = vec![
            rule(Reach::Everywhere, date(2017, 7, 1)),
            rule(Reach::At(division("41")), date(2016, 7, 1)),
            rule(Reach::Between(division("12"), division("41")), date(2015, 7, 1)),
        ];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            let found = decide(&applicant("120101", "410102", date(2026, 11, 23)), &rules);
            assert_eq!(found, Acceptance { ground: Ground::PilotPair, since: Some(date(2015, 7, 1)) });
        }
    }

    fn code() -> impl Strategy<Value = String> {
        (prop::sample::select(vec!["11", "12", "22", "41", "44"]), 1..3_u8, 1..3_u8)
            .prop_map(|(province, city, county)| format!("{province}{city:02}{county:02}"))
    }

    fn day() -> impl Strategy<Value = Date> {
        (0..1500_i64).prop_map(|days| date(2014, 7, 1).saturating_add(days.days()))
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let reach = (code(), code(), prop::sample::select(vec![2_usize, 4, 6]), 0..4_u8);
        let reach = reach.prop_map(|(one, other, digits, kind)| match kind {
            0 => Reach::Between(division(&one[..2]), division(&other[..2])),
            1 => Reach::Within(division(&one[..2])),
            2 => Reach::At(division(&one[..digits])),
            _ => Reach::Everywhere,
        });
        prop::collection::vec((reach, day()).prop_map(|(reach, since)| rule(reach, since)), 0..6)
    }

    proptest! {
        #[test]
        fn whoever_was_accepted_is_accepted_later_on_the_same_ground(
            household in code(), applying in code(), one in day(), other in day(), rules in rules(),
        ) {
            let (before, after) = (one.min(other), one.max(other));
            let earlier = decide(&applicant(&household, &applying, before), &rules);
            if earlier.ground.is_eligible() {
                prop_assert_eq!(decide(&applicant(&household, &applying, after), &rules), earlier);
            }
        }

        #[test]
        fn away_from_home_no_rule_and_no_day_lifts_a_refusal(
            household in code(), applying in code(), on in day(), rules in rules(),
            fingerprint_on_file: bool, appearance_changed: bool, credit_flag: bool,
        ) {
            let applicant =
                Applicant { fingerprint_on_file, appearance_changed, credit_flag, ..applicant(&household, &applying, on) };
            let found = decide(&applicant, &rules);
            let is_refused = credit_flag || (appearance_changed && !fingerprint_on_file);
            if household == applying {
                prop_assert_eq!(found.ground, Ground::HouseholdPlace);
            } else if is_refused {
                prop_assert!(matches!(found.ground, Ground::DocumentFraud | Ground::AppearanceChanged));
            } else {
                // The flags that refuse nothing change nothing.
                let clean = Applicant { fingerprint_on_file: true, appearance_changed: false, ..applicant };
                prop_assert_eq!(found, decide(&clean, &rules));
            }
            let by_rule = found.ground.is_eligible() && found.ground != Ground::HouseholdPlace;
            prop_assert_eq!(found.since.is_some(), by_rule);
            prop_assert!(found.since.is_none_or(|since| since <= on));
        }

        #[test]
        fn the_order_of_the_rules_changes_no_answer_but_between_rules_of_one_day(
            household in code(), applying in code(), on in day(), mut rules in rules(),
        ) {
            let asked = applicant(&household, &applying, on);
            let found = decide(&asked, &rules);
            rules.reverse();
            let reversed = decide(&asked, &rules);
            prop_assert_eq!((found.ground.is_eligible(), found.since), (reversed.ground.is_eligible(), reversed.since));
        }
    }
}
