//! `[access]`: what is demanded of callers beside a token.

use super::setting::section;

section! {
    /// What is demanded of callers beside a token.
    Access in "access." {
        /// Only tokens that are bound to their holder, by a certificate or by `DPoP`, are issued and taken.
        require_bound: bool = false;
        /// `DPoP` proofs must have a nonce of this service.
        dpop_nonce: bool = false;
    }
}
