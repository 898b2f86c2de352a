//! The registry log as bytes: Merkle tree (RFC 9162), tiles (C2SP tlog-tiles), signed notes, checkpoints, cosignatures and policies.
//! No I/O, no clock: who stores, serves or asks is in `store`, `service` and `http`.

pub mod checkpoint;
pub mod edge;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use note::{Note, VerifierKey};
pub use tree::Hash;
