//! NDJSON: one object a line, with the members of `POST /v1/loss-reports` and `reported_at`. As strict as the API: unknown and
//! repeated members, nulls and arrays are refused.

use serde::Deserialize;

use crate::domain::redacted::{IdNumberText, PhoneText};
use crate::service::fields::Fields;
use crate::service::filing::{ContactText, FilingText};
use crate::service::json::{Object, ObjectMember, describe_json, present};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportLine {
    id_number: IdNumberText,
    #[serde(default, deserialize_with = "present")]
    card_valid_from: Option<String>,
    #[serde(default, deserialize_with = "present")]
    card_valid_until: Option<String>,
    reason: String,
    #[serde(default, deserialize_with = "present")]
    lost_on: Option<String>,
    reporter: String,
    office: String,
    channel: String,
    #[serde(default)]
    contact: ObjectMember<ContactMember>,
    #[serde(default, deserialize_with = "present")]
    reported_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactMember {
    phone: PhoneText,
}

impl ReportLine {
    /// Parses a line.
    pub(super) fn parse(line: &str, fields: &mut Fields) -> Option<Self> {
        let parsed = serde_json::from_str::<Object<Self>>(line);
        parsed
            .map_err(|error| {
                let what = describe_json(&error);
                fields.refuse("", "malformed_json", format!("{what} (column {})", error.column()));
            })
            .ok()
            .map(|object| object.0)
    }

    /// The members of the report.
    pub(super) fn text(&self) -> FilingText<'_> {
        FilingText {
            id_number: &self.id_number,
            card_valid_from: self.card_valid_from.as_deref(),
            card_valid_until: self.card_valid_until.as_deref(),
            reason: &self.reason,
            lost_on: self.lost_on.as_deref(),
            reporter: &self.reporter,
            office: &self.office,
            channel: &self.channel,
            contact: match &self.contact {
                ObjectMember::Absent => ContactText::Absent,
                ObjectMember::Given(contact) => ContactText::Phone(&contact.phone),
                ObjectMember::Text => ContactText::NotAnObject,
            },
        }
    }

    pub(super) fn reported_at(&self) -> Option<&str> {
        self.reported_at.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#""id_number":"11010519491231002X","reason":"lost","reporter":"holder","office":"110105-03","channel":"hall""#;

    #[test]
    fn members_are_those_of_the_api_and_the_time() {
        let line = format!(r#"{{{GOOD},"contact":{{"phone":"13800138000"}},"reported_at":"2026-11-01T00:00:00Z"}}"#);
        let parsed = ReportLine::parse(&line, &mut Fields::default()).unwrap();
        assert!(matches!(parsed.text().contact, ContactText::Phone(phone) if phone.expose() == "13800138000"));
        assert_eq!(parsed.reported_at(), Some("2026-11-01T00:00:00Z"));
        let parsed = ReportLine::parse(&format!(r#"{{{GOOD},"contact":"x"}}"#), &mut Fields::default()).unwrap();
        assert!(matches!(parsed.text().contact, ContactText::NotAnObject));
    }

    #[test]
    fn what_the_api_refuses_is_refused() {
        for (line, expected) in [
            (format!("{{{GOOD},\"reason\":\"lost\"}}"), "duplicate member `reason`"),
            (format!("{{{GOOD},\"id\":\"11010519491231002X\"}}"), "a member is unknown"),
            (format!("{{{GOOD},\"lost_on\":null}}"), "a member is null"),
            (format!("[{{{GOOD}}}]"), "a member has the wrong JSON type"),
            (format!("{{{GOOD}}} {{"), "something follows the object"),
            ("{\"reason\":\"lost\"}".to_owned(), "missing member `id_number`"),
            ("11010519491231002X".to_owned(), "something follows the object"),
            ("{".to_owned(), "the body ends too early"),
        ] {
            let mut fields = Fields::default();
            assert!(ReportLine::parse(&line, &mut fields).is_none(), "{line}");
            let wrong = &fields.errors[0];
            assert!(wrong.detail.starts_with(expected) || line.starts_with('1'), "{line}: {}", wrong.detail);
            assert!(wrong.code == "malformed_json" && !wrong.detail.contains("1101"), "{}", wrong.detail);
        }
    }
}
