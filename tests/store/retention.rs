//! Retention: which rows are due on which day, what goes with them, what the feed is told, and who runs. Erasure of contacts.

use std::time::Duration;

use jiff::civil::{Date, date};
use lostcard::clock::beijing_date;
use lostcard::crypto::random;
use lostcard::crypto::seal::Envelope;
use lostcard::domain::audit::Behind;
use lostcard::domain::card::CardValidity;
use lostcard::domain::ids::{AlertId, ApplicationId, RecordId, WebhookId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::report::WithdrawalReason;
use lostcard::domain::retention::{Class, Period};
use lostcard::service::erasure::erase;
use lostcard::store::Store;
use lostcard::store::aggregate::Compared;
use lostcard::store::aggregates::{ALL, FOUND_CARDS, LOSS_REPORTS, MISUSE_REPORTS};
use lostcard::store::erasure::Erased;
use lostcard::store::feed::ChangeKind;
use lostcard::store::reports::{Closing, NewReport};
use lostcard::store::retention::{Claim, Due, PIECE_ROWS_MAX, STEP_MS_MAX};

use crate::backend::Database;
use crate::keys::keyring;
use crate::records::{
    NOW_MS, TODAY, feed_after, id, key, later, office, replacement, report, store_reports, stored_organization, write,
};
use crate::rows::{Cell, count, insert, plan};

const HOUR_MS: i64 = 3_600_000;
const ONE: Duration = Duration::from_millis(1);

/// What is due now if it is kept so long.
fn due(keep: Period) -> Due {
    let until_ms = keep.before(NOW_MS);
    Due { until_ms, until_on: beijing_date(until_ms), today: TODAY }
}

/// Deletes everything of a class; returns how many rows, by piece.
async fn delete(store: &Store, class: Class, due: Due) -> Vec<u64> {
    let mut deleted = Vec::new();
    loop {
        let pieces = store.find_due(class, &due).await.unwrap();
        if pieces.is_empty() {
            return deleted;
        }
        for piece in &pieces {
            deleted.push(write(store, async |tx| tx.delete_due(piece, &due).await.unwrap()).await);
        }
    }
}

fn until(last_day: Option<Date>) -> NewReport {
    NewReport { validity: CardValidity::new(None, last_day, TODAY).unwrap(), ..report(None, key(), NOW_MS) }
}

pub(crate) async fn a_listing_is_kept_to_the_cards_last_day(database: &Database) {
    let store = database.open().await;
    let [over, last, later, unknown] =
        [Some(date(2026, 11, 22)), Some(TODAY), Some(date(2036, 11, 23)), None].map(until);
    let head = store_reports(&store, &[over.clone(), last.clone(), later.clone(), unknown.clone()]).await;
    let due = due(Period::Years(20));
    assert_eq!(store.count_due(Class::Listings, &due).await.unwrap(), 1);
    assert_eq!(feed_after(&store, 0).await.head, head, "counting changes nothing");
    assert_eq!(delete(&store, Class::Listings, due).await, [1]);
    let keys = [&over, &last, &later, &unknown].map(|report| report.number.lookup_key);
    let read = store.records_of(&keys).await.unwrap();
    let listed: Vec<_> = read.records.iter().map(Vec::len).collect();
    assert_eq!((listed.as_slice(), read.head), ([0, 1, 1, 1].as_slice(), head.next()));
    let page = feed_after(&store, head.get()).await;
    assert_eq!(
        (page.changes[0].kind, page.changes[0].subject.as_slice()),
        (ChangeKind::Listing, &keys[0].as_bytes()[..])
    );
    assert_eq!(store.count_due(Class::Listings, &due).await.unwrap(), 0);
}

pub(crate) async fn a_listing_without_an_end_is_kept_for_its_period(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let due = due(Period::Years(20));
    let at = |at_ms| NewReport { reported_at_ms: at_ms, ..until(None) };
    store_reports(&store, &[at(due.until_ms), at(due.until_ms.plus(ONE))]).await;
    // A card that starts after its recording has older cards beside it for as long as it itself would be valid.
    let (on, later) = (due.until_on, due.until_on.tomorrow().unwrap());
    for (recorded_at_ms, card_valid_from) in
        [(due.until_ms, on), (due.until_ms.plus(ONE), on), (due.until_ms, later), (due.until_ms, date(1999, 1, 1))]
    {
        let mut new = replacement(own, key());
        (new.recorded_at_ms, new.card_valid_from) = (recorded_at_ms, card_valid_from);
        write(&store, async |tx| {
            let change = tx.record_listing(&new.number.lookup_key).await.unwrap();
            tx.insert_replacement(&new, &change).await.unwrap();
        })
        .await;
    }
    assert_eq!(store.count_due(Class::Listings, &due).await.unwrap(), 3);
    assert_eq!(delete(&store, Class::Listings, due).await, [1, 2]);
    assert_eq!(crate::reports::count_listed(&store).await, 3);
    let totals = store.feed_totals().await.unwrap();
    assert_eq!((totals.0, totals.1), (totals.2, totals.2), "the feed has no gap");
}

/// Of every class, also one that is described tomorrow.
pub(crate) async fn what_is_due_is_found_by_an_index(database: &Database) {
    let _store = database.open().await;
    let (instant, day) = (NOW_MS.get().to_string(), format!("'{TODAY}'"));
    let id_literal = if database.is_sqlite() { "X'00'" } else { "'\\x00'::bytea" }.to_owned();
    for (aggregate, expiry) in
        ALL.iter().flat_map(|aggregate| aggregate.expiries.iter().map(move |it| (*aggregate, it)))
    {
        let values = match expiry.compared {
            Compared::Instant => [instant.as_str(), ""],
            Compared::InstantAndDay => [instant.as_str(), day.as_str()],
            Compared::Today | Compared::Day => [day.as_str(), ""],
            Compared::Id => [id_literal.as_str(), ""],
        };
        let condition = expiry.due.replace("$1", values[0]).replace("$2", values[1]);
        let text = format!("SELECT 1 FROM {} WHERE {condition} ORDER BY {} LIMIT 1", aggregate.table, expiry.order);
        let plan = plan(database, &text).await;
        let is_bounded = if database.is_sqlite() {
            plan.contains("<?)") || plan.contains("<? ")
        } else {
            plan.contains("Index Cond")
        };
        assert!(is_bounded && !plan.contains("SCAN") && !plan.contains("Seq Scan"), "{text}\n{plan}");
    }
}

pub(crate) async fn a_withdrawn_report_goes_a_while_after_its_withdrawal(database: &Database) {
    let store = database.open().await;
    let (own, office, due) = (stored_organization(&store).await, office(), due(Period::Days(30)));
    // Its card has ended too: it goes by its withdrawal all the same.
    let new = |_| NewReport { organization: Some(own), ..until(Some(date(2026, 11, 1))) };
    let reports = [0, 1].map(new);
    store_reports(&store, &reports).await;
    for (report, at_ms) in reports.iter().zip([due.until_ms, due.until_ms.plus(ONE)]) {
        write(&store, async |tx| {
            let stored = tx.find_report(own, report.report_id).await.unwrap().unwrap();
            let change = tx.record_listing(&stored.lookup_key).await.unwrap();
            let closing = Closing { at_ms, office: &office, withdrawal: Some(WithdrawalReason::Found) };
            tx.close_report(&stored.report.withdraw().unwrap(), &closing, &change).await.unwrap();
        })
        .await;
    }
    let head = feed_after(&store, 0).await.head;
    assert_eq!(delete(&store, Class::Listings, self::due(Period::Years(20))).await, [] as [u64; 0]);
    assert_eq!(store.count_due(Class::WithdrawnReports, &due).await.unwrap(), 1);
    assert_eq!(delete(&store, Class::WithdrawnReports, due).await, [1]);
    assert!(store.find_report(own, reports[0].report_id).await.unwrap().is_none());
    assert!(store.find_report(own, reports[1].report_id).await.unwrap().is_some());
    assert_eq!(feed_after(&store, 0).await.head, head, "it listed nothing");
}

pub(crate) async fn a_record_is_due_at_its_instant_and_not_before(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let until_ms = due(Period::Days(1)).until_ms;
    for (class, table, at, empty) in [
        (Class::Sightings, "sightings", "seen_at", false),
        (Class::Sightings, "sighting_days", "seen_at", false),
        (Class::FoundCards, "found_cards", "closed_at", true),
        (Class::Applications, "replacement_applications", "closed_at", true),
        (Class::MisuseReports, "misuse_reports", "resolved_at", true),
        (Class::Certificates, "temporary_certificates", "expires_at", false),
        (Class::Watches, "watches", "ends_at", false),
        (Class::Alerts, "alerts", "listed_at", false),
        (Class::IdempotencyKeys, "idempotency", "created_at", false),
        (Class::RevokedTokens, "revoked_tokens", "revoked_at", false),
    ] {
        let mut expected = 2;
        for at_ms in [until_ms, until_ms.minus(Duration::from_hours(1)), until_ms.plus(ONE)] {
            insert(database, table, own, &[(at, Cell::Number(at_ms.get()))]).await;
        }
        if empty {
            insert(database, table, own, &[]).await;
            expected += 1;
        }
        let due = due(Period::Days(1));
        assert_eq!(store.count_due(class, &due).await.unwrap(), 2, "{table}");
        assert_eq!(delete(&store, class, due).await, [2], "{table}");
        assert_eq!(count(database, table).await, expected - 1, "{table}: what is later, or has not ended, stays");
    }
}

pub(crate) async fn what_names_a_deleted_record_goes_with_it(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (over, stays) = (until(Some(date(2026, 11, 22))), until(None));
    store_reports(&store, &[over.clone(), stays.clone()]).await;
    for report in [&over, &stays] {
        let report = Cell::id(report.report_id);
        insert(database, "sightings", own, &[("listing_id", report.clone())]).await;
        insert(database, "sighting_days", own, &[("listing_id", report.clone())]).await;
        insert(database, "found_cards", own, &[("matched_report_id", report)]).await;
    }
    assert_eq!(delete(&store, Class::Listings, due(Period::Years(20))).await, [1]);
    assert_eq!((count(database, "sightings").await, count(database, "found_cards").await), (1, 2));
    assert_eq!(count(database, "sighting_days").await, 1);
    assert_eq!(count(database, "found_cards WHERE matched_report_id IS NOT NULL").await, 1);
    let refused = ("state", Cell::Text("refused"));
    for at_ms in [due(Period::Years(2)).until_ms, due(Period::Years(2)).until_ms.plus(ONE)] {
        insert(
            database,
            "replacement_applications",
            own,
            &[refused.clone(), ("applied_at", Cell::Number(at_ms.get()))],
        )
        .await;
    }
    assert_eq!(delete(&store, Class::Applications, due(Period::Years(2))).await, [1], "refused, it was never open");
    let application: ApplicationId = id();
    let closed = ("closed_at", Cell::Number(NOW_MS.get()));
    insert(database, "replacement_applications", own, &[("application_id", Cell::id(application)), closed]).await;
    insert(database, "temporary_cards", own, &[("application_id", Cell::id(application))]).await;
    assert_eq!(delete(&store, Class::Applications, due(Period::Hours(0))).await, [1, 1], "and the other refused one");
    assert_eq!(count(database, "temporary_cards").await, 0);
    let (alert, webhook): (AlertId, WebhookId) = (id(), id());
    insert(database, "webhooks", own, &[("webhook_id", Cell::id(webhook))]).await;
    insert(database, "alerts", own, &[("alert_id", Cell::id(alert))]).await;
    let columns = [("alert_id", Cell::id(alert)), ("webhook_id", Cell::id(webhook))];
    insert(database, "deliveries", own, &columns).await;
    assert_eq!(delete(&store, Class::Alerts, due(Period::Hours(0))).await, [1]);
    assert_eq!(count(database, "deliveries").await, 0);
}

pub(crate) async fn a_large_class_goes_in_pieces(database: &Database) {
    let store = database.open().await;
    let many: Vec<_> = (0..=2 * PIECE_ROWS_MAX).map(|_| until(Some(date(2026, 11, 22)))).collect();
    let head = store_reports(&store, &many).await;
    let full = PIECE_ROWS_MAX as u64;
    assert_eq!(delete(&store, Class::Listings, due(Period::Years(20))).await, [full, full, 1]);
    let after = head.get() + 2 * full + 1;
    assert_eq!(store.feed_totals().await.unwrap(), (after, after, after), "a change for each, and no gap");
}

pub(crate) async fn one_node_runs_in_each_interval(database: &Database) {
    let store = database.open().await;
    let claim = async |at_ms| store.claim_retention(at_ms, HOUR_MS).await.unwrap();
    assert_eq!(claim(NOW_MS).await, Claim::Ours, "the first ever");
    for (at_ms, expected) in [
        (NOW_MS, Claim::Others),
        (later(HOUR_MS / 2 - 1), Claim::Others),
        (later(HOUR_MS / 2), Claim::Ours),
        // By now the last run is half an hour later: this clock is behind.
        (NOW_MS, Claim::Ours),
        (later(STEP_MS_MAX + 1), Claim::ClockStepped),
        (later(-STEP_MS_MAX - 1), Claim::ClockStepped),
        (later(STEP_MS_MAX), Claim::Ours),
    ] {
        assert_eq!(claim(at_ms).await, expected, "{}", at_ms.get() - NOW_MS.get());
    }
    let other = database.open().await;
    let at_ms = later(STEP_MS_MAX + HOUR_MS);
    let (one, two) = tokio::join!(store.claim_retention(at_ms, HOUR_MS), other.claim_retention(at_ms, HOUR_MS));
    let ours = [one.unwrap(), two.unwrap()].into_iter().filter(|claim| *claim == Claim::Ours).count();
    assert_eq!(ours, 1, "of two at once one runs");
    assert_eq!(store.retention_finished_at().await.unwrap(), UnixMs::EPOCH);
    write(&store, async |tx| tx.finish_retention(at_ms).await.unwrap()).await;
    assert_eq!(store.retention_finished_at().await.unwrap(), at_ms);
}

pub(crate) async fn an_erased_text_is_gone_and_its_record_stays(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    // Several, so that what one leaves in a page is not overwritten by chance.
    let with_contact = |_| {
        let contact = Envelope { wrapped_key: random::bytes::<60>().to_vec(), sealed: random::bytes::<40>().to_vec() };
        NewReport { contact: Some(contact), ..report(Some(own), key(), NOW_MS) }
    };
    let told: [NewReport; 12] = std::array::from_fn(with_contact);
    let silent = report(Some(own), key(), NOW_MS);
    store_reports(&store, &told).await;
    store_reports(&store, std::slice::from_ref(&silent)).await;
    let text = || Cell::Bytes(random::bytes::<60>().to_vec());
    let (found, misuse): (RecordId, RecordId) = (id(), id());
    let columns = [("found_card_id", Cell::id(found)), ("contact_key", text()), ("contact_sealed", text())];
    insert(database, "found_cards", own, &columns).await;
    let columns = [("misuse_report_id", Cell::id(misuse)), ("narrative_key", text()), ("narrative_sealed", text())];
    insert(database, "misuse_reports", own, &columns).await;
    let is_embedded = database.url().starts_with("sqlite");
    let keyring = keyring();
    for report in &told {
        let erasure = erase((&store, &keyring), &LOSS_REPORTS, report.report_id.into(), &Behind::default(), NOW_MS)
            .await
            .unwrap();
        assert_eq!((erasure.erased, erasure.is_off_disk), (Erased::Done, is_embedded));
    }
    let by_nobody = "audit WHERE action = 'contact_erased' AND organization_id IS NULL AND client_id IS NULL";
    assert_eq!(count(database, by_nobody).await, 12);
    for (what, record, expected) in [
        (&LOSS_REPORTS, told[0].report_id.into(), Erased::Nothing),
        (&LOSS_REPORTS, silent.report_id.into(), Erased::Nothing),
        (&LOSS_REPORTS, found, Erased::NoRecord),
        (&FOUND_CARDS, found, Erased::Done),
        (&MISUSE_REPORTS, misuse, Erased::Done),
    ] {
        assert_eq!(write(&store, async |tx| tx.erase(what, record).await.unwrap()).await, expected);
    }
    for (table, column) in [("loss_reports", "contact"), ("found_cards", "contact"), ("misuse_reports", "narrative")] {
        for part in ["key", "sealed"] {
            assert_eq!(count(database, &format!("{table} WHERE {column}_{part} IS NOT NULL")).await, 0);
        }
    }
    assert!(store.find_report(own, told[0].report_id).await.unwrap().is_some());
    if is_embedded {
        let files = ["", "-wal"].map(|end| database.url().trim_start_matches("sqlite:").to_owned() + end);
        let bytes: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap_or_default()).collect();
        assert!(bytes.len() > 4096, "the files are where they are looked for");
        let keys = told.iter().filter_map(|report| report.contact.as_ref()).map(|contact| &contact.wrapped_key);
        for key in keys.flat_map(|key| key.chunks(15)) {
            assert!(!bytes.windows(15).any(|window| window == key), "not even in a free page");
        }
    }
}
