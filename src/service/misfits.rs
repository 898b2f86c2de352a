//! Clients of before there was a rule, whose scopes their organization's kind may not have: which they are, and how the operator corrects
//! them. They get no token of such a scope meanwhile.

use crate::domain::client::{OrganizationKind, Scopes};
use crate::domain::ids::ClientId;
use crate::store::clients::MisfitClient;
use crate::store::{Store, StoreError};

/// One of them.
#[derive(Debug)]
pub struct Misfit {
    pub client_id: ClientId,
    pub kind: OrganizationKind,
    /// What it has and may not have.
    pub forbidden: Scopes,
    /// The command that corrects it.
    pub command: String,
}

/// All of them, oldest first.
pub async fn misfits(store: &Store) -> Result<Vec<Misfit>, StoreError> {
    let found = store.list_misfit_clients().await?;
    let misfit = |MisfitClient { client, kind }| Misfit {
        client_id: client.client_id,
        kind,
        forbidden: kind.forbidden(client.scopes),
        command: command(client.client_id, client.scopes.and(kind.scopes())),
    };
    Ok(found.into_iter().map(misfit).collect())
}

/// What leaves a client the scopes that it may have, or nothing.
fn command(client_id: ClientId, allowed: Scopes) -> String {
    if allowed.is_empty() {
        return format!("lostcard client disable {client_id}");
    }
    let scopes: Vec<_> = allowed.iter().map(|scope| format!(" --scope {}", scope.as_str())).collect();
    format!("lostcard client update {client_id}{}", scopes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_what_it_may_have() {
        let id = ClientId::from_u128(7);
        let scopes = |text| Scopes::parse(text).unwrap();
        assert_eq!(
            command(id, scopes("checks registry")),
            "lostcard client update 00000000-0000-0000-0000-000000000007 --scope checks --scope registry"
        );
        assert_eq!(command(id, Scopes::default()), "lostcard client disable 00000000-0000-0000-0000-000000000007");
    }
}
