//! The command line as operators and scripts meet it: help texts as snapshots, exit codes, the members of `--json`.
//! What the commands do to a running server is in `tests/api`.
#![expect(
    clippy::unwrap_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod audit;
mod backup;
mod busy;
mod check;
mod doctor;
mod doctor_log;
mod endpoints;
mod exit_codes;
mod first_start;
mod help;
mod import;
mod json;
mod key_folder;
mod looking;
mod manual;
mod receiver;
mod run;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod service_manager;
mod settings;
mod witness;
