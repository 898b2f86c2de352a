//! Questions and their answers: in batches, repeated while limits are spent or nobody answers, and cut in two where a batch is more
//! than the client's limit lets through at once.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::guests::Question;
use super::receipts::Kept;
use super::session::{Problem, Reply, Session};
use crate::cli::exits::try_again;
use crate::cli::import::stop::Stop;
use crate::cli::output;
use crate::clock::Clock;
use crate::domain::ids::CheckId;
use crate::domain::redacted::SaltText;

/// Small enough that little is done twice after a kill, large enough that the way to the service does not count.
pub(super) const BATCH_ROWS_MAX: usize = 100;
/// Where the service says no time to wait.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// So often a service may fail at one row, while it answers others.
const FAILURES_MAX: u32 = 4;
/// Who is told to wait longer is better told to come again.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// A wait that a person who watches wonders about.
const WAIT_TOLD: Duration = Duration::from_secs(3);

/// An answer to a check.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) check_id: CheckId,
    pub(super) verdict: String,
    pub(super) advice: String,
    listing: Option<Listing>,
    receipt: Option<String>,
    receipt_salt: Option<SaltText>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    since: String,
}

impl Said {
    pub(super) fn since(&self) -> Option<&str> {
        self.listing.as_ref().map(|listing| listing.since.as_str())
    }

    pub(super) fn kept(&self) -> Option<Kept> {
        let (receipt, receipt_salt) = (self.receipt.clone()?, self.receipt_salt.clone()?);
        Some(Kept { check_id: self.check_id, receipt, receipt_salt })
    }
}

/// A verdict, or why there is none.
pub(super) type Answered = Result<Said, String>;

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<ItemAnswer>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    index: usize,
    check: Option<Said>,
    problem: Option<Problem>,
}

/// Asks, and keeps asking.
pub(super) struct Service {
    pub(super) session: Session,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    /// How long the service may give no answer.
    pub(super) patience: Duration,
    /// How many at once, as far as the service has let it be known.
    pub(super) rows_max: usize,
}

impl Service {
    pub(super) fn new(session: Session, clock: Clock, stop: Stop, patience: Duration) -> Self {
        Self { session, clock, stop, patience, rows_max: BATCH_ROWS_MAX }
    }

