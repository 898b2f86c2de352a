//! The short way of a check, below the HTTP server. A connection begins here and stays as long as each of its requests is a check
//! in plain form ([`plain`]) by a caller that is remembered. Anything else, and anything doubtful, goes with all its bytes
//! untouched to the HTTP server, and the connection stays there. Invariant: nothing is spent, counted or kept before it is sure
//! that the answer is given here, and the answer is what the long way would give (`tests/api/lane.rs`).

mod answer;
mod plain;
pub mod service;
mod wait;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use jiff::civil::Date;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use self::answer::{DateLine, Head};
use self::wait::Wait;
use super::answering::{Failure, Standings, log_failure, note_success, problem_fields};
use super::exchange::refused_check;
use super::numbers;
use super::screen::request_id_of;
use super::state::AppState;
use super::wire::Wire;
use crate::access::Principal;
use crate::clock::Days;
use crate::domain::client::Actor;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::{Class, Route};
use crate::limits::{Asker, Standing};
use crate::service::breathe;
use crate::service::checks::{Answer, Check};
use crate::telemetry::traces::Answered;
use crate::wiping::wipe;

/// A read takes at most this: an honest check, token included, has under two kilobytes.
const INPUT_BYTES: usize = 8 * 1024;

/// What a check is: handed down by the route table, for the lane knows no handler.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub route: &'static Route,
    /// None: the long way finds out what is wrong, or stores something.
    pub read: fn(&[u8], Date) -> Option<Check>,
    pub write: fn(&mut Vec<u8>, &Answer),
}

/// The lane of one worker.
pub struct Lane {
    state: Data<AppState>,
    way: Way,
    request_line: Box<[u8]>,
    /// How long a reader may take for an answer.
    answer_time: Duration,
    /// How long a connection may send nothing between two requests.
    idle_time: Duration,
    /// What a connection has sent: looked at and wiped before another one is read.
    input: RefCell<Box<[u8]>>,
    body: RefCell<Vec<u8>>,
    output: RefCell<Vec<u8>>,
    date: DateLine,
    days: Days,
}

/// What it holds is whole requests and answers.
impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("way", &self.way).finish_non_exhaustive()
    }
}

/// Why a connection is no longer in the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What it sends now is for the long way; the bytes read so far are with the wire.
    HandedOver,
    Ended,
}

/// A check that will be answered here: its units are spent or still to be asked for, or it is refused.
#[derive(Debug)]
struct Task {
    begun_ns: u64,
    request_id: String,
    admitted: Result<Admitted, Problem>,
    principal: Principal,
}

#[derive(Debug)]
struct Admitted {
    check: Check,
    /// None: it takes a question to Redis.
    standing: Option<Standing>,
    cost: NonZeroU32,
}

/// What came on a connection.
#[derive(Debug)]
enum Came {
    /// A task, and the bytes that follow it.
    Task(Box<Task>, Vec<u8>),
    Left(Left),
}

impl Lane {
    pub fn new(state: Data<AppState>, way: Way, answer_time: Duration, idle_time: Duration) -> Self {
        let request_line = format!("{} {} HTTP/1.1\r\n", way.route.method, way.route.path);
        Self {
            state,
            way,
            request_line: request_line.into_bytes().into(),
            answer_time,
            idle_time,
            input: RefCell::new(vec![0; INPUT_BYTES].into()),
            body: RefCell::default(),
            output: RefCell::default(),
            date: DateLine::new(),
            days: Days::default(),
        }
    }

