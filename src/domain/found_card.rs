//! Cards that were handed in: their states and consuming transitions.
