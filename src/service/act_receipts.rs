//! Receipts of writes: who reported, withdrew, replaced or corrected can show that it was done, and the registry log shows whether it was kept. Where
//! there is no log there are none.

use jiff::civil::Date;

use super::ServiceError;
use super::listing;
use super::writing::{Writer, Writing, open_digest};
use crate::crypto::act_receipt::{Act, ActClaims};
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::commitment;
use crate::crypto::salt::Salt;
use crate::domain::client::Actor;
use crate::domain::ids::RecordId;
use crate::domain::redacted::SaltText;
use crate::domain::report::{OfficeCode, WithdrawalReason};
use crate::domain::sequence::Sequence;
use crate::store::reports::StoredReport;

/// The receipt of a write, and the salt that opens it.
#[derive(Debug)]
pub struct ActReceipt {
    pub text: String,
    pub salt: Salt<32>,
}

impl ActReceipt {
    /// The receipt and its salt, as an answer that is never repeated has them.
    pub fn unzip(receipt: Option<Self>) -> (Option<String>, Option<SaltText>) {
        receipt.map(|receipt| (receipt.text, receipt.salt.to_text())).unzip()
    }
}

/// A report that has ended, and the receipt of that.
#[derive(Debug)]
pub struct Ended {
    pub report: StoredReport,
    pub receipt: Option<ActReceipt>,
}

/// What was written about whom.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) act: Act,
    pub(super) record: RecordId,
    pub(super) sequence: Sequence,
    pub(super) digest: &'a IdDigest,
    /// Of the card that was reported, or of the new one.
    pub(super) card_valid_from: Option<Date>,
}

impl Writer {
    /// The receipt of a write that is about to be committed.
    pub(super) fn act_receipt(&self, writing: &Writing, actor: Actor, written: &Written<'_>) -> Option<ActReceipt> {
        if !self.gives_act_receipts(writing) {
            return None;
        }
        let Written { act, record, sequence, digest, card_valid_from } = *written;
        let salt = self.keyring.acts().salt(act, record);
        let commitment = commitment(&salt, digest, card_valid_from);
        let now_s = writing.now_ms.seconds();
        let claims = ActClaims { organization: actor.organization, now_s, record, act, sequence, commitment };
        let text = self.heads.sign(vec![claims.encode(&self.heads.issuer_json)]).pop()?.to_string();
        Some(ActReceipt { text, salt })
    }

    /// What the log does not have cannot be shown by it.
    fn gives_act_receipts(&self, writing: &Writing) -> bool {
        self.heads.log.is_some() && writing.tx.has_entries()
    }

    /// Ends a report: its holder has the card again, or never lost it.
    pub(super) async fn withdraw(
        &self,
        writing: &mut Writing,
        actor: Actor,
        stored: StoredReport,
        office: &OfficeCode,
        reason: WithdrawalReason,
    ) -> Result<Ended, ServiceError> {
        let report = listing::withdrawn(writing, stored, office, reason).await?;
        if !self.gives_act_receipts(writing) {
            return Ok(Ended { report, receipt: None });
        }
        let id = report.report.id;
        let filed = writing.tx.report_as_filed(id).await?;
        let digest = filed.map(|filed| open_digest(&self.keyring, id, &filed.number.sealed_digest)).transpose()?;
        let receipt = digest.and_then(|digest| {
            let written = Written {
                act: Act::Withdrawal,
                record: id.into(),
                sequence: report.sequence,
                digest: &digest,
                card_valid_from: report.report.card_valid_from,
            };
            self.act_receipt(writing, actor, &written)
        });
        Ok(Ended { report, receipt })
    }
}
