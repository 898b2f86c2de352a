//! Undoing what one client did in a time, as when its secret was stolen: each act is countered by a new one, with its change of the
//! feed, its alerts and its entry in the audit log, which is how a run knows what an earlier one has done. What others did since to
//! the same record stays, and so does what is no matter of the registry: both are told, with the reason.
//!
//! Acts on one person belong together and are undone in one transaction, the newest first: a dry run does the same, and commits
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::writing::{Writing, leave_to_followers};
use super::{ServiceError, listing};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::domain::application::ApplicationState;
use crate::domain::audit::{Action, Behind, Deed, SubjectTag};
use crate::domain::ids::{ApplicationId, CertificateId, FoundCardId, RecordId, ReplacementId, ReportId};
use crate::domain::report::{OfficeCode, ReportState};
use crate::store::applications::ApplicationClosing;
use crate::store::undoing::{Act, LaterDeed, Span};
use crate::store::{Store, StoreError};

/// Acts of one transaction, unless one person has more.
const ACTS_AT_ONCE: usize = 50;

/// What undoes, for whom and why.
#[derive(Debug)]
pub struct Undoing {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub behind: Behind,
    pub is_dry_run: bool,
}

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

/// What a run did, as far as it came.
#[derive(Debug, Default)]
pub struct Undone {
    /// The newest first, those of one person together.
    pub acts: Vec<(Act, Outcome)>,
    /// What was read, by the action's word: nobody can forget it again.
    pub reads: Vec<(String, u64)>,
    /// Whether it was stopped before the end.
    pub is_stopped: bool,
}

/// What an undoing makes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Countered by this action.
    Counter(Action),
    Stays(Why),
    /// It changed nothing.
    Read,
}

