//! Usage: what each organization did, as sums by day and site, and nothing about a person. Workers count in memory
//! ([`counter`]); one task adds what is new to the store every few seconds, and a last time when the node stops. Invariants:
//! nothing is counted twice, whatever becomes of a commit; a store that is away loses nothing; a node that is killed loses what it
//! has not added yet.

pub mod counter;
pub mod sums;
mod tally;

pub use sums::{Usage, UsageOptions};
