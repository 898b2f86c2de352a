//! What the process does first for itself: it leaves no core dump, and nobody but root looks into it. Numbers, keys and secrets are
//! in its memory, whatever the command.

use anyhow::Context;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dump, no debugger of the same user, and `/proc/PID/mem` for root alone (prctl(2), `PR_SET_DUMPABLE`).
pub(super) fn close_process() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("no core dumps")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("a process that nobody looks into")
}