/// A new action needs its line here.
fn kind_of(action: Action) -> Kind {
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
        | A::ClientCreated
        | A::ClientUpdated
        | A::ClientDisabled
        | A::ClientNumbersDeclared
        | A::ClientNumbersLifted
        | A::ClientHeld
        | A::ClientReleased
        | A::ClientSecretRotated
        | A::ClientCertificateAdded
        | A::ClientCertificateRemoved
        | A::TokenRevoked
        | A::ClientTokensRevoked
        | A::ImportBegun
        | A::ImportFinished
        | A::SandboxReset => Kind::Stays(Why::ByHand),
        A::ReportRead
        | A::ReportsSearched
        | A::SightingsRead
        | A::FoundCardRead
        | A::MisuseReportRead
        | A::MisuseReportsListed
        | A::CertificateRead
        | A::ApplicationRead
        | A::CitizenRecordsRead
        | A::AccessesRead
        | A::ReceiptVerified
        // No client does these.
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
    pub const fn code(self) -> &'static str {
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

/// The acts of one person, and what of them covers others.
struct Group(Vec<Act>);

impl Group {
    /// Whether the undoing of another act makes this one's needless: what was filed is withdrawn, not listed again, and of several
    /// corrections the first one's is undone.
    fn is_covered(&self, act: &Act) -> bool {
        let has = |action: Action, sequence: Option<u64>| {
            let is_it = |other: &Act| other.action == action && other.subject == act.subject;
            self.0.iter().any(|other| is_it(other) && sequence.is_none_or(|before| other.sequence < before))
        };
        match act.action {
            Action::ReportWithdrawn | Action::WithdrawalConfirmed | Action::WithdrawalRequested => {
                has(Action::ReportFiled, None)
            }
            Action::ReplacementCorrected => {
                has(Action::ReplacementRecorded, None) || has(Action::ReplacementCorrected, Some(act.sequence))
            }
            _ => false,
        }
    }
}

impl Undoing {
    /// Undoes what can be undone. A run that was killed leaves whole transactions, and the next one continues behind them.
    pub async fn undo(&self, span: Span, is_stopped: impl Fn() -> bool) -> Result<Undone, ServiceError> {
        let mut done = Undone { reads: self.reads(span).await?, ..Undone::default() };
        let mut has_begun = false;
        for groups in pieces(self.groups(span).await?) {
            if is_stopped() {
                done.is_stopped = true;
                break;
            }
            let tx = self.store.begin().await?;
            let mut writing = Writing::of_command(tx, &self.keyring, self.clock.now_ms()).await?;
            let first = done.acts.len();
            for group in groups {
                for act in &group.0 {
                    let outcome = self.undo_one(&mut writing, span, &group, act).await?;
                    done.acts.push((act.clone(), outcome));
                }
            }
            let is_done = |(_, outcome): &(Act, Outcome)| matches!(outcome, Outcome::Undone(_));
            if self.is_dry_run || !done.acts[first..].iter().any(is_done) {
                continue;
            }
            if !has_begun {
                let begun = Deed::of_operator(Action::ClientUndone, Some(span.client.into())).by(&self.behind);
                writing.note(&begun).await?;
                has_begun = true;
            }
            leave_to_followers(writing.tx).await?;
        }
        Ok(done)
    }

    async fn reads(&self, span: Span) -> Result<Vec<(String, u64)>, StoreError> {
        let counted = self.store.count_acts(span).await?;
        let is_read = |word: &str| Action::parse(word).is_none_or(|action| kind_of(action) == Kind::Read);
        Ok(counted.into_iter().filter(|(word, _)| is_read(word)).collect())
    }

    /// The acts of each person, the newest first.
    async fn groups(&self, span: Span) -> Result<Vec<Group>, StoreError> {
        let mut by_person: BTreeMap<(Option<SubjectTag>, Option<RecordId>), Vec<Act>> = BTreeMap::new();
        for action in Action::ALL.iter().filter(|action| kind_of(**action) != Kind::Read) {
            for act in self.store.acts_of(span, *action).await? {
                // Entries of before tags are known by their records alone.
                let record = if act.person.is_none() { Some(act.subject) } else { None };
                by_person.entry((act.person, record)).or_default().push(act);
            }
        }
        let newest_first = |mut acts: Vec<Act>| {
            acts.sort_by_key(|act| std::cmp::Reverse(act.sequence));
            Group(acts)
        };
        let mut groups: Vec<_> = by_person.into_values().map(newest_first).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.0.first().map(|act| act.sequence)));
        Ok(groups)
    }

    async fn undo_one(
        &self,
        writing: &mut Writing,
        span: Span,
        group: &Group,
        act: &Act,
    ) -> Result<Outcome, ServiceError> {
        let counter = match kind_of(act.action) {
            Kind::Counter(counter) => counter,
            Kind::Stays(why) => return Ok(Outcome::Left(why)),
            Kind::Read => return Ok(Outcome::NothingLeft),
        };
        let since = writing.tx.deeds_since(act.subject, act.sequence).await?;
        if since.iter().any(|deed| deed.action == counter) || group.is_covered(act) {
            return Ok(Outcome::NothingLeft);
        }
        if is_changed_by_others(&since, act, span) {
            return Ok(Outcome::Left(Why::ChangedByOthers));
        }
        let step = match act.action {
            Action::ReportFiled => unfile(writing, act).await?,
            Action::ReportWithdrawn | Action::WithdrawalConfirmed => list_again(writing, act).await?,
            Action::WithdrawalRequested => drop_request(writing, span, act).await?,
            Action::ReplacementRecorded => take_back(writing, act).await?,
            Action::ReplacementCorrected => correct_back(writing, act).await?,
            Action::FoundCardReturned => hold_again(writing, act).await?,
            Action::CertificateIssued => revoke(writing, act).await?,
            _ => cancel(writing, act).await?,
        };
        match step {
            Step::Nothing => Ok(Outcome::NothingLeft),
            Step::Stays(why) => Ok(Outcome::Left(why)),
            Step::Countered(old_start) => {
                let deed = Deed::of_operator(counter, Some(act.subject)).by(&self.behind);
                writing.note(&Deed { old_start, ..deed }).await?;
                Ok(Outcome::Undone(counter))
            }
        }
    }
}

/// Groups of which each makes a transaction.
fn pieces(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let mut pieces: Vec<Vec<Group>> = Vec::new();
    let mut acts = 0;
    for group in groups {
        acts += group.0.len();
        match pieces.last_mut() {
            Some(piece) if acts <= ACTS_AT_ONCE => piece.push(group),
            _ => {
                acts = group.0.len();
                pieces.push(vec![group]);
            }
        }
    }
    pieces
}

