//! A rolling deploy: for a while nodes of the version before and of this one serve from one schema, whichever of them started last.

use lostcard::domain::authority::Offices;
use lostcard::domain::client::OrganizationKind;
use lostcard::domain::ids::{ClientId, ListingId, NodeId, OrganizationId};
use lostcard::domain::numbers::NumbersMode;
use lostcard::domain::sequence::Sequence;
use lostcard::service::misfits::misfits;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqlSafeStr};

use crate::backend::Database;
use crate::records::{id, key, stored_organization};

async fn sql(database: &Database, statements: &[&str]) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What the first version made: its one migration, run as it ran then, and the head of the feed.
async fn make_first_version(database: &Database) {
    sqlx::any::install_default_drivers();
    let (bytes, sequence_key) =
        if is_embedded(database) { ("BLOB", "INTEGER PRIMARY KEY") } else { ("BYTEA", "BIGINT PRIMARY KEY") };
    let text = include_str!("../../migrations/0001_initial.sql");
    let text = AssertSqlSafe(text.replace("BYTES", bytes).replace("SEQUENCE_KEY", sequence_key)).into_sql_str();
    let first = Migration::new(1, "initial".into(), MigrationType::Simple, text, false);
    let migrator = Migrator { migrations: vec![first].into(), ..Migrator::DEFAULT };
    let url = if is_embedded(database) { format!("{}?mode=rwc", database.url()) } else { database.url() };
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    migrator.run(&mut connection).await.unwrap();
    connection.execute("INSERT INTO feed_head (id, seq, epoch) VALUES (1, 0, 'first')").await.unwrap();
    connection.close().await.unwrap();
}

/// Bytes in a statement.
fn literal(database: &Database, hex: &str) -> String {
    if is_embedded(database) { format!("x'{hex}'") } else { format!("'\\x{hex}'") }
}

fn is_embedded(database: &Database) -> bool {
    database.url().starts_with("sqlite")
}

pub(crate) async fn a_store_of_the_first_version_is_brought_up_to_date(database: &Database) {
    make_first_version(database).await;
    let node: NodeId = id();
    // A change, and a node that was killed.
    let (node_id, subject) =
        (literal(database, &node.as_simple().to_string()), literal(database, &hex::encode(key().as_bytes())));
    let insert = format!("INSERT INTO nodes (node_id, beat) VALUES ({node_id}, 7)");
    let change = format!("INSERT INTO feed (seq, kind, subject) VALUES (1, 'listing', {subject})");
    sql(database, &[&change, "UPDATE feed_head SET seq = 1", &insert]).await;
    let check = literal(database, "00");
    let check = format!("INSERT INTO key_checks (purpose, version, value) VALUES ('pepper', 1, {check})");
    sql(database, &[&check]).await;
    let store = database.open().await;
    assert_eq!(store.numbers_mode().await.unwrap(), NumbersMode::Observe, "its clients have declared nothing yet");
    assert_eq!(
        store.least_confirmed(id()).await.unwrap(),
        Some(Sequence::ZERO),
        "one of before confirms nothing: it is waited for"
    );
    assert_eq!(store.feed_after(Sequence::ZERO, node).await.unwrap().changes.len(), 1, "what was there still is");
    // A node of the version before joins with the statement that it knows.
    sql(database, &["DELETE FROM nodes", &insert]).await;
    assert!(store.feed_after(Sequence::ZERO, node).await.unwrap().is_member);
}

pub(crate) async fn who_ran_the_service_becomes_an_operator(database: &Database) {
    make_first_version(database).await;
    let mut wanted = Vec::new();
    for (kind, scopes, disabled_at, now) in [
        ("auditor", "audit admin", "NULL", OrganizationKind::Operator),
        ("auditor", "audit", "NULL", OrganizationKind::Auditor),
        ("auditor", "admin", "7", OrganizationKind::Auditor),
        ("registrar", "registry admin", "NULL", OrganizationKind::Registrar),
    ] {
        let (organization, client): (OrganizationId, ClientId) = (id(), id());
        let [of, one] = [organization.as_simple(), client.as_simple()].map(|id| literal(database, &id.to_string()));
        let organizations = format!(
            "INSERT INTO organizations (organization_id, name, kind, region, created_at) \
             VALUES ({of}, 'Office', '{kind}', '110105', 1)"
        );
        let clients = format!(
            "INSERT INTO clients (client_id, organization_id, scopes, created_at, disabled_at) \
             VALUES ({one}, {of}, '{scopes}', 1, {disabled_at})"
        );
        sql(database, &[&organizations, &clients]).await;
        wanted.push((organization, client, now));
    }
    let store = database.open().await;
    for (organization, _, now) in &wanted {
        let read = store.find_organization(*organization).await.unwrap().unwrap();
        assert_eq!((read.kind, read.offices), (*now, Offices::default()));
    }
    // Who has more than its kind may have is named, with what corrects it.
    let named = misfits(&store).await.unwrap();
    let named: Vec<_> = named.iter().map(|one| (one.client_id, one.forbidden.to_string())).collect();
    let mut expected = vec![(wanted[0].1, "audit".to_owned()), (wanted[3].1, "admin".to_owned())];
    expected.sort();
    assert_eq!(named, expected);
}

