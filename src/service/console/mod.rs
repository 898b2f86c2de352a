//! What the console shows of this node: its figures now and through the last hour, and which alert rules hold. Kept in memory by
//! a task, so that a reading asks nobody, works when the store is away, and begins with a past. No figure is about a person, a
//! client or an organization.

mod past;
pub mod rules;
mod sample;

pub use past::{Alert, Console};
pub use sample::Sample;
