//! How far authority goes: which scopes the clients of a kind of organization may have, for which offices an organization acts, and what
//! no operator does alone.

use std::time::Duration;

use super::client::{OrganizationKind, RegionCode, Scope, Scopes};
use super::instant::UnixMs;
use super::report::OfficeCode;

impl OrganizationKind {
    /// What clients of such an organization may be given, and nothing else.
    pub fn scopes(self) -> Scopes {
        let scopes: &[Scope] = match self {
            Self::Certifying => &[Scope::Checks, Scope::Blind],
            Self::Registrar => &[Scope::Registry, Scope::Checks],
            Self::Portal => &[Scope::Citizen],
            Self::Auditor => &[Scope::Audit],
            Self::Operator => &[Scope::Admin],
        };
        scopes.iter().copied().collect()
    }

    /// Of some scopes those that it may not have.
    pub fn forbidden(self, scopes: Scopes) -> Scopes {
        scopes.without(self.scopes())
    }

    /// Whether one operator alone may make such an organization: a registrar decides what is listed.
    pub fn needs_approval(self) -> bool {
        self == Self::Registrar
    }
}

impl Scopes {
    /// Whether one operator alone may give these: who has `citizen` reads the records of persons.
    pub fn need_approval(self) -> bool {
        self.contains(Scope::Citizen)
    }
}

words!(
    /// Whether an organization or a client is let in.
    LifeState {
        Active = "active",
        /// Not now.
        Suspended = "suspended",
        /// Never again.
        Ended = "ended",
    }
);

impl LifeState {
    /// By the instants at which it was suspended and ended.
    pub fn of(suspended_at_ms: Option<UnixMs>, ended_at_ms: Option<UnixMs>) -> Self {
        match (suspended_at_ms, ended_at_ms) {
            (_, Some(_)) => Self::Ended,
            (Some(_), None) => Self::Suspended,
            (None, None) => Self::Active,
        }
    }
}

/// What waits longer for somebody else's word is asked for again.
pub const WAITS_MAX: Duration = Duration::from_hours(7 * 24);

words!(
    /// What an operator asks for that another one must approve.
    WaitingAct {
        CreateOrganization = "create_organization",
        CreateClient = "create_client",
        UpdateClient = "update_client",
        /// For more offices than before.
        UpdateOrganization = "update_organization",
        /// Of a client that reads the records of persons.
        CreateClientSecret = "create_client_secret",
        AddClientCertificate = "add_client_certificate",
        AddClientKeys = "add_client_keys",
        /// What a client did is countered.
        UndoClient = "undo_client",
        ExportAudit = "export_audit",
    }
);

/// What becomes of something that has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setting<T> {
    #[default]
    Kept,
    /// None of its own any more.
    Default,
    Own(T),
}

impl<T> Setting<T> {
    /// The word that stands for none of its own.
    pub const DEFAULT: &str = "default";

    /// What it is then.
    pub fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Kept => before,
            Self::Default => None,
            Self::Own(value) => Some(value),
        }
    }

    /// From a value, or the word for none.
    pub fn parse(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Self> {
        if text == Self::DEFAULT { Some(Self::Default) } else { parse(text).map(Self::Own) }
    }
}

/// How the codes of an organization's offices begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficePrefix(String);

impl OfficePrefix {
    /// As an office's code: 1 to 32 letters, digits and hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        OfficeCode::parse(text).map(|code| Self(code.as_str().to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// For which offices an organization acts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offices {
    /// None: those of its region.
    prefixes: Vec<OfficePrefix>,
    /// It also ends reports that others have filed.
    pub ends_others: bool,
}

impl Offices {
    /// So many prefixes an organization may have.
    pub const PREFIXES_MAX: usize = 100;

    /// None where there are more than an organization may have.
    pub fn new(prefixes: Vec<OfficePrefix>, ends_others: bool) -> Option<Self> {
        (prefixes.len() <= Self::PREFIXES_MAX).then_some(Self { prefixes, ends_others })
    }

    /// As they are stored: prefixes with single spaces between them, or nothing.
    pub fn parse(list: &str, ends_others: bool) -> Option<Self> {
        let prefixes = list.split(' ').filter(|text| !text.is_empty()).map(OfficePrefix::parse);
        Self::new(prefixes.collect::<Option<_>>()?, ends_others)
    }

    /// The prefixes that were given; none: the region's.
    pub fn prefixes(&self) -> &[OfficePrefix] {
        &self.prefixes
    }

    /// The stored form of the prefixes.
    pub fn list(&self) -> String {
        let words: Vec<_> = self.prefixes.iter().map(OfficePrefix::as_str).collect();
        words.join(" ")
    }

    /// Whether others reach further than these.
    pub fn are_fewer_than(&self, others: &Self, region: &RegionCode) -> bool {
        let theirs = match others.prefixes.as_slice() {
            [] => vec![region.significant()],
            prefixes => prefixes.iter().map(OfficePrefix::as_str).collect(),
        };
        let include = |prefix: &&str| match self.prefixes.as_slice() {
            [] => prefix.starts_with(region.significant()),
            own => own.iter().any(|own| prefix.starts_with(own.as_str())),
        };
        (others.ends_others && !self.ends_others) || !theirs.iter().all(include)
    }

