//! Exit codes only: 0 done, 1 failed, 2 called wrongly (from the argument parser).

use std::process::ExitCode;

fn main() -> ExitCode {
    match lostcard::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            lostcard::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
