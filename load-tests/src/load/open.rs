//! The open model: a request is due when the schedule says so. If no
//! connection is free it waits, and its waiting counts as latency; if too many
//! wait it is counted as not sent. Nothing slows the schedule down.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, ensure};
use mio::{Events, Poll};

use super::closed::ignore_interruption;
use super::open_result::Tally;
use super::schedule::{Arrivals, Curve};
use super::{EVENTS_PER_POLL_MAX, LOSSES_MAX, READ_BUFFER_BYTES, RunClock};
use crate::traffic::requests::RequestSet;
use crate::wire::{Link, Received, Target, count_verdicts};

pub(crate) use super::open_result::OpenResult;

/// Requests started before answers are looked at again.
const STARTS_PER_TURN_MAX: usize = 256;
const MILLISECOND_NS: u64 = 1_000_000;
const TIMEOUT_SCAN_EVERY_NS: u64 = 100 * MILLISECOND_NS;
/// How long answers are awaited after the last request was due.
const DRAIN_NS: u64 = 5_000 * MILLISECOND_NS;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seconds: u32,
    pub(crate) rate_per_s: f64,
    pub(crate) curve: Curve,
    pub(crate) connections: usize,
    pub(crate) outstanding_max: usize,
    pub(crate) timeout: Duration,
    pub(crate) seed: u64,
}

struct Run<'a> {
    target: &'a Target,
    set: &'a RequestSet,
    poll: Poll,
    /// `None` where the server closed an idle connection; opened again at use.
    links: Vec<Option<Link>>,
    /// Least recently used first, so that no connection goes stale.
    idle: VecDeque<usize>,
    /// Due but without a connection: number of the request, intended start.
    waiting: VecDeque<(usize, u64)>,
    tally: Tally,
    clock: RunClock,
}

/// Offers the plan's load to the server.
pub(crate) fn offer(target: &Target, set: &RequestSet, plan: &Plan) -> anyhow::Result<OpenResult> {
    let poll = Poll::new()?;
    let links = (0..plan.connections)
        .map(|token| Link::connect(target.address(), poll.registry(), token).map(Some))
        .collect::<anyhow::Result<Vec<_>>>()
        .context("cannot open the connections")?;
    let mut run = Run {
        target,
        set,
        poll,
        links,
        idle: (0..plan.connections).collect(),
        waiting: VecDeque::new(),
        tally: Tally::new()?,
        clock: RunClock::start(),
    };
    run.go(plan)?;
    Ok(run.tally.result(f64::from(plan.seconds)))
}

