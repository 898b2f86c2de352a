//! How many reports a client withdraws in a day by itself. Beyond that a second client of the organization must confirm each.

use super::ServiceError;
use super::writing::Writing;
use crate::clock::{beijing_date, beijing_day};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::instant::UnixMs;
use crate::store::withdrawals::PendingWithdrawal;

/// Withdrawals of a client in a day of Beijing.
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
    /// Whether a client has withdrawn as many today as it may by itself. Exact at every node: all writers take their turn.
    pub async fn is_spent(self, writing: &mut Writing, actor: Actor) -> Result<bool, ServiceError> {
        let day = beijing_day(beijing_date(writing.now_ms));
        let done = writing.tx.count_withdrawals(actor.client, UnixMs::from_seconds(day.start)).await?;
        Ok(done >= self.0)
    }
}

/// Keeps a withdrawal for a second client.
pub async fn keep_waiting(writing: &mut Writing, new: PendingWithdrawal) -> Result<Waiting, ServiceError> {
    let (organization, report_id) = (new.actor.organization, new.report_id);
    if let Some(known) = writing.tx.find_pending_withdrawal(organization, report_id).await? {
        return Ok(Waiting::Already(known));
    }
    writing.tx.keep_withdrawal(&new).await?;
    if writing.tx.find_pending_withdrawal(organization, report_id).await?.is_none() {
        return Err(ServiceError::Conflict("another organization has asked to withdraw the report".into()));
    }
    let deed = Deed::of(new.actor, Action::WithdrawalRequested, report_id);
    Ok(Waiting::Requested(Box::new((new, deed))))
}
