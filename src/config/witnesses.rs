//! `[witnesses]`: who cosigns the checkpoints of the registry log.

use std::path::PathBuf;

use super::setting::section;

section! {
    /// Who cosigns the checkpoints of the registry log.
    Witnesses in "witnesses." {
        /// A policy file (C2SP tlog-policy): the witnesses, each with its URL, and how many are enough.
        policy: Option<PathBuf> = None, unit("file"), note("read at the start; without it nobody cosigns");
    }
}
