//! The last word: once all faults are healed, every acknowledged change must be in the database once, the feed must have no
//! gap, and every node must know all of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::checker::{Checker, Outcome};
use crate::cluster::Cluster;
use crate::oracle::{Oracle, Who};
use crate::settings::Settings;

/// Checks of one request.
const BATCH: usize = 500;
/// How long a healed node may still refuse.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Asserts that nothing is lost, nothing is there twice and nobody is behind.
pub(crate) fn audit(cluster: &Cluster, oracle: &Oracle, settings: &Settings) {
    assert_eq!(oracle.open_changes(), 0, "a writer left a change behind");
    audit_database(cluster, oracle);
    for node in 0..cluster.nodes.len() {
        audit_node(cluster, oracle, node, settings);
    }
    cluster.assert_content(oracle);
}

fn audit_database(cluster: &Cluster, oracle: &Oracle) {
    let rows = cluster.query(
        "SELECT encode(report_id, 'hex'), state FROM loss_reports \
         UNION ALL SELECT encode(replacement_id, 'hex'), 'replacement' FROM replacements",
    );
    let rows: Vec<_> = rows.lines().filter_map(|row| row.split_once('|')).collect();
    let stored: HashMap<_, _> = rows.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect();
    assert_eq!(rows.len(), stored.len(), "an id appears twice");
    let acknowledged = oracle.stored();
    let lost: Vec<_> = acknowledged.iter().filter(|(id, state)| stored.get(*id) != Some(*state)).collect();
    assert!(lost.is_empty(), "acknowledged, and lost or in another state: {lost:?}");
    let extra: Vec<_> = stored.keys().filter(|id| !acknowledged.contains_key(*id)).collect();
    assert!(extra.is_empty(), "a request that was repeated is stored again: {extra:?}");

    let totals = cluster.query(
        "SELECT (SELECT seq FROM feed_head), COUNT(*), MAX(seq), COUNT(*) FILTER (WHERE kind = 'listing'), \
         (SELECT COUNT(*) FROM loss_reports r JOIN feed f ON f.seq = r.sequence AND f.subject = r.lookup_key) FROM feed",
    );
    let totals: Vec<usize> = totals.trim().split('|').map(|number| number.parse().unwrap()).collect();
    let [head, rows, greatest, listings, reports_in_feed] = totals[..] else { panic!("{totals:?}") };
    assert_eq!((head, rows), (greatest, greatest), "the feed has a gap");
    assert_eq!(listings, oracle.changes(), "each acknowledged change is one row of the feed");
    let reports = acknowledged.values().filter(|state| **state != "replacement").count();
    assert_eq!(reports_in_feed, reports, "a report is not in the feed");
}

/// Every person that the oracle knows is asked about, by the card's date.
fn audit_node(cluster: &Cluster, oracle: &Oracle, node: usize, settings: &Settings) {
    let mut checker = Checker::new(oracle, &cluster.tokens.checks, settings.random(1000 + node as u64));
    let people: Vec<_> = (0..oracle.people()).map(Who::Known).collect();
    let deadline = Instant::now() + ANSWER_MAX;
    for some in people.chunks(BATCH) {
        let mut questions: Vec<_> = some.iter().map(|who| oracle.question_about(*who, &mut checker.random)).collect();
        // A batch, whatever its length.
        questions.push(oracle.question_about(Who::Stranger(0), &mut checker.random));
        while checker.ask(cluster.nodes[node].address().unwrap(), &questions) != Outcome::Answered {
            assert!(Instant::now() < deadline, "node {node} does not answer all checks, with nothing broken");
        }
    }
}
