//! Checks that the registry cannot see (docs/BLIND.md): a client has a number evaluated without showing it, and finds what is known
//! of it by itself, in a base of all listings and the changes since.
//! The protocol alone, without I/O: keys and evaluations (`key`), what a row of the feed says to who has a number evaluated
//! (`entry`), the base (`base`), the entries of a transaction (`scribe`). Wraps the crate `voprf-ng`, whose types print secrets and stay in here.

pub mod base;
mod bits;
pub mod entry;
pub mod judging;
pub mod key;
pub mod opened;
pub mod receipt;
pub mod ring;
pub mod scribe;

pub use base::{Base, BaseBuilder, BaseIndex};
pub use entry::{BlindEntry, BlindStatus};
pub use key::{BlindKey, BlindKeyError, Blinded, Evaluated, Evaluations};
pub use ring::BlindRing;
pub use scribe::{Ahead, BlindVersions, DueEntry, DueRow, Scribe};
