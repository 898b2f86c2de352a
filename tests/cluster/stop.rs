//! Ends the threads of a test when its main thread ends, however it does: otherwise a failed assumption would hang the run.

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