    /// Serves a connection for as long as it stays in the lane.
    async fn ride<S>(&self, wire: &mut Wire<S>, stopping: impl Future<Output = ()>) -> Left
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // A refusal, and what is on its way out, are the long way's to say.
        if self.state.sandbox.is_some() || wire.is_over() || self.way.route.deprecation.is_some() {
            return Left::HandedOver;
        }
        let mut stopping = std::pin::pin!(stopping);
        let mut rest = Vec::new();
        let mut wait = Wait::new(self.idle_time);
        let mut ridden = 0;
        loop {
            let came = if rest.is_empty() {
                ridden = 0;
                std::future::poll_fn(|cx| self.poll_next(wire, &mut wait, stopping.as_mut(), cx)).await
            } else {
                // What has come at once is not done at once: others of the event loop have their turn.
                breathe(ridden).await;
                ridden += 1;
                self.take(wire, &std::mem::take(&mut rest))
            };
            let task = match came {
                Came::Left(left) => return left,
                Came::Task(task, following) => {
                    rest = following;
                    task
                }
            };
            wire.line().begin(task.begun_ns);
            if self.answer(wire, *task).await.is_err() || self.state.is_draining() {
                return Left::Ended;
            }
            wire.line().rest();
            wait.begin(self.state.clock.boot_ns());
        }
    }

    fn poll_next<S: AsyncRead + Unpin>(
        &self,
        wire: &mut Wire<S>,
        wait: &mut Wait,
        stopping: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Came> {
        let mut input = self.input.borrow_mut();
        let mut buf = ReadBuf::new(&mut input);
        match wire.poll_read_past(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                let came = self.take(wire, buf.filled());
                wipe(buf.filled_mut());
                Poll::Ready(came)
            }
            Poll::Ready(_) => Poll::Ready(Came::Left(Left::Ended)),
            Poll::Pending if wait.asks(cx) && (wait.is_over(&self.state.clock, cx) || stopping.poll(cx).is_ready()) => {
                Poll::Ready(Came::Left(Left::Ended))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Looks at what a connection has sent.
    fn take<S>(&self, wire: &mut Wire<S>, bytes: &[u8]) -> Came {
        if let Some((task, length)) = self.task(bytes) {
            return Came::Task(Box::new(task), bytes.get(length..).unwrap_or_default().to_vec());
        }
        self.state.metrics.lane_left.inc();
        wire.give_back(bytes);
        Came::Left(Left::HandedOver)
    }

    /// The task that the bytes begin with, and its length. None: it is for the long way, and nothing has been spent.
    fn task(&self, bytes: &[u8]) -> Option<(Task, usize)> {
        let state = &*self.state;
        // Nothing waits until the units are spent: one look at the clocks serves all of it.
        let now = state.clock.both();
        let plain = plain::read(bytes, &self.request_line)?;
        if state.is_draining() || !state.hosts.accepts(Some(plain.host)) {
            return None;
        }
        // One that is bound is its holder's alone, which the server finds out.
        let principal = state.access.recall(plain.token, now.wall_ms.seconds());
        let principal = principal.filter(|principal| state.access.is_anybodys(principal))?;
        if !self.way.route.scopes.iter().any(|scope| principal.scopes.contains(*scope)) {
            return None;
        }
        let cost = self.way.route.cost?;
        // The last question that may lead to the long way: after it units are spent.
        let check = (self.way.read)(plain.body, self.days.at(now.wall_ms))?;
        let admitted = state.delay.admit(now.boot_ns).and_then(|()| {
            let standing = principal.client.limits.try_spend(cost, now.boot_ns).transpose()?;
            Ok(Admitted { check, standing, cost })
        });
        let request_id = request_id_of(plain.request_id, now.wall_ms);
        Some((Task { begun_ns: now.boot_ns, request_id, admitted, principal }, plain.length))
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>, task: Task) -> io::Result<()> {
        let Task { begun_ns, request_id, admitted, principal } = task;
        let state = &*self.state;
        let organization = principal.client.organization_id;
        let (standing, answer) = match admitted {
            Err(problem) => (None, Err(problem)),
            Ok(Admitted { check, standing, cost }) => {
                let spent = match standing {
                    Some(standing) => Ok(standing),
                    None => Box::pin(principal.client.limits.spend(cost)).await.map_err(Problem::from),
                };
                let asker = Asker::Client(principal.client.client_id);
                let enter = || state.admission.enter(Class::Check, Some(asker));
                match spent {
                    Ok(standing) => {
                        let answer = match numbers::take(&principal, &check).await {
                            Ok(()) => state.checks.check(principal.actor(), &check, enter).await,
                            Err(problem) => Err(problem),
                        };
                        (Some(standing), answer)
                    }
                    Err(problem) => (None, Err(problem)),
                }
            }
        };
        // Signing has waited.
        let ended = state.clock.both();
        let numbers = standing.and_then(|_| principal.client.numbers.standing(ended.boot_ns));
        let standings = Standings { call: standing, numbers };
        let spent_ns = ended.boot_ns.saturating_sub(begun_ns);
        if let Some(traces) = &state.traces {
            let (method, route) = (self.way.route.method.as_str(), self.way.route.path);
            let status = answer.as_ref().map_or_else(|problem| problem.kind().status, |_| StatusCode::OK).as_u16();
            // A request with a parent took the long way.
            traces.note(None, &Answered { method, route, status, request_id: &request_id, spent_ns });
        }
        match &answer {
            Ok(_) => {
                let label = || self.way.route.path.to_owned();
                note_success(state, Some(Class::Check), StatusCode::OK, &request_id, label, spent_ns);
            }
            Err(problem) => {
                self.log(problem, &request_id, principal.actor(), spent_ns);
                state.counter.count(organization, refused_check(problem.kind().status.as_u16()), ended.wall_ms);
                if problem.kind().code == problem::REDUCED_CAPACITY.code {
                    let wait = state.delay.pace_refusal(ended.boot_ns);
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                }
            }
        }
        let rest = std::future::poll_fn(|cx| {
            let mut out = self.output.borrow_mut();
            self.write(&mut out, &request_id, standings, self.date.at(ended.wall_ms), &answer);
            let rest = send_now(wire, cx, &out);
            wipe(&mut out);
            out.clear();
            Poll::Ready(rest)
        });
        let Some(rest) = rest.await? else { return Ok(()) };
        let sending = async {
            wire.write_all(&rest).await?;
            wire.flush().await
        };
        timeout(self.answer_time, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        request_id: &str,
        standings: Standings,
        date: [u8; 29],
        answer: &Result<Answer, Problem>,
    ) {
        let mut body = self.body.borrow_mut();
        let (is_last, is_https) = (self.state.is_draining(), self.state.is_https);
        match answer {
            Ok(answer) => {
                (self.way.write)(&mut body, answer);
                let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let head = Head { status: StatusCode::OK, request_id, standings, is_last, is_https, date };
                answer::write(out, &head, std::iter::once(json), &body);
            }
            Err(problem) => {
                body.extend_from_slice(problem.to_json(request_id, self.state.proxies.public_prefix()).as_bytes());
                let standings = standings.refused_by(problem);
                let head = Head { status: problem.kind().status, request_id, standings, is_last, is_https, date };
                answer::write(out, &head, problem_fields(problem), &body);
            }
        }
        // Its room is used again: the salt of a receipt must not rest there.
        wipe(&mut body);
        body.clear();
    }

    fn log(&self, problem: &Problem, request_id: &str, caller: Actor, spent_ns: u64) {
        let failure = Failure {
            request_id,
            method: self.way.route.method.as_str(),
            route: self.way.route.path,
            status: problem.kind().status,
            code: problem.kind().code,
            limit: problem.standing().map(|standing| standing.limit),
            caller: Some(caller),
            asker: Asker::Client(caller.client),
            is_own_load: problem.is_own_load(),
            spent_ns,
        };
        log_failure(&self.state, &failure);
    }
}

/// Sends what the reader takes at once. None: all of it is gone. Else the rest, which may be empty: with TLS a record may wait in
/// the stream.
fn send_now<S>(wire: &mut Wire<S>, cx: &mut Context<'_>, out: &[u8]) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = match Pin::new(&mut *wire).poll_write(cx, out) {
        Poll::Ready(written) => written?,
        Poll::Pending => 0,
    };
    let rest = out.get(length..).unwrap_or_default();
    if rest.is_empty()
        && let Poll::Ready(flushed) = Pin::new(wire).poll_flush(cx)
    {
        return flushed.map(|()| None);
    }
    Ok(Some(rest.to_vec()))
}
