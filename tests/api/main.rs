//! The API as its callers meet it: real servers on port 0, real databases in temporary folders, real HTTP.
//! One binary, one file an area. What a body may hold is in `bad_inputs`, what no file or log may hold in `secrecy`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod acceptance;
mod accesses;
mod alerts;
mod answer;
mod applications;
mod assertions;
mod audit;
mod authority;
mod backend;
mod bad_connections;
mod bad_endpoints;
mod bad_inputs;
mod batch;
mod bodies;
mod by_hand;
mod certificates;
mod checks;
mod child;
mod citizen;
mod coherence;
mod console;
mod credentials;
mod days;
mod deeds;
mod desk;
mod dpop;
mod drain;
mod examples;
mod expensive;
mod found_cards;
mod fresh_keys;
mod fronts;
mod heads;
mod helpers;
mod http;
mod json_bodies;
mod keys;
mod labels;
mod lane;
mod life;
mod limits;
mod locks;
mod matching;
mod misuse_reports;
mod mtls;
mod needles;
mod numbers;
mod numbers_nodes;
mod offices;
mod old_store;
mod outside_issuers;
mod overload;
mod pages;
mod polls;
mod proxies;
mod raw;
mod receipts;
mod receiver;
mod recipes;
mod redis;
mod replacements;
mod reports;
mod retention;
mod rotation;
mod routes;
mod sandbox;
mod scenarios;
mod secrecy;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod shared_limits;
mod sightings;
mod snapshots;
mod temporary_cards;
mod tls;
mod tokens;
mod undoing;
mod usage;
mod ways_in;
mod webhook_promises;
mod webhooks;
mod wire;
