//! Saturation: every connection has one request in flight all the time. The
//! first part of a round warms up and is thrown away. Answers are skipped by
//! their length, except samples that are read in full.

use std::time::Duration;

use anyhow::{Context, ensure};
use mio::{Events, Poll};
use serde::Serialize;

use super::{EVENTS_PER_POLL_MAX, LOSSES_MAX, READ_BUFFER_BYTES, RunClock};
use crate::measure::{Latency, LatencySummary, float, nanoseconds};
use crate::traffic::requests::RequestSet;
use crate::wire::{Link, Received, Target, check_fully, post};

/// No answer at all for this long ends the run.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Every so many answers one is read in full.
const SAMPLE_SINGLE: usize = 1_000;
const SAMPLE_BATCH: usize = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) warmup: Duration,
    pub(crate) window: Duration,
}

/// What one measured window saw.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) requests_per_s: f64,
    pub(crate) items_per_s: f64,
    /// Answers other than 200; they count in no rate.
    pub(crate) failed: u64,
    pub(crate) lost_connections: u64,
    /// Why the first connection was lost, the warm-up included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_loss: Option<String>,
    pub(crate) sampled: u64,
    /// From sending to the last byte, in a closed loop: not what a caller at a
    /// given load would see; `run` measures that.
    pub(crate) latency: LatencySummary,
}

/// What one slice saw: from the first request to the last answer, nothing left in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) items: u64,
    pub(crate) seconds: f64,
}

/// One server under load, its connections kept between slices.
#[derive(Debug)]
pub(crate) struct Saturation<'a> {
    target: &'a Target,
    set: &'a RequestSet,
    poll: Poll,
    links: Vec<Link>,
    next_request: usize,
    sample_every: usize,
    latency: Latency,
    requests: u64,
    items: u64,
    failed: u64,
    lost: u64,
    first_loss: Option<String>,
    sampled: u64,
    /// An answer is not followed by the next request.
    is_draining: bool,
}

/// One round. An answer that is wrong in a sample ends it with an error.
pub(crate) fn saturate(target: &Target, set: &RequestSet, plan: Plan) -> anyhow::Result<Round> {
    Saturation::connect(target, set, plan.connections)?.go(plan)
}

impl<'a> Saturation<'a> {
    /// Opens the connections, after one answer was read in full.
    pub(crate) fn connect(target: &'a Target, set: &'a RequestSet, connections: usize) -> anyhow::Result<Self> {
        let (status, body) = post(target, &set.get(0).bytes)?;
        check_fully(status, &body, set.get(0), set.is_batch()).context("the first answer is wrong")?;
        let poll = Poll::new()?;
        let links = (0..connections)
            .map(|token| Link::connect(target.address(), poll.registry(), token))
            .collect::<anyhow::Result<Vec<_>>>()
            .context("cannot open the connections")?;
        Ok(Self {
            target,
            set,
            poll,
            links,
            next_request: 0,
            sample_every: if set.is_batch() { SAMPLE_BATCH } else { SAMPLE_SINGLE },
            latency: Latency::new()?,
            requests: 0,
            items: 0,
            failed: 0,
            lost: 0,
            first_loss: None,
            sampled: 0,
            is_draining: false,
        })
    }
}