impl Run<'_> {
    fn go(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let mut arrivals = Arrivals::new(&plan.curve, plan.rate_per_s, plan.seconds, plan.seed).enumerate().peekable();
        let mut events = Events::with_capacity(EVENTS_PER_POLL_MAX);
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let give_up_ns = u64::from(plan.seconds) * 1_000 * MILLISECOND_NS + DRAIN_NS;
        let mut next_scan_ns = TIMEOUT_SCAN_EVERY_NS;
        loop {
            let mut now_ns = self.clock.now_ns();
            for _ in 0..STARTS_PER_TURN_MAX {
                let Some((number, intended_ns)) = arrivals.next_if(|(_, due_ns)| *due_ns <= now_ns) else {
                    break;
                };
                self.arrive(number, intended_ns, plan.outstanding_max)?;
                now_ns = self.clock.now_ns();
            }
            let outstanding = self.outstanding();
            if (arrivals.peek().is_none() && outstanding == 0) || now_ns > give_up_ns {
                self.tally.unanswered = u64::try_from(outstanding)?;
                return Ok(());
            }
            if now_ns >= next_scan_ns {
                self.scan_timeouts(now_ns, crate::measure::nanoseconds(plan.timeout))?;
                next_scan_ns = now_ns + TIMEOUT_SCAN_EVERY_NS;
            }
            let wake_ns = arrivals.peek().map_or(next_scan_ns, |(_, due_ns)| next_scan_ns.min(*due_ns));
            self.poll.poll(&mut events, Some(pause(wake_ns.saturating_sub(now_ns)))).or_else(ignore_interruption)?;
            for event in &events {
                self.handle(event.token().0, &mut buffer)?;
            }
        }
    }

    fn outstanding(&self) -> usize {
        self.waiting.len() + self.links.len() - self.idle.len()
    }

    fn arrive(&mut self, number: usize, intended_ns: u64, outstanding_max: usize) -> anyhow::Result<()> {
        self.tally.offered += 1;
        if let Some(index) = self.idle.pop_front() {
            if !self.start(index, number, intended_ns)? {
                self.idle.push_back(index);
            }
            return Ok(());
        }
        if self.outstanding() < outstanding_max {
            self.waiting.push_back((number, intended_ns));
        } else {
            self.tally.not_sent += 1;
        }
        Ok(())
    }

    /// Sends a request on a connection that is free; whether that worked.
    /// A server that is gone is counted, not followed: the schedule continues.
    fn start(&mut self, index: usize, number: usize, intended_ns: u64) -> anyhow::Result<bool> {
        let sent_ns = self.clock.now_ns();
        if self.links[index].is_none() {
            match Link::connect(self.target.address(), self.poll.registry(), index) {
                Ok(link) => self.links[index] = Some(link),
                Err(error) => return self.count_loss(index, error.to_string()),
            }
        }
        let Some(link) = &mut self.links[index] else {
            return Ok(false);
        };
        link.intended_ns = intended_ns;
        link.sent_ns = sent_ns;
        match link.start(number, &self.set.get(number).bytes, true) {
            Ok(()) => Ok(true),
            Err(error) => self.count_loss(index, error.to_string()),
        }
    }

    fn handle(&mut self, index: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        let Some(link) = &mut self.links[index] else {
            return Ok(());
        };
        let Some(number) = link.request else {
            // Idle: nothing may come but the end, which the next use repairs.
            if matches!(link.receive(buffer), Received::Closed(_)) {
                self.links[index] = None;
            }
            return Ok(());
        };
        let request = self.set.get(number);
        if let Err(error) = link.flush(&request.bytes) {
            return self.lose(index, error.to_string());
        }
        match link.receive(buffer) {
            Received::Pending => Ok(()),
            Received::Closed(reason) => self.lose(index, reason),
            Received::Answer(response) => {
                let now_ns = self.clock.now_ns();
                *self.tally.statuses.entry(response.status).or_default() += 1;
                if response.status == 200 {
                    self.tally.items += u64::from(request.items);
                    let listed = count_verdicts(link.body(), &mut self.tally.verdicts);
                    self.tally.missed_listings += u64::from(request.listed).saturating_sub(listed);
                    self.tally.accepted.record(link.intended_ns, now_ns);
                    self.tally.service.record(link.sent_ns, now_ns);
                } else {
                    self.tally.refused.record(link.intended_ns, now_ns);
                }
                link.request = None;
                if response.close {
                    self.links[index] = None;
                }
                self.free(index)
            }
        }
    }

    /// The connection of a request in flight is gone, and with it the request.
    fn lose(&mut self, index: usize, reason: String) -> anyhow::Result<()> {
        self.count_loss(index, reason)?;
        self.free(index)
    }

    /// Always `false`: nothing is in flight on the connection any more.
    fn count_loss(&mut self, index: usize, reason: String) -> anyhow::Result<bool> {
        self.links[index] = None;
        self.tally.lost_connections += 1;
        ensure!(
            self.tally.lost_connections <= LOSSES_MAX,
            "more than {LOSSES_MAX} connections were lost, the last: {reason}"
        );
        self.tally.first_loss.get_or_insert(reason);
        Ok(false)
    }

    /// Gives a free connection to the longest-waiting request.
    fn free(&mut self, index: usize) -> anyhow::Result<()> {
        while let Some((number, intended_ns)) = self.waiting.pop_front() {
            if self.start(index, number, intended_ns)? {
                return Ok(());
            }
        }
        self.idle.push_back(index);
        Ok(())
    }

    fn scan_timeouts(&mut self, now_ns: u64, timeout_ns: u64) -> anyhow::Result<()> {
        for index in 0..self.links.len() {
            let late = self.links[index]
                .as_ref()
                .is_some_and(|link| link.request.is_some() && now_ns.saturating_sub(link.sent_ns) > timeout_ns);
            if late {
                self.tally.timeouts += 1;
                self.links[index] = None;
                self.free(index)?;
            }
        }
        Ok(())
    }
}

/// How long to sleep in the poll. Its clock counts milliseconds, so the last
/// ones before a request is due are spent polling without sleeping.
fn pause(left_ns: u64) -> Duration {
    Duration::from_millis((left_ns / MILLISECOND_NS).saturating_sub(1))
}
