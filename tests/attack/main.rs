//! Attacks on a real node, a child process, by raw sockets; each in seconds. A row prints one line: what the attacker took and what
//! the others got. The harness is `target.rs`; what is read out of the node's memory is `memory.rs`.
//!
//! | attack | test |
//! |---|---|
//! | 400 batches of one client trickle in | `budgets::bodies_that_trickle_in_take_one_clients_share` |
//! | batches take places, and drip | `budgets::bodies_that_trickle_in_leave_places_for_others_and_end` |
//! | 300 partial heads | `budgets::partial_heads_hold_little_and_not_long` |
//! | 400 idle connections, 256 descriptors | `budgets::idle_connections_give_way_near_the_limit_of_descriptors` |
//! | 600 busy connections of three addresses, 256 descriptors | `budgets::an_address_that_floods_takes_no_connection_from_another` |
//! | 512 token requests trickle in | `budgets::forms_that_trickle_in_take_no_places` |
//! | more connections than an address may have | `budgets::an_address_has_so_many_connections_and_no_more` |
//! | batches whose answers nobody reads | `budgets::answers_that_nobody_reads_hold_no_connection` |
//! | garbage tokens behind a proxy | `callers::garbage_tokens_behind_a_proxy_lock_nobody_out` |
//! | 400 handshakes that never end | `callers::handshakes_that_never_end_leave_others_theirs` |
//! | one DPoP proof a hundred times | `callers::a_proof_that_is_sent_again_is_refused` |
//! | certificates against reports | `fairness::one_registrars_certificates_leave_reports_of_others_alone` |
//! | reads that wait for the writers' turn against reports | `fairness::one_clients_reads_leave_reports_and_tokens_of_others_alone` |
//! | batches that are refused again and again | `fairness::batches_refused_in_a_loop_leave_batches_of_others_alone` |
//! | small calls against batches | `fairness::small_calls_of_a_client_keep_none_of_its_batches_away` |
//! | secrets rotated under load | `fairness::a_rotation_of_the_secret_under_load_gives_no_units_back` |
//! | the time of an answer | `timing::the_time_of_an_answer_does_not_tell_hits_from_misses` |
//! | numbers looked for in the memory of the process | `canaries::after_five_seconds_of_rest_no_number_is_in_memory` |
//! | the same, over TLS | `canaries::after_five_seconds_of_rest_no_number_is_in_memory_with_tls_either` |
#![expect(
    clippy::unwrap_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

#[path = "../api/authority.rs"]
#[expect(dead_code, reason = "shared with the API suite, which needs more")]
mod authority;
#[path = "../api/bodies.rs"]
#[expect(dead_code, reason = "shared with the API suite, which needs more")]
mod bodies;
mod budgets;
mod callers;
mod canaries;
mod fairness;
mod memory;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
#[path = "../faults/service.rs"]
#[expect(dead_code, reason = "shared with the fault tests, which need more")]
mod service;
mod target;
mod timing;
