//! What the audit log records: who did what to which record of a person, and when; also who was let in, and what was imported.
//! How entries are chained is `crypto::audit`'s, where they are `store::audit`'s. An entry never holds a number, a digest or a
//! lookup key.

use std::fmt;

use jiff::civil::Date;

use super::client::Actor;
use super::label::{holds_id_number, is_line, is_shown};
use super::person::ShortName;
use super::undoing::Why;
use crate::domain::ids::RecordId;

words!(
    /// What was done. A read is named by what was read.
    Action {
        ReportFiled = "report_filed",
        ReportRead = "report_read",
        ReportsSearched = "reports_searched",
        ReportsListed = "reports_listed",
        ReportWithdrawn = "report_withdrawn",
        /// Beyond the client's number of a day: another client must confirm it.
        WithdrawalRequested = "withdrawal_requested",
        WithdrawalConfirmed = "withdrawal_confirmed",
        ReplacementRecorded = "replacement_recorded",
        ReplacementCorrected = "replacement_corrected",
        ReplacementsListed = "replacements_listed",
        /// The operator countered what a client should not have done (`undo`).
        ReportFilingUndone = "report_filing_undone",
        ReportWithdrawalUndone = "report_withdrawal_undone",
        WithdrawalRequestUndone = "withdrawal_request_undone",
        ReplacementUndone = "replacement_undone",
        ReplacementCorrectionUndone = "replacement_correction_undone",
        FoundCardReturnUndone = "found_card_return_undone",
        CertificateUndone = "certificate_undone",
        ApplicationUndone = "application_undone",
        SightingsRead = "sightings_read",
        FoundCardRegistered = "found_card_registered",
        FoundCardRead = "found_card_read",
        FoundCardsListed = "found_cards_listed",
        FoundCardReturned = "found_card_returned",
        FoundCardDestroyed = "found_card_destroyed",
        FoundCardTransferred = "found_card_transferred",
        MisuseReported = "misuse_reported",
        MisuseReportRead = "misuse_report_read",
        MisuseReportsListed = "misuse_reports_listed",
        MisuseResolved = "misuse_resolved",
        CertificateIssued = "certificate_issued",
        CertificateRead = "certificate_read",
        CertificatesListed = "certificates_listed",
        CertificateRevoked = "certificate_revoked",
        ApplicationMade = "application_made",
        ApplicationRead = "application_read",
        ApplicationsListed = "applications_listed",
        ApplicationIssued = "application_issued",
        ApplicationCancelled = "application_cancelled",
        TemporaryCardIssued = "temporary_card_issued",
        TemporaryCardReturned = "temporary_card_returned",
        CitizenRecordsRead = "citizen_records_read",
        /// A status of the card that its holder shows.
        CardStatusGiven = "card_status_given",
        /// Who looked at a person's records.
        AccessesRead = "accesses_read",
        ReceiptVerified = "receipt_verified",
        ContactErased = "contact_erased",
        OrganizationCreated = "organization_created",
        OrganizationUpdated = "organization_updated",
        OrganizationSuspended = "organization_suspended",
        OrganizationResumed = "organization_resumed",
        OrganizationEnded = "organization_ended",
        /// What an office is called and how to reach it.
        OfficeDescribed = "office_described",
        ClientCreated = "client_created",
        ClientUpdated = "client_updated",
        ClientSuspended = "client_suspended",
        ClientResumed = "client_resumed",
        ClientDisabled = "client_disabled",
        /// Its guests were declared, or whether it may send digests.
        ClientNumbersDeclared = "client_numbers_declared",
        /// Nobody counts its numbers any more.
        ClientNumbersLifted = "client_numbers_lifted",
        ClientHeld = "client_held",
        ClientReleased = "client_released",
        /// A run began to undo what it did.
        ClientUndone = "client_undone",
        ClientSecretRotated = "client_secret_rotated",
        /// A second operator agreed that who asked makes one.
        ClientSecretAllowed = "client_secret_allowed",
        ClientCertificateAdded = "client_certificate_added",
        ClientCertificateRemoved = "client_certificate_removed",
        ClientKeysAdded = "client_keys_added",
        /// A secret, key or certificate of it is good for nothing any more.
        ClientCredentialEnded = "client_credential_ended",
        /// Whether a person of the operator is let in here.
        PersonSuspended = "person_suspended",
        PersonResumed = "person_resumed",
        PersonEnded = "person_ended",
        /// A code was made by which a page becomes a device.
        PairingCreated = "pairing_created",
        PairingUpdated = "pairing_updated",
        PairingEnded = "pairing_ended",
        /// A page has registered its key.
        DevicePaired = "device_paired",
        /// Its PIN was missed too often.
        DeviceLocked = "device_locked",
        DeviceReleased = "device_released",
        /// A link was made by which a person gets a passkey.
        PersonInvited = "person_invited",
        PasskeyRegistered = "passkey_registered",
        /// The passkeys and the links of a person are gone.
        TokenRevoked = "token_revoked",
        ClientTokensRevoked = "client_tokens_revoked",
        /// What needs a second operator was asked for.
        AdministrationRequested = "administration_requested",
        AdministrationApproved = "administration_approved",
        AdministrationRefused = "administration_refused",
        /// An export of this log was approved; each page of it that is read.
        AuditExportOpened = "audit_export_opened",
        AuditExported = "audit_exported",
        ImportBegun = "import_begun",
        ImportFinished = "import_finished",
        ImportUndone = "import_undone",
        /// A run of retention began to delete.
        RecordsExpired = "records_expired",
        SandboxReset = "sandbox_reset",
        /// From here on every entry has a keyed hash; what is before was taken as it was.
        LogLinked = "log_linked",
    }
);

