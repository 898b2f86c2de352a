//! What a group does in its turn. Its reports are filed by a few statements together; whatever else there is comes one after the
//! other, each behind a savepoint: one that fails takes back what it did, and nothing else.

use std::collections::HashSet;

use super::member::{Act, Outcome, Render, Reporting, Task, Told, Work};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::ReportId;
use crate::domain::report::{LossReport, ReportState};
use crate::service::audit::subjects::record_reports;
use crate::service::writing::Writing;
use crate::service::{ServiceError, listing};
use crate::store::Savepoint;
use crate::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};
use crate::store::reports::{NewReport, StoredReport};

/// Does all of it; gives the outcomes in the order of the tasks. An error: nothing of it was done, and nothing may be committed.
pub(super) async fn carry_out(writing: &mut Writing, tasks: Vec<Task>) -> Result<Vec<Outcome>, ServiceError> {
    let is_alone = tasks.len() == 1;
    let mut outcomes: Vec<Option<Outcome>> = tasks.iter().map(|_| None).collect();
    let mut rest: Vec<_> = tasks.into_iter().enumerate().collect();
    while !rest.is_empty() {
        let known = recall(writing, rest.iter().map(|(_, task)| task.repeatable).collect()).await?;
        let (mut now, mut later, mut keys) = (Vec::new(), Vec::new(), HashSet::new());
        for ((at, task), known) in rest.into_iter().zip(known) {
            match known {
                Remembered::Answer(answer) => outcomes[at] = Some(Ok(Told::Repeated(answer))),
                Remembered::OtherRequest => outcomes[at] = Some(Err(ServiceError::IdempotencyKeyReused)),
                // A repetition beside its first occurrence: that is done by the next look.
                Remembered::Nothing if task.repeatable.is_some_and(|request| !keys.insert(request.key)) => {
                    later.push((at, task));
                }
                Remembered::Nothing => now.push((at, task)),
            }
        }
        for (at, outcome) in do_all(writing, now, is_alone).await? {
            outcomes[at] = Some(outcome);
        }
        rest = later;
    }
    let missing = || Err(ServiceError::WrongConstant("a member of a group has no outcome"));
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
}

