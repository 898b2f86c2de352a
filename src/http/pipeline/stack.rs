//! The stack of a worker below its event loop, wiped once a second: what a finished call left there is no longer needed, and a worker
//! that rests would keep it for as long as it rests.

use std::hint::black_box;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
/// Deeper than any request reaches. Takes some microseconds.
const BYTES: usize = 128 * 1024;

/// Wipes the stack of this worker for as long as it runs.
pub fn tend() {
    tokio::task::spawn_local(async {
        loop {
            tokio::time::sleep(EVERY).await;
            wipe_stack();
        }
    });
}

#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is wiped")]
fn wipe_stack() {
    black_box(&mut [0_u8; BYTES]);
}

/// Wipes a buffer that will be used again. At the speed of the memory, where `zeroize` writes each byte by itself; the compiler may
/// not leave it out, for it cannot know who reads next.
pub(super) fn wipe(buffer: &mut [u8]) {
    buffer.fill(0);
    black_box(buffer);
}
