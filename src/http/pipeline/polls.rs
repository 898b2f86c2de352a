//! How long a connection keeps its worker's event loop at a time, for tests and for finding what is slow. Off, it costs a branch a
//! poll; on, two readings of the thread's clock of processor time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use crate::clock::Clock;
use crate::telemetry::Metrics;

/// What is done on one connection, with each of its polls measured.
#[derive(Debug)]
pub struct Measured<F> {
    inner: F,
    /// None: not measured.
    metrics: Option<Arc<Metrics>>,
}

impl<F> Measured<F> {
    pub fn new(inner: F, metrics: Option<Arc<Metrics>>) -> Self {
        Self { inner, metrics }
    }
}

impl<F: Future + Unpin> Future for Measured<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(metrics) = self.metrics.clone() else { return self.inner.poll_unpin(cx) };
        // Of the machine, whatever time a test has: what this thread computes, not what it is kept waiting.
        let begun_ns = Clock::System.thread_cpu_ns();
        let polled = self.inner.poll_unpin(cx);
        metrics.note_poll(Clock::System.thread_cpu_ns().saturating_sub(begun_ns));
        polled
    }
}
