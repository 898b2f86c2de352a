//! The descriptions of tables against the schema itself, and what follows from them, for every table in turn: a new one that is
//! described wrongly, or not at all, fails here.

use std::collections::BTreeSet;

use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::random;
use lostcard::domain::audit::Action;
use lostcard::domain::ids::{OrganizationId, RecordId, WebhookId};
use lostcard::domain::retention::Class;
use lostcard::store::aggregate::{Aggregate, Number, WhenGone};
use lostcard::store::aggregates;
use lostcard::store::erasure::Erased;
use lostcard::store::rotation::Switch;

use crate::backend::Database;
use crate::other_tables::OTHER_TABLES;
use crate::records::{id, key, stored_organization, write};
use crate::rows::{Cell, count, insert};
use crate::servers::tables::Tables;

/// Columns that say nothing of a person, by table: whose a record is, where and when it was written, and how it stands.
const OTHER_COLUMNS: &[(&str, &str)] = &[
    ("loss_reports", "organization_id state office channel reported_at closed_at closed_by_office sequence"),
    ("pending_withdrawals", "organization_id client_id office requested_at person"),
    ("replacements", "organization_id office recorded_at sequence"),
    ("taken_back_replacements", "organization_id office recorded_at sequence taken_back_at"),
    (
        "found_cards",
        "organization_id state office registered_at registered_sequence closed_at closed_by_office transferred_to",
    ),
    ("replacement_applications", "organization_id state applied_at_office applied_at closed_at closed_by_office"),
    ("temporary_cards", "state office issued_at lost_at returned_at returned_to_office"),
    ("misuse_reports", "organization_id state reported_at resolved_at resolved_by resolved_by_office"),
    ("temporary_certificates", "organization_id office issued_at valid_from expires_at revoked_at revoked_by_office"),
    ("sightings", "organization_id"),
    ("sighting_days", "organization_id"),
    ("watches", "organization_id ends_at client_id"),
    ("alerts", "organization_id seq listed_at"),
    ("deliveries", "attempts next_at"),
    ("notices", "attempts next_at"),
    ("idempotency", "status created_at"),
    ("revoked_tokens", "revoked_at"),
    (
        "usage_counts",
        "not_listed card_listed other_card_listed number_listed invalid limited unavailable batches receipts_verified loss_reports misuse_reports",
    ),
];
/// Actions that are about something other than one record of a described table.
const OTHER_ACTIONS: &[(Action, &str)] = &[
    (Action::ReportsSearched, "several records"),
    (Action::ReportsListed, "several records"),
    (Action::ReplacementsListed, "several records"),
    (Action::FoundCardsListed, "several records"),
    (Action::CertificatesListed, "several records"),
    (Action::ApplicationsListed, "several records"),
    (Action::MisuseReportsListed, "several records"),
    (Action::CitizenRecordsRead, "several records"),
    (Action::CardStatusGiven, "a card; nothing of it is kept"),
    (Action::AccessesRead, "entries of the log"),
    (Action::ReceiptVerified, "a check; nothing of it is kept"),
    (Action::ContactErased, "a record of any table with a sealed text"),
    (Action::OrganizationCreated, "an organization"),
    (Action::OrganizationUpdated, "an organization"),
    (Action::OrganizationSuspended, "an organization"),
    (Action::OrganizationResumed, "an organization"),
    (Action::OrganizationEnded, "an organization"),
    (Action::OfficeDescribed, "an office"),
    (Action::AdministrationRequested, "what an operator asks for"),
    (Action::AdministrationApproved, "what an operator asks for"),
    (Action::AdministrationRefused, "what an operator asks for"),
    (Action::AuditExportOpened, "what an operator asks for"),
    (Action::AuditExported, "what an operator asks for"),
    (Action::PairingCreated, "a device"),
    (Action::PersonInvited, "who runs the service"),
    (Action::PasskeyRegistered, "who runs the service"),
    (Action::PersonEnded, "who runs the service"),
    (Action::PairingUpdated, "a device"),
    (Action::PairingEnded, "a device"),
    (Action::DevicePaired, "a device"),
    (Action::DeviceLocked, "a device"),
    (Action::DeviceReleased, "a device"),
    (Action::ClientSuspended, "a client"),
    (Action::ClientResumed, "a client"),
    (Action::ClientKeysAdded, "a client"),
    (Action::ClientCreated, "a client"),
    (Action::ClientUpdated, "a client"),
    (Action::ClientDisabled, "a client"),
    (Action::ClientSecretRotated, "a client"),
    (Action::ClientCertificateAdded, "a client"),
    (Action::ClientCertificateRemoved, "a client"),
    (Action::ClientSecretAllowed, "a client"),
    (Action::ClientCredentialEnded, "a client"),
    (Action::PersonSuspended, "one who administers"),
    (Action::PersonResumed, "one who administers"),
    (Action::TokenRevoked, "a client's token"),
    (Action::ClientTokensRevoked, "a client"),
    (Action::ClientNumbersDeclared, "a client"),
    (Action::ClientNumbersLifted, "a client"),
    (Action::ClientHeld, "a client"),
    (Action::ClientReleased, "a client"),
    (Action::ClientUndone, "a client"),
    (Action::ImportBegun, "a file"),
    (Action::ImportFinished, "a file"),
    (Action::ImportUndone, "a file"),
    (Action::RecordsExpired, "several records"),
    (Action::SandboxReset, "several records"),
    (Action::LogLinked, "the log"),
];

