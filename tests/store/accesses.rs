//! Who looked at a person: entries by the tag of a number, and those of before tags by the ids of its records.

use lostcard::crypto::digest::LookupKey;
use lostcard::domain::audit::{Action, Deed, SubjectTag};
use lostcard::domain::client::{Actor, Origin};
use lostcard::domain::ids::{OrganizationId, RecordId};
use lostcard::store::accesses::{Access, Known, Told};
use lostcard::store::aggregate::Number;
use lostcard::store::{Store, aggregates};

use crate::backend::Database;
use crate::records::{NOW_MS, id, key, stored_organization, write};
use crate::rows::{Cell, insert};
use crate::thief::all;

const OWN: [u8; 16] = [1; 16];
const OTHERS: [u8; 16] = [2; 16];

fn actor(organization: OrganizationId) -> Actor {
    Actor { origin: Some(Origin::Private), ..Actor::new(organization, id()) }
}

async fn list(store: &Store, keys: &[LookupKey], told: Told, before: Option<u64>, count: usize) -> Vec<Access> {
    let known = Known { tag: SubjectTag::from(OWN), keys: keys.to_vec() };
    store.list_accesses(&known, told, before, count).await.unwrap().1
}

async fn sequences(store: &Store, keys: &[LookupKey], told: Told) -> Vec<u64> {
    list(store, keys, told, None, 100).await.iter().map(|access| access.sequence).collect()
}

pub(crate) async fn accesses_are_those_of_a_persons_tag_newest_first(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let actor = actor(own);
    let searched = |tags: &[[u8; 16]]| {
        Deed::of_many(actor, Action::ReportsSearched).about(tags.iter().map(|tag| SubjectTag::from(*tag)))
    };
    let many: Vec<_> =
        (0..600_u128).map(|n| SubjectTag::from(n.to_be_bytes())).chain([OWN.into(), OWN.into()]).collect();
    let deeds = [
        searched(&[OWN]),
        searched(&[OTHERS]),
        searched(&[]),
        Deed::of_many(actor, Action::MisuseReportsListed).about(many),
        Deed::of(actor, Action::ReportRead, id::<RecordId>()).about([OWN.into()]),
    ];
    write(&store, async |tx| {
        for deed in &deeds {
            tx.record_deed(deed, NOW_MS).await.unwrap();
        }
    })
    .await;
    assert_eq!(sequences(&store, &[key()], Told::Operator).await, [5, 4, 1]);
    assert_eq!(sequences(&store, &[key()], Told::Person).await, [5, 1], "what others told the police is not told");
    let pages = [None, Some(5), Some(4), Some(1)];
    let mut seen = Vec::new();
    for before in pages {
        let page = list(&store, &[key(), key()], Told::Operator, before, 1).await;
        seen.extend(page.iter().map(|access| access.sequence));
    }
    assert_eq!(seen, [5, 4, 1]);
    let newest = &list(&store, &[key()], Told::Operator, None, 1).await[0];
    let organization = newest.organization.as_ref().unwrap();
    assert_eq!((organization.id, organization.name.as_deref()), (own, Some("派出所 Harbour")));
    assert_eq!((newest.action.as_str(), newest.client, newest.at_ms), ("report_read", Some(actor.client), NOW_MS));
    assert_eq!((newest.origin.as_deref(), newest.subject), (Some("private"), deeds[4].subject));
    let entries = all(&store).await;
    let counts: Vec<_> = entries.iter().map(|entry| entry.persons.len()).collect();
    assert_eq!(counts, [1, 1, 0, 601, 1], "each once");
}

/// As an entry of before tags is: with the id of a record alone.
pub(crate) async fn accesses_of_before_tags_are_found_by_every_kind_of_record(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (mine, others) = (key(), key());
    let mut expected = Vec::new();
    for of in aggregates::ALL.into_iter().filter(|of| !of.actions.is_empty()) {
        for (key, is_own) in [(mine, true), (others, false)] {
            let record: RecordId = id();
            if of.number == Number::Rekeyed {
                let key = Cell::Bytes(key.as_bytes().to_vec());
                insert(database, of.table, own, &[(of.id, Cell::id(record)), ("lookup_key", key)]).await;
            } else {
                let (holder, column) = aggregates::holder_of_number(of).unwrap();
                let (key, named) = (Cell::Bytes(key.as_bytes().to_vec()), id::<RecordId>());
                insert(database, holder.table, own, &[(holder.id, Cell::id(named)), ("lookup_key", key)]).await;
                insert(database, of.table, own, &[(of.id, Cell::id(record)), (column.unwrap(), Cell::id(named))]).await;
            }
            let deed = Deed::of(actor(own), of.actions[0], record);
            write(&store, async |tx| tx.record_deed(&deed, NOW_MS).await.unwrap()).await;
            if is_own {
                expected.insert(0, all(&store).await.last().unwrap().sequence);
            }
        }
    }
    assert!(expected.len() >= 7, "{expected:?}");
    assert_eq!(sequences(&store, &[key(), mine], Told::Operator).await, expected);
    assert_eq!(sequences(&store, &[key()], Told::Operator).await, [] as [u64; 0]);
}

/// A sealed digest is opened for the record that it is sealed for.
pub(crate) async fn the_digest_of_a_record_is_its_own_or_that_of_what_it_belongs_to(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    for of in aggregates::ALL {
        let Some((holder, column)) = aggregates::holder_of_number(of) else { continue };
        let (record, named): (RecordId, RecordId) = (id(), id());
        let sealed = Cell::Bytes(b"sealed".to_vec());
        if let Some(column) = column {
            insert(database, holder.table, own, &[(holder.id, Cell::id(named)), ("sealed_digest", sealed)]).await;
            insert(database, of.table, own, &[(of.id, Cell::id(record)), (column, Cell::id(named))]).await;
        } else {
            insert(database, of.table, own, &[(of.id, Cell::id(record)), ("sealed_digest", sealed)]).await;
        }
        let expected = if column.is_some() { named } else { record };
        let asked = [record, id(), record];
        let found = write(&store, async |tx| tx.sealed_digests(of, &asked).await.unwrap()).await;
        assert_eq!(found, [(expected, b"sealed".to_vec())], "{}", of.table);
    }
}
