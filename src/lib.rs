//! `lostcard` tells organizations that must check identity cards whether the card in front of them has been reported lost,
//! stolen or replaced.
//!
//! # The layers
//! Dependencies point down; `tests/tidy.rs` keeps it so.
//! ```text
//! main -> cli -> node -> http -> service -> registry -> store -> crypto -> domain
//!                      http -> access, limits -> store, crypto, domain
//! ```
//!
//! # The walk of one check
//! A check in plain form by a caller that is remembered takes the short way of [`http::pipeline::lane`], by the same functions. The long way:
//! 1. [`http::api::checks::create`]: [`http::pipeline::caller::Caller`] in the handler's signature authenticates, authorizes and spends the
//!    limit; [`http::contract::fields`] turns the body into domain types.
//! 2. [`service::checks::Checks::check`] asks the registry by digest.
//! 3. [`registry::Registry::lookup`] loads the snapshot once and derives the lookup key under its pepper: one HMAC
//!    ([`crypto::pepper`]). Lease valid and key absent means not listed, without I/O;
//!    otherwise a copy in memory that is new enough, or the store.
//! 4. [`domain::verdict::decide`] decides.
//! 5. [`service::receipts::ReceiptSigner`] signs the receipt together with those that wait at the same moment.
//!    Where the card is listed, [`service::sightings::journal::Journal`] has made a sighting durable before the answer goes out.
//! 6. `write_answer` in [`http::api::checks`] writes the answer; [`http::pipeline::boundary`] adds the headers.

pub mod access;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod limits;
pub mod node;
pub mod own_files;
pub mod redis_link;
pub mod registry;
pub mod sample;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wiping;
