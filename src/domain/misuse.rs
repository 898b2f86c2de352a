//! Reports of misused cards: words, states and consuming transitions.