pub(crate) async fn a_store_that_a_newer_version_has_brought_on_is_still_opened(database: &Database) {
    let store = database.open().await;
    assert_eq!(store.numbers_mode().await.unwrap(), NumbersMode::Enforce, "a new one");
    store.close().await;
    let checksum = literal(database, "00");
    let insert = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a later version', TRUE, {checksum}, 1)"
    );
    sql(database, &[&insert]).await;
    assert!(database.open().await.list_nodes().await.unwrap().is_empty());
}

/// Sightings of before are folded when the store is brought up to date: nothing that a list showed is missing in it.
pub(crate) async fn sightings_of_a_version_before_are_folded(database: &Database) {
    let store = database.open().await;
    let organization = stored_organization(&store).await;
    store.close().await;
    sql(database, &["DROP TABLE sighting_days", "DELETE FROM _sqlx_migrations WHERE version IN (27, 66, 74)"]).await;
    let (listing, organization) =
        (literal(database, &"01".repeat(16)), literal(database, &organization.as_simple().to_string()));
    // Two at 23:59 and one at 00:00 of the day after, in Beijing; two of them elsewhere, for one purpose after the other.
    let midnight = 1_795_536_000_000_i64;
    let (lodging, banking) = ("'lodging', 'number_listed'", "'banking', 'card_listed'");
    let seen = [
        ("NULL", lodging, midnight - 60_000),
        ("NULL", lodging, midnight - 1),
        ("NULL", lodging, midnight),
        ("'west'", banking, midnight),
        ("'west'", lodging, midnight + 1),
    ];
    let inserts: Vec<_> = seen
        .iter()
        .enumerate()
        .map(|(nth, (site, what, at))| {
            let check = literal(database, &format!("{nth:032x}"));
            format!("INSERT INTO sightings VALUES ({listing}, {check}, {organization}, {site}, {what}, {at})")
        })
        .collect();
    sql(database, &inserts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let listing = ListingId::from_bytes([1; 16]);
    let listed = database.open().await.list_sightings(&[listing], None, 10).await.unwrap();
    let told = listed.iter().map(|one| {
        (u128::from_be_bytes(*one.check_id.as_bytes()), one.checks, one.first_seen_at_ms.get(), one.seen_at_ms.get())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(3, 2, midnight, midnight + 1), (2, 1, midnight, midnight), (0, 2, midnight - 60_000, midnight - 1)]
    );
    let west = (listed[0].purpose.as_str(), listed[0].verdict.as_str());
    assert_eq!(west, ("lodging", "card_listed"), "the last purpose, the strongest verdict");
}

/// sqlx refuses a store in which a migration has another checksum than the binary's: the row is compared before it can.
pub(crate) async fn a_store_made_by_version_0_1_0_has_the_checksums_of_today(database: &Database) {
    database.open().await.close().await;
    let name = if database.url().starts_with("sqlite") { "sqlite " } else { "postgres " };
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    let rows = sqlx::query("SELECT version, checksum, description FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let today = rows.iter().map(|row| {
        format!("{} {} {}", row.get::<i64, _>(0), hex::encode(row.get::<Vec<u8>, _>(1)), row.get::<String, _>(2))
    });
    let made: Vec<_> =
        include_str!("migrations_of_0_1_0.txt").lines().filter_map(|line| line.strip_prefix(name)).collect();
    assert_eq!(made.len(), 13);
    assert_eq!(made, today.take(made.len()).collect::<Vec<_>>());
}
