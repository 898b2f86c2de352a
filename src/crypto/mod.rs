//! Keys and what is done with them. Invariants: no secret leaves this layer but through a key file; `Debug` shows none;
//! every purpose has its own key; a key of the wrong store is noticed before it is used (`Keyring::check_values`).
//! Knows neither SQL nor HTTP.

pub mod audit;
pub mod audit_key;
pub mod certificate;
pub mod digest;
pub mod error;
pub mod keyfiles;
pub mod keyring;
pub mod pepper;
pub mod random;
pub mod receipt;
pub mod salt;
pub mod seal;
pub mod signing;
pub mod webhook;

pub use error::KeyError;
pub use keyring::{KeyCheck, Keyring, SigningSet};
