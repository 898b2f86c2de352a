//! `check`: the cards of a guest list, asked about in batches, for those who have a list and no program. It is a client of the
//! service like any other: it needs neither store nor keys. Killed at any moment it continues where it stopped (`checked`).

mod args;
mod checked;
mod course;
pub(super) mod credentials;
mod cutting;
mod guests;
mod holder;
mod names;
mod receipts;
mod service;
pub(super) mod session;

pub(super) use args::CheckArgs;
pub(super) use receipts::MARKER;

/// `check`
pub(super) async fn check(args: CheckArgs) -> anyhow::Result<()> {
    course::run(&args).await
}
