//! SQL, and all of it. Invariants: every change of the registry and its row of the feed are committed in one transaction
//! (`WriteTx::record_changes`), so the feed has no gap; nothing here decides what a listing means, and nothing holds a number
//! or an unsealed digest. The store is the truth: everything else is a copy that must prove that it is current.

pub mod accesses;
pub mod aggregate;
pub mod aggregates;
pub mod alerts;
pub mod applications;
pub mod audit;
pub mod certificates;
pub mod citizen;
pub mod clients;
mod columns;
mod credentials;
mod database;
pub mod erasure;
mod error;
pub mod examination;
pub mod feed;
pub mod found_cards;
pub mod idempotency;
pub mod import_rows;
pub mod imports;
mod key_versions;
pub mod keys;
pub mod listed;
mod migrations;
pub mod misuse_reports;
pub mod nodes;
pub mod numbers;
mod reach;
pub mod replacements;
pub mod reports;
pub mod retention;
pub mod rotation;
mod rows;
pub mod sandbox;
mod schema;
pub mod sightings;
mod transaction;
pub mod usage;
pub mod webhooks;
pub mod withdrawals;

pub use database::{Store, StoreOptions};
pub use error::{Silence, StoreError};
pub use transaction::WriteTx;

use columns::{
    as_i64, get_bytes, get_bytes_opt, get_id, get_id_opt, get_parsed, get_parsed_opt, get_sequence, get_u64, parse_date,
};
