//! How long a reader may leave what was written for it: the server keeps an answer's rest, up to 64 KiB, for as long as the socket
//! takes nothing, whether or not a request is still known. What the answer is, and the time of a large one as a whole, are
//! `connection.rs`'s.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// What the server buffers for a connection at most, about: a reader that takes this much in its time continues.
const BUFFERED_BYTES: usize = 64 * 1024;

/// The clock of a reader that something waits for.
#[derive(Debug)]
pub(super) struct Stall {
    time: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    timer: Pin<Box<Sleep>>,
    taken: usize,
}

impl Stall {
    pub(super) fn new(time: Duration) -> Self {
        Self { time, waiting: None }
    }

    /// Everything that was written is gone.
    pub(super) fn end(&mut self) {
        self.waiting = None;
    }

    /// What came of a write: one that waits for the reader fails once its time is over.
    pub(super) fn judge(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.wait(cx).map(Err),
            Poll::Ready(Ok(length)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken = waiting.taken.saturating_add(length);
                    if waiting.taken >= BUFFERED_BYTES {
                        self.waiting = None;
                    }
                }
                Poll::Ready(Ok(length))
            }
            failed @ Poll::Ready(_) => failed,
        }
    }

    /// Ready when the reader has had its time.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let time = self.time;
        let waiting = self.waiting.get_or_insert_with(|| Waiting { timer: Box::pin(sleep(time)), taken: 0 });
        waiting.timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const TIME: Duration = Duration::from_millis(300);

    fn is_cut(stall: &mut Stall) -> bool {
        let polled = stall.judge(Poll::Pending, &mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test]
    async fn a_reader_that_takes_too_little_in_its_time_is_cut() {
        for (taken, is_cut_then) in [(0, true), (1, true), (BUFFERED_BYTES - 1, true), (BUFFERED_BYTES, false)] {
            let mut stall = Stall::new(TIME);
            assert!(!is_cut(&mut stall), "its time begins");
            sleep(TIME).await;
            if taken > 0 {
                let half = stall.judge(Poll::Ready(Ok(taken / 2)), &mut Context::from_waker(Waker::noop()));
                assert!(half.is_ready());
                let _ = stall.judge(Poll::Ready(Ok(taken - taken / 2)), &mut Context::from_waker(Waker::noop()));
            }
            assert_eq!(is_cut(&mut stall), is_cut_then, "{taken} bytes");
        }
    }

    #[tokio::test]
    async fn a_reader_that_took_everything_begins_anew() {
        let mut stall = Stall::new(TIME);
        assert!(!is_cut(&mut stall));
        sleep(TIME).await;
        stall.end();
        assert!(!is_cut(&mut stall));
    }
}
