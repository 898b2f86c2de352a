//! Keys and what is done with them. Invariants: no secret leaves this layer but through a key file; `Debug` shows none;
//! every purpose has its own key; a key of the wrong store is noticed before it is used (`Keyring::check_values`).
//! Knows neither SQL nor HTTP.

pub mod act_receipt;
pub mod age;
pub mod audit;
pub mod audit_key;
pub mod blind;
pub mod card_status;
pub mod certificate;
pub mod client_secret;
pub mod digest;
pub mod error;
pub mod key_list;
pub mod keyfiles;
pub mod keyring;
pub mod once_each;
pub mod pairing;
pub mod passkey;
pub mod pepper;
pub mod random;
pub mod receipt;
pub mod salt;
pub mod seal;
pub mod sealed_keys;
pub mod signing;
pub mod tlog;
pub mod webhook;

pub use error::KeyError;
pub use keyring::{KeyCheck, Keyring, SigningSet};