/// Tables that a reset leaves alone.
const NOT_RESET: &[(&str, &str)] = &[
    ("idempotency", "fingerprints of requests, gone in a day"),
    ("revoked_tokens", "a token stays revoked"),
    ("usage_counts", "sums: what was asked was asked"),
];
/// Tables with a number that its person does not read there.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("replacements", "the person holds the new card"),
    ("taken_back_replacements", "nothing of the person's: somebody else's act, which was undone"),
    ("replacement_applications", "the office that took it tells"),
    ("misuse_reports", "told by others, and seen by registrars alone"),
    ("watches", "a check that waits: who asks is not the person's to know"),
];

/// Every column that a description names.
fn described(of: &Aggregate) -> Vec<String> {
    let number: &[&str] = match of.number {
        Number::None => &[],
        Number::Keyed => &["lookup_key", "key_version"],
        Number::Rekeyed => &["lookup_key", "key_version", "sealed_digest"],
    };
    let named = of.references.iter().map(|reference| reference.column);
    let plain = of.id.split(", ").chain(number.iter().copied()).chain(named).chain(of.personal.iter().copied());
    let sealed = of.sealed_texts.iter().flat_map(|text| [format!("{text}_key"), format!("{text}_sealed")]);
    plain.map(str::to_owned).chain(sealed).collect()
}

pub(crate) async fn the_schema_has_no_column_of_persons_that_is_not_described(database: &Database) {
    database.open().await.close().await;
    let mut tables = Tables::of(&database.url()).await;
    let names = tables.names().await;
    let excused =
        OTHER_COLUMNS.iter().flat_map(|(table, columns)| columns.split(' ').map(move |column| (*table, column)));
    let (mut missing, mut plain) = (Vec::new(), excused.collect::<Vec<_>>());
    let other_columns = plain.clone();
    for table in &names {
        if let Some((.., known)) = OTHER_TABLES.iter().find(|(name, ..)| name == table) {
            let columns: BTreeSet<_> = tables.columns(table).await.into_iter().collect();
            let known: BTreeSet<_> = known.split(' ').map(str::to_owned).collect();
            missing.extend(columns.symmetric_difference(&known).map(|column| format!("{table}.{column}")));
            continue;
        }
        let Some(of) = aggregates::ALL.into_iter().find(|of| of.table == table) else {
            missing.push(format!("{table}, the whole table"));
            continue;
        };
        let (columns, described) = (tables.columns(table).await, described(of));
        let is_known =
            |column: &&String| described.contains(column) || other_columns.contains(&(table.as_str(), column.as_str()));
        missing.extend(columns.iter().filter(|column| !is_known(column)).map(|column| format!("{table}.{column}")));
        let gone: Vec<_> = described.iter().filter(|column| !columns.contains(column)).collect();
        assert!(gone.is_empty(), "{table} has no {gone:?}");
        assert_eq!(of.is_owned, columns.iter().any(|column| column == "organization_id"), "{table}: whose is it?");
        plain.retain(|(of, column)| of != table || !columns.iter().any(|other| other == column));
    }
    assert!(missing.is_empty(), "src/store/aggregates.rs describes, or this file excuses: {missing:?}");
    assert!(plain.is_empty(), "no such column: {plain:?}");
    let is_there = |table: &str| names.iter().any(|name| name == table);
    assert!(OTHER_TABLES.iter().all(|(table, ..)| is_there(table)));
    assert!(aggregates::ALL.iter().all(|of| is_there(of.table)));
}

