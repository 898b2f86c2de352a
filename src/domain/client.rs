//! Organizations and their clients: what they are, what they may do and how often.
//!
//! Names, scopes, regions and rates as values. Secrets, tokens and the counting of requests live in
//! `access` and `limits`.

use std::fmt;
use std::num::NonZeroU32;

use super::id_number::is_known_province;
use super::label::{is_line, is_shown};
use super::person::ShortName;
use crate::domain::ids::{ClientId, OrganizationId, PersonId};

words!(
    /// What an organization is to the service.
    OrganizationKind {
        Certifying = "certifying",
        Registrar = "registrar",
        Portal = "portal",
        Auditor = "auditor",
        /// Runs the service.
        Operator = "operator",
    }
);
words!(
    /// What a client may do.
    Scope {
        Checks = "checks",
        Registry = "registry",
        Citizen = "citizen",
        Audit = "audit",
        Admin = "admin",
        /// Checks whose numbers the service does not learn.
        Blind = "blind",
    }
);

words!(
    /// What the tokens of a client are bound to, so that they work for their holder alone.
    Bound {
        None = "none",
        /// The certificate of the connection (RFC 8705).
        Mtls = "mtls",
        /// A key that each request proves (RFC 9449).
        Dpop = "dpop",
    }
);

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// A list as in RFC 6749, section 3.3: scopes with single spaces between them, at least one, in
    /// any order.
    pub fn parse(list: &str) -> Option<Self> {
        list.split(' ').map(Scope::parse).collect()
    }

    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    pub const fn insert(&mut self, scope: Scope) {
        self.0 |= bit(scope);
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |&scope| self.contains(scope))
    }

    /// The scopes of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The scopes of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every scope of this set is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

const fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

words!(
    /// From what kind of address somebody acts. Not from which: the audit log would be a record of where clerks are.
    Origin {
        /// The machine of the node, or a proxy that is not trusted to name its callers.
        Loopback = "loopback",
        Private = "private",
        Public = "public",
    }
);

/// Who does something: an organization, by one of its clients, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Actor {
    pub organization: OrganizationId,
    pub client: ClientId,
    /// None where it is not known, or is no matter.
    pub origin: Option<Origin>,
    /// The person behind the client, where it says so.
    pub person: Option<ShortName>,
    /// Who that is, where somebody vouches for it.
    pub person_id: Option<PersonId>,
}

impl Actor {
    /// Whether one act was asked for by somebody else than another: by another person, or else by another client. Clerks whom nobody
    /// vouches for are told apart by what their devices call them: of one name they are taken for one.
    pub fn is_another(&self, than: &Self) -> bool {
        let name = |of: &Self| of.person.map(|person| person.as_str().to_lowercase());
        match (self.person_id, than.person_id) {
            (Some(one), Some(other)) => one != other,
            _ => self.client != than.client && (self.person.is_none() || name(self) != name(than)),
        }
    }

    /// A client, without more.
    pub const fn new(organization: OrganizationId, client: ClientId) -> Self {
        Self { organization, client, origin: None, person: None, person_id: None }
    }
}

/// The administrative division (GB/T 2260) that an organization works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionCode([u8; 6]);

