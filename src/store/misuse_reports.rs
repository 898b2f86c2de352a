//! Reports of misused cards.
