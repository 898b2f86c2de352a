//! What is audited: a receipt that was verified and opened.

use crate::crypto::digest::IdDigest;
use crate::domain::redacted::SaltText;
use crate::service::receipts::Verification;

pub(super) struct Subject {
    pub(super) receipt: String,
    pub(super) digest: IdDigest,
    pub(super) salt: SaltText,
    pub(super) found: Verification,
}
