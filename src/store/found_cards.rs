//! Cards that were handed in.
