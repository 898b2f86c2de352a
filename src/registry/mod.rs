//! What is listed, as this node knows it: `Registry::lookup` is the ladder snapshot -> local copies -> Redis -> store.
//! Invariants: no negative without a valid lease or a read of the store; a positive is exact, never the filter's word alone;
//! a copy older than the number's last change is not used. The store is the truth; nothing here writes to it.

pub mod building;
pub mod cache;
pub mod company;
mod confirmations;
mod dating;
pub mod disk;
mod disk_file;
mod disk_parts;
mod exact;
mod filter;
pub mod follower;
mod lookup;
pub mod membership;
mod packed;
pub mod peppers;
mod publication;
mod reporting;
mod said;
mod saving;
pub mod snapshot;
mod state;
mod wakes;

pub use state::{Copies, Finding, LEASE_DRIFT, Registry, RegistryError, RegistryOptions};
