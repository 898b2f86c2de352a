//! What a change of the feed means for callers: who they are is looked up again.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Access, REVOKED_MAX};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::store::StoreError;
use crate::store::feed::{Change, ChangeKind, Listener};

impl Listener for Access {
    fn on_change(&self, change: &Change) {
        let (id, token) = (change.subject.as_slice().try_into(), change.subject.as_slice().try_into());
        match (change.kind, id, token) {
            (ChangeKind::Client, Ok(client), _) => {
                self.directory.forget_client(ClientId::from_bytes(client));
                self.forget_callers();
            }
            (ChangeKind::Organization, Ok(organization), _) => {
                self.directory.forget_organization(OrganizationId::from_bytes(organization));
                self.forget_callers();
            }
            (ChangeKind::Token, _, Ok(token)) => {
                self.revoked.rcu(|revoked| {
                    let mut all = HashSet::clone(revoked);
                    all.insert(token);
                    all
                });
                self.forget_callers();
            }
            _ => {}
        }
    }

    /// Everything remembered may have changed; the revoked tokens are read again before the node takes a lease.
    fn on_reload(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let since = self.clock.now_ms().minus(REVOKED_MAX);
            let revoked = self.store.list_revoked_tokens(since).await?;
            self.revoked.store(Arc::new(revoked.into_iter().collect()));
            self.directory.forget_all();
            self.forget_callers();
            Ok(())
        })
    }
}
