//! One that takes part in a group: what it wants written, and what it is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::crypto::blind::Ahead;
use crate::domain::audit::Deed;
use crate::domain::client::Actor;
use crate::service::ServiceError;
use crate::service::filing::Filing;
use crate::service::writing::Writing;
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::reports::StoredReport;

/// Makes the answer that a repetition gets, while its write has its turn.
pub(super) type Render = Box<dyn Fn(&Writing, &StoredReport) -> StoredAnswer + Send + Sync>;

/// A loss report to be filed.
pub struct Reporting {
    pub actor: Actor,
    pub filing: Filing,
    /// Its number, evaluated for who checks blindly.
    pub ahead: Option<Ahead>,
    pub render: Render,
}

impl fmt::Debug for Reporting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporting").finish_non_exhaustive()
    }
}

/// What a write leaves: its entry of the audit log, and the answer for repetitions.
#[derive(Debug)]
pub struct Left {
    pub deed: Deed,
    pub answer: Option<StoredAnswer>,
}

/// Anything else that is done in the turn of the group. None: it has changed nothing.
pub(super) type Act =
    Box<dyn for<'a> FnOnce(&'a mut Writing) -> BoxFuture<'a, Result<Option<Left>, ServiceError>> + Send>;

/// What a member wants done.
pub(super) enum Work {
    Report(Box<Reporting>),
    Act(Act),
}

/// The same, and by what a repetition of it is known.
pub(super) struct Task {
    pub(super) repeatable: Option<IdempotentRequest>,
    pub(super) work: Work,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Told {
    /// Nothing had to change.
    Nothing,
    Done(Option<StoredAnswer>),
    /// The answer of its first occurrence.
    Repeated(StoredAnswer),
}

pub(super) type Outcome = Result<Told, ServiceError>;

/// One that waits for its group, or takes part in it.
pub(super) struct Member {
    pub(super) task: Task,
    pub(super) tell: oneshot::Sender<Outcome>,
    place: Place,
}

impl Member {
    /// The member, its place, and where it is told.
    pub(super) fn new(task: Task) -> (Self, Place, oneshot::Receiver<Outcome>) {
        let (tell, told) = oneshot::channel();
        let place = Place(Arc::default());
        let member = Self { task, tell, place: Place(Arc::clone(&place.0)) };
        (member, place, told)
    }

    /// Whether it still wants its place: from here on it cannot give it up.
    pub(super) fn takes_part(&self) -> bool {
        !self.place.0.swap(true, Ordering::AcqRel)
    }
}

/// A place in the row of those that wait: either its group takes it, or the one that waits gives it up, never both.
pub(super) struct Place(Arc<AtomicBool>);

impl Place {
    /// False where the group has begun.
    pub(super) fn give_up(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Somebody who asks no more is written nothing for, as far as its group has not begun.
impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}