/// Does what was never done, each under a key of its own.
async fn do_all(
    writing: &mut Writing,
    tasks: Vec<(usize, Task)>,
    is_alone: bool,
) -> Result<Vec<(usize, Outcome)>, ServiceError> {
    let (mut reports, mut acts, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for (at, Task { repeatable, work }) in tasks {
        match work {
            Work::Report(reporting) => match seal(writing, *reporting) {
                Ok((new, by)) => reports.push((new, Filed { at, repeatable, by })),
                Err(error) => outcomes.push((at, Err(error))),
            },
            Work::Act(act) => acts.push((at, repeatable, act)),
        }
    }
    outcomes.extend(file_reports(writing, reports, is_alone).await?);
    for (at, repeatable, act) in acts {
        let place = place(writing, is_alone).await?;
        let done = do_one(writing, act, repeatable.as_ref()).await;
        outcomes.push((at, settle(writing, place, done).await?));
    }
    Ok(outcomes)
}

/// What was answered to first occurrences, in their order.
async fn recall(
    writing: &mut Writing,
    repeatable: Vec<Option<IdempotentRequest>>,
) -> Result<Vec<Remembered>, ServiceError> {
    let requests: Vec<_> = repeatable.iter().flatten().copied().collect();
    let known = if requests.is_empty() { Vec::new() } else { writing.tx.recall_all(&requests).await? };
    let mut known = known.into_iter();
    let of = |request: Option<IdempotentRequest>| request.and_then(|_| known.next()).unwrap_or(Remembered::Nothing);
    Ok(repeatable.into_iter().map(of).collect())
}

/// Who files a report, beside what is stored of it.
struct Filed {
    at: usize,
    repeatable: Option<IdempotentRequest>,
    by: By,
}

struct By {
    actor: Actor,
    render: Render,
}

/// What is stored of a report, keyed by the pepper of this turn.
fn seal(writing: &mut Writing, reporting: Reporting) -> Result<(NewReport, By), ServiceError> {
    let Reporting { actor, filing, ahead, render } = reporting;
    let (report_id, pepper): (ReportId, _) = (writing.new_id(), &writing.peppers.current);
    let new = filing.seal(&writing.keyring, pepper, report_id, Some(actor.organization), writing.now_ms)?;
    if let Some(ahead) = ahead {
        writing.tx.know_ahead(new.number.lookup_key, ahead);
    }
    Ok((new, By { actor, render }))
}

/// Files reports together, but for a second one of a number: who watches it is told about each. While peppers rotate a single one looks in
/// more places than many do. Where something fails, each is filed for itself, so that the others do not fail with it.
async fn file_reports(
    writing: &mut Writing,
    reports: Vec<(NewReport, Filed)>,
    is_alone: bool,
) -> Result<Vec<(usize, Outcome)>, ServiceError> {
    let (mut numbers, is_rotating) = (HashSet::new(), writing.peppers.previous.is_some());
    let is_first = |(new, _): &(NewReport, Filed)| !is_rotating && numbers.insert(new.number.lookup_key);
    let (together, mut apart): (Vec<_>, Vec<_>) = reports.into_iter().partition(is_first);
    let mut outcomes = Vec::new();
    if together.len() > 1 {
        let (news, filed): (Vec<_>, Vec<_>) = together.into_iter().unzip();
        let place = place(writing, is_alone).await?;
        let done = file(writing, &news, &filed).await;
        match settle(writing, place, done).await? {
            Ok(answers) => {
                let done = filed.iter().zip(answers).map(|(filed, answer)| (filed.at, Ok(done_with(answer))));
                outcomes.extend(done);
            }
            Err(_) => apart.extend(news.into_iter().zip(filed)),
        }
    } else {
        apart.extend(together);
    }
    for (new, filed) in apart {
        let place = place(writing, is_alone).await?;
        let done = file(writing, std::slice::from_ref(&new), std::slice::from_ref(&filed)).await;
        let answer = settle(writing, place, done).await?;
        let answer =
            answer.and_then(|mut answers| answers.pop().ok_or(ServiceError::WrongConstant("a report has no answer")));
        outcomes.push((filed.at, answer.map(done_with)));
    }
    Ok(outcomes)
}

fn done_with(answer: StoredAnswer) -> Told {
    Told::Done(Some(answer))
}

/// Files reports, with all that they entail, their entries in the audit log, and their answers for repetitions.
async fn file(
    writing: &mut Writing,
    reports: &[NewReport],
    filed: &[Filed],
) -> Result<Vec<StoredAnswer>, ServiceError> {
    let change = listing::reported(writing, reports).await?;
    let mut sequence = *change.sequences().start();
    let (mut answers, mut deeds) = (Vec::with_capacity(reports.len()), Vec::with_capacity(reports.len()));
    for (new, Filed { by, .. }) in reports.iter().zip(filed) {
        let report = LossReport {
            id: new.report_id,
            state: ReportState::Active,
            card_valid_from: new.validity.valid_from(),
            missing_on: new.missing_on(),
            reported_at_ms: new.reported_at_ms,
            reason: new.reason,
        };
        let stored = StoredReport { report, lookup_key: new.number.lookup_key, sequence, taken: None };
        answers.push((by.render)(writing, &stored));
        deeds.push(Deed::of(by.actor, Action::ReportFiled, new.report_id));
        sequence = sequence.next();
    }
    record_reports(&mut writing.tx, &writing.keyring, deeds, writing.now_ms).await?;
    let kept = filed.iter().zip(&answers).filter_map(|(filed, answer)| Some((filed.repeatable.as_ref()?, answer)));
    let kept: Vec<_> = kept.collect();
    writing.tx.remember_all(&kept, writing.now_ms).await?;
    Ok(answers)
}

async fn do_one(writing: &mut Writing, act: Act, repeatable: Option<&IdempotentRequest>) -> Outcome {
    let Some(left) = act(writing).await? else { return Ok(Told::Nothing) };
    writing.leave(&left.deed, repeatable.zip(left.answer.as_ref())).await?;
    Ok(Told::Done(left.answer))
}

/// Where one that fails goes back to. Who is alone needs none: its transaction is given up.
async fn place(writing: &mut Writing, is_alone: bool) -> Result<Option<Savepoint>, ServiceError> {
    Ok(if is_alone { None } else { Some(writing.tx.set_savepoint().await?) })
}

/// Keeps what was done, or takes it back. Where that is not possible, the failure is everybody's.
async fn settle<T>(
    writing: &mut Writing,
    place: Option<Savepoint>,
    done: Result<T, ServiceError>,
) -> Result<Result<T, ServiceError>, ServiceError> {
    match (place, done) {
        (None, done) => done.map(Ok),
        (Some(place), Ok(done)) => {
            writing.tx.keep(place).await?;
            Ok(Ok(done))
        }
        (Some(place), Err(error)) => match writing.tx.go_back(place).await {
            Ok(()) => Ok(Err(error)),
            Err(_) => Err(error),
        },
    }
}
