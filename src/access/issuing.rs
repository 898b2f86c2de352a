//! Access tokens of this service, as they are made (RFC 9068). How they are read is in `tokens`.

use super::binding::Binding;
use crate::crypto::signing::SigningKey;
use crate::domain::client::Scopes;
use crate::domain::ids::{ClientId, OrganizationId, PersonId, TokenId};
use crate::domain::person::{Role, ShortName};
use crate::domain::redacted::TokenText;

/// A token to be issued.
#[derive(Debug)]
pub(super) struct NewToken<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: ClientId,
    pub(super) organization: OrganizationId,
    pub(super) scopes: Scopes,
    pub(super) now_s: i64,
    pub(super) lifetime_s: i64,
    pub(super) token_id: TokenId,
    pub(super) binding: Binding,
    pub(super) person: Option<ShortName>,
    /// Who that is and what is theirs, where it is a person of the operator.
    pub(super) role: Option<(PersonId, Role)>,
}

impl NewToken<'_> {
    /// The signed token, `typ` `at+jwt` (RFC 9068, 2.1).
    pub(super) fn sign(&self, key: &SigningKey) -> TokenText {
        let mut claims = serde_json::json!({
            "iss": self.issuer, "aud": self.issuer, "sub": self.client_id, "client_id": self.client_id,
            "org": self.organization, "scope": self.scopes.to_string(), "jti": self.token_id,
            "iat": self.now_s, "nbf": self.now_s, "exp": self.now_s + self.lifetime_s,
        });
        if !self.binding.is_none() {
            claims["cnf"] = self.binding.to_claim();
        }
        if let Some(person) = self.person {
            claims["clerk"] = person.as_str().into();
        }
        if let Some((id, role)) = self.role {
            claims["person"] = serde_json::json!({"id": id, "role": role.as_str()});
        }
        key.sign_jws("at+jwt", claims.to_string().as_bytes()).into()
    }
}
