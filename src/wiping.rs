//! What a finished call leaves where it worked, wiped: on the stacks of threads that rest, and in buffers that are used again. The
//! heap is the allocator's affair (`main.rs`, decision 040).

use std::hint::black_box;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

const EVERY: Duration = Duration::from_secs(1);
/// Deeper than any request reaches. Takes some microseconds.
const BYTES: usize = 512 * 1024;

/// Wipes the stack of this worker for as long as it runs: one that rests would keep what it has there for as long as it rests.
pub fn tend_stack() {
    tokio::task::spawn_local(async {
        loop {
            tokio::time::sleep(EVERY).await;
            wipe_stack();
        }
    });
}

/// Wipes what lies below the caller's frame. The threads that carry the store's connections call it each time they run out of work:
/// a timer of theirs would wake one of them, and not the others.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is wiped")]
pub fn wipe_stack() {
    black_box(&mut [0_u8; BYTES]);
}

/// Work that blocks, on a thread that rests without it afterwards.
#[expect(clippy::disallowed_methods, reason = "this is the one that wipes")]
pub fn spawn_wiped<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_blocking(move || {
        let done = work();
        wipe_stack();
        done
    })
}

/// Wipes a buffer that will be used again. At the speed of the memory, where `zeroize` writes each byte by itself; the compiler may
/// not leave it out, for it cannot know who reads next.
pub fn wipe(buffer: &mut [u8]) {
    buffer.fill(0);
    black_box(buffer);
}
