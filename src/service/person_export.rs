//! Everything that the service holds about one person, for the operator who answers that person (PIPL, article 45): every described
//! table, and who looked. A person's own contact is opened; what others told, a finder's telephone or a narrative about misuse,
//! is only said to be there: whose it is has rights, too.

use serde_json::{Map, Value, json};

use super::ServiceError;
use super::accesses;
use crate::clock::Rfc3339;
use crate::crypto::Keyring;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::seal::Envelope;
use crate::domain::audit::{Action, Behind, Deed};
use crate::domain::instant::UnixMs;
use crate::registry::RegistryError;
use crate::store::accesses::Access;
use crate::store::aggregate::Aggregate;
use crate::store::aggregates::LOSS_REPORTS;
use crate::store::person_export::{ExportedRow, Value as Stored};
use crate::store::{Store, StoreError};

/// Forms of the number: they say nothing without the keys, and nothing new to who has it.
const FORMS_OF_NUMBER: [&str; 3] = ["lookup_key", "key_version", "sealed_digest"];
/// What stands for a sealed text that is not the person's own.
const SEALED: &str = "(sealed)";

/// What is held about a person.
#[derive(Debug)]
pub struct Export {
    /// By table.
    pub records: Map<String, Value>,
    pub accesses: Vec<Access>,
}

/// Reads all of it, with an entry of the audit log that says so before anything is told.
pub async fn export(
    (store, keyring): (&Store, &Keyring),
    digest: &IdDigest,
    behind: &Behind,
    now_ms: UnixMs,
) -> Result<Export, ServiceError> {
    // Under every pepper of the folder: a watch stays under the one by which it was made.
    let versions = keyring.pepper_versions();
    let keys = versions.iter().map(|version| Ok(keyring.pepper(*version)?.lookup_key(digest)));
    let keys = keys.collect::<Result<Vec<LookupKey>, crate::crypto::KeyError>>().map_err(RegistryError::from)?;
    let tables = store.export_person(&keys).await?;
    // A pepper that came meanwhile: rows may have moved under it unseen.
    if store.key_versions().await?.all().any(|version| !versions.contains(&version)) {
        return Err(StoreError::OtherPepper.into());
    }
    let accesses = accesses::who(store, keyring, digest, behind, now_ms).await?;
    let deed = Deed::of_operator(Action::CitizenRecordsRead, None).by(behind).about([keyring.audit().tag(digest)]);
    let mut tx = store.begin().await?;
    tx.record_deed(&deed, now_ms).await?;
    tx.commit_unlisted().await?;
    let mut records = Map::new();
    for table in &tables {
        let rows = table.rows.iter().map(|row| told(table.of, row, keyring)).collect::<Result<Vec<_>, _>>()?;
        records.insert(table.of.table.to_owned(), Value::Array(rows));
    }
    Ok(Export { records, accesses })
}

/// A row as it is told.
fn told(of: &Aggregate, row: &ExportedRow, keyring: &Keyring) -> Result<Value, ServiceError> {
    let bytes = |column: &str| match row.iter().find(|(name, _)| name == column) {
        Some((_, Stored::Bytes(bytes))) => Some(bytes.clone()),
        _ => None,
    };
    let mut members = Map::new();
    for text in of.sealed_texts {
        let parts = (bytes(&format!("{text}_key")), bytes(&format!("{text}_sealed")));
        let (Some(wrapped_key), Some(sealed)) = parts else { continue };
        let text_of = if of.table == LOSS_REPORTS.table {
            let record = bytes(of.id).unwrap_or_default();
            let opened = keyring.sealer().open_envelope(&record, &Envelope { wrapped_key, sealed })?;
            String::from_utf8_lossy(&opened).into_owned()
        } else {
            SEALED.to_owned()
        };
        members.insert((*text).to_owned(), Value::String(text_of));
    }
    for (name, value) in row {
        let is_sealed_part = of
            .sealed_texts
            .iter()
            .any(|text| name.strip_prefix(text).is_some_and(|rest| rest == "_key" || rest == "_sealed"));
        if !is_sealed_part && !FORMS_OF_NUMBER.contains(&name.as_str()) {
            members.insert(name.clone(), plain(name, value));
        }
    }
    Ok(Value::Object(members))
}

fn plain(name: &str, value: &Stored) -> Value {
    match value {
        Stored::Number(ms) if name.ends_with("_at") => json!(Rfc3339::of(UnixMs::new(*ms)).as_str()),
        Stored::Number(number) => json!(number),
        Stored::Text(text) => json!(text),
        Stored::Bytes(bytes) => match uuid::Uuid::from_slice(bytes) {
            Ok(id) => json!(id),
            Err(_) => json!(hex::encode(bytes)),
        },
    }
}
