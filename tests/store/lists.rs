//! Lists: each statement that a page may be is read from its place in an index, and the search for a number keeps to that number.

use std::convert::Infallible;

use lostcard::domain::application::ApplicationState;
use lostcard::domain::certificate::CertificateState;
use lostcard::domain::found_card::FoundCardState;
use lostcard::domain::misuse::MisuseState;
use lostcard::domain::report::ReportState;
use lostcard::store::lists::{Listed, Part, Wanted};
use lostcard::store::{applications, certificates, found_cards, misuse_reports, replacements, reports};

use crate::backend::Database;
use crate::records::{NOW_MS, key, later, office, replacement, report, store_reports, stored_organization, write};
use crate::rows::plan;

/// Every table that is listed, state by state.
fn listed() -> Vec<(&'static Listed, Vec<Part>)> {
    let of_states = |words: Vec<&'static str>| words.into_iter().map(Part::of_state).collect::<Vec<_>>();
    let certificates = CertificateState::ALL.iter().map(|state| certificates::part_of(*state, NOW_MS)).collect();
    vec![
        (&reports::LISTED, of_states(ReportState::ALL.iter().map(|state| state.as_str()).collect())),
        (&replacements::LISTED, vec![Part::whole()]),
        (&found_cards::LISTED, of_states(FoundCardState::ALL.iter().map(|state| state.as_str()).collect())),
        (&applications::LISTED, of_states(ApplicationState::ALL.iter().map(|state| state.as_str()).collect())),
        (&certificates::LISTED, certificates),
        (&misuse_reports::LISTED, of_states(MisuseState::ALL.iter().map(|state| state.as_str()).collect())),
    ]
}

/// A statement with values in its places, the last ones first: `$1` begins `$10`.
fn with_values(database: &Database, statement: &str, parts: usize, is_own: bool, has_office: bool) -> String {
    let bytes = if database.is_sqlite() {
        "x'00112233445566778899aabbccddeeff'"
    } else {
        "'\\x00112233445566778899aabbccddeeff'"
    };
    let mut values = vec![bytes; parts];
    values.push("100");
    if is_own {
        values.push(bytes);
    }
    if has_office {
        values.push("'110105-03'");
    }
    values.push("1795440000000");
    let places = values.iter().enumerate().rev();
    places.fold(statement.to_owned(), |text, (at, value)| text.replace(&format!("${}", at + 1), value))
}

pub(crate) async fn a_page_is_read_from_its_place_in_an_index(database: &Database) {
    let _store = database.open().await;
    for (of, parts) in listed() {
        let each = parts.iter().map(std::slice::from_ref).chain([parts.as_slice()]);
        for parts in each {
            for (is_own, has_office) in [(true, false), (true, true), (false, false), (false, true)] {
                let is_misuse = of.office == misuse_reports::LISTED.office;
                // Registrars list every organization's misuse reports, by state or by office; nobody else does so. What is open has no office.
                let is_open = parts.iter().any(|part| part.condition.contains("'open'"));
                if (!is_own && !is_misuse) || (is_misuse && has_office && is_open) {
                    continue;
                }
                let statement = of.statement(parts, is_own, has_office);
                let plan = plan(database, &with_values(database, &statement, parts.len(), is_own, has_office)).await;
                let reads: Vec<_> =
                    plan.lines().filter(|line| line.contains("Index Cond") || line.contains("USING")).collect();
                // The page begins behind an id: each read says so, but those of the one temporary card of an application.
                let bounded = reads.iter().filter(|line| {
                    let has_place = if database.is_sqlite() {
                        line.contains(&format!("{}>?", of.id))
                    } else {
                        line.contains(&format!("{} >", of.id))
                    };
                    let has_scope = line.contains(if is_own {
                        "organization_id"
                    } else if has_office {
                        of.office
                    } else {
                        "state"
                    });
                    has_place && has_scope && (!has_office || line.contains(of.office))
                });
                assert_eq!(bounded.count(), parts.len(), "{statement}\n{plan}");
                assert!(!plan.contains("Seq Scan"), "{statement}\n{plan}");
                let is_sorted = |line: &&str| line.contains("TEMP B-TREE") || line.contains("Sort Key");
                let sorts = plan.lines().filter(is_sorted).count();
                // SQLite sorts what each part gave, at most a page, before it merges them.
                assert!(sorts <= parts.len(), "only what the parts gave is sorted: {statement}\n{plan}");
            }
        }
    }
}

pub(crate) async fn a_search_by_number_reads_that_number_alone(database: &Database) {
    let _store = database.open().await;
    for (keys, of_everybody) in [(1, false), (2, false), (1, true), (2, true)] {
        let statement = reports::reports_of_number(keys, of_everybody);
        let bytes = if database.is_sqlite() {
            "x'00112233445566778899aabbccddeeff'"
        } else {
            "'\\x00112233445566778899aabbccddeeff'"
        };
        let text = (1..=keys + 1).rev().fold(statement, |text, at| text.replace(&format!("${at}"), bytes));
        let plan = plan(database, &text).await;
        assert!(plan.contains("lookup_key"), "{text}\n{plan}");
        assert!(!plan.contains("_listed"), "{text}\n{plan}");
    }
}

pub(crate) async fn a_page_has_what_was_asked_for_in_the_order_of_ids(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let all: Vec<_> = (0..6).map(|n| report(Some(own), key(), later(n))).collect();
    store_reports(&store, &all).await;
    store_reports(&store, &[report(Some(other), key(), later(1)), report(None, key(), later(1))]).await;
    let wanted = Wanted { state: None, office: Some(office()), since_ms: Some(later(1)), after: None, rows_max: 3 };
    let ids = async |wanted: &Wanted<ReportState, _>| {
        let page = store.page_of_reports(own, wanted).await.unwrap();
        page.iter().map(|stored| stored.report.id).collect::<Vec<_>>()
    };
    let expected: Vec<_> = all.iter().map(|report| report.report_id).collect();
    assert_eq!(ids(&wanted).await, expected[1..4]);
    assert_eq!(ids(&Wanted { after: Some(expected[3]), ..wanted.clone() }).await, expected[4..]);
    assert_eq!(ids(&Wanted { state: Some(ReportState::Replaced), ..wanted.clone() }).await, []);
    assert_eq!(
        ids(&Wanted { state: Some(ReportState::Active), office: None, since_ms: None, rows_max: 9, ..wanted }).await,
        expected
    );
    let new = replacement(own, key());
    write(&store, async |tx| {
        let change = tx.record_listing(&new.number.lookup_key).await.unwrap();
        tx.insert_replacement(&new, &change).await.unwrap();
    })
    .await;
    let wanted = Wanted::<Infallible, _> { state: None, office: None, since_ms: None, after: None, rows_max: 9 };
    let page = store.page_of_replacements(own, &wanted).await.unwrap();
    assert_eq!(page.iter().map(|listed| listed.replacement_id).collect::<Vec<_>>(), [new.replacement_id]);
    assert!(store.page_of_replacements(other, &wanted).await.unwrap().is_empty());
}
