//! What operators see and ask for: organizations and clients by pages, with what is known of their use, and acts that wait for a
//! second operator. Single rows and their changes are in `clients`.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::clients::{CLIENT, Client, ORGANIZATION, Organization, read_client, read_organization};
use super::{Store, StoreError, WriteTx, as_i64, get_id, get_id_opt, get_parsed, get_parsed_opt, get_u64};
use crate::domain::authority::WaitingAct;
use crate::domain::client::{Actor, OrganizationName};
use crate::domain::ids::{AdminRequestId, ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::person::ShortName;

/// A client as lists show it.
#[derive(Debug, Clone)]
pub struct ListedClient {
    pub client: Client,
    pub organization_name: OrganizationName,
    /// When a node has last met one of its tokens for the first time.
    pub last_used_at_ms: Option<UnixMs>,
    /// Requests that limits have refused.
    pub refused: u64,
}

/// How much a client was seen at a node since the last note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub client: ClientId,
    pub last_used_at_ms: Option<UnixMs>,
    pub refused: u64,
}

/// It, as it was asked for.
#[derive(Debug, Clone)]
pub struct AdminRequest {
    pub id: AdminRequestId,
    /// Who asked for it.
    pub actor: Actor,
    pub act: WaitingAct,
    /// The client or the organization that it changes.
    pub target: Option<RecordId>,
    /// The body of the request: the room that wrote it reads it again.
    pub body: String,
    pub requested_at_ms: UnixMs,
    pub approved: Option<Approved>,
    pub refused: Option<Refused>,
    /// What was approved and takes longer than that, as the service reads it.
    pub work: Option<String>,
    pub done_at_ms: Option<UnixMs>,
    /// What came of it then, as the service reads it.
    pub outcome: Option<String>,
}

/// Who refused it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub at_ms: UnixMs,
    pub by: ClientId,
    pub person: Option<ShortName>,
}

/// Who approved it, when, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approved {
    pub at_ms: UnixMs,
    pub by: ClientId,
    /// The person behind it, where one is known.
    pub person: Option<ShortName>,
    pub subject: RecordId,
}

pub(super) const REQUEST: &str = "request_id, organization_id, client_id, act, target, body, requested_at, approved_at, approved_by, \
     subject, person_id, person, approved_person, refused_at, refused_by, refused_person, work, done_at, outcome";