    /// Whether an office is one of theirs.
    pub fn include(&self, region: &RegionCode, office: &OfficeCode) -> bool {
        if self.prefixes.is_empty() {
            return office.as_str().starts_with(region.significant());
        }
        self.prefixes.iter().any(|prefix| office.as_str().starts_with(prefix.as_str()))
    }
}

impl RegionCode {
    /// The code without the zeros that stand for all of a city or a province (GB/T 2260): every county of Beijing begins with `11`.
    fn significant(&self) -> &str {
        let code = self.as_str();
        let city = code.strip_suffix("00").unwrap_or(code);
        if city.len() == code.len() { code } else { city.strip_suffix("00").unwrap_or(city) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_belongs_to_its_kinds() {
        let all: Scopes = Scope::ALL.iter().copied().collect();
        for (kind, allowed, forbidden) in [
            (OrganizationKind::Certifying, "checks blind", "registry citizen audit admin"),
            (OrganizationKind::Registrar, "checks registry", "citizen audit admin blind"),
            (OrganizationKind::Portal, "citizen", "checks registry audit admin blind"),
            (OrganizationKind::Auditor, "audit", "checks registry citizen admin blind"),
            (OrganizationKind::Operator, "admin", "checks registry citizen audit blind"),
        ] {
            assert_eq!(kind.scopes().to_string(), allowed, "{}", kind.as_str());
            assert_eq!(kind.forbidden(all).to_string(), forbidden);
            assert!(kind.forbidden(kind.scopes()).is_empty());
        }
    }

    #[test]
    fn registrars_and_the_records_of_persons_take_two_operators() {
        for kind in OrganizationKind::ALL {
            assert_eq!(kind.needs_approval(), *kind == OrganizationKind::Registrar, "{}", kind.as_str());
        }
        for scope in Scope::ALL {
            let one: Scopes = [*scope].into_iter().collect();
            assert_eq!(one.need_approval(), *scope == Scope::Citizen, "{}", scope.as_str());
        }
    }

    #[test]
    fn a_setting_is_kept_reset_or_changed() {
        let parse = |text: &str| Setting::parse(text, |text| text.parse::<u8>().ok());
        assert_eq!(parse("7").map(|set| set.over(Some(1))), Some(Some(7)));
        assert_eq!(parse("default").map(|set| set.over(Some(1))), Some(None));
        assert_eq!(Setting::Kept.over(Some(1)), Some(1));
        assert_eq!(parse("x"), None);
    }

    #[test]
    fn an_office_is_theirs_by_the_beginning_of_its_code() {
        let region = |text| RegionCode::parse(text).unwrap();
        for (prefixes, of_region, office, is_theirs) in [
            ("110105 110106", "330100", "110105-03", true),
            ("110105 110106", "330100", "110106", true),
            ("110105 110106", "110107", "110107-01", false),
            ("110105-0", "110105", "110105-13", false),
            ("", "110105", "110105-03", true),
            ("", "110105", "110106-03", false),
            // A whole city, a whole province; a region that only ends with zeros as digits do.
            ("", "330100", "330106-01", true),
            ("", "330100", "330206-01", false),
            ("", "330000", "330206-01", true),
            ("", "330000", "340206-01", false),
            ("", "110110", "110110-01", true),
            ("", "110110", "110111-01", false),
            ("", "110105", "station-3", false),
        ] {
            let offices = Offices::parse(prefixes, false).unwrap();
            assert_eq!(offices.list(), prefixes);
            let office = OfficeCode::parse(office).unwrap();
            assert_eq!(offices.include(&region(of_region), &office), is_theirs, "{prefixes} {of_region} {office:?}");
        }
    }

    #[test]
    fn who_gets_more_offices_than_before_is_known_by_their_prefixes() {
        let region = RegionCode::parse("110105").unwrap();
        for (before, after, is_more) in [
            ("", "", false),
            ("", "110105", false),
            ("", "110105-03", false),
            ("", "110106", true),
            ("", "11", true),
            ("110105-03", "", true),
            ("110105 110106", "110106-1 110105", false),
            ("110105", "110105 3101", true),
        ] {
            let of = |prefixes, any| Offices::parse(prefixes, any).unwrap();
            assert_eq!(of(before, false).are_fewer_than(&of(after, false), &region), is_more, "{before} {after}");
            assert!(of(before, false).are_fewer_than(&of(after, true), &region));
            assert_eq!(of(before, true).are_fewer_than(&of(after, false), &region), is_more);
        }
    }

    #[test]
    fn prefixes_are_codes_and_bounded_in_number() {
        assert!(Offices::parse("11/05", false).is_none());
        let prefix = OfficePrefix::parse("110105").unwrap();
        assert!(Offices::new(vec![prefix.clone(); Offices::PREFIXES_MAX], false).is_some());
        assert!(Offices::new(vec![prefix; Offices::PREFIXES_MAX + 1], false).is_none());
    }
}
