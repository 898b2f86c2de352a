//! `[blind]`: blind keys, and the registry log that is made of them.

use super::setting::section;
use crate::domain::retention::Period;

section! {
    /// Blind keys, and the registry log that is made of them.
    Blind in "blind." {
        /// Whether there are blind keys and a registry log. Without them their paths answer 404.
        enabled: bool = true;
        /// How long seed and base of a blind key are kept after its end, for audits of receipts of its time.
        audit_keep: Period = Period::Days(400);
    }
}
