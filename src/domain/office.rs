//! Offices as people know them: what a code stands for, and how to reach who works there.

use jiff::civil::Date;

use super::client::OrganizationName;
use super::label::holds_id_number;
use super::label::{is_line, is_shown};
use super::report::OfficeCode;

/// An office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Office {
    pub code: OfficeCode,
    pub name: OrganizationName,
    pub reach: OfficeReach,
}

/// How to reach an office: where it is, its telephone, when it is open, in the words of who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeReach(String);

impl OfficeReach {
    pub const CHARS_MAX: usize = 200;

    /// As somebody says it today: no identity number.
    pub fn offered(text: &str, today: Date) -> Option<Self> {
        Self::parse(text).filter(|_| !holds_id_number(text, today))
    }

    /// 1 to 200 characters; spaces around them are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let reach = text.trim();
        is_shown(reach, Self::CHARS_MAX).then(|| Self(reach.to_owned()))
    }

    /// What was judged when it was stored.
    pub fn stored(text: &str) -> Option<Self> {
        is_line(text, Self::CHARS_MAX).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_to_reach_is_a_line_without_a_number_of_a_person() {
        let today = jiff::civil::date(2026, 11, 29);
        let reach = |text: &str| OfficeReach::offered(text, today).map(|reach| reach.as_str().to_owned());
        assert_eq!(
            reach(" 朝阳路 1 号，010-12345678，周一至周五 9:00-17:00 ").as_deref(),
            Some("朝阳路 1 号，010-12345678，周一至周五 9:00-17:00")
        );
        for text in [
            "",
            "  ",
            "a\nb",
            "ask 11010519491231002X",
            "找１１０１０５１９４９１２３１００２Ｘ",
            "\u{2800}",
            "a\u{61c}b",
            &"a".repeat(201),
        ] {
            assert_eq!(reach(text), None, "{text}");
        }
        assert!(reach(&"路".repeat(200)).is_some());
    }
}