    /// Answers to all, in their order.
    pub(super) async fn ask(&mut self, questions: &[&Question]) -> anyhow::Result<Vec<Answered>> {
        let mut answers: Vec<Option<Answered>> = questions.iter().map(|_| None).collect();
        let all: Vec<usize> = (0..questions.len()).collect();
        let mut waiting: VecDeque<Vec<usize>> = all.chunks(self.rows_max).map(<[usize]>::to_vec).collect();
        let (mut silent_since_ns, mut refused, mut pause) = (self.clock.boot_ns(), 0, PAUSE);
        let mut failures = vec![0; questions.len()];
        while let Some(batch) = waiting.pop_front() {
            let reply = self.send(batch.iter().filter_map(|at| questions.get(*at).copied())).await?;
            let (reply, batch) = match reply {
                Reply::Body(body) => {
                    let Taken { answered, spent, failing, why } = take_answers(&body, &batch, &mut answers)?;
                    if answered > 0 || failing.is_empty() {
                        silent_since_ns = self.clock.boot_ns();
                    }
                    let failing = give_up(failing, &mut failures, &mut answers, &why);
                    if failing.is_empty() && spent.is_empty() {
                        (refused, pause) = (0, PAUSE);
                        continue;
                    }
                    if failing.is_empty() {
                        // Progress is made, if slowly: what is left is asked again.
                        waiting.push_front(spent);
                        self.wait(pause, "limits are spent").await?;
                        pause = (pause * 2).min(PAUSE_MAX);
                        continue;
                    }
                    // It answers, and knows no answer: as one that does not.
                    let mut again: Vec<usize> = failing.into_iter().map(|(at, _)| at).chain(spent).collect();
                    again.sort_unstable();
                    (Reply::Unavailable(None, why), again)
                }
                reply => {
                    if !matches!(reply, Reply::Unavailable(..)) {
                        silent_since_ns = self.clock.boot_ns();
                    }
                    (reply, batch)
                }
            };
            match reply {
                // What it holds is taken by now.
                Reply::Body(_) => {}
                Reply::Missing => anyhow::bail!("the service answers 404: look at --url"),
                // Each for itself: some of them may pass alone.
                Reply::Refused(said) => match batch.as_slice() {
                    [alone] => answers[*alone] = Some(Err(said)),
                    all => all.rchunks(all.len().div_ceil(2)).for_each(|part| waiting.push_front(part.to_vec())),
                },
                // A client that keeps asking for days is held in the end.
                Reply::NumbersSpent(said) => return Err(try_again(format!("{said}: {GO_ON}"))),
                Reply::TooLarge(fits) => self.cut(&batch, fits, &mut waiting, &mut answers),
                Reply::Later(told) => {
                    refused += 1;
                    // Others spend what this batch waits for: a smaller one has a chance.
                    if refused % 2 == 0 && batch.len() > 1 {
                        self.cut(&batch, None, &mut waiting, &mut answers);
                    } else {
                        waiting.push_front(batch);
                    }
                    self.wait(told.unwrap_or(pause), "the client's limit is spent").await?;
                }
                Reply::Unavailable(told, why) => {
                    waiting.push_front(batch);
                    let silent = Duration::from_nanos(self.clock.boot_ns().saturating_sub(silent_since_ns));
                    let wait = told.unwrap_or(pause);
                    if silent + wait > self.patience {
                        let how_long = match told {
                            Some(told) if told > self.patience => {
                                format!("and wants to be asked in {} s", told.as_secs())
                            }
                            _ => format!("for {} s", silent.as_secs()),
                        };
                        return Err(try_again(format!("{why}, {how_long}: {GO_ON}")));
                    }
                    self.wait(wait, &why).await?;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        answers.into_iter().collect::<Option<_>>().context("a check has no answer")
    }

    async fn send(&mut self, questions: impl Iterator<Item = &Question>) -> anyhow::Result<Reply> {
        let checks: Vec<_> = questions.map(check_of).collect();
        let body = json!({ "checks": checks }).to_string();
        tokio::select! {
            reply = self.session.check(body) => reply,
            () = self.stop.set() => Err(stopped()),
        }
    }

    /// Puts a batch back in two parts, or in parts that fit.
    fn cut(
        &mut self,
        batch: &[usize],
        fits: Option<usize>,
        waiting: &mut VecDeque<Vec<usize>>,
        answers: &mut [Option<Answered>],
    ) {
        if let [alone] = batch {
            answers[*alone] = Some(Err("batch_too_large: the client's limit lets no check through".to_owned()));
            return;
        }
        let half = batch.len().div_ceil(2);
        let size = fits.filter(|fits| (1..batch.len()).contains(fits)).unwrap_or(half);
        self.rows_max = self.rows_max.min(size);
        for part in batch.chunks(size).rev() {
            waiting.push_front(part.to_vec());
        }
    }

    async fn wait(&mut self, wait: Duration, why: &str) -> anyhow::Result<()> {
        if wait > WAIT_MAX {
            return Err(try_again(format!("{why}, and will be for {} s: {GO_ON}", wait.as_secs())));
        }
        if wait >= WAIT_TOLD {
            output::error(&format!("{why}: waiting {} s", wait.as_secs()));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.set() => Err(stopped()),
        }
    }
}

const GO_ON: &str = "the same command continues where this one stopped";

fn stopped() -> anyhow::Error {
    try_again(format!("stopped: {GO_ON}"))
}

fn check_of(question: &Question) -> Value {
    let mut check = json!({"id_number": question.number.expose(), "purpose": question.purpose.as_str()});
    if let Some(start) = question.card_valid_from {
        check["card_valid_from"] = json!(start.to_string());
    }
    check
}

/// What came of a batch.
#[derive(Debug, Default)]
struct Taken {
    answered: usize,
    /// For which a limit is spent.
    spent: Vec<usize>,
    /// For which the service had no answer, each with the status that it gave, and what it said last.
    failing: Vec<(usize, u16)>,
    why: String,
}

/// Puts the answers of a batch in their places; those that may come later are given back.
fn take_answers(body: &[u8], batch: &[usize], answers: &mut [Option<Answered>]) -> anyhow::Result<Taken> {
    let BatchAnswer { results } =
        serde_json::from_slice(body).ok().context("the answer is not that of this service: look at --url")?;
    let mut taken = Taken::default();
    for ItemAnswer { index, check, problem } in results {
        let at = *batch.get(index).context("the answer is not to this batch")?;
        let answer = match (check, problem) {
            (Some(said), _) => Ok(said),
            (None, Some(problem)) if problem.is_for_its_number() => Err(problem.said()),
            (None, Some(problem)) if problem.status == 429 => {
                taken.spent.push(at);
                continue;
            }
            (None, Some(problem)) if problem.status >= 500 => {
                taken.failing.push((at, problem.status));
                taken.why = format!("the service answers {} {}", problem.status, problem.said());
                continue;
            }
            (None, problem) => Err(problem.unwrap_or_default().said()),
        };
        answers[at] = Some(answer);
        taken.answered += 1;
    }
    // One that was left out must not be taken for one that was answered.
    let is_again = |at: &usize| taken.spent.contains(at) || taken.failing.iter().any(|(failing, _)| failing == at);
    anyhow::ensure!(batch.iter().all(|at| answers[*at].is_some() || is_again(at)), "the answer leaves rows out");
    Ok(taken)
}

/// A row at which the service fails again and again, while it answers others, is a row that cannot be checked; what is left is asked
/// again. That the registry cannot be asked is no row's fault.
fn give_up(
    mut failing: Vec<(usize, u16)>,
    failures: &mut [u32],
    answers: &mut [Option<Answered>],
    why: &str,
) -> Vec<(usize, u16)> {
    let answers_others = failing.len() == 1 || answers.iter().flatten().any(Result::is_ok);
    failing.retain(|(at, status)| {
        failures[*at] += u32::from(*status == 500);
        let is_given_up = failures[*at] >= FAILURES_MAX && answers_others;
        if is_given_up {
            answers[*at] = Some(Err(why.to_owned()));
        }
        !is_given_up
    });
    failing
}
