//! Persons of the operator whom operators have suspended or ended here, whatever their provider says.

use super::tokens::{TokenClaims, TokenError};
use super::{Access, AccessError};
use crate::domain::authority::LifeState;

impl Access {
    /// Whether the person of a token is still let in. Asked where a token is met, and again when clients or persons change. One who is not
    /// known is met for the first time.
    pub(super) async fn expect_let_in(&self, claims: &TokenClaims) -> Result<(), AccessError> {
        let Some((id, _)) = claims.role else { return Ok(()) };
        let known = self.store.find_person(id).await?;
        let is_let_in = known.is_none_or(|person| person.state() == LifeState::Active);
        if is_let_in { Ok(()) } else { Err(TokenError::Revoked.into()) }
    }
}