/// Whether somebody else has changed the record since, and no undoing has taken that back.
fn is_changed_by_others(since: &[LaterDeed], act: &Act, span: Span) -> bool {
    let mut others = BTreeSet::new();
    for deed in since {
        // Nobody acts on a request; and the withdrawal that an act confirmed follows it under the name of who asked.
        let is_own = deed.client == Some(span.client)
            || deed.action == Action::WithdrawalRequested
            || (act.action == Action::WithdrawalConfirmed && deed.action == Action::ReportWithdrawn);
        match kind_of(deed.action) {
            Kind::Counter(counter) if !is_own => {
                others.insert(counter);
            }
            Kind::Stays(_) if !is_own && deed.client.is_some() => return true,
            _ => {
                others.remove(&deed.action);
            }
        }
    }
    !others.is_empty()
}

/// What was done about one act.
enum Step {
    /// Countered; the start of validity that this took away.
    Countered(Option<Date>),
    Nothing,
    Stays(Why),
}

async fn unfile(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let Some(stored) = writing.tx.find_any_report(report_of(act)).await? else { return Ok(Step::Stays(Why::Gone)) };
    if stored.report.state == ReportState::Replaced {
        return Ok(Step::Stays(Why::ReplacedByOthers));
    }
    listing::unfiled(writing, stored).await?;
    Ok(Step::Countered(None))
}

async fn list_again(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let Some(stored) = writing.tx.find_any_report(report_of(act)).await? else { return Ok(Step::Stays(Why::Gone)) };
    if stored.report.state != ReportState::Withdrawn {
        return Ok(Step::Nothing);
    }
    listing::listed_again(writing, stored).await?;
    Ok(Step::Countered(None))
}

async fn drop_request(writing: &mut Writing, span: Span, act: &Act) -> Result<Step, ServiceError> {
    let waited = writing.tx.drop_request(report_of(act), span.client).await?;
    Ok(if waited { Step::Countered(None) } else { Step::Nothing })
}

async fn take_back(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id = ReplacementId::from_bytes(*act.subject.as_bytes());
    let found = writing.tx.find_replacement(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    listing::taken_back(writing, &stored).await?;
    Ok(Step::Countered(Some(stored.card_valid_from)))
}

async fn correct_back(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id = ReplacementId::from_bytes(*act.subject.as_bytes());
    let found = writing.tx.find_replacement(act.organization, id).await?;
    let Some((stored, start)) = found.zip(act.old_start) else { return Ok(Step::Stays(Why::Gone)) };
    match listing::corrected_back(writing, &stored, start).await {
        Ok(()) => Ok(Step::Countered(Some(stored.card_valid_from))),
        Err(ServiceError::NotAfterListed) => Ok(Step::Stays(Why::StartListed)),
        Err(error) => Err(error),
    }
}

async fn hold_again(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id = FoundCardId::from_bytes(*act.subject.as_bytes());
    let found = writing.tx.find_found_card(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    let Ok(card) = stored.card.hold_again() else { return Ok(Step::Nothing) };
    writing.tx.reopen_found_card(&card).await?;
    Ok(Step::Countered(None))
}

async fn revoke(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id = CertificateId::from_bytes(*act.subject.as_bytes());
    let found = writing.tx.find_certificate(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    // One that nobody accepts any more needs nothing.
    let Ok(revoked) = stored.certificate.revoke(writing.now_ms) else { return Ok(Step::Nothing) };
    writing.tx.revoke_certificate(&revoked, &OfficeCode::of_undoing()).await?;
    Ok(Step::Countered(None))
}

async fn cancel(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id = ApplicationId::from_bytes(*act.subject.as_bytes());
    let found = writing.tx.find_application(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    if stored.application.state == ApplicationState::Issued {
        return Ok(Step::Stays(Why::Ended));
    }
    // One that was refused or cancelled needs nothing.
    let Ok(application) = stored.application.cancel() else { return Ok(Step::Nothing) };
    let office = OfficeCode::of_undoing();
    let closing = ApplicationClosing { at_ms: writing.now_ms, office: &office, replacement_id: None };
    writing.tx.close_application(&application, &closing).await?;
    Ok(Step::Countered(None))
}

/// The subject of an act on a report.
fn report_of(act: &Act) -> ReportId {
    ReportId::from_bytes(*act.subject.as_bytes())
}