/// What an undoing makes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Countered by this action.
    Counter(Action),
    Stays(Why),
    /// It changed nothing.
    Read,
}

impl Action {
    /// Whether a person may learn that it was done to records of theirs. What others report about them to the police they may not.
    pub fn is_told_to_its_person(self) -> bool {
        !matches!(
            self,
            Self::MisuseReported | Self::MisuseReportRead | Self::MisuseReportsListed | Self::MisuseResolved
        )
    }

    /// What an undoing makes of it.
    pub const fn kind(self) -> Kind {
        use Action as A;
        match self {
            A::ReportFiled => Kind::Counter(A::ReportFilingUndone),
            A::ReportWithdrawn | A::WithdrawalConfirmed => Kind::Counter(A::ReportWithdrawalUndone),
            A::WithdrawalRequested => Kind::Counter(A::WithdrawalRequestUndone),
            A::ReplacementRecorded => Kind::Counter(A::ReplacementUndone),
            A::ReplacementCorrected => Kind::Counter(A::ReplacementCorrectionUndone),
            A::FoundCardReturned => Kind::Counter(A::FoundCardReturnUndone),
            A::CertificateIssued => Kind::Counter(A::CertificateUndone),
            A::ApplicationMade => Kind::Counter(A::ApplicationUndone),
            A::FoundCardRegistered
            | A::FoundCardDestroyed
            | A::FoundCardTransferred
            | A::TemporaryCardIssued
            | A::TemporaryCardReturned => Kind::Stays(Why::OutOfHand),
            A::MisuseReported
            | A::MisuseResolved
            | A::CertificateRevoked
            | A::ApplicationIssued
            | A::ApplicationCancelled
            | A::ContactErased
            | A::OrganizationCreated
            | A::OrganizationUpdated
            | A::OrganizationSuspended
            | A::OrganizationResumed
            | A::OrganizationEnded
            | A::OfficeDescribed
            | A::ClientCreated
            | A::ClientUpdated
            | A::ClientSuspended
            | A::ClientResumed
            | A::ClientDisabled
            | A::ClientNumbersDeclared
            | A::ClientNumbersLifted
            | A::ClientHeld
            | A::ClientReleased
            | A::ClientSecretRotated
            | A::ClientCertificateAdded
            | A::ClientCertificateRemoved
            | A::ClientSecretAllowed
            | A::ClientCredentialEnded
            | A::PersonSuspended
            | A::PersonResumed
            | A::PersonEnded
            | A::ClientKeysAdded
            | A::PairingCreated
            | A::PairingUpdated
            | A::PairingEnded
            | A::DevicePaired
            | A::DeviceLocked
            | A::DeviceReleased
            | A::PersonInvited
            | A::PasskeyRegistered
            | A::AdministrationRequested
            | A::AdministrationApproved
            | A::AdministrationRefused
            | A::TokenRevoked
            | A::ClientTokensRevoked
            | A::ImportBegun
            | A::ImportFinished
            | A::SandboxReset => Kind::Stays(Why::ByHand),
            A::ReportRead
            | A::ReportsSearched
            | A::ReportsListed
            | A::ReplacementsListed
            | A::FoundCardsListed
            | A::CertificatesListed
            | A::ApplicationsListed
            | A::SightingsRead
            | A::FoundCardRead
            | A::MisuseReportRead
            | A::MisuseReportsListed
            | A::CertificateRead
            | A::ApplicationRead
            | A::CitizenRecordsRead
            | A::CardStatusGiven
            | A::AccessesRead
            | A::ReceiptVerified
            | A::AuditExportOpened
            | A::AuditExported
            // What undoes changes nothing by itself, and nobody undoes the rest.
            | A::ReportFilingUndone
            | A::ReportWithdrawalUndone
            | A::WithdrawalRequestUndone
            | A::ReplacementUndone
            | A::ReplacementCorrectionUndone
            | A::FoundCardReturnUndone
            | A::CertificateUndone
            | A::ApplicationUndone
            | A::ClientUndone
            | A::ImportUndone
            | A::RecordsExpired
            | A::LogLinked => Kind::Read,
        }
    }
}

