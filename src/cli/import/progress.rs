//! What a person who watches an import or a check of a list sees: a bar at a terminal, else a line every few seconds. Standard error only.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::output;
use crate::clock::Clock;

const LINE_EVERY_NS: u64 = 5_000_000_000;

/// Shows how many lines are done.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: u64,
    /// What is counted: reports, checks.
    what: &'static str,
    clock: Clock,
    began_ns: u64,
    shown_ns: u64,
    /// Records stored earlier and records rejected: lines that are done without being stored now.
    others: Vec<Arc<AtomicU64>>,
}

impl Progress {
    pub(crate) fn new(lines: u64, what: &'static str, clock: Clock, others: Vec<Arc<AtomicU64>>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let form = "{wide_bar} {human_pos} of {human_len} lines, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(lines).with_style(style)
        });
        let began_ns = clock.boot_ns();
        Self { bar, lines, what, clock, began_ns, shown_ns: began_ns, others }
    }

    /// So many reports are stored.
    pub(crate) fn show(&mut self, stored: u64) {
        let done = self.done(stored);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let now_ns = self.clock.boot_ns();
        if now_ns.saturating_sub(self.shown_ns) >= LINE_EVERY_NS {
            self.shown_ns = now_ns;
            let ms = (now_ns.saturating_sub(self.began_ns) / 1_000_000).max(1);
            output::error(&line(done, self.lines, stored, self.what, ms));
        }
    }

    /// How many lines are done, of how many.
    pub(crate) fn where_it_stands(&self, stored: u64) -> String {
        format!("{} of {} lines are done, {stored} reports were stored now", self.done(stored), self.lines)
    }

    fn done(&self, stored: u64) -> u64 {
        let others: u64 = self.others.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        (stored + others).min(self.lines)
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(done: u64, lines: u64, stored: u64, what: &str, ms: u64) -> String {
    let rate = stored * 1000 / ms;
    let left = match done {
        0 => "time left unknown".to_owned(),
        done => format!("about {} s left", (lines - done) * ms / done / 1000 + 1),
    };
    format!("{done} of {lines} lines, {rate} {what}/s, {left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        assert_eq!(
            line(250_000, 1_000_000, 200_000, "reports", 1_000),
            "250000 of 1000000 lines, 200000 reports/s, about 4 s left"
        );
        assert_eq!(line(0, 10, 0, "reports", 1_000), "0 of 10 lines, 0 reports/s, time left unknown");
    }
}
