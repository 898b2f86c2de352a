//! TODO(issue 4)

use std::sync::Arc;

use super::writing::Writer;

/// TODO(issue 4)
#[derive(Debug)]
pub struct FoundCards {
    pub writer: Arc<Writer>,
}

impl FoundCards {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }
}
