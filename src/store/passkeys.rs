//! Passkeys of persons of the operator, links by which they make them, and what browsers were asked and have not answered. Whether an
//! answer holds is judged elsewhere; here each thing is taken once, by one node.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::feed::ChangeKind;
use super::{Store, StoreError, WriteTx, as_i64, get_bytes, get_bytes_opt, get_id, get_parsed};
use crate::domain::ids::{CeremonyId, ClientId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::person::{Role, ShortName};

/// So many sign-ins wait for an answer at most: the oldest gives way, so that nobody keeps others out by asking.
pub const SIGN_INS_MAX: usize = 4096;

/// Who somebody is who has passkeys, and what is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHolder {
    pub id: PersonId,
    pub name: ShortName,
    pub role: Role,
}

/// A passkey as it is stored.
#[derive(Debug, Clone)]
pub struct Passkey {
    pub credential_id: Vec<u8>,
    pub holder: KeyHolder,
    /// The public key.
    pub static_state: Vec<u8>,
    /// The counter.
    pub dynamic_state: Vec<u8>,
    pub made_at_ms: UnixMs,
    pub used_at_ms: Option<UnixMs>,
}

/// A link by which a passkey is made. Of its code there is a keyed hash alone.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub code_mark: [u8; 32],
    pub holder: KeyHolder,
    pub expires_at_ms: UnixMs,
}

/// What a browser was asked.
#[derive(Debug, Clone)]
pub struct Ceremony {
    /// The invitation that a passkey is made by; none: somebody signs in.
    pub invitation: Option<[u8; 32]>,
    pub state: Vec<u8>,
    pub expires_at_ms: UnixMs,
}

const PASSKEY: &str =
    "SELECT credential_id, person_id, name, role, static_state, dynamic_state, made_at, used_at FROM passkeys";
const HAS_ONE: &str = "SELECT 1 AS one FROM passkeys WHERE person_id = $1 LIMIT 1";
const INVITATION: &str = "SELECT code_mark, person_id, name, role, expires_at FROM passkey_invitations";

