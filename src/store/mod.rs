//! SQL, and all of it. Invariants: every change of the registry and its row of the feed are committed in one transaction
//! (`WriteTx::record_changes`), so the feed has no gap; nothing here decides what a listing means, and nothing holds a number
//! or an unsealed digest. The store is the truth: everything else is a copy that must prove that it is current.

pub mod accesses;
pub mod admin_work;
pub mod administration;
pub mod aggregate;
pub mod aggregates;
pub mod alerts;
pub mod applications;
pub mod audit;
mod blind;
pub mod blind_keys;
pub mod certificates;
pub mod citizen;
pub mod clients;
mod columns;
mod copied_rows;
pub mod copying;
mod credentials;
mod database;
pub mod erasure;
mod error;
pub mod examination;
pub mod feed;
pub mod found_cards;
mod hosts;
pub mod idempotency;
pub mod import_rows;
pub mod imports;
mod key_versions;
pub mod keys;
mod leaves;
pub mod listed;
pub mod lists;
pub mod log;
pub mod log_leaves;
mod migrations;
pub mod misuse_reports;
pub mod nodes;
pub mod notices;
pub mod numbers;
pub mod offices;
pub mod pairings;
pub mod passkeys;
pub mod person_export;
pub mod persons;
mod reach;
pub mod replacements;
mod report_rows;
pub mod reports;
pub mod restores;
pub mod retention;
pub mod rotation;
mod rows;
pub mod sandbox;
mod schema;
pub mod sightings;
mod transaction;
pub mod undoing;
pub mod usage;
pub mod webhooks;
pub mod withdrawals;
pub mod witness;
mod writing_connection;

pub use database::{Store, StoreOptions};
pub use error::{Silence, StoreError};
pub use transaction::{Savepoint, WriteTx};

use columns::{
    as_i64, get_bytes, get_bytes_opt, get_id, get_id_opt, get_parsed, get_parsed_opt, get_sequence, get_u64, parse_date,
};