impl Saturation<'_> {
    /// Loads the server for `span`, then waits for what is in flight. Answers other than 200 and lost connections are errors:
    /// a slice that has them says nothing about the server.
    pub(crate) fn slice(&mut self, span: Duration) -> anyhow::Result<Slice> {
        let clock = RunClock::start();
        let mut events = Events::with_capacity(EVENTS_PER_POLL_MAX);
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        self.forget();
        self.is_draining = false;
        for index in 0..self.links.len() {
            self.send(index, clock.now_ns())?;
        }
        let span_ns = nanoseconds(span);
        while !self.is_draining || self.links.iter().any(|link| link.request.is_some()) {
            self.poll.poll(&mut events, Some(SILENCE_MAX)).or_else(ignore_interruption)?;
            ensure!(!events.is_empty(), "no answer for {} s", SILENCE_MAX.as_secs());
            for event in &events {
                self.handle(event.token().0, clock, &mut buffer)?;
            }
            self.is_draining |= clock.now_ns() >= span_ns;
        }
        let seconds = float(clock.now_ns()) / 1e9;
        ensure!(self.failed == 0, "{} of {} answers failed", self.failed, self.failed + self.requests);
        ensure!(self.lost == 0, "{} connections were lost: {:?}", self.lost, self.first_loss);
        Ok(Slice { items: self.items, seconds })
    }

    /// The latencies of the last slice.
    pub(crate) fn latency(&self) -> LatencySummary {
        self.latency.summary()
    }

    fn go(&mut self, plan: Plan) -> anyhow::Result<Round> {
        let clock = RunClock::start();
        let mut events = Events::with_capacity(EVENTS_PER_POLL_MAX);
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        for index in 0..self.links.len() {
            self.send(index, clock.now_ns())?;
        }
        let warm_ns = nanoseconds(plan.warmup);
        let window_ns = nanoseconds(plan.window);
        let mut window_from_ns = None;
        loop {
            self.poll.poll(&mut events, Some(SILENCE_MAX)).or_else(ignore_interruption)?;
            ensure!(!events.is_empty(), "no answer for {} s", SILENCE_MAX.as_secs());
            for event in &events {
                self.handle(event.token().0, clock, &mut buffer)?;
            }
            let now_ns = clock.now_ns();
            match window_from_ns {
                None if now_ns >= warm_ns => {
                    self.forget();
                    window_from_ns = Some(now_ns);
                }
                Some(from_ns) if now_ns - from_ns >= window_ns => {
                    return Ok(self.round(now_ns - from_ns));
                }
                _ => {}
            }
        }
    }

    fn handle(&mut self, index: usize, clock: RunClock, buffer: &mut [u8]) -> anyhow::Result<()> {
        let link = &mut self.links[index];
        let Some(number) = link.request else {
            return Ok(());
        };
        let request = self.set.get(number);
        if let Err(error) = link.flush(&request.bytes) {
            return self.reconnect(index, clock, error.to_string());
        }
        match link.receive(buffer) {
            Received::Pending => Ok(()),
            Received::Closed(reason) => self.reconnect(index, clock, reason),
            Received::Answer(response) => {
                let now_ns = clock.now_ns();
                if response.status == 200 {
                    self.requests += 1;
                    self.items += u64::from(request.items);
                    self.latency.record(link.sent_ns, now_ns);
                } else {
                    self.failed += 1;
                }
                if number % self.sample_every == 0 {
                    self.sampled += 1;
                    check_fully(response.status, link.body(), request, self.set.is_batch())
                        .context("a sampled answer is wrong")?;
                }
                if response.close {
                    self.reconnect(index, clock, "the server asked for it".to_owned())
                } else {
                    self.send(index, now_ns)
                }
            }
        }
    }

    fn send(&mut self, index: usize, now_ns: u64) -> anyhow::Result<()> {
        let link = &mut self.links[index];
        if self.is_draining {
            link.request = None;
            return Ok(());
        }
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        link.sent_ns = now_ns;
        let keep_body = number.is_multiple_of(self.sample_every);
        link.start(number, &self.set.get(number).bytes, keep_body).context("cannot send")
    }

    fn reconnect(&mut self, index: usize, clock: RunClock, reason: String) -> anyhow::Result<()> {
        self.lost += 1;
        self.first_loss.get_or_insert(reason);
        ensure!(self.lost <= LOSSES_MAX, "more than {LOSSES_MAX} connections were lost");
        self.links[index] =
            Link::connect(self.target.address(), self.poll.registry(), index).context("cannot reconnect")?;
        self.send(index, clock.now_ns())
    }

    /// Drops what the warm-up counted.
    fn forget(&mut self) {
        self.latency.clear();
        (self.requests, self.items, self.failed, self.lost, self.sampled) = (0, 0, 0, 0, 0);
    }

    fn round(&self, window_ns: u64) -> Round {
        let seconds = float(window_ns) / 1e9;
        Round {
            seconds,
            requests: self.requests,
            requests_per_s: float(self.requests) / seconds,
            items_per_s: float(self.items) / seconds,
            failed: self.failed,
            lost_connections: self.lost,
            first_loss: self.first_loss.clone(),
            sampled: self.sampled,
            latency: self.latency.summary(),
        }
    }
}

/// A signal during a poll is no event and no error.
pub(super) fn ignore_interruption(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
