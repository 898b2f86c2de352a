//! Undoings and exports that two persons have agreed on. An undoing takes longer than a request: what was approved is kept, and a node
//! does it; if it dies, another one continues, for the audit log says what was undone already.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::asked::{Administration, NewExport, NewUndo};
use crate::domain::audit::{Action, Behind, Deed, Grounds, Person};
use crate::domain::client::Actor;
use crate::domain::ids::{AdminRequestId, ClientId, RecordId};
use crate::domain::instant::UnixMs;
use crate::service::ServiceError;
use crate::service::audit::page::{ExportPage, export_page};
use crate::service::undoing::{Outcome, Undoing, Undone};
use crate::service::writing::Writing;
use crate::store::administration::AdminRequest;
use crate::store::undoing::Span;

/// How often a node looks for what another one has left. What it approved itself it does at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a node has before another one may continue.
const TAKEN_FOR: Duration = Duration::from_mins(2);
/// Acts that stay, named one by one.
const LEFT_MAX: usize = 500;
/// How long who asked may read an export.
const READ_FOR: Duration = Duration::from_hours(7 * 24);

/// What an approved undoing is to do.
#[derive(Serialize, Deserialize)]
struct UndoWork {
    from_ms: i64,
    to_ms: i64,
    reason: String,
}

/// What came of an undoing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UndoTally {
    pub undone: u64,
    /// Acts that had nothing left to counter.
    pub nothing_left: u64,
    /// Acts that stay as they are; the list has the newest of them.
    pub left_count: u64,
    pub left: Vec<LeftAct>,
}

/// An act that stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeftAct {
    pub action: String,
    pub record: RecordId,
    pub why: String,
}

/// Which entries an export has.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ExportSpan {
    pub after: u64,
    pub last: u64,
}

/// Some lines of an export, and where it ends.
#[derive(Debug)]
pub struct ExportPart {
    pub page: ExportPage,
    pub is_last: bool,
}

/// Whether an undoing can be asked for.
pub(super) async fn judge_undo(writing: &mut Writing, new: &NewUndo) -> Result<(), ServiceError> {
    let found = writing.tx.read_client(new.span.client).await?;
    found.map(drop).ok_or_else(|| ServiceError::Conflict("there is no such client".into()))
}

/// Whether an export can be asked for.
pub(super) async fn judge_export(writing: &mut Writing, new: &NewExport) -> Result<(), ServiceError> {
    if new.after > writing.tx.audit_end().await?.sequence {
        return Err(ServiceError::wrong_member("/after", "out_of_range", "the log does not have this entry yet"));
    }
    Ok(())
}

/// An undoing is approved: from here on a node does it. What of it the audit log gets, as done by who asked.
pub(super) async fn begin_undo(
    writing: &mut Writing,
    request: &AdminRequest,
    new: &NewUndo,
) -> Result<Deed, ServiceError> {
    let Span { client, from_ms, to_ms } = new.span;
    let work = UndoWork { from_ms: from_ms.get(), to_ms: to_ms.get(), reason: new.reason.as_str().to_owned() };
    writing.tx.leave_admin_work(request.id, &text(&work)?).await?;
    let deed = Deed::of(request.actor, Action::ClientUndone, client);
    Ok(deed.by(&behind(request.actor, &new.reason)))
}

/// An export is approved: who asked may read the log up to the approval.
pub(super) async fn open_export(
    writing: &mut Writing,
    request: &AdminRequest,
    new: &NewExport,
) -> Result<Deed, ServiceError> {
    let span = ExportSpan { after: new.after, last: writing.tx.audit_end().await?.sequence };
    let now_ms = writing.now_ms;
    writing.tx.end_admin_work(request.id, now_ms, &text(&span)?).await?;
    let deed = Deed::of(request.actor, Action::AuditExportOpened, request.id);
    Ok(deed.by(&behind(request.actor, &new.reason)))
}