pub(crate) async fn a_rotation_moves_every_table_with_a_number(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    for of in aggregates::rekeyed() {
        insert(database, of.table, own, &[("key_version", Cell::Number(1))]).await;
    }
    let total = aggregates::rekeyed().count() as u64;
    assert_eq!(store.count_keyed(1).await.unwrap(), total);
    assert_eq!(store.begin_rotation(1, 2, false).await.unwrap(), Switch::Done);
    let during = KeyVersions { current: 2, previous: Some(1) };
    for of in aggregates::rekeyed() {
        let rows = store.list_keyed(of, None).await.unwrap();
        let [row] = &rows[..] else { panic!("{}: {rows:?}", of.table) };
        let rekeyed = write(&store, async |tx| tx.rekey(of, &[(row.id, key())], during).await.unwrap()).await;
        assert_eq!(rekeyed, 1, "{}", of.table);
    }
    assert_eq!((store.count_keyed(1).await.unwrap(), store.count_keyed(2).await.unwrap()), (0, total));
}

pub(crate) async fn a_reset_empties_every_table_of_the_sandbox(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let magic = key();
    let webhook: WebhookId = id();
    insert(database, "webhooks", own, &[("webhook_id", Cell::id(webhook))]).await;
    let reset = || aggregates::ALL.into_iter().filter(|of| of.is_reset);
    for of in reset().filter(|of| of.is_owned) {
        // A row of the organization's own, which others name, and one of another's.
        let named: RecordId = id();
        let of_id = of.id.split(", ").next().unwrap();
        let whose = |organization: OrganizationId| ("organization_id", Cell::id(organization));
        insert(database, of.table, own, &[(of_id, Cell::id(named)), whose(own)]).await;
        insert(database, of.table, other, &[whose(other)]).await;
        for (naming, reference) in aggregates::naming(of) {
            let mut cells = vec![(reference.column, Cell::id(named))];
            if naming.table == "deliveries" {
                cells.push(("webhook_id", Cell::id(webhook)));
            }
            insert(database, naming.table, other, &cells).await;
        }
        if of.number != Number::None {
            let magic = Cell::Bytes(magic.as_bytes().to_vec());
            insert(database, of.table, other, &[("lookup_key", magic), whose(other)]).await;
        }
    }
    write(&store, async |tx| tx.remove_for_reset(own, &[magic]).await.unwrap()).await;
    for of in reset() {
        // What only named a record of the organization stays, and names nothing.
        let forgets = of.references.iter().filter(|reference| reference.when_gone == WhenGone::Forget);
        let left = i64::from(of.is_owned) + i64::try_from(forgets.clone().count()).unwrap();
        assert_eq!(count(database, of.table).await, left, "{}", of.table);
        for reference in forgets {
            let named = format!("{} WHERE {} IS NOT NULL", of.table, reference.column);
            assert_eq!(count(database, &named).await, 0, "{}", of.table);
        }
    }
}

