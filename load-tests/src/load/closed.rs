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

struct Saturation<'a> {
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
}

/// One round. An answer that is wrong in a sample ends it with an error.
pub(crate) fn saturate(target: &Target, set: &RequestSet, plan: Plan) -> anyhow::Result<Round> {
    let (status, body) = post(target, &set.get(0).bytes)?;
    check_fully(status, &body, set.get(0), set.is_batch()).context("the first answer is wrong")?;
    let poll = Poll::new()?;
    let links = (0..plan.connections)
        .map(|token| Link::connect(target.address(), poll.registry(), token))
        .collect::<anyhow::Result<Vec<_>>>()
        .context("cannot open the connections")?;
    let mut run = Saturation {
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
    };
    run.go(plan)
}

impl Saturation<'_> {
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
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        let link = &mut self.links[index];
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
