//! What happens to real nodes when what they rely on fails. Nodes, PostgreSQL and Redis are processes of their own; the network
//! between them is a proxy that a test spoils.
//!
//! | fault | test |
//! |---|---|
//! | store down | `outages::without_the_store_checks_are_answered_until_the_lease_ends_and_then_refused` |
//! | store hung, refusing, cut off | `outages::a_store_that_hangs_holds_nobody_up` |
//! | store slow | `outages::a_slow_store_slows_only_what_needs_it_and_for_300_ms_at_most` |
//! | COMMIT unanswered, and it happened | `commits::a_commit_whose_answer_is_lost_is_unknown_and_its_repetition_stores_nothing_more` |
//! | COMMIT unanswered, and it did not happen | `commits::a_commit_that_was_cut_off_and_did_not_happen_is_unknown_and_its_repetition_stores_it` |
//! | synchronous standby gone | `commits::without_its_synchronous_standby_the_store_confirms_nothing_and_neither_does_the_node` |
//! | kill -9 in mid-write | `commits::whether_node_or_store_dies_in_the_middle_of_writing_nothing_acknowledged_is_lost`; on SQLite `tests/crash` |
//! | disk full | `disks::a_full_disk_refuses_reports_and_no_check`, `disks::a_full_disk_of_the_database_server_...` |
//! | fsync fails | `disks::after_a_failed_flush_the_node_leaves_service_and_acknowledges_nothing_until_it_is_restarted` |
//! | store read-only | `disks::a_read_only_store_refuses_reports_and_no_check` |
//! | wall clock steps | `clocks::steps_of_the_wall_clock_end_no_lease_and_lose_no_report` |
//! | nodes cut off one at a time | `nodes::a_node_cut_off_loses_its_own_lease_only_and_reports_go_on_elsewhere` |
//! | node stands still past its lease | `nodes::a_node_that_stood_still_for_longer_than_its_lease_gives_no_stale_negative` |
//! | token or client revoked | `nodes::revoked_tokens_and_disabled_clients_are_refused_by_every_node_within_the_lease` |
//! | wrong or missing key | `tests/api/keys.rs` |
//! | outside issuer's JWKS down | `tests/api/outside_issuers.rs`: keys serve on, and end after an hour |
//! | collector of spans gone, hung | `traces::a_collector_that_is_gone_or_hangs_holds_up_no_answer_and_no_end` |
//! | Redis down, hung, flushed, evicting | `caches::whatever_happens_to_redis_no_answer_changes` |
//! | store lost, and restored | `backups::a_back_up_under_load_comes_back_as_a_prefix_of_the_feed_on_sqlite`, `..._on_postgresql` |
#![expect(
    clippy::unwrap_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod backups;
#[path = "../api/bodies.rs"]
#[expect(dead_code, reason = "shared with the API suite, which needs more")]
mod bodies;
mod caches;
mod clocks;
mod commits;
mod disks;
mod nodes;
mod outages;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod service;
mod traces;
