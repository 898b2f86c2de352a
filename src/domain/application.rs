//! Applications for a new card and the temporary cards issued meanwhile: states and consuming transitions.
