//! Undoing what one client did in a time, as when its secret was stolen: each act is countered by a new one, with its change of the
//! feed, its alerts and its entry in the audit log, which is how a run knows what an earlier one has done. What others did since to
//! the same record stays, and so does what is no matter of the registry: both are told, with the reason.
//!
//! Acts on one person belong together and are undone in one transaction, the newest first: a dry run does the same, and commits
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::steps::{Step, cancel, correct_back, drop_request, hold_again, list_again, revoke, take_back, unfile};
use super::ServiceError;
use super::writing::{Writing, leave_to_followers};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::domain::audit::{Action, Behind, Deed, Kind, SubjectTag};
use crate::domain::client::Actor;
use crate::domain::ids::RecordId;
use crate::domain::undoing::Why;
use crate::store::undoing::{Act, LaterDeed, Span};
use crate::store::{Store, StoreError};

mod steps;

/// Acts of one transaction, unless one person has more.
const ACTS_AT_ONCE: usize = 50;

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Countered by this.
    Undone(Action),
    /// Nothing is left of it: an earlier run has undone it, or another act that is undone covers it.
    NothingLeft,
    Left(Why),
}

/// What undoes, for whom and why.
#[derive(Debug)]
pub struct Undoing {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    /// Who asked for it, where others have agreed and the log has that already. None: the command line.
    pub actor: Option<Actor>,
    pub behind: Behind,
    pub is_dry_run: bool,
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
        let mut has_begun = self.actor.is_some();
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
        let is_read = |word: &str| Action::parse(word).is_none_or(|action| action.kind() == Kind::Read);
        Ok(counted.into_iter().filter(|(word, _)| is_read(word)).collect())
    }

    /// The acts of each person, the newest first.
    async fn groups(&self, span: Span) -> Result<Vec<Group>, StoreError> {
        let mut by_person: BTreeMap<(Option<SubjectTag>, Option<RecordId>), Vec<Act>> = BTreeMap::new();
        for action in Action::ALL.iter().filter(|action| action.kind() != Kind::Read) {
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
        let counter = match act.action.kind() {
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
                writing.note(&Deed { actor: self.actor, old_start, ..deed }).await?;
                Ok(Outcome::Undone(counter))
            }
        }
    }
}

/// The groups of each transaction.
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
        match deed.action.kind() {
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
