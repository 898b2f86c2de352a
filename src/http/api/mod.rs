//! The operations, one file an aggregate: a body becomes a domain type, a use case of `service` runs, its outcome becomes an answer.
//! Invariant: a handler orchestrates nothing and knows no other handler's wire.

pub mod acceptance;
pub mod accesses;
pub mod alerts;
pub mod applications;
pub mod certificates;
pub mod checks;
pub mod citizen;
pub mod console;
pub mod found_cards;
pub mod lists;
pub mod misuse_reports;
pub mod oauth;
pub mod offices;
pub mod ops;
pub mod organization;
pub mod receipts;
pub mod replacements;
pub mod reports;
pub mod sandbox;
pub mod sightings;
pub mod status;
pub mod temporary_cards;
pub mod usage;
pub mod withdrawals;