macro_rules! notes {
    ($($(#[$meta:meta])* $name:ident($chars_max:literal);)+) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            pub const CHARS_MAX: usize = $chars_max;

            /// Visible text of at most so many characters, without an identity number; spaces around it are dropped.
            pub fn parse(text: &str, today: Date) -> Option<Self> {
                let text = text.trim();
                let is_note = is_shown(text, Self::CHARS_MAX) && !holds_id_number(text, today);
                is_note.then(|| Self(text.to_owned()))
            }

            /// What was judged when it was stored.
            pub fn stored(text: &str) -> Option<Self> {
                is_line(text, Self::CHARS_MAX).then(|| Self(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// It names a person, or was written about one.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )+};
}

notes! {
    /// What a person who acts is called: by the provider that knows them, or as they say themselves.
    Person(100);
    /// The user of the operating system under whom a command ran.
    OsUser(100);
    /// Why something was done, in somebody's words.
    Grounds(200);
}

impl From<ShortName> for Person {
    fn from(name: ShortName) -> Self {
        Self(name.as_str().to_owned())
    }
}

/// Who stands behind a deed beside its client, and why it was done, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    pub person: Option<Person>,
    pub os_user: Option<OsUser>,
    pub reason: Option<Grounds>,
}

/// A person that an entry is about: a keyed hash of the number, cut to its first half (`crypto::audit_key`). It is a name for a
/// person, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectTag([u8; 16]);

impl SubjectTag {
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for SubjectTag {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SubjectTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectTag(redacted)")
    }
}

/// Something to remember: who (none: the operator, by the command line), what, and the record it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub actor: Option<Actor>,
    pub behind: Behind,
    pub action: Action,
    pub subject: Option<RecordId>,
    /// The start of validity that a correction took away.
    pub old_start: Option<Date>,
    /// Whom it concerns, where that does not follow from the subject.
    pub persons: Vec<SubjectTag>,
}

impl Deed {
    pub fn of(actor: Actor, action: Action, subject: impl Into<RecordId>) -> Self {
        Self { subject: Some(subject.into()), ..Self::of_many(actor, action) }
    }

    /// What is done to no one record.
    pub fn of_many(actor: Actor, action: Action) -> Self {
        let behind = Behind { person: actor.person.map(Person::from), ..Behind::default() };
        Self { actor: Some(actor), behind, action, subject: None, old_start: None, persons: Vec::new() }
    }

    /// What the operator did by the command line.
    pub fn of_operator(action: Action, subject: Option<RecordId>) -> Self {
        Self { actor: None, behind: Behind::default(), action, subject, old_start: None, persons: Vec::new() }
    }

    /// The person, and why.
    #[must_use]
    pub fn by(self, behind: &Behind) -> Self {
        Self { behind: behind.clone(), ..self }
    }

    /// Whom it concerns, beside the subject.
    #[must_use]
    pub fn about(self, persons: impl IntoIterator<Item = SubjectTag>) -> Self {
        Self { persons: self.persons.into_iter().chain(persons).collect(), ..self }
    }

    /// A correction of a start: what it was before.
    #[must_use]
    pub fn taking_away(self, old_start: Date) -> Self {
        Self { old_start: Some(old_start), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    #[test]
    fn a_note_is_visible_text_of_bounded_length_without_a_number() {
        let (longest, too_long) = ("王".repeat(100), "王".repeat(101));
        for (text, kept) in [
            ("王芳", Some("王芳")),
            ("  J. Doe <j.doe@city.example> ", Some("J. Doe <j.doe@city.example>")),
            (&longest, Some(longest.as_str())),
            (&too_long, None),
            ("", None),
            (" \u{3000}", None),
            ("a\nb", None),
            ("a\0os_user:root", None),
            ("gnaw\u{202E}", None),
            ("\u{3164}\u{3164}", None),
            ("a\u{e0041}b", None),
            ("11010519491231002X", None),
            ("clerk 110105-19491231-002x", None),
        ] {
            assert_eq!(Person::parse(text, TODAY).as_ref().map(Person::as_str), kept, "{text}");
        }
        assert_eq!(Grounds::parse(&"x".repeat(200), TODAY).map(|reason| reason.as_str().len()), Some(200));
        assert_eq!(Grounds::parse(&"x".repeat(201), TODAY), None);
    }

    #[test]
    fn who_stands_behind_a_deed_is_not_shown() {
        let behind = Behind { person: Person::parse("Wang Fang", TODAY), ..Behind::default() };
        let deed = Deed::of_operator(Action::ClientDisabled, None).by(&behind);
        assert_eq!(deed.behind, behind);
        assert!(!format!("{deed:?}").contains("Wang"), "{deed:?}");
    }
}
