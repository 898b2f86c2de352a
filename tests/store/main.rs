//! The contract of the store, as functions over a database of their own: what every database must keep, whichever it is.
//! A further database is a function in `backend` and a line at the end of this file.
#![expect(
    clippy::unwrap_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

mod accesses;
mod aggregates;
mod alerts;
mod applications;
mod audit;
mod backend;
mod certificates;
mod citizen;
mod clients;
mod feed;
mod found_cards;
mod heads;
mod idempotency;
mod imports;
mod keys;
mod lists;
mod log;
mod lookups;
mod machine;
mod migrations;
mod misuse_reports;
mod nodes;
mod operations;
mod oracle;
mod other_tables;
mod persons;
mod reach;
mod records;
mod reports;
mod retention;
mod rotation;
mod rows;
mod sandbox;
#[path = "../servers/mod.rs"]
#[expect(dead_code, reason = "shared by test binaries; none needs everything")]
mod servers;
mod sightings;
mod thief;
mod tls;
mod usage;
mod withdrawals;

/// Runs every case over one kind of database.
macro_rules! contract {
    (@cases $backend:ident: $($area:ident::$case:ident)+) => {
        mod $backend {
            $(#[tokio::test]
            async fn $case() {
                crate::$area::$case(&crate::backend::$backend()).await;
            })+
        }
    };
    ($backend:ident) => {
        contract! {@cases $backend:
            aggregates::the_schema_has_no_column_of_persons_that_is_not_described
            aggregates::a_rotation_moves_every_table_with_a_number
            aggregates::a_reset_empties_every_table_of_the_sandbox
            aggregates::every_sealed_text_can_be_erased
            aggregates::an_export_has_every_row_about_a_person
            feed::sequences_count_from_one_without_gaps
            feed::concurrent_writers_leave_no_gap
            feed::a_transaction_that_is_dropped_takes_no_sequence
            feed::a_long_feed_comes_in_pages
            feed::a_mark_is_found_where_it_was_put_and_nowhere_else
            feed::changes_keep_their_kind_and_subject
            feed::a_listing_that_nobody_would_publish_is_not_committed
            feed::a_change_of_other_rows_lists_nothing
            feed::what_is_taken_back_to_a_savepoint_was_never_there
            feed::what_is_committed_is_there_after_a_reopening
            reports::a_report_is_found_by_its_own_organization_alone
            reports::reports_of_a_number_are_listed_newest_first
            reports::a_listing_is_read_with_the_head_of_the_same_moment
            reports::what_is_listed_is_of_numbers_in_force
            reports::a_closed_report_keeps_its_history
            reports::many_reports_go_in_at_once
            certificates::a_certificate_is_found_by_its_own_organization_alone
            certificates::a_revoked_certificate_keeps_the_rest
            certificates::certificates_of_a_number_are_listed_newest_first
            certificates::a_certificate_moves_to_the_new_pepper
            clients::organizations_and_clients_are_read_as_written
            clients::clients_are_listed_by_pages_with_their_use
            clients::what_waits_for_a_second_operator_is_approved_once
            clients::the_two_newest_proofs_live
            clients::a_client_is_disabled_once
            clients::revoked_tokens_are_listed_from_an_instant_on
            clients::every_change_of_access_is_in_the_feed
            idempotency::a_key_is_remembered_with_its_change_or_not_at_all
            idempotency::a_key_of_another_request_is_told_apart
            idempotency::of_two_concurrent_requests_the_second_sees_the_first
            log::a_log_is_the_tree_of_its_leaves
            log::what_is_not_signed_is_not_served
            log::many_publishers_sign_one_history
            log::a_row_without_a_leaf_stops_the_log_before_it
            log::a_changed_leaf_tile_or_note_is_found
            log::a_successor_commits_to_the_last_checkpoint
            lookups::a_busy_worker_does_not_take_its_own_delay_for_the_stores
            keys::keys_are_recognised
            keys::the_first_of_two_starts_wins
            keys::every_pepper_in_use_is_needed_and_no_other
            keys::the_newest_pepper_of_a_first_start_is_in_use
            persons::the_newest_word_about_a_person_holds
            reach::a_store_whose_connections_are_taken_is_busy
            rotation::a_switch_waits_for_every_node
            rotation::rows_are_rekeyed_once_each_with_its_change
            rotation::a_row_under_another_pepper_is_refused
            rotation::every_read_tells_the_peppers_of_its_moment
            applications::an_application_is_read_as_written_by_its_own_organization_alone
            applications::an_application_keeps_its_history
            applications::an_application_has_one_temporary_card
            applications::temporary_cards_of_a_number_are_found_by_their_start
            applications::an_application_is_rekeyed_with_the_rest
            imports::progress_is_kept_with_its_records
            imports::of_two_imports_of_a_file_one_goes_on
            imports::what_an_import_brought_is_found_by_its_pieces
            imports::an_undoing_does_not_read_all_reports
            imports::rows_of_a_source_are_known_until_they_are_forgotten
            imports::an_import_stores_what_a_report_would_store
            imports::an_import_that_ends_half_way_stores_nothing
            imports::a_row_that_is_refused_takes_all_of_its_transaction_with_it
            migrations::a_store_of_the_first_version_is_brought_up_to_date
            migrations::a_store_made_by_version_0_1_0_has_the_checksums_of_today
            migrations::sightings_of_a_version_before_are_folded
            migrations::a_store_that_a_newer_version_has_brought_on_is_still_opened
            withdrawals::withdrawals_of_a_client_are_counted_from_an_instant_on
            withdrawals::a_pending_withdrawal_is_its_organizations_until_the_report_is_closed
            withdrawals::whose_report_it_is_decides_who_ends_it
            withdrawals::what_an_organization_and_a_client_may_is_changed
            migrations::who_ran_the_service_becomes_an_operator
            misuse_reports::a_misuse_report_is_read_as_written
            misuse_reports::a_resolution_is_stored_with_its_note
            misuse_reports::misuse_reports_are_listed_behind_one_of_them
            lists::a_page_is_read_from_its_place_in_an_index
            lists::a_search_by_number_reads_that_number_alone
            lists::a_page_has_what_was_asked_for_in_the_order_of_ids
            misuse_reports::a_misuse_report_under_another_pepper_is_refused
            sandbox::a_store_stays_what_it_was_made_for
            sandbox::a_store_of_before_there_were_sandboxes_is_a_productions
            sandbox::a_reset_removes_an_organizations_records_and_those_of_some_keys
            audit::entries_are_read_as_they_were_written
            audit::an_entry_of_a_record_names_it
            audit::a_long_log_comes_in_pages
            audit::concurrent_writers_make_one_chain
            audit::a_transaction_that_is_dropped_leaves_no_entry
            audit::the_database_refuses_to_change_or_remove_an_entry
            thief::a_log_that_was_rewritten_with_all_its_plain_hashes_is_found
            thief::a_log_of_before_keyed_hashes_is_linked_and_not_rewritten_since
            thief::nothing_is_recorded_without_the_key
            thief::who_was_looked_at_is_not_rewritten_either
            heads::heads_of_a_log_that_only_grows_are_all_on_it
            heads::an_end_that_was_cut_off_is_found_by_heads_and_by_the_node
            heads::an_older_database_in_the_place_of_the_newer_is_found
            heads::a_node_that_continued_from_an_older_state_signs_a_number_twice
            heads::a_restored_log_is_continued_after_a_link
            accesses::accesses_are_those_of_a_persons_tag_newest_first
            accesses::accesses_of_before_tags_are_found_by_every_kind_of_record
            accesses::the_digest_of_a_record_is_its_own_or_that_of_what_it_belongs_to
            nodes::a_writer_sees_every_other_node
            nodes::a_node_that_stands_still_is_marked_and_told
            nodes::a_node_is_removed_only_where_it_stands
            nodes::others_confirmations_are_read_together
            nodes::a_confirmation_of_another_history_is_void
            nodes::a_node_that_joins_again_has_confirmed_nothing_new
            nodes::a_second_mark_is_not_the_first
            found_cards::a_found_card_is_read_as_written_by_its_own_organization_alone
            found_cards::a_found_card_that_left_says_how
            found_cards::a_later_report_takes_the_held_cards_it_may_be_about
            found_cards::a_match_lasts_until_its_report_is_withdrawn
            found_cards::a_batch_matches_each_card_to_its_best_report
            found_cards::a_card_sees_which_replacements_came_after_it
            found_cards::a_rekeyed_card_meets_the_reports_of_its_new_key
            citizen::a_persons_records_come_from_every_organization
            citizen::a_reports_origin_is_told_with_its_number_alone
            retention::a_listing_is_kept_to_the_cards_last_day
            retention::a_listing_without_an_end_is_kept_for_its_period
            retention::what_is_due_is_found_by_an_index
            retention::a_withdrawn_report_goes_a_while_after_its_withdrawal
            retention::a_record_is_due_at_its_instant_and_not_before
            retention::what_names_a_deleted_record_goes_with_it
            retention::a_large_class_goes_in_pieces
            retention::one_node_runs_in_each_interval
            retention::an_erased_text_is_gone_and_its_record_stays
            sightings::sightings_are_stored_once_and_listed_newest_first
            sightings::repeats_of_a_day_are_one_sighting_with_their_count
            sightings::every_record_of_a_number_may_have_been_sighted
            alerts::a_watch_is_found_by_its_key_until_it_ends
            alerts::ended_watches_are_deleted_and_no_others
            alerts::an_alert_ends_its_watch_and_is_its_organizations_alone
            alerts::alerts_are_counted_without_a_gap_and_no_number_twice
            alerts::a_delivery_is_claimed_by_one_of_two_nodes
            alerts::no_endpoint_fills_a_claim
            alerts::an_endpoint_that_is_not_enabled_gets_nothing
            usage::counts_of_two_processes_add_up
            usage::a_flush_that_is_sent_again_is_added_once
            usage::nodes_that_add_at_once_do_not_wait_for_each_other
            usage::usage_is_its_own_organizations_alone_and_of_the_days_asked_for
            usage::a_day_of_usage_is_due_when_its_end_is
            machine::two_registries_say_what_the_store_holds
        }
    };
}

contract!(sqlite);
contract!(postgres);
