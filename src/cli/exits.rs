//! What a command's exit code says, beyond 0 (done), 1 (failed) and 2 (called wrongly): the codes of `sysexits.h` that scripts
//! know.

use std::fmt;

use crate::service::ServiceError;
use crate::store::StoreError;

/// The data is wrong (`EX_DATAERR`): the same command fails again.
const DATA: u8 = 65;
/// Something that the command needs is busy (`EX_TEMPFAIL`): the same command may do later.
const TRY_AGAIN: u8 = 75;

/// Something is wrong with a node.
const WRONG: u8 = 3;

/// What was asked about is listed, or contradicts itself: an answer, which scripts must not take for "done".
const LISTED: u8 = 10;

/// An error with an exit code of its own.
#[derive(Debug)]
struct Exit {
    code: u8,
    message: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

/// The data is wrong.
pub(super) fn refused(message: impl Into<String>) -> anyhow::Error {
    Exit { code: DATA, message: message.into() }.into()
}

/// Something is listed. The command has said so: nothing is left to complain about.
pub(super) fn listed() -> anyhow::Error {
    Exit { code: LISTED, message: String::new() }.into()
}

/// Something deserves a look, or is wrong. The command has said so.
pub(super) fn not_well(is_wrong: bool) -> anyhow::Error {
    Exit { code: if is_wrong { WRONG } else { 1 }, message: String::new() }.into()
}

/// Somebody's word contradicts itself. The command has said so, and where the evidence is.
pub(super) fn contradicted() -> anyhow::Error {
    Exit { code: LISTED, message: String::new() }.into()
}

/// The same command may do later.
pub(super) fn try_again(message: impl Into<String>) -> anyhow::Error {
    Exit { code: TRY_AGAIN, message: message.into() }.into()
}

/// The command was called wrongly, as the argument parser could not know.
pub(super) fn usage(message: impl Into<String>) -> anyhow::Error {
    Exit { code: 2, message: message.into() }.into()
}

/// For commands that scripts repeat: an error of a store that is busy, or cannot be reached, says that the same command may do later.
pub(super) fn or_try_again(error: anyhow::Error) -> anyhow::Error {
    // Numbers were keyed when a rotation of the pepper began: the next run keys them by the new one.
    let passes = |error: &StoreError| error.is_passing() || matches!(error, StoreError::OtherPepper);
    let is_passing = error.chain().any(|cause| match cause.downcast_ref() {
        // It shows as the error that it holds, and so does its source.
        Some(ServiceError::Store(error)) => passes(error),
        _ => cause.downcast_ref().is_some_and(passes),
    });
    if is_passing { try_again(format!("{error:#}")) } else { error }
}

/// The exit code that an error stands for.
pub fn code_of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Exit>().map_or(1, |exit| exit.code)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn errors_have_the_codes_of_sysexits() {
        assert_eq!(code_of(&refused("x")), 65);
        assert_eq!(code_of(&usage("x")), 2);
        assert_eq!((code_of(&listed()), listed().to_string().as_str()), (10, ""));
        assert_eq!((code_of(&not_well(false)), code_of(&not_well(true))), (1, 3));
        assert_eq!(code_of(&anyhow::anyhow!("x")), 1);
        assert_eq!(code_of(&try_again("x").context("y")), 75);
        let busy: anyhow::Result<()> = Err(StoreError::Busy).context("the import stopped");
        let busy = busy.unwrap_err();
        assert_eq!((code_of(&busy), busy.to_string().as_str()), (1, "the import stopped"));
        let busy = or_try_again(busy);
        assert_eq!((code_of(&busy), format!("{busy:#}")), (75, format!("the import stopped: {}", StoreError::Busy)));
        let busy = anyhow::Error::from(ServiceError::from(StoreError::Busy)).context("the import stopped");
        assert_eq!(code_of(&or_try_again(busy)), 75);
        assert_eq!(code_of(&or_try_again(StoreError::Full.into())), 1);
        assert_eq!(code_of(&or_try_again(refused("x"))), 65);
    }
}
