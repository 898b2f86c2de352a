//! Pairings and the devices that come of them. A device is a client too: what it may is in that row. What changes who is let in is in the
//! feed, so that a running node drops what it remembered.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::feed::ChangeKind;
use super::{
    Store, StoreError, WriteTx, as_i64, get_bytes_opt, get_id, get_id_opt, get_parsed, get_parsed_opt, get_u64,
};
use crate::domain::client::{OrganizationName, Scopes};
use crate::domain::ids::{ClientId, OrganizationId, PairingId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::domain::pairing::{GUESSES_MAX, PINS_MISSED_MAX, PairingState};
use crate::domain::report::Label;

/// A pairing as it is stored.
#[derive(Debug, Clone)]
pub struct Pairing {
    pub pairing_id: PairingId,
    pub organization_id: OrganizationId,
    pub scopes: Scopes,
    pub site: Label,
    pub name: Option<OrganizationName>,
    pub numbers: Option<Guests>,
    pub created_at_ms: UnixMs,
    pub expires_at_ms: UnixMs,
    /// Keyed hashes of the half of the code that names it, and of all of it.
    pub marks: Option<Marks>,
    pub is_lasting: bool,
    /// None before a page has registered its key.
    pub device: Option<Device>,
    pub locked_at_ms: Option<UnixMs>,
    pub ended_at_ms: Option<UnixMs>,
}

/// What a code is found by and known by.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    pub name: [u8; 32],
    pub code: [u8; 32],
}

/// The client that a page has become.
#[derive(Debug, Clone)]
pub struct Device {
    pub client: ClientId,
    pub paired_at_ms: UnixMs,
    /// What its PIN is proven by, sealed.
    pub pin_key: Vec<u8>,
}

impl Pairing {
    /// One whose code is good until then.
    pub fn new(
        pairing_id: PairingId,
        organization_id: OrganizationId,
        (scopes, site): (Scopes, Label),
        marks: Marks,
        (created_at_ms, expires_at_ms): (UnixMs, UnixMs),
    ) -> Self {
        Self {
            pairing_id,
            organization_id,
            scopes,
            site,
            name: None,
            numbers: None,
            created_at_ms,
            expires_at_ms,
            marks: Some(marks),
            is_lasting: false,
            device: None,
            locked_at_ms: None,
            ended_at_ms: None,
        }
    }

    pub fn state(&self, now_ms: UnixMs) -> PairingState {
        if self.ended_at_ms.is_some() {
            PairingState::Ended
        } else if self.locked_at_ms.is_some() {
            PairingState::Locked
        } else if self.device.is_some() {
            PairingState::Paired
        } else if self.marks.is_some() && now_ms < self.expires_at_ms {
            PairingState::Waiting
        } else {
            PairingState::Expired
        }
    }
}

/// A pairing as lists show it.
#[derive(Debug, Clone)]
pub struct ListedPairing {
    pub pairing: Pairing,
    pub organization_name: OrganizationName,
    pub last_used_at_ms: Option<UnixMs>,
}

const PAIRING: &str = "p.pairing_id AS pairing_id, p.organization_id AS organization_id, p.scopes AS scopes, p.site AS site, \
     p.name AS name, p.numbers AS numbers, p.created_at AS created_at, p.expires_at AS expires_at, p.name_mark AS name_mark, \
     p.code_mark AS code_mark, p.is_lasting AS is_lasting, p.client_id AS client_id, p.paired_at AS paired_at, \
     p.pin_key AS pin_key, p.locked_at AS locked_at, p.ended_at AS ended_at";

impl Store {
    /// Pairings behind one of them, oldest first; those of one organization, where it is named.
    pub async fn list_pairings(
        &self,
        of: Option<OrganizationId>,
        after: Option<PairingId>,
        count_max: usize,
    ) -> Result<Vec<ListedPairing>, StoreError> {
        let condition = if of.is_some() { "AND p.organization_id = $3" } else { "" };
        let text = format!("{} WHERE p.pairing_id > $1 {condition} ORDER BY p.pairing_id LIMIT $2", listed());
        let mut query = sqlx::query(AssertSqlSafe(text))
            .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
            .bind(as_i64(count_max as u64));
        if let Some(of) = of {
            query = query.bind(of.as_bytes().to_vec());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_listed).collect()
    }

