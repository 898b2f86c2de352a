//! Writes that wait at the same time share a transaction: one turn, one flush, one wait for the other nodes. Who comes while none is
//! at work begins at once; who comes while one is waits for it to end, and for nothing else. **Invariant:** nobody is told anything
//! before the group's transaction is committed and published; each is told its own outcome (`turn`).

mod member;
mod turn;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use member::{Left, Reporting};

use self::member::{Member, Outcome, Task, Told, Work};
use super::ServiceError;
use super::writing::{Writer, Writing};
use crate::store::StoreError;
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::nodes::Audience;

/// How long one waits for its group to begin before it learns that the store is busy, or down.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a group may take up to its commit: behind it the store hangs, and others wait.
const TURN_MAX: Duration = Duration::from_secs(4);
/// How many take part. Few sizes, so that the database prepares few statements.
const SIZES: [usize; 11] = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2];

/// Puts writes together. One for all of a node.
pub struct Groups {
    writer: Arc<Writer>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Member>,
    /// Whether somebody takes from it.
    is_tended: bool,
}

/// What became of an act.
#[derive(Debug)]
pub enum Acted<T> {
    Done(T),
    /// The answer of its first occurrence.
    Repeated(StoredAnswer),
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl Groups {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer, queue: Mutex::default() }
    }

    /// Files a report. Done with its answer, when no check that starts anywhere misses it.
    pub async fn file(
        self: &Arc<Self>,
        reporting: Reporting,
        repeatable: Option<IdempotentRequest>,
    ) -> Result<Acted<StoredAnswer>, ServiceError> {
        match self.take_part(Task { repeatable, work: Work::Report(Box::new(reporting)) }).await? {
            Told::Done(Some(answer)) => Ok(Acted::Done(answer)),
            Told::Repeated(answer) => Ok(Acted::Repeated(answer)),
            Told::Nothing | Told::Done(None) => Err(StoreError::Misused("a report was filed without an answer").into()),
        }
    }

    /// Does anything else that is written. What it gives counts when this returns.
    pub async fn act<T: Send + 'static>(
        self: &Arc<Self>,
        repeatable: Option<IdempotentRequest>,
        act: impl for<'a> FnOnce(&'a mut Writing) -> BoxFuture<'a, Result<(T, Option<Left>), ServiceError>> + Send + 'static,
    ) -> Result<Acted<T>, ServiceError> {
        let (give, mut given) = oneshot::channel();
        let act: member::Act = Box::new(move |writing| {
            Box::pin(async move {
                let (value, left) = act(writing).await?;
                let _ = give.send(value);
                Ok(left)
            })
        });
        match self.take_part(Task { repeatable, work: Work::Act(act) }).await? {
            Told::Repeated(answer) => Ok(Acted::Repeated(answer)),
            Told::Nothing | Told::Done(_) => {
                let value = given.try_recv().map_err(|_| StoreError::Misused("what was done gave nothing"))?;
                Ok(Acted::Done(value))
            }
        }
    }

    async fn take_part(self: &Arc<Self>, task: Task) -> Outcome {
        if let Some(answer) = self.writer.recall(task.repeatable.as_ref()).await? {
            return Ok(Told::Repeated(answer));
        }
        let (member, place, mut told) = Member::new(task);
        self.wait_in_row(member);
        let told = match timeout(WAIT_MAX, &mut told).await {
            Ok(told) => told,
            Err(_) if place.give_up() => return Err(self.writer.store.why_no_turn().await.into()),
            Err(_) => told.await,
        };
        // Nobody is left to tell: the group may have been at its commit.
        told.unwrap_or_else(|_| Err(StoreError::CommitUnanswered.into()))
    }

    fn wait_in_row(self: &Arc<Self>, member: Member) {
        let mut queue = self.queue();
        queue.waiting.push_back(member);
        self.tell_waiting(&queue);
        if !std::mem::replace(&mut queue.is_tended, true) {
            self.writer.store.runtime().spawn(Arc::clone(self).tend());
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One group after the other, as long as somebody waits.
    async fn tend(self: Arc<Self>) {
        while let Some(members) = self.next_group() {
            let this = Arc::clone(&self);
            // A task of its own, so that a fault of one group is not the end of all.
            let _ = tokio::spawn(async move { this.write(members).await }).await;
        }
    }

    fn next_group(&self) -> Option<Vec<Member>> {
        let mut queue = self.queue();
        while !queue.waiting.is_empty() {
            let members = pick(&mut queue.waiting);
            self.tell_waiting(&queue);
            if !members.is_empty() {
                return Some(members);
            }
        }
        queue.is_tended = false;
        None
    }

    fn tell_waiting(&self, queue: &Queue) {
        self.writer.metrics.writes_waiting.set(i64::try_from(queue.waiting.len()).unwrap_or(i64::MAX));
    }

    async fn write(&self, members: Vec<Member>) {
        self.writer.metrics.write_groups.inc();
        let (tells, tasks): (Vec<_>, Vec<_>) = members.into_iter().map(|member| (member.tell, member.task)).unzip();
        let repeatable: Vec<_> = tasks.iter().map(|task| task.repeatable).collect();
        let written = match timeout(TURN_MAX, self.write_in_turn(tasks)).await {
            Ok(written) => written,
            Err(_) => Err(self.writer.store.why_no_turn().await.into()),
        };
        let committed = match written {
            Ok((writing, outcomes)) => self.end(writing, &outcomes).await.map(|audience| (outcomes, audience)),
            Err(error) => Err(error),
        };
        let (outcomes, audience) = match committed {
            Ok(committed) => committed,
            Err(error) => return tell_all(tells, error),
        };
        let told = repeatable.into_iter().zip(outcomes).zip(tells);
        let Some(audience) = audience else {
            return told.for_each(|((_, outcome), tell)| drop(tell.send(outcome)));
        };
        let (writer, told) = (Arc::clone(&self.writer), told.collect());
        // The next group begins meanwhile.
        tokio::spawn(async move { publish(&writer, &audience, told).await });
    }

    async fn write_in_turn(&self, tasks: Vec<Task>) -> Result<(Writing, Vec<Outcome>), ServiceError> {
        let mut writing = self.writer.begin_group().await?;
        let outcomes = turn::carry_out(&mut writing, tasks).await?;
        Ok((writing, outcomes))
    }

    /// Who must know of it; None where nobody has to. An answer that is repeated may be that of a change that is not published yet.
    async fn end(&self, writing: Writing, outcomes: &[Outcome]) -> Result<Option<Audience>, ServiceError> {
        let is_repeated = outcomes.iter().any(|outcome| matches!(outcome, Ok(Told::Repeated(_))));
        let has_changed = outcomes.iter().any(|outcome| matches!(outcome, Ok(Told::Done(_))));
        if !is_repeated && !has_changed {
            return Ok(None);
        }
        let committed = timeout(TURN_MAX, self.writer.commit_group(writing, is_repeated)).await;
        committed.unwrap_or(Err(StoreError::CommitUnanswered.into()))
    }
}

type Telling = ((Option<IdempotentRequest>, Outcome), oneshot::Sender<Outcome>);

async fn publish(writer: &Writer, audience: &Audience, told: Vec<Telling>) {
    let published = writer.publish(audience).await;
    for ((repeatable, outcome), tell) in told {
        let outcome = match &published {
            Ok(()) => outcome,
            Err(error) => Err(error.again()),
        };
        if let (Some(request), Ok(Told::Done(Some(answer)))) = (&repeatable, &outcome) {
            writer.share_answer(&audience.epoch, request, answer);
        }
        let _ = tell.send(outcome);
    }
}

/// What the whole group met. Who was alone in it has met it himself, whatever it is.
fn tell_all(mut tells: Vec<oneshot::Sender<Outcome>>, error: ServiceError) {
    let Some(last) = tells.pop() else { return };
    for tell in tells {
        let _ = tell.send(Err(error.again()));
    }
    let _ = last.send(Err(error));
}

/// Takes a group out of the row.
fn pick(waiting: &mut VecDeque<Member>) -> Vec<Member> {
    let size = SIZES.into_iter().find(|size| *size <= waiting.len()).unwrap_or(1);
    let mut group = Vec::with_capacity(size);
    while group.len() < size
        && let Some(member) = waiting.pop_front()
    {
        if member.takes_part() {
            group.push(member);
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(count: usize) -> (VecDeque<Member>, Vec<member::Place>) {
        let act = || -> member::Act { Box::new(|_| Box::pin(async { Ok(None) })) };
        let member = |_| Member::new(Task { repeatable: None, work: Work::Act(act()) });
        (0..count).map(member).map(|(member, place, _)| (member, place)).unzip()
    }

    #[test]
    fn one_that_waits_alone_is_a_group() {
        let (mut waiting, _places) = row(1);
        assert_eq!((pick(&mut waiting).len(), waiting.len()), (1, 0));
    }

    #[test]
    fn groups_have_few_sizes() {
        let (mut waiting, _places) = row(31);
        assert_eq!([(); 4].map(|()| pick(&mut waiting).len()), [24, 6, 1, 0]);
    }

    #[test]
    fn who_gave_up_takes_no_part_and_who_takes_part_cannot_give_up() {
        let (mut waiting, mut places) = row(2);
        drop(places.remove(0));
        assert_eq!(pick(&mut waiting).len(), 1);
        assert!(!places[0].give_up());
    }
}
