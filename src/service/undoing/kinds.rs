//! What an undoing makes of each action, and what became of an act.

use crate::domain::audit::Action;

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Countered by this.
    Undone(Action),
    /// Nothing is left of it: an earlier run has undone it, or another act that is undone covers it.
    NothingLeft,
    Left(Why),
}

/// Why an act stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its record is not kept any more.
    Gone,
    /// Another client has changed the same record since.
    ChangedByOthers,
    /// A replacement of somebody else has ended the report.
    ReplacedByOthers,
    /// The start of before would itself be listed.
    StartListed,
    /// The application has come to another end.
    Ended,
    /// Something was handed over, or sent, or destroyed.
    OutOfHand,
    /// Nothing depends on it that the registry could take back.
    ByHand,
}

/// What an undoing makes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Countered by this action.
    Counter(Action),
    Stays(Why),
    /// It changed nothing.
    Read,
}

/// A new action needs its line here.
pub(super) fn kind_of(action: Action) -> Kind {
    use Action as A;
    match action {
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
        | A::ClientKeysAdded
        | A::PairingCreated
        | A::PairingUpdated
        | A::PairingEnded
        | A::DevicePaired
        | A::DeviceLocked
        | A::DeviceReleased
        | A::PersonInvited
        | A::PasskeyRegistered
        | A::PersonEnded
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

impl Why {
    /// The word for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::ChangedByOthers => "changed_by_others",
            Self::ReplacedByOthers => "replaced_by_others",
            Self::StartListed => "start_listed",
            Self::Ended => "ended",
            Self::OutOfHand => "out_of_hand",
            Self::ByHand => "by_hand",
        }
    }

    /// What it means and who can do what.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Gone => "the record is not kept any more",
            Self::ChangedByOthers => "another client has changed the same record since: ask its organization",
            Self::ReplacedByOthers => "another client has recorded a new card since, which keeps the old one listed",
            Self::StartListed => "the card with the start of before would itself be listed by now: correct it by hand",
            Self::Ended => "it has come to another end since",
            Self::OutOfHand => "something was handed over, sent or destroyed: its office must look for it",
            Self::ByHand => "no listing depends on it: look at it, and counter it by hand where it matters",
        }
    }
}
