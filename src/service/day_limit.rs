//! How many listings a client ends in a day by itself: by withdrawals, returns of found cards and earlier starts of replacements. Beyond
//! that a second client of the organization must confirm each withdrawal, or correct the start.

use super::ServiceError;
use super::writing::Writing;
use crate::clock::{beijing_date, beijing_day};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::WAITS_MAX;
use crate::domain::client::{Actor, Scope};
use crate::domain::instant::UnixMs;
use crate::store::clients::{Client, Organization};
use crate::store::withdrawals::PendingWithdrawal;

/// Listings that a client ends in a day of Beijing.
#[derive(Debug, Clone, Copy)]
pub struct DayLimit(pub u64);

/// A withdrawal that has to wait.
#[derive(Debug)]
pub enum Waiting {
    /// It was asked for now: its entry in the audit log is still to be made.
    Requested(Box<(PendingWithdrawal, Deed)>),
    /// It was asked for before.
    Already(PendingWithdrawal),
}

impl DayLimit {
    /// Whether a client has ended as many today as it may by itself. Exact at every node: all writers take their turn.
    pub async fn is_spent(self, writing: &mut Writing, actor: Actor) -> Result<bool, ServiceError> {
        let day = beijing_day(beijing_date(writing.now_ms));
        let done = writing.tx.count_ended(actor.client, UnixMs::from_seconds(day.start)).await?;
        Ok(done >= self.0)
    }
}

/// Keeps a withdrawal for a second client.
pub async fn keep_waiting(writing: &mut Writing, new: PendingWithdrawal) -> Result<Waiting, ServiceError> {
    let (organization, report_id) = (new.actor.organization, new.report_id);
    // What nobody may confirm any more is in nobody's way, also not in another organization's.
    writing.tx.drop_expired_withdrawal(report_id, writing.now_ms.minus(WAITS_MAX)).await?;
    if let Some(known) = writing.tx.find_pending_withdrawal(organization, report_id).await? {
        if asker_is_let_in(writing, &known).await?.is_some() {
            return Ok(Waiting::Already(known));
        }
        writing.tx.drop_request(report_id, known.actor.client).await?;
    }
    writing.tx.keep_withdrawal(&new).await?;
    if writing.tx.find_pending_withdrawal(organization, report_id).await?.is_none() {
        return Err(ServiceError::Conflict("another organization has asked to withdraw the report".into()));
    }
    let deed = Deed::of(new.actor, Action::WithdrawalRequested, report_id);
    Ok(Waiting::Requested(Box::new((new, deed))))
}

/// Whether a withdrawal has waited for too long.
pub fn has_expired(pending: &PendingWithdrawal, now_ms: UnixMs) -> bool {
    pending.requested_at_ms < now_ms.minus(WAITS_MAX)
}

/// Whether what was asked for may still be done, as done by the client that asked: it may have been locked out since. Answers whether
/// its organization also ends reports of others.
pub async fn expect_confirmable(writing: &mut Writing, pending: &PendingWithdrawal) -> Result<bool, ServiceError> {
    if has_expired(pending, writing.now_ms) {
        return Err(ServiceError::Conflict("the withdrawal has waited for more than seven days: ask again".into()));
    }
    let Some(organization) = asker_is_let_in(writing, pending).await? else {
        return Err(ServiceError::Conflict("who asked for the withdrawal is not let in any more: ask again".into()));
    };
    if !organization.offices.include(&organization.region, &pending.office) {
        return Err(ServiceError::OfficeNotYours("the office that asked is not one of the organization's any more"));
    }
    Ok(organization.offices.ends_others)
}

async fn asker_is_let_in(
    writing: &mut Writing,
    pending: &PendingWithdrawal,
) -> Result<Option<Organization>, ServiceError> {
    let let_in = writing.let_in(pending.actor.client).await?;
    let may_still = |(client, organization): &(Client, Organization)| {
        let may_have = organization.kind.scopes();
        client.scopes.contains(Scope::Registry) && may_have.contains(Scope::Registry)
    };
    Ok(let_in.filter(may_still).map(|(_, organization)| organization))
}
