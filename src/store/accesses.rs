//! Who looked at a person: the entries of the audit log that concern a number, newest first. Entries of before tags are found by the
//! ids of the number's records, as long as those are kept.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::aggregates;
use super::key_versions::get_key_versions;
use super::reports::places;
use super::{Store, StoreError, as_i64, get_id_opt, get_parsed_opt, get_u64};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::audit::{Action, SubjectTag};
use crate::domain::client::OrganizationKind;
use crate::domain::ids::{ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;

/// An entry, as it is told to who asks about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub sequence: u64,
    pub at_ms: UnixMs,
    pub action: String,
    /// None: the operator.
    pub organization: Option<AccessingOrganization>,
    pub client: Option<ClientId>,
    pub subject: Option<RecordId>,
    pub person: Option<String>,
    pub os_user: Option<String>,
    pub reason: Option<String>,
    pub origin: Option<String>,
}

/// Whose client it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessingOrganization {
    pub id: OrganizationId,
    /// None where the organization is not known to the store.
    pub name: Option<String>,
    pub kind: Option<OrganizationKind>,
}

/// By what a person's entries are found.
#[derive(Debug)]
pub struct Known {
    pub tag: SubjectTag,
    pub keys: Vec<LookupKey>,
}

/// To whom they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Operator,
    /// The person, who does not learn what others tell about it to the police.
    Person,
}

impl Store {
    /// The entries before one, newest first, and by which peppers rows were keyed at that moment: if the keys do not cover these,
    /// entries of before tags may be missing.
    pub async fn list_accesses(
        &self,
        known: &Known,
        told: Told,
        before: Option<u64>,
        count_max: usize,
    ) -> Result<(KeyVersions, Vec<Access>), StoreError> {
        let mut tx = self.begin_with(self.dialect.begin_read()).await?;
        let head = sqlx::query("SELECT key_version, key_version_from FROM feed_head").fetch_one(&mut *tx).await?;
        let mut query = sqlx::query(AssertSqlSafe(text(known.keys.len(), told)))
            .bind(known.tag.as_bytes().as_slice())
            .bind(as_i64(before.unwrap_or(u64::MAX)))
            .bind(i64::try_from(count_max).unwrap_or(i64::MAX));
        for key in &known.keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        Ok((get_key_versions(&head)?, rows.iter().map(read_access).collect::<Result<_, _>>()?))
    }
}

/// The entries are found by index, and each is looked up: the log is never read.
fn text(keys: usize, told: Told) -> String {
    let keyed = places(4, keys);
    let ids: Vec<_> = aggregates::ALL
        .into_iter()
        .filter_map(|of| {
            let (holder, belongs) = aggregates::holder_of_number(of)?;
            Some(match belongs {
                None => format!("SELECT {} FROM {} WHERE lookup_key IN ({keyed})", of.id, of.table),
                Some(column) => format!(
                    "SELECT {} FROM {} WHERE {column} IN (SELECT {} FROM {} WHERE lookup_key IN ({keyed}))",
                    of.id, of.table, holder.id, holder.table
                ),
            })
        })
        .collect();
    let hidden: Vec<_> = Action::ALL
        .iter()
        .filter(|action| told == Told::Person && !action.is_told_to_its_person())
        .map(|action| format!(" AND a.action <> '{}'", action.as_str()))
        .collect();
    format!(
        "SELECT a.seq AS seq, a.at AS at, a.action AS action, a.organization_id AS organization_id, o.name AS name, \
         o.kind AS kind, a.client_id AS client_id, a.subject AS subject, a.person AS person, a.os_user AS os_user, \
         a.reason AS reason, a.origin AS origin \
         FROM (SELECT seq FROM audit_subjects WHERE subject_tag = $1 AND seq < $2 \
         UNION SELECT seq FROM audit WHERE seq < $2 AND subject IN ({ids})) s \
         CROSS JOIN audit a LEFT JOIN organizations o ON o.organization_id = a.organization_id \
         WHERE a.seq = s.seq{hidden} ORDER BY seq DESC LIMIT $3",
        ids = ids.join(" UNION ALL "),
        hidden = hidden.concat(),
    )
}

fn read_access(row: &AnyRow) -> Result<Access, StoreError> {
    let organization = get_id_opt::<OrganizationId>(row, "organization_id")?;
    let named = |id| {
        let kind = get_parsed_opt(row, "kind", OrganizationKind::parse)?;
        Ok::<_, StoreError>(AccessingOrganization { id, name: row.try_get("name")?, kind })
    };
    Ok(Access {
        sequence: get_u64(row, "seq")?,
        at_ms: row.try_get("at")?,
        action: row.try_get("action")?,
        organization: organization.map(named).transpose()?,
        client: get_id_opt(row, "client_id")?,
        subject: get_id_opt(row, "subject")?,
        person: row.try_get("person")?,
        os_user: row.try_get("os_user")?,
        reason: row.try_get("reason")?,
        origin: row.try_get("origin")?,
    })
}
