//! Exit codes only: 0 done, 1 failed, 2 called wrongly (from the argument parser), and those of `cli::exits`.

use std::process::ExitCode;

/// Keeps the memory of large batch answers instead of giving it back to the kernel for each (load-tests/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match lostcard::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            lostcard::cli::complain(&error);
            ExitCode::from(lostcard::cli::code_of(&error))
        }
    }
}
