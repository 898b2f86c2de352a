//! What a token is bound to, and what the holder of a request has shown: the two must agree (RFC 8705, 3; RFC 9449, 6). How a
//! certificate or a proof is read is `certificates`' and `dpop`'s.

use serde::Deserialize;

use super::certificates::Thumbprint;
use crate::crypto::signing::{base64url, from_base64url};

/// What a token is bound to: nothing, a certificate, a key, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Binding {
    pub certificate: Option<Thumbprint>,
    pub key: Option<Thumbprint>,
}

/// `cnf` (RFC 7800). A way to confirm that is not known here is refused: nobody could check it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    #[serde(rename = "x5t#S256")]
    certificate: Option<String>,
    jkt: Option<String>,
}

impl Binding {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Of the claim of a token. None: not one that can be kept.
    pub(super) fn of_claim(claim: Option<&Confirmation>) -> Option<Self> {
        let Some(claim) = claim else { return Some(Self::default()) };
        let thumbprint = |text: &Option<String>| {
            let Some(text) = text else { return Some(None) };
            from_base64url(text)?.try_into().ok().map(Some)
        };
        let binding = Self { certificate: thumbprint(&claim.certificate)?, key: thumbprint(&claim.jkt)? };
        // One that names nothing would bind to nothing.
        (!binding.is_none()).then_some(binding)
    }

    /// The claim; null where there is none.
    pub(super) fn to_claim(self) -> serde_json::Value {
        let mut claim = serde_json::Map::new();
        for (name, value) in [("x5t#S256", self.certificate), ("jkt", self.key)] {
            if let Some(value) = value {
                claim.insert(name.to_owned(), base64url(&value).into());
            }
        }
        if claim.is_empty() { serde_json::Value::Null } else { claim.into() }
    }

    /// Whether the certificate of a connection is the one that the token is bound to, if it is bound to one.
    pub fn allows(&self, shown: Option<Thumbprint>) -> bool {
        self.certificate.is_none_or(|bound| shown == Some(bound))
    }
}
