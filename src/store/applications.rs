//! Applications for a new card, and temporary cards.
