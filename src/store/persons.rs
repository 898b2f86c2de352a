//! Persons of the operator: when nodes met them, with which role, what they did last, and whether operators have suspended or ended them. Who
//! is let in otherwise is their provider's affair.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, as_i64, get_id, get_parsed, get_parsed_opt};
use crate::domain::audit::Deed;
use crate::domain::authority::LifeState;
use crate::domain::ids::{ClientId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::person::{Role, ShortName};

/// A person whose token a node has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetPerson {
    pub id: PersonId,
    pub name: ShortName,
    pub role: Role,
    /// The group that gave the role; none where the command line did.
    pub group: Option<String>,
    pub at_ms: UnixMs,
}

/// A person, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPerson {
    pub id: PersonId,
    pub name: ShortName,
    /// None where an act was noted before the person was.
    pub role: Option<Role>,
    pub group: Option<String>,
    pub first_seen_at_ms: UnixMs,
    pub last_seen_at_ms: UnixMs,
    /// The word of the audit log, and when.
    pub last_act: Option<(String, UnixMs)>,
    pub suspended_at_ms: Option<UnixMs>,
    pub ended_at_ms: Option<UnixMs>,
}

impl ListedPerson {
    pub fn state(&self) -> LifeState {
        LifeState::of(self.suspended_at_ms, self.ended_at_ms)
    }
}

const ONE: &str = "SELECT person_id, name, role, group_name, first_seen_at, last_seen_at, last_act, last_act_at, suspended_at, ended_at \
     FROM persons WHERE person_id = $1";

impl Store {
    /// Persons behind one of them, in the order of their ids.
    pub async fn list_persons(
        &self,
        after: Option<PersonId>,
        count_max: usize,
    ) -> Result<Vec<ListedPerson>, StoreError> {
        let rows = sqlx::query(
            "SELECT person_id, name, role, group_name, first_seen_at, last_seen_at, last_act, last_act_at, suspended_at, ended_at \
             FROM persons WHERE person_id > $1 ORDER BY person_id LIMIT $2",
        )
        .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
        .bind(as_i64(count_max as u64))
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.iter().map(read_person).collect()
    }

    /// One of them.
    pub async fn find_person(&self, id: PersonId) -> Result<Option<ListedPerson>, StoreError> {
        let one = sqlx::query(ONE).bind(id.as_bytes().as_slice());
        let row = one.fetch_optional(&mut *self.connection().await?).await?;
        row.as_ref().map(read_person).transpose()
    }

    /// Notes who was met, in the order of their ids: two nodes that note at once must not wait for each other. What is older than what is
    /// known changes nothing but the first instant.
    pub async fn note_persons(&self, met: &[MetPerson]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for one in met {
            sqlx::query(
                "INSERT INTO persons (person_id, name, role, group_name, first_seen_at, last_seen_at) \
                 VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (person_id) DO UPDATE SET \
                 name = CASE WHEN excluded.last_seen_at >= persons.last_seen_at THEN excluded.name ELSE persons.name END, \
                 role = CASE WHEN excluded.last_seen_at >= persons.last_seen_at OR persons.role IS NULL \
                 THEN excluded.role ELSE persons.role END, \
                 group_name = CASE WHEN excluded.last_seen_at >= persons.last_seen_at OR persons.role IS NULL \
                 THEN excluded.group_name ELSE persons.group_name END, \
                 first_seen_at = CASE WHEN excluded.first_seen_at < persons.first_seen_at \
                 THEN excluded.first_seen_at ELSE persons.first_seen_at END, \
                 last_seen_at = CASE WHEN excluded.last_seen_at >= persons.last_seen_at \
                 THEN excluded.last_seen_at ELSE persons.last_seen_at END",
            )
            .bind(one.id.as_bytes().as_slice())
            .bind(one.name.as_str())
            .bind(one.role.as_str())
            .bind(one.group.as_deref())
            .bind(one.at_ms)
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit_unlisted().await
    }
}

impl WriteTx {
    pub async fn read_person(&mut self, id: PersonId) -> Result<Option<ListedPerson>, StoreError> {
        let row = sqlx::query(ONE).bind(id.as_bytes().as_slice()).fetch_optional(&mut *self.tx).await?;
        row.as_ref().map(read_person).transpose()
    }

    /// Says whether a person is let in. Nodes look up again who every token is, as where the client by which it was done changes.
    pub async fn change_person(&mut self, person: &ListedPerson, by: ClientId) -> Result<(), StoreError> {
        sqlx::query("UPDATE persons SET suspended_at = $1, ended_at = $2 WHERE person_id = $3")
            .bind(person.suspended_at_ms)
            .bind(person.ended_at_ms)
            .bind(person.id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        self.record_change(ChangeKind::Client, by.as_bytes()).await?;
        Ok(())
    }

    /// Notes what persons did, where an issuer vouches for them.
    pub(super) async fn note_acts(&mut self, deeds: &[Deed], now_ms: UnixMs) -> Result<(), StoreError> {
        for deed in deeds {
            let Some((id, name)) = deed.actor.and_then(|actor| actor.person_id.zip(actor.person)) else { continue };
            sqlx::query(
                "INSERT INTO persons (person_id, name, first_seen_at, last_seen_at, last_act, last_act_at) \
                 VALUES ($1, $2, $3, $3, $4, $3) ON CONFLICT (person_id) DO UPDATE SET \
                 last_act = excluded.last_act, last_act_at = excluded.last_act_at",
            )
            .bind(id.as_bytes().as_slice())
            .bind(name.as_str().to_owned())
            .bind(now_ms)
            .bind(deed.action.as_str())
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

fn read_person(row: &AnyRow) -> Result<ListedPerson, StoreError> {
    let (act, at_ms): (Option<String>, Option<UnixMs>) = (row.try_get("last_act")?, row.try_get("last_act_at")?);
    Ok(ListedPerson {
        id: get_id(row, "person_id")?,
        name: get_parsed(row, "name", ShortName::stored)?,
        role: get_parsed_opt(row, "role", Role::parse)?,
        group: row.try_get("group_name")?,
        first_seen_at_ms: row.try_get("first_seen_at")?,
        last_seen_at_ms: row.try_get("last_seen_at")?,
        last_act: act.zip(at_ms),
        suspended_at_ms: row.try_get("suspended_at")?,
        ended_at_ms: row.try_get("ended_at")?,
    })
}