impl Store {
    /// Organizations behind one of them, oldest first.
    pub async fn list_organizations(
        &self,
        after: Option<OrganizationId>,
        count_max: usize,
    ) -> Result<Vec<Organization>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ORGANIZATION} FROM organizations o WHERE o.organization_id > $1 ORDER BY o.organization_id LIMIT $2"
        )))
        .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
        .bind(as_i64(count_max as u64))
        .fetch_all(&mut *self.connection().await?)
        .await?;
        rows.iter().map(read_organization).collect()
    }

    /// Clients behind one of them, oldest first; those of one organization, where it is named.
    pub async fn list_clients_page(
        &self,
        of: Option<OrganizationId>,
        after: Option<ClientId>,
        count_max: usize,
    ) -> Result<Vec<ListedClient>, StoreError> {
        let condition = if of.is_some() { "AND c.organization_id = $3" } else { "" };
        let text = format!("{} WHERE c.client_id > $1 {condition} ORDER BY c.client_id LIMIT $2", listed());
        let mut query = sqlx::query(AssertSqlSafe(text))
            .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
            .bind(as_i64(count_max as u64));
        if let Some(of) = of {
            query = query.bind(of.as_bytes().to_vec());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        rows.iter().map(read_listed).collect()
    }

    /// One client, as lists show it.
    pub async fn find_listed_client(&self, id: ClientId) -> Result<Option<ListedClient>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("{} WHERE c.client_id = $1", listed())))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_listed).transpose()
    }

    /// What was asked for, waiting or approved.
    pub async fn find_admin_request(&self, id: AdminRequestId) -> Result<Option<AdminRequest>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(one_request()))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_request).transpose()
    }

    /// What was asked for behind one of them, oldest first.
    pub async fn list_admin_requests(
        &self,
        after: Option<AdminRequestId>,
        count_max: usize,
    ) -> Result<Vec<AdminRequest>, StoreError> {
        let text = format!("SELECT {REQUEST} FROM admin_requests WHERE request_id > $1 ORDER BY request_id LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
            .bind(as_i64(count_max as u64))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(read_request).collect()
    }

    /// What waits since an instant or later, behind one of them, oldest first. Ids begin with their time, so what is older is not read.
    pub async fn list_waiting_admin_requests(
        &self,
        since_ms: UnixMs,
        after: Option<AdminRequestId>,
        count_max: usize,
    ) -> Result<Vec<AdminRequest>, StoreError> {
        let first = AdminRequestId::from_u128(u128::try_from(since_ms.get()).unwrap_or(0) << 80);
        let text = format!(
            "SELECT {REQUEST} FROM admin_requests WHERE request_id > $1 AND approved_at IS NULL AND refused_at IS NULL \
             AND requested_at >= $2 ORDER BY request_id LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(after.unwrap_or(first).max(first).as_bytes().to_vec())
            .bind(since_ms)
            .bind(as_i64(count_max as u64))
            .fetch_all(&mut *self.connection().await?)
            .await?;
        rows.iter().map(read_request).collect()
    }

    /// Notes how much clients were seen. No client twice, all in the order of their ids: two nodes that note at once must not wait
    /// for each other. Nodes need not know: it is no row of the feed.
    pub async fn note_seen(&self, seen: &[Seen]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for one in seen {
            sqlx::query(
                "UPDATE clients SET last_used_at = CASE WHEN last_used_at IS NULL OR last_used_at < $1 THEN COALESCE($1, \
                 last_used_at) ELSE last_used_at END, refused = refused + $2 WHERE client_id = $3",
            )
            .bind(one.last_used_at_ms)
            .bind(as_i64(one.refused))
            .bind(one.client.as_bytes().as_slice())
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit_unlisted().await
    }
}

impl WriteTx {
    /// An organization, inside the transaction that changes it.
    pub async fn read_organization(&mut self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ORGANIZATION} FROM organizations o WHERE o.organization_id = $1"
        )))
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&mut *self.tx)
        .await?;
        row.as_ref().map(read_organization).transpose()
    }

    /// The same of a client.
    pub async fn read_client(&mut self, id: ClientId) -> Result<Option<ListedClient>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(AssertSqlSafe(format!("{} WHERE c.client_id = $1", listed())))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_listed).transpose()
    }

    /// Keeps what must be approved.
    pub async fn keep_admin_request(&mut self, new: &AdminRequest) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO admin_requests (request_id, organization_id, client_id, act, target, body, requested_at, person_id, \
             person) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.id.as_bytes().as_slice())
        .bind(new.actor.organization.as_bytes().as_slice())
        .bind(new.actor.client.as_bytes().as_slice())
        .bind(new.act.as_str())
        .bind(new.target.map(|target| target.as_bytes().to_vec()))
        .bind(new.body.as_str())
        .bind(new.requested_at_ms)
        .bind(new.actor.person_id.map(|person| person.as_bytes().to_vec()))
        .bind(new.actor.person.map(|person| person.as_str().to_owned()))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// What was asked for, inside the transaction that approves it.
    pub async fn read_admin_request(&mut self, id: AdminRequestId) -> Result<Option<AdminRequest>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(AssertSqlSafe(one_request()))
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_request).transpose()
    }

    /// Refuses it.
    pub async fn refuse_admin_request(&mut self, id: AdminRequestId, by: &Refused) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE admin_requests SET refused_at = $1, refused_by = $2, refused_person = $3 WHERE request_id = $4",
        )
        .bind(by.at_ms)
        .bind(by.by.as_bytes().as_slice())
        .bind(by.person.map(|person| person.as_str().to_owned()))
        .bind(id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Uses up what a second operator has agreed to: that who asked makes a secret for a client. The client that was approved with it has its first
    /// one so. False where nothing of that is left since an instant.
    pub async fn use_secret_permit(
        &mut self,
        client: ClientId,
        actor: Actor,
        (since_ms, now_ms): (UnixMs, UnixMs),
    ) -> Result<bool, StoreError> {
        let rows = sqlx::query(
            "SELECT request_id, person_id FROM admin_requests WHERE approved_at >= $1 AND done_at IS NULL AND client_id = $2 \
             AND subject = $3 AND act IN ('create_client', 'create_client_secret') ORDER BY request_id",
        )
        .bind(since_ms)
        .bind(actor.client.as_bytes().as_slice())
        .bind(client.as_bytes().as_slice())
        .fetch_all(&mut *self.tx)
        .await?;
        for row in &rows {
            if get_id_opt(row, "person_id")? == actor.person_id {
                let id: AdminRequestId = get_id(row, "request_id")?;
                sqlx::query("UPDATE admin_requests SET done_at = $1 WHERE request_id = $2")
                    .bind(now_ms)
                    .bind(id.as_bytes().as_slice())
                    .execute(&mut *self.tx)
                    .await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Approves it.
    pub async fn approve_admin_request(&mut self, id: AdminRequestId, by: &Approved) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE admin_requests SET approved_at = $1, approved_by = $2, subject = $3, approved_person = $4 \
             WHERE request_id = $5",
        )
        .bind(by.at_ms)
        .bind(by.by.as_bytes().as_slice())
        .bind(by.subject.as_bytes().as_slice())
        .bind(by.person.map(|person| person.as_str().to_owned()))
        .bind(id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn listed() -> String {
    format!(
        "SELECT {CLIENT}, o.name AS organization_name, c.last_used_at AS last_used_at, c.refused AS refused \
         FROM clients c JOIN organizations o ON o.organization_id = c.organization_id"
    )
}

fn read_listed(row: &AnyRow) -> Result<ListedClient, StoreError> {
    Ok(ListedClient {
        client: read_client(row)?,
        organization_name: get_parsed(row, "organization_name", OrganizationName::stored)?,
        last_used_at_ms: row.try_get("last_used_at")?,
        refused: get_u64(row, "refused")?,
    })
}

fn one_request() -> String {
    format!("SELECT {REQUEST} FROM admin_requests WHERE request_id = $1")
}

pub(super) fn read_request(row: &AnyRow) -> Result<AdminRequest, StoreError> {
    let approved = match (row.try_get("approved_at")?, get_id_opt(row, "approved_by")?, get_id_opt(row, "subject")?) {
        (Some(at_ms), Some(by), Some(subject)) => {
            Some(Approved { at_ms, by, person: get_parsed_opt(row, "approved_person", ShortName::stored)?, subject })
        }
        _ => None,
    };
    let refused = match (row.try_get("refused_at")?, get_id_opt(row, "refused_by")?) {
        (Some(at_ms), Some(by)) => {
            Some(Refused { at_ms, by, person: get_parsed_opt(row, "refused_person", ShortName::stored)? })
        }
        _ => None,
    };
    Ok(AdminRequest {
        id: get_id(row, "request_id")?,
        actor: Actor {
            person: get_parsed_opt(row, "person", ShortName::stored)?,
            person_id: get_id_opt(row, "person_id")?,
            ..Actor::new(get_id(row, "organization_id")?, get_id(row, "client_id")?)
        },
        act: get_parsed(row, "act", WaitingAct::parse)?,
        target: get_id_opt(row, "target")?,
        body: row.try_get("body")?,
        requested_at_ms: row.try_get("requested_at")?,
        approved,
        refused,
        work: row.try_get("work")?,
        done_at_ms: row.try_get("done_at")?,
        outcome: row.try_get("outcome")?,
    })
}
