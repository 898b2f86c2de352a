//! Withdrawals of loss reports at an office: by who filed them, so many a day by one client alone, the others with a second client's
//! confirmation. A portal's own withdrawals are `citizen`'s, the return of a found card is `found_cards`'.

use std::sync::Arc;

use super::ServiceError;
use super::act_receipts::Ended;
use super::day_limit::{DayLimit, Waiting, expect_confirmable, has_expired, keep_waiting};
use super::found_cards::FoundCards;
use super::groups::{Acted, Groups, Left};
use super::writing::Writer;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::ReportId;
use crate::domain::report::{OfficeCode, WithdrawalReason};
use crate::store::StoreError;
use crate::store::withdrawals::{PendingWithdrawal, StoredWithdrawal};

/// Who ends reports, and whose.
#[derive(Debug, Clone, Copy)]
pub struct Ender {
    pub actor: Actor,
    /// Also those that other organizations have filed.
    pub ends_others: bool,
}

/// What became of a withdrawal.
#[derive(Debug)]
pub enum Withdrawal {
    Done(Ended),
    Waits(PendingWithdrawal),
}

/// Withdraws.
#[derive(Debug)]
pub struct Withdrawals {
    writer: Arc<Writer>,
    groups: Arc<Groups>,
    found_cards: Arc<FoundCards>,
    limit: DayLimit,
}

impl Withdrawals {
    pub fn new(writer: Arc<Writer>, groups: Arc<Groups>, found_cards: Arc<FoundCards>, limit: DayLimit) -> Self {
        Self { writer, groups, found_cards, limit }
    }

    /// The holder has the card again, or it was never lost.
    pub async fn withdraw(
        &self,
        Ender { actor, ends_others }: Ender,
        report_id: ReportId,
        office: OfficeCode,
        reason: WithdrawalReason,
    ) -> Result<Option<Withdrawal>, ServiceError> {
        let (limit, writer) = (self.limit, Arc::clone(&self.writer));
        let withdrawn = self.groups.act(None, move |writing| {
            Box::pin(async move {
                let found = writing.tx.find_report_to_end(actor.organization, ends_others, report_id).await?;
                let Some(stored) = found else { return Ok((None, None)) };
                if limit.is_spent(writing, actor).await? {
                    // A report that cannot be withdrawn is told so at once.
                    stored.report.clone().withdraw()?;
                    let requested_at_ms = writing.now_ms;
                    let new = PendingWithdrawal { report_id, actor, office, reason, requested_at_ms, returning: None };
                    return Ok(match keep_waiting(writing, new).await? {
                        Waiting::Already(pending) => (Some(Withdrawal::Waits(pending)), None),
                        Waiting::Requested(requested) => {
                            let (pending, deed) = *requested;
                            (Some(Withdrawal::Waits(pending)), Some(Left { deed, answer: None }))
                        }
                    });
                }
                let ended = writer.withdraw(writing, actor, stored, &office, reason).await?;
                let deed = Deed::of(actor, Action::ReportWithdrawn, report_id);
                Ok((Some(Withdrawal::Done(ended)), Some(Left { deed, answer: None })))
            })
        });
        match withdrawn.await? {
            Acted::Done(withdrawal) => Ok(withdrawal),
            Acted::Repeated(_) => Err(StoreError::Misused("a withdrawal is repeated by no key").into()),
        }
    }

    /// A second client agrees, in the hand of another clerk where both name theirs: what was asked for is done, as done by the client that asked, if that may do it still. None where nothing waits.
    pub async fn confirm(&self, actor: Actor, report_id: ReportId) -> Result<Option<Ended>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let found = writing.tx.find_pending_withdrawal(actor.organization, report_id).await?;
        let Some(pending) = found else { return Ok(None) };
        if !actor.is_another(&pending.actor) {
            return Err(ServiceError::AnotherMustConfirm);
        }
        let ends_others = expect_confirmable(&mut writing, &pending).await?;
        let confirmed = Deed::of(actor, Action::WithdrawalConfirmed, report_id);
        writing.note(&confirmed).await?;
        if let Some(returning) = pending.returning {
            return self.found_cards.return_confirmed(writing, &pending, ends_others, returning).await.map(Some);
        }
        let found = writing.tx.find_report_to_end(pending.actor.organization, ends_others, report_id).await?;
        let Some(stored) = found else { return Ok(None) };
        let ended = self.writer.withdraw(&mut writing, actor, stored, &pending.office, pending.reason).await?;
        let deed = Deed::of(pending.actor, Action::ReportWithdrawn, report_id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(ended))
    }

    /// The withdrawal of a report, where there is one.
    pub async fn find(
        &self,
        Ender { actor, ends_others }: Ender,
        report_id: ReportId,
    ) -> Result<Option<StoredWithdrawal>, ServiceError> {
        let now_ms = self.writer.clock.now_ms();
        let is_over = |found: &StoredWithdrawal| matches!(found, StoredWithdrawal::Pending(pending) if has_expired(pending, now_ms));
        let found = self.writer.store.find_withdrawal(actor.organization, ends_others, report_id).await?;
        let found = found.filter(|found| !is_over(found));
        if found.is_some() {
            self.writer.note(&Deed::of(actor, Action::ReportRead, report_id)).await?;
        }
        Ok(found)
    }
}