impl Administration {
    /// Does what was approved, as long as the node runs.
    pub async fn tend(self: Arc<Self>) {
        loop {
            // Whether woken or not: another node may have left something.
            let _ = timeout(LOOK_EVERY, self.approved.notified()).await;
            while self.undo_next().await.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "an approved undoing stopped; a node continues it");
                false
            }) {}
        }
    }

    /// Undoes what is next; false where there is nothing.
    async fn undo_next(&self) -> Result<bool, ServiceError> {
        let writer = &self.writer;
        let now_ms = writer.clock.now_ms();
        if !writer.store.has_admin_work(now_ms).await? {
            return Ok(false);
        }
        let mut tx = writer.store.begin().await?;
        let taken = tx.take_admin_work(now_ms, now_ms.plus(TAKEN_FOR)).await?;
        tx.commit_unlisted().await?;
        let Some(request) = taken else { return Ok(false) };
        let done = self.undo_approved(&request).await?;
        let mut tx = writer.store.begin().await?;
        tx.end_admin_work(request.id, writer.clock.now_ms(), &text(&UndoTally::of(&done))?).await?;
        tx.commit_unlisted().await?;
        Ok(true)
    }

    async fn undo_approved(&self, request: &AdminRequest) -> Result<Undone, ServiceError> {
        let unreadable = ServiceError::WrongConstant("what an approved undoing is to do");
        let work = request.work.as_deref().and_then(|work| serde_json::from_str::<UndoWork>(work).ok());
        let Some((target, work)) = request.target.zip(work) else { return Err(unreadable) };
        let client: ClientId = target.as_its_kind();
        let Some(reason) = Grounds::stored(&work.reason) else { return Err(unreadable) };
        let undoing = Undoing {
            store: self.writer.store.clone(),
            keyring: Arc::clone(&self.writer.keyring),
            clock: self.writer.clock.clone(),
            actor: Some(request.actor),
            behind: behind(request.actor, &reason),
            is_dry_run: false,
        };
        let span = Span { client, from_ms: UnixMs::new(work.from_ms), to_ms: UnixMs::new(work.to_ms) };
        undoing.undo(span, || false).await
    }

    /// Some lines of an approved export, for who asked. None where that is nobody's, or somebody else's.
    pub async fn read_export(
        &self,
        actor: Actor,
        id: AdminRequestId,
        behind: Option<u64>,
        count_max: usize,
    ) -> Result<Option<ExportPart>, ServiceError> {
        let store = &self.writer.store;
        let found = store.find_admin_request(id).await?.filter(|request| !actor.is_another(&request.actor));
        let Some(request) = found else { return Ok(None) };
        let Some((done_at_ms, span)) = request.done_at_ms.zip(export_of(&request)) else {
            return Err(ServiceError::Conflict("it is no export that was approved".into()));
        };
        if done_at_ms < self.writer.clock.now_ms().minus(READ_FOR) {
            return Err(ServiceError::Conflict("the export was approved more than seven days ago: ask again".into()));
        }
        let after = behind.unwrap_or(span.after);
        if !(span.after..=span.last).contains(&after) {
            return Err(ServiceError::wrong_member("/cursor", "malformed_cursor", "a cursor of this export"));
        }
        self.writer.note(&Deed::of(actor, Action::AuditExported, id)).await?;
        let page = export_page(store, self.writer.keyring.audit(), after, span.last, count_max).await;
        let page =
            page.map_err(|error| ServiceError::Conflict(format!("the audit log is not in order: {error}").into()))?;
        let is_last = page.end.sequence >= span.last;
        Ok(Some(ExportPart { page, is_last }))
    }
}

impl UndoTally {
    fn of(done: &Undone) -> Self {
        let mut tally = Self::default();
        for (act, outcome) in &done.acts {
            match outcome {
                Outcome::Undone(_) => tally.undone += 1,
                Outcome::NothingLeft => tally.nothing_left += 1,
                Outcome::Left(why) => {
                    tally.left_count += 1;
                    if tally.left.len() < LEFT_MAX {
                        let (action, why) = (act.action.as_str().to_owned(), why.as_str().to_owned());
                        tally.left.push(LeftAct { action, record: act.subject, why });
                    }
                }
            }
        }
        tally
    }
}

/// What came of an undoing, once it is done.
pub fn tally_of(request: &AdminRequest) -> Option<UndoTally> {
    serde_json::from_str(request.outcome.as_deref()?).ok()
}

/// What an approved export has.
pub fn export_of(request: &AdminRequest) -> Option<ExportSpan> {
    serde_json::from_str(request.outcome.as_deref()?).ok()
}

/// Who asked, and why.
fn behind(actor: Actor, reason: &Grounds) -> Behind {
    Behind { person: actor.person.map(Person::from), reason: Some(reason.clone()), ..Behind::default() }
}

fn text(value: &impl Serialize) -> Result<String, ServiceError> {
    serde_json::to_string(value).map_err(|_| ServiceError::WrongConstant("what is kept of a request"))
}
