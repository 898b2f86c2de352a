//! Exit codes only: 0 done, 1 failed, 2 called wrongly (from the argument parser), and those of `cli::exits`.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// Keeps the memory of large batch answers instead of giving it back to the kernel for each (load-tests/README.md), and wipes what
/// is freed: whatever held a number, a library's buffer too, holds none when nobody needs it any more (decision 040).
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    match lostcard::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            lostcard::cli::complain(&error);
            ExitCode::from(lostcard::cli::code_of(&error))
        }
    }
}