impl RegionCode {
    /// Six digits with a known province; counties change over the decades, so an unknown one is
    /// accepted.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 6] = text.as_bytes().try_into().ok()?;
        let valid = code.iter().all(u8::is_ascii_digit) && is_known_province([code[0], code[1]]);
        valid.then_some(Self(code))
    }

    pub fn as_str(&self) -> &str {
        // Digits by construction: the default is never reached.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What an organization is called, in any language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationName(String);

impl OrganizationName {
    const CHARS_MAX: usize = 100;

    /// 1 to 100 characters; spaces around the name are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.trim();
        is_shown(name, Self::CHARS_MAX).then(|| Self(name.to_owned()))
    }

    /// What was judged when it was stored.
    pub fn stored(text: &str) -> Option<Self> {
        is_line(text, Self::CHARS_MAX).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So many requests in so many seconds, written `600/60s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub requests: NonZeroU32,
    pub per_seconds: NonZeroU32,
}

impl Rate {
    pub fn parse(text: &str) -> Option<Self> {
        let (requests, seconds) = text.strip_suffix('s')?.split_once('/')?;
        Some(Self { requests: positive(requests)?, per_seconds: positive(seconds)? })
    }
}

/// The standard parser takes `+1` and `01` too; a rate has one way to be written.
fn positive(text: &str) -> Option<NonZeroU32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.requests, self.per_seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_a_list_with_single_spaces() {
        for (list, canonical) in [
            ("checks", Some("checks")),
            ("audit checks", Some("checks audit")),
            ("checks checks", Some("checks")),
            ("admin audit citizen registry checks blind", Some("checks registry citizen audit admin blind")),
            ("", None),
            (" checks", None),
            ("checks ", None),
            ("checks  audit", None),
            ("checks,audit", None),
            ("Checks", None),
            ("checks root", None),
        ] {
            let scopes = Scopes::parse(list).map(|scopes| scopes.to_string());
            assert_eq!(scopes.as_deref(), canonical, "{list}");
        }
    }

    #[test]
    fn scopes_behave_as_a_set() {
        let mut scopes = Scopes::default();
        assert!(scopes.is_empty());
        scopes.insert(Scope::Checks);
        scopes.insert(Scope::Audit);
        assert!(scopes.contains(Scope::Checks) && !scopes.contains(Scope::Admin));
        assert_eq!(scopes.iter().collect::<Vec<_>>(), [Scope::Checks, Scope::Audit]);
        assert_eq!(scopes.iter().collect::<Scopes>(), scopes);
        let checks: Scopes = [Scope::Checks].into_iter().collect();
        assert!(checks.is_subset(scopes) && !scopes.is_subset(checks));
        assert!(Scopes::default().is_subset(checks));
        assert_eq!(format!("{scopes:?}"), "Scopes(checks audit)");
    }

    #[test]
    fn region_has_six_digits_and_a_known_province() {
        for (text, valid) in [
            ("110105", true),
            ("119999", true),
            ("830000", true),
            ("010105", false),
            ("990000", false),
            ("11010", false),
            ("1101050", false),
            ("11010a", false),
            ("+10105", false),
            ("１１", false),
            ("", false),
        ] {
            let region = RegionCode::parse(text);
            assert_eq!(region.is_some(), valid, "{text}");
            assert!(region.is_none_or(|region| region.as_str() == text));
        }
    }

    #[test]
    fn organization_name_is_visible_text_of_bounded_length() {
        let (longest, too_long) = ("宾".repeat(100), "宾".repeat(101));
        let endless = "a".repeat(1_000_000);
        for (text, name) in [
            ("北京饭店", Some("北京饭店")),
            ("  Grand Hotel ", Some("Grand Hotel")),
            (&longest, Some(longest.as_str())),
            (&too_long, None),
            (&endless, None),
            ("", None),
            (" \u{3000}", None),
            ("a\nb", None),
            ("a\0", None),
            ("bank\u{202E}knab", None),
            ("ba\u{200B}nk", None),
            ("\u{3164}", None),
            ("ba\u{ad}nk", None),
            ("bank\u{e0041}", None),
        ] {
            let parsed = OrganizationName::parse(text);
            assert_eq!(parsed.as_ref().map(OrganizationName::as_str), name);
        }
    }

    #[test]
    fn rate_has_one_way_to_be_written() {
        for text in ["600/60s", "1/1s", "4294967295/86400s"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "s",
            "/s",
            "600",
            "600/60",
            "600/s",
            "/60s",
            "0/60s",
            "600/0s",
            "+600/60s",
            "0600/60s",
            "600/+60s",
            "600 / 60s",
            "600/60 s",
            "600/60S",
            "600/60ss",
            "6e2/60s",
            "4294967296/60s",
            "600/60s ",
            "６００/60s",
        ] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn scopes_round_trip(bits in prop::collection::vec(prop::sample::select(Scope::ALL), 1..8)) {
            let scopes: Scopes = bits.iter().copied().collect();
            prop_assert_eq!(Scopes::parse(&scopes.to_string()), Some(scopes));
            prop_assert!(Scope::ALL.iter().all(|&scope| scopes.contains(scope) == bits.contains(&scope)));
        }

        #[test]
        fn rate_round_trips(requests: NonZeroU32, per_seconds: NonZeroU32) {
            let rate = Rate { requests, per_seconds };
            prop_assert_eq!(Rate::parse(&rate.to_string()), Some(rate));
        }

        #[test]
        fn accepted_rate_prints_as_it_was_written(text in "[0-9+]{0,11}/[0-9]{0,4}s?") {
            if let Some(rate) = Rate::parse(&text) {
                prop_assert_eq!(rate.to_string(), text);
            }
        }
    }
}
