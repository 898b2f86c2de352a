//! Why nobody is let in, and why no token is issued: refusals, and what could not be decided now. Without HTTP.

use super::client_auth::AssertionFault;
use super::devices::UnlockFault;
use super::dpop::DpopFault;
use super::tokens::TokenError;
use crate::limits::{Crowded, Refused};
use crate::store::StoreError;

/// No principal: refused, or not to be decided now.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who asks has not shown to be the holder, or that is not to be decided now.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    #[error("{}", .0.as_str())]
    Dpop(DpopFault),
    #[error("a limit is spent")]
    Limit(Refused),
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DpopFault> for HolderError {
    fn from(fault: DpopFault) -> Self {
        Self::Dpop(fault)
    }
}

impl From<Refused> for HolderError {
    fn from(refused: Refused) -> Self {
        Self::Limit(refused)
    }
}

/// Nobody is let in by a passkey, or that is not to be decided now.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Which of its rules was broken, is not told.
    #[error("refused")]
    Refused,
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The token endpoint's refusals (RFC 6749, 5.2).
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("the client is unknown or its proof does not hold")]
    InvalidClient,
    #[error("{}", .0.as_str())]
    Assertion(AssertionFault),
    #[error("a requested scope is unknown or not this client's")]
    InvalidScope,
    #[error("the client has a scope that organizations of its kind may not have")]
    ForbiddenScope,
    #[error("the connection has no certificate of this client")]
    NoCertificate,
    #[error("the token would be bound to nobody")]
    Unbound,
    #[error("{}", .0.as_str())]
    Locked(UnlockFault),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Store(#[from] StoreError),
}
