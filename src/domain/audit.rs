//! What the audit log records: who did what to which record of a person, and when; also who was let in, and what was imported.
//! How entries are chained is `crypto::audit`'s, where they are `store::audit`'s. An entry never holds a number, a digest or a
//! lookup key.

use jiff::civil::Date;

use super::client::Actor;
use crate::domain::ids::RecordId;

words!(
    /// What was done. A read is named by what was read.
    Action {
        ReportFiled = "report_filed",
        ReportRead = "report_read",
        ReportsSearched = "reports_searched",
        ReportWithdrawn = "report_withdrawn",
        ReplacementRecorded = "replacement_recorded",
        ReplacementCorrected = "replacement_corrected",
        SightingsRead = "sightings_read",
        FoundCardRegistered = "found_card_registered",
        FoundCardRead = "found_card_read",
        FoundCardReturned = "found_card_returned",
        FoundCardDestroyed = "found_card_destroyed",
        FoundCardTransferred = "found_card_transferred",
        MisuseReported = "misuse_reported",
        MisuseReportRead = "misuse_report_read",
        MisuseReportsListed = "misuse_reports_listed",
        MisuseResolved = "misuse_resolved",
        CertificateIssued = "certificate_issued",
        CertificateRead = "certificate_read",
        CertificateRevoked = "certificate_revoked",
        ApplicationMade = "application_made",
        ApplicationRead = "application_read",
        ApplicationIssued = "application_issued",
        ApplicationCancelled = "application_cancelled",
        TemporaryCardIssued = "temporary_card_issued",
        TemporaryCardReturned = "temporary_card_returned",
        CitizenRecordsRead = "citizen_records_read",
        ReceiptVerified = "receipt_verified",
        ContactErased = "contact_erased",
        OrganizationCreated = "organization_created",
        ClientCreated = "client_created",
        ClientDisabled = "client_disabled",
        ClientSecretRotated = "client_secret_rotated",
        ClientCertificateAdded = "client_certificate_added",
        TokenRevoked = "token_revoked",
        ClientTokensRevoked = "client_tokens_revoked",
        ImportBegun = "import_begun",
        ImportFinished = "import_finished",
        ImportUndone = "import_undone",
        /// A run of retention began to delete.
        RecordsExpired = "records_expired",
        SandboxReset = "sandbox_reset",
    }
);

/// Something to remember: who (none: the operator, by the command line), what, and the record it was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    pub actor: Option<Actor>,
    pub action: Action,
    pub subject: Option<RecordId>,
    /// The start of validity that a correction took away.
    pub old_start: Option<Date>,
}

impl Deed {
    pub fn of(actor: Actor, action: Action, subject: impl Into<RecordId>) -> Self {
        Self { actor: Some(actor), action, subject: Some(subject.into()), old_start: None }
    }

    /// What is done to no one record.
    pub fn of_many(actor: Actor, action: Action) -> Self {
        Self { actor: Some(actor), action, subject: None, old_start: None }
    }

    /// What the operator did by the command line.
    pub fn of_operator(action: Action, subject: Option<RecordId>) -> Self {
        Self { actor: None, action, subject, old_start: None }
    }

    /// A correction of a start: what it was before.
    #[must_use]
    pub fn taking_away(self, old_start: Date) -> Self {
        Self { old_start: Some(old_start), ..self }
    }
}