impl Store {
    pub async fn find_passkey(&self, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{PASSKEY} WHERE credential_id = $1")))
            .bind(credential_id)
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_passkey).transpose()
    }

    /// Whether a person still has one.
    pub async fn has_passkey(&self, person: PersonId) -> Result<bool, StoreError> {
        let row = sqlx::query(HAS_ONE)
            .bind(person.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        Ok(row.is_some())
    }

    /// Those of one person, or everybody's.
    pub async fn list_passkeys(&self, of: Option<PersonId>) -> Result<Vec<Passkey>, StoreError> {
        let condition = if of.is_some() { "WHERE person_id = $1" } else { "" };
        let text = format!("{PASSKEY} {condition} ORDER BY person_id, credential_id");
        let mut query = sqlx::query(AssertSqlSafe(text));
        if let Some(of) = of {
            query = query.bind(of.as_bytes().to_vec());
        }
        query.fetch_all(&mut *self.connection().await?).await?.iter().map(read_passkey).collect()
    }

    /// Links that are still good.
    pub async fn list_invitations(&self, now_ms: UnixMs) -> Result<Vec<Invitation>, StoreError> {
        let text = format!("{INVITATION} WHERE expires_at > $1 ORDER BY person_id, expires_at");
        let query = sqlx::query(AssertSqlSafe(text)).bind(now_ms);
        query.fetch_all(&mut *self.connection().await?).await?.iter().map(read_invitation).collect()
    }

    /// Whom a code invites, while it is good: a look that costs no writer's turn.
    pub async fn find_invitation(
        &self,
        code_mark: &[u8; 32],
        now_ms: UnixMs,
    ) -> Result<Option<Invitation>, StoreError> {
        let text = format!("{INVITATION} WHERE code_mark = $1 AND expires_at > $2");
        let query = sqlx::query(AssertSqlSafe(text)).bind(code_mark.as_slice()).bind(now_ms);
        query.fetch_optional(&mut *self.connection().await?).await?.as_ref().map(read_invitation).transpose()
    }

    /// Keeps what a browser was asked. What nobody answered in time goes; of sign-ins the oldest, where there are too many.
    /// More than `sign_ins_max` never wait.
    pub async fn begin_ceremony(
        &self,
        id: CeremonyId,
        new: &Ceremony,
        sign_ins_max: usize,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM passkey_ceremonies WHERE expires_at <= $1").bind(now_ms).execute(&mut *tx.tx).await?;
        sqlx::query(
            "DELETE FROM passkey_ceremonies WHERE ceremony_id IN (SELECT ceremony_id FROM passkey_ceremonies \
             WHERE code_mark IS NULL ORDER BY expires_at DESC, ceremony_id DESC LIMIT $1 OFFSET $2)",
        )
        .bind(as_i64(sign_ins_max as u64))
        .bind(as_i64((sign_ins_max as u64).saturating_sub(1)))
        .execute(&mut *tx.tx)
        .await?;
        sqlx::query(
            "INSERT INTO passkey_ceremonies (ceremony_id, code_mark, state, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(new.invitation.map(|mark| mark.to_vec()))
        .bind(new.state.as_slice())
        .bind(new.expires_at_ms)
        .execute(&mut *tx.tx)
        .await?;
        tx.commit_unlisted().await
    }

    /// What a browser was asked, which then is asked no more; none where it was answered already, or too late.
    pub async fn take_ceremony(&self, id: CeremonyId, now_ms: UnixMs) -> Result<Option<Ceremony>, StoreError> {
        let mut tx = self.begin().await?;
        let row =
            sqlx::query("DELETE FROM passkey_ceremonies WHERE ceremony_id = $1 RETURNING code_mark, state, expires_at")
                .bind(id.as_bytes().as_slice())
                .fetch_optional(&mut *tx.tx)
                .await?;
        let taken = row.as_ref().map(read_ceremony).transpose()?;
        tx.commit_unlisted().await?;
        Ok(taken.filter(|ceremony| now_ms < ceremony.expires_at_ms))
    }

    /// Notes that a passkey was used, if nobody has used it meanwhile: of two answers with one counter one is a copy's.
    pub async fn use_passkey(&self, used: &Passkey, dynamic_state: &[u8], now_ms: UnixMs) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE passkeys SET dynamic_state = $1, used_at = $2 WHERE credential_id = $3 AND dynamic_state = $4",
        )
        .bind(dynamic_state)
        .bind(now_ms)
        .bind(used.credential_id.as_slice())
        .bind(used.dynamic_state.as_slice())
        .execute(&mut *tx.tx)
        .await?;
        tx.commit_unlisted().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl WriteTx {
    /// Keeps a link; those that nobody used in time go.
    pub async fn insert_invitation(&mut self, new: &Invitation, now_ms: UnixMs) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM passkey_invitations WHERE expires_at <= $1")
            .bind(now_ms)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(
            "INSERT INTO passkey_invitations (code_mark, person_id, name, role, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new.code_mark.as_slice())
        .bind(new.holder.id.as_bytes().as_slice())
        .bind(new.holder.name.as_str())
        .bind(new.holder.role.as_str())
        .bind(new.expires_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Uses a link up; none where it is not good, or was used.
    pub async fn take_invitation(
        &mut self,
        code_mark: &[u8; 32],
        now_ms: UnixMs,
    ) -> Result<Option<KeyHolder>, StoreError> {
        let row = sqlx::query(
            "DELETE FROM passkey_invitations WHERE code_mark = $1 AND expires_at > $2 RETURNING person_id, name, role",
        )
        .bind(code_mark.as_slice())
        .bind(now_ms)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(read_holder).transpose()
    }

    /// False where somebody has it already.
    pub async fn insert_passkey(&mut self, new: &Passkey) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO passkeys (credential_id, person_id, name, role, static_state, dynamic_state, made_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (credential_id) DO NOTHING",
        )
        .bind(new.credential_id.as_slice())
        .bind(new.holder.id.as_bytes().as_slice())
        .bind(new.holder.name.as_str())
        .bind(new.holder.role.as_str())
        .bind(new.static_state.as_slice())
        .bind(new.dynamic_state.as_slice())
        .bind(new.made_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether a person still has one.
    pub async fn has_passkey(&mut self, person: PersonId) -> Result<bool, StoreError> {
        let row = sqlx::query(HAS_ONE).bind(person.as_bytes().as_slice()).fetch_optional(&mut *self.tx).await?;
        Ok(row.is_some())
    }

    /// Who a person with passkeys or with a good link is.
    pub async fn find_key_holder(&mut self, person: PersonId, now_ms: UnixMs) -> Result<Option<KeyHolder>, StoreError> {
        let row = sqlx::query(
            "SELECT person_id, name, role FROM passkeys WHERE person_id = $1 \
             UNION SELECT person_id, name, role FROM passkey_invitations WHERE person_id = $1 AND expires_at > $2 LIMIT 1",
        )
        .bind(person.as_bytes().as_slice())
        .bind(now_ms)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(read_holder).transpose()
    }

    /// Removes the passkeys and the links of a person, and tells the nodes, by the client that they act by; false if there are none.
    pub async fn end_key_holder(&mut self, person: PersonId, client: ClientId) -> Result<bool, StoreError> {
        let mut removed = 0;
        for text in
            ["DELETE FROM passkeys WHERE person_id = $1", "DELETE FROM passkey_invitations WHERE person_id = $1"]
        {
            let done = sqlx::query(text).bind(person.as_bytes().as_slice()).execute(&mut *self.tx).await?;
            removed += done.rows_affected();
        }
        self.record_change(ChangeKind::Client, client.as_bytes()).await?;
        Ok(removed > 0)
    }
}

fn read_holder(row: &AnyRow) -> Result<KeyHolder, StoreError> {
    Ok(KeyHolder {
        id: get_id(row, "person_id")?,
        name: get_parsed(row, "name", ShortName::stored)?,
        role: get_parsed(row, "role", Role::parse)?,
    })
}

fn read_passkey(row: &AnyRow) -> Result<Passkey, StoreError> {
    Ok(Passkey {
        credential_id: row.try_get("credential_id")?,
        holder: read_holder(row)?,
        static_state: row.try_get("static_state")?,
        dynamic_state: row.try_get("dynamic_state")?,
        made_at_ms: row.try_get("made_at")?,
        used_at_ms: row.try_get("used_at")?,
    })
}

fn read_invitation(row: &AnyRow) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        code_mark: get_bytes(row, "code_mark")?,
        holder: read_holder(row)?,
        expires_at_ms: row.try_get("expires_at")?,
    })
}

fn read_ceremony(row: &AnyRow) -> Result<Ceremony, StoreError> {
    Ok(Ceremony {
        invitation: get_bytes_opt(row, "code_mark")?,
        state: row.try_get("state")?,
        expires_at_ms: row.try_get("expires_at")?,
    })
}
