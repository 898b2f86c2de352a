//! The nodes of one store, as one of them sees them.

use crate::domain::ids::NodeId;
use crate::domain::sequence::Sequence;

/// All nodes of the store, as one of them saw them at its last look.
#[derive(Debug, Clone, Default)]
pub struct Company {
    /// When it looked, in boot time; 0: not yet.
    pub looked_ns: u64,
    pub nodes: Vec<Seen>,
}

/// A node, as another one or it itself sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub node: NodeId,
    /// Since when (boot time) it has not been seen to move.
    pub moved_ns: u64,
    /// The last sequence that it told it knows.
    pub confirmed: Sequence,
    /// Whether it was taken for gone.
    pub is_dropped: bool,
}
