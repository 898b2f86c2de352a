//! What is asked: valid id numbers, numbers known to be listed, profiles, and
//! the requests rendered from them before a run starts.
//! Invariant: nothing here is called while a measurement is under way, except
//! reading the rendered bytes.

pub(crate) mod id_number;
pub(crate) mod listed;
pub(crate) mod mix;
pub(crate) mod profile;
pub(crate) mod requests;