    pub async fn find_pairing(&self, id: PairingId) -> Result<Option<ListedPairing>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{} WHERE p.pairing_id = $1", listed())))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_listed).transpose()
    }

    /// The pairing whose device is this client.
    pub async fn find_device(&self, client: ClientId) -> Result<Option<Pairing>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {PAIRING} FROM pairings p WHERE p.client_id = $1")))
            .bind(client.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_pairing).transpose()
    }

    /// Whether a code that begins so is good: a look that costs no writer's turn.
    pub async fn has_open_pairing(&self, name_mark: &[u8; 32], now_ms: UnixMs) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT 1 AS one FROM pairings WHERE name_mark = $1 AND expires_at > $2 AND ended_at IS NULL")
                .bind(name_mark.as_slice())
                .bind(now_ms)
                .fetch_optional(&mut *self.connection().await?)
                .await?;
        Ok(row.is_some())
    }
}

impl WriteTx {
    pub async fn insert_pairing(&mut self, new: &Pairing) -> Result<(), StoreError> {
        let (marks, device) = (new.marks, new.device.as_ref());
        sqlx::query(
            "INSERT INTO pairings (pairing_id, organization_id, scopes, site, name, numbers, created_at, expires_at, name_mark, \
             code_mark, guesses, is_lasting, client_id, paired_at, pin_key, pins_missed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, 0)",
        )
        .bind(new.pairing_id.as_bytes().as_slice())
        .bind(new.organization_id.as_bytes().as_slice())
        .bind(new.scopes.to_string())
        .bind(new.site.as_str())
        .bind(new.name.as_ref().map(OrganizationName::as_str))
        .bind(new.numbers.map(|numbers| numbers.to_string()))
        .bind(new.created_at_ms)
        .bind(new.expires_at_ms)
        .bind(marks.map(|marks| marks.name.to_vec()))
        .bind(marks.map(|marks| marks.code.to_vec()))
        .bind(i64::from(new.is_lasting))
        .bind(device.map(|device| device.client.as_bytes().to_vec()))
        .bind(device.map(|device| device.paired_at_ms))
        .bind(device.map(|device| device.pin_key.clone()))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// A pairing, inside the transaction that changes it.
    pub async fn read_pairing(&mut self, id: PairingId) -> Result<Option<ListedPairing>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(AssertSqlSafe(format!("{} WHERE p.pairing_id = $1", listed())))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_listed).transpose()
    }

    /// The pairing whose code begins so, while it is good.
    pub async fn open_pairing(
        &mut self,
        name_mark: &[u8; 32],
        now_ms: UnixMs,
    ) -> Result<Option<ListedPairing>, StoreError> {
        self.take_turn().await?;
        let text = format!("{} WHERE p.name_mark = $1 AND p.expires_at > $2 AND p.ended_at IS NULL", listed());
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(name_mark.as_slice())
            .bind(now_ms)
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_listed).transpose()
    }

    /// A code that begins like a pairing's was wrong; true where that was one guess too many, and no code is good any more.
    pub async fn count_guess(&mut self, id: PairingId) -> Result<bool, StoreError> {
        let row = sqlx::query("UPDATE pairings SET guesses = guesses + 1 WHERE pairing_id = $1 RETURNING guesses")
            .bind(id.as_bytes().as_slice())
            .fetch_one(&mut *self.tx)
            .await?;
        let is_over = get_u64(&row, "guesses")? >= u64::from(GUESSES_MAX);
        if is_over {
            self.use_up_code(id).await?;
        }
        Ok(is_over)
    }

    /// Its code is good for nothing any more.
    pub async fn use_up_code(&mut self, id: PairingId) -> Result<(), StoreError> {
        sqlx::query("UPDATE pairings SET name_mark = NULL, code_mark = NULL WHERE pairing_id = $1")
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The same of all codes that do not end by themselves.
    pub async fn use_up_lasting_codes(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE pairings SET name_mark = NULL, code_mark = NULL WHERE is_lasting = 1")
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// A page has become its device.
    pub async fn pair_device(&mut self, id: PairingId, device: &Device) -> Result<(), StoreError> {
        sqlx::query("UPDATE pairings SET client_id = $1, paired_at = $2, pin_key = $3 WHERE pairing_id = $4")
            .bind(device.client.as_bytes().as_slice())
            .bind(device.paired_at_ms)
            .bind(device.pin_key.as_slice())
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        self.use_up_code(id).await
    }

    /// Writes what may change of a pairing, whose device is looked up again.
    pub async fn update_pairing(&mut self, of: &Pairing) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE pairings SET site = $1, name = $2, locked_at = $3, ended_at = $4, \
             pins_missed = CASE WHEN $3 IS NULL THEN 0 ELSE pins_missed END WHERE pairing_id = $5",
        )
        .bind(of.site.as_str())
        .bind(of.name.as_ref().map(OrganizationName::as_str))
        .bind(of.locked_at_ms)
        .bind(of.ended_at_ms)
        .bind(of.pairing_id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        if let Some(device) = &of.device {
            self.record_change(ChangeKind::Client, device.client.as_bytes()).await?;
        }
        Ok(())
    }

    /// Spends one of the tries that a PIN has, before it is judged: those of a moment at all nodes are counted one by one. How many are
    /// spent by now; none where there is none left, or the device is locked or ended.
    pub async fn spend_pin(&mut self, id: PairingId) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query(
            "UPDATE pairings SET pins_missed = pins_missed + 1 \
             WHERE pairing_id = $1 AND locked_at IS NULL AND ended_at IS NULL AND pins_missed < $2 RETURNING pins_missed",
        )
        .bind(id.as_bytes().as_slice())
        .bind(i64::from(PINS_MISSED_MAX))
        .fetch_optional(&mut *self.tx)
        .await?;
        let missed = row.map(|row| get_u64(&row, "pins_missed")).transpose()?;
        Ok(missed.and_then(|missed| u32::try_from(missed).ok()))
    }

    /// The PIN was right: it has all its tries again.
    pub async fn return_pins(&mut self, id: PairingId) -> Result<(), StoreError> {
        sqlx::query("UPDATE pairings SET pins_missed = 0 WHERE pairing_id = $1 AND locked_at IS NULL")
            .bind(id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Locks a device whose PIN has no tries left; false where it has some, or is locked.
    pub async fn lock_device(&mut self, id: PairingId, client: ClientId, now_ms: UnixMs) -> Result<bool, StoreError> {
        self.take_turn().await?;
        let done = sqlx::query(
            "UPDATE pairings SET locked_at = $1 WHERE pairing_id = $2 AND locked_at IS NULL AND pins_missed >= $3",
        )
        .bind(now_ms)
        .bind(id.as_bytes().as_slice())
        .bind(i64::from(PINS_MISSED_MAX))
        .execute(&mut *self.tx)
        .await?;
        // Who works at it now is out as well.
        Ok(done.rows_affected() > 0 && self.revoke_tokens_of(client, now_ms).await?)
    }
}

fn listed() -> String {
    format!(
        "SELECT {PAIRING}, o.name AS organization_name, c.last_used_at AS last_used_at FROM pairings p \
         JOIN organizations o ON o.organization_id = p.organization_id LEFT JOIN clients c ON c.client_id = p.client_id"
    )
}

fn read_listed(row: &AnyRow) -> Result<ListedPairing, StoreError> {
    Ok(ListedPairing {
        pairing: read_pairing(row)?,
        organization_name: get_parsed(row, "organization_name", OrganizationName::stored)?,
        last_used_at_ms: row.try_get("last_used_at")?,
    })
}

fn read_pairing(row: &AnyRow) -> Result<Pairing, StoreError> {
    let marks = get_bytes_opt(row, "name_mark")?.zip(get_bytes_opt(row, "code_mark")?);
    let device = match (get_id_opt(row, "client_id")?, row.try_get("paired_at")?, row.try_get("pin_key")?) {
        (Some(client), Some(paired_at_ms), Some(pin_key)) => Some(Device { client, paired_at_ms, pin_key }),
        _ => None,
    };
    Ok(Pairing {
        pairing_id: get_id(row, "pairing_id")?,
        organization_id: get_id(row, "organization_id")?,
        scopes: get_parsed(row, "scopes", Scopes::parse)?,
        site: get_parsed(row, "site", Label::parse)?,
        name: get_parsed_opt(row, "name", OrganizationName::stored)?,
        numbers: get_parsed_opt(row, "numbers", Guests::parse)?,
        created_at_ms: row.try_get("created_at")?,
        expires_at_ms: row.try_get("expires_at")?,
        marks: marks.map(|(name, code)| Marks { name, code }),
        is_lasting: row.try_get::<i64, _>("is_lasting")? != 0,
        device,
        locked_at_ms: row.try_get("locked_at")?,
        ended_at_ms: row.try_get("ended_at")?,
    })
}