pub(crate) async fn an_export_has_every_row_about_a_person(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (person, former, other) = (key(), key(), key());
    let mut expected = Vec::new();
    for of in aggregates::ALL {
        let keyed = |key: &LookupKey| ("lookup_key", Cell::Bytes(key.as_bytes().to_vec()));
        if of.number == Number::None {
            continue;
        }
        // One under each pepper that was, and one of somebody else.
        let named: RecordId = id();
        insert(database, of.table, own, &[(of.id, Cell::id(named)), keyed(&person)]).await;
        insert(database, of.table, own, &[keyed(&former)]).await;
        let foreign: RecordId = id();
        insert(database, of.table, own, &[(of.id, Cell::id(foreign)), keyed(&other)]).await;
        expected.push((of.table, 2));
        for (naming, reference) in aggregates::naming(of).filter(|(naming, _)| naming.number == Number::None) {
            insert(database, naming.table, own, &[(reference.column, Cell::id(named))]).await;
            insert(database, naming.table, own, &[(reference.column, Cell::id(foreign))]).await;
            expected.push((naming.table, 1));
        }
    }
    let tables = store.export_person(&[person, former]).await.unwrap();
    for table in &tables {
        let of_table = expected.iter().filter(|(name, _)| *name == table.of.table);
        assert_eq!(table.rows.len(), of_table.map(|(_, rows)| rows).sum::<usize>(), "{}", table.of.table);
    }
    let left_out: Vec<_> = aggregates::ALL
        .into_iter()
        .map(|of| of.table)
        .filter(|name| tables.iter().all(|table| table.of.table != *name))
        .collect();
    // Those name no person: of fingerprints, tokens, organizations and days, and of alerts, which are told by their own table.
    assert_eq!(left_out, ["deliveries", "idempotency", "revoked_tokens", "usage_counts"]);
    assert!(store.export_person(&[key()]).await.unwrap().is_empty());
}

pub(crate) async fn every_sealed_text_can_be_erased(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    for of in aggregates::ALL.into_iter().filter(|of| !of.sealed_texts.is_empty()) {
        for text in of.sealed_texts {
            let record: RecordId = id();
            let names = ["key", "sealed"].map(|part| format!("{text}_{part}"));
            let cells = names.each_ref().map(|name| (name.as_str(), Cell::Bytes(random::bytes::<60>().to_vec())));
            insert(database, of.table, own, &[vec![(of.id, Cell::id(record))], cells.to_vec()].concat()).await;
            let erase = async || write(&store, async |tx| tx.erase(of, record).await.unwrap()).await;
            assert_eq!((erase().await, erase().await), (Erased::Done, Erased::Nothing), "{} {text}", of.table);
            for name in names {
                assert_eq!(count(database, &format!("{} WHERE {name} IS NOT NULL", of.table)).await, 0, "{name}");
            }
        }
    }
}

#[test]
fn nothing_that_is_described_is_kept_for_ever() {
    for of in aggregates::ALL {
        let goes_with_another = of.references.iter().any(|reference| reference.when_gone == WhenGone::Delete);
        assert!(!of.expiries.is_empty() || goes_with_another, "{}", of.table);
        assert!(of.is_listing || of.expiries.iter().all(|expiry| !expiry.is_listing), "{}", of.table);
        for reference in of.references {
            let is_described = |table: &&str| aggregates::ALL.iter().any(|other| other.table == *table);
            assert!(reference.of.iter().all(is_described), "{}", of.table);
        }
    }
    for class in Class::ALL {
        assert!(aggregates::expiring(*class).next().is_some(), "{}", class.as_str());
    }
}

#[test]
fn what_is_neither_reset_nor_shown_is_excused() {
    let excused = |list: &[(&str, &str)], of: &Aggregate| list.iter().any(|(table, _)| *table == of.table);
    for of in aggregates::ALL {
        assert_ne!(of.is_reset, excused(NOT_RESET, of), "{}", of.table);
        let is_shown_or_excused = of.citizen.is_some() != excused(NOT_SHOWN, of);
        assert_eq!(of.number != Number::None, is_shown_or_excused, "{}", of.table);
    }
}

#[test]
fn every_action_of_the_audit_log_has_one_subject() {
    for action in Action::ALL {
        let of_aggregates = aggregates::ALL.iter().filter(|of| of.actions.contains(action)).count();
        let of_others = OTHER_ACTIONS.iter().filter(|(other, reason)| other == action && !reason.is_empty()).count();
        assert_eq!(of_aggregates + of_others, 1, "{}", action.as_str());
    }
}
