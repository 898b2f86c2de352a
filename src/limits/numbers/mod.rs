//! Whose numbers a client asks about, so that nobody who asks about guests can read the list. All of it is in memory, under a secret
//! of the process; in Redis are counts alone. Says nothing of status codes or headers. Invariants: a number that was asked about
//! lately costs nothing and passes; what is refused leaves no number behind that would be known the next time.

mod birthdays;
mod blocks;
mod cells;
mod client;
mod holds;
mod places;
mod seen;
mod shared;
mod spent;
#[cfg(test)]
mod tests;

pub use client::{ClientNumbers, Declaration, Purse};
pub use holds::{Hold, Holds};
pub use shared::{Numbers, NumbersRefused, Question};
pub use spent::TakenUnseen;
