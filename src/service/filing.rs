//! A loss report on its way in: from members of text, of a request or of an import file, to what is stored.
//! The one place of these rules, so that no report comes in by one way in a form that a check would not find.

use jiff::civil::Date;

use super::ServiceError;
use super::fields::Fields;
use super::writing::seal_number;
use crate::crypto::Keyring;
use crate::crypto::digest::IdDigest;
use crate::crypto::pepper::Pepper;
use crate::domain::card::CardValidity;
use crate::domain::ids::{OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::redacted::{IdNumberText, PhoneText};
use crate::domain::report::{Channel, OfficeCode, Phone, Reason, Reporter, check_lost_on};
use crate::store::reports::NewReport;

/// The members of a loss report, as they came.
#[derive(Debug, Clone, Copy)]
pub struct FilingText<'a> {
    pub id_number: &'a IdNumberText,
    pub card_valid_from: Option<&'a str>,
    pub card_valid_until: Option<&'a str>,
    pub reason: &'a str,
    pub lost_on: Option<&'a str>,
    pub reporter: &'a str,
    pub office: &'a str,
    pub channel: &'a str,
    pub contact: ContactText<'a>,
}

/// How to reach the reporter, as it came.
#[derive(Debug, Clone, Copy)]
pub enum ContactText<'a> {
    Absent,
    Phone(&'a PhoneText),
    NotAnObject,
}

impl ContactText<'_> {
    /// The phone number, if one was given; in `fields` what is wrong with it, by the pointers to the contact and to its phone.
    pub fn read(self, fields: &mut Fields, contact: &'static str, phone: &'static str) -> Option<Phone> {
        let detail = "a phone number is 5 to 24 digits, spaces and hyphens, with or without a leading +";
        match self {
            Self::Absent => None,
            Self::Phone(text) => fields.take(phone, text.parse(), "malformed_phone", detail),
            Self::NotAnObject => {
                fields.refuse(contact, "not_a_contact", "a contact is an object with a phone");
                None
            }
        }
    }
}

/// A loss report as a registrar files it.
#[derive(Debug)]
pub struct Filing {
    pub digest: IdDigest,
    pub validity: CardValidity,
    pub reason: Reason,
    pub lost_on: Option<Date>,
    pub reporter: Reporter,
    pub office: OfficeCode,
    pub channel: Channel,
    pub phone: Option<Phone>,
}

impl Filing {
    /// The report, or, in `fields`, all that is wrong with its members.
    pub fn read(fields: &mut Fields, text: &FilingText<'_>, today: Date) -> Option<Self> {
        Self::read_with(fields, text, today, Fields::date)
    }

    /// The same, where days are written in more forms than one: files have many.
    pub fn read_with(
        fields: &mut Fields,
        text: &FilingText<'_>,
        today: Date,
        mut day: impl FnMut(&mut Fields, &'static str, Option<&str>) -> Option<Date>,
    ) -> Option<Self> {
        let digest = fields.id_number(text.id_number, today);
        let from = day(fields, "/card_valid_from", text.card_valid_from);
        let until = day(fields, "/card_valid_until", text.card_valid_until);
        let validity = CardValidity::new(from, until, today)
            .map_err(|error| fields.refuse(error.pointer(), error.code(), error.to_string()));
        let lost_on = day(fields, "/lost_on", text.lost_on);
        if let Some(Err(error)) = lost_on.map(|day| check_lost_on(day, from, today)) {
            fields.refuse("/lost_on", error.code(), error.to_string());
        }
        let reason = fields.word("/reason", text.reason, Reason::parse, "lost, stolen");
        let reporter = fields.word("/reporter", text.reporter, Reporter::parse, "holder, guardian, agent");
        let office = fields.office(text.office, today);
        let channel = fields.word("/channel", text.channel, Channel::parse, "station, hall, online");
        let phone = text.contact.read(fields, "/contact", "/contact/phone");
        let words = digest.zip(validity.ok()).zip(reason.zip(reporter)).zip(office.zip(channel));
        let filing = words.map(|(((digest, validity), (reason, reporter)), (office, channel))| Self {
            digest,
            validity,
            reason,
            lost_on,
            reporter,
            office,
            channel,
            phone,
        });
        filing.filter(|_| fields.errors.is_empty())
    }

    /// What is stored of it, keyed by the pepper of new rows.
    pub fn seal(
        &self,
        keyring: &Keyring,
        pepper: &Pepper,
        report_id: ReportId,
        organization: Option<OrganizationId>,
        reported_at_ms: UnixMs,
    ) -> Result<NewReport, ServiceError> {
        let sealer = keyring.sealer();
        let number = seal_number(keyring, pepper, &self.digest, report_id)?;
        let phone = self.phone.as_ref();
        let contact =
            phone.map(|phone| sealer.seal_envelope(report_id.as_bytes(), phone.expose().as_bytes())).transpose()?;
        Ok(NewReport {
            report_id,
            organization,
            number,
            validity: self.validity,
            reason: self.reason,
            lost_on: self.lost_on,
            reporter: self.reporter,
            office: self.office.clone(),
            channel: self.channel,
            contact,
            reported_at_ms,
        })
    }
}
