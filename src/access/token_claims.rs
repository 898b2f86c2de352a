//! What a verified token says, no matter who issued it, and the times within which it may say so. Reads no token.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::binding::Binding;
use super::jwks::{IssuerKeys, IssuerRules};
use crate::domain::client::Scopes;
use crate::domain::ids::{ClientId, OrganizationId, PersonId};
use crate::domain::person::{Role, ShortName};

/// How far clocks may differ, in seconds.
pub const LEEWAY_S: i64 = 5;
/// No token may live longer, whatever its issuer says, in seconds.
pub(super) const LIFETIME_S_MAX: i64 = 24 * 3600;

/// Why a token is refused. One word for the client; it learns no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed or its kind is not accepted")]
    Malformed,
    #[error("the token is signed by no accepted key")]
    UnknownKey,
    #[error("the signature does not match or a claim is missing or wrong")]
    Invalid,
    #[error("the token has expired or is not valid yet")]
    Expired,
    #[error("the token or its client has been revoked")]
    Revoked,
}

/// Whose clients a token may be.
#[derive(Debug, Clone)]
pub enum Organizations {
    /// Its own claim (`org`), or anybody's where it has none.
    Claimed(Option<OrganizationId>),
    /// Those that its issuer is bound to.
    Bound(Arc<IssuerRules>),
}

impl Organizations {
    pub fn contain(&self, organization: OrganizationId) -> bool {
        match self {
            Self::Claimed(claimed) => claimed.is_none_or(|claimed| claimed == organization),
            Self::Bound(rules) => rules.organizations.contains(&organization),
        }
    }
}

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct TokenClaims {
    pub client_id: ClientId,
    pub organizations: Organizations,
    pub scopes: Scopes,
    pub issued_s: i64,
    pub expires_s: i64,
    pub binding: Binding,
    /// Who is behind the client.
    pub person: Option<ShortName>,
    /// Who that is and what is theirs, where an issuer of persons vouches for it.
    pub role: Option<(PersonId, Role)>,
    /// The group that gave the role; none where this service itself vouches for the person.
    pub group: Option<Arc<str>>,
    /// The key that signed it.
    pub key: KeyName,
    /// Known to the list of revoked tokens.
    pub fingerprint: [u8; 32],
}

/// A key, as its issuer calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    pub(super) issuer: String,
    pub(super) kid: String,
}

impl KeyName {
    /// Whether the key is still accepted.
    pub fn is_among(&self, issuers: &[IssuerKeys]) -> bool {
        issuers.iter().any(|issuer| issuer.issuer == self.issuer && issuer.keys.contains_key(&self.kid))
    }
}

/// Every time claim is checked here, against the service's clock, with all comparisons in one place.
pub(super) fn check_times(
    iat: i64,
    nbf: Option<i64>,
    exp: i64,
    lifetime_s_max: i64,
    now_s: i64,
) -> Result<(), TokenError> {
    let starts = nbf.unwrap_or(iat).max(iat);
    if exp.saturating_sub(iat) > lifetime_s_max || exp <= iat {
        return Err(TokenError::Invalid);
    }
    if now_s >= exp.saturating_add(LEEWAY_S) || now_s < starts.saturating_sub(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// What the list of revoked tokens holds.
pub fn fingerprint(issuer: &str, token_id: &str) -> [u8; 32] {
    Sha256::new().chain_update(issuer).chain_update([0]).chain_update(token_id).finalize().into()
}
