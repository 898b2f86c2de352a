//! TODO(issue 4)
