//! What is kept until a second operator agrees.

use super::asked::{Act, Administration, Outcome};
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::WaitingAct;
use crate::domain::client::Actor;
use crate::service::ServiceError;
use crate::service::writing::Writing;
use crate::store::administration::AdminRequest;

impl Administration {
    /// Keeps an act for a second operator, and ends the write.
    pub(super) async fn keep(
        &self,
        mut writing: Writing,
        actor: Actor,
        act: &Act,
        body: String,
    ) -> Result<Outcome, ServiceError> {
        let request = wait(&mut writing, actor, act, body).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::AdministrationRequested, request.id), None).await?;
        Ok(Outcome::Waits(Box::new(request)))
    }
}

/// Keeps an act for a second operator.
pub(super) async fn wait(
    writing: &mut Writing,
    actor: Actor,
    act: &Act,
    body: String,
) -> Result<AdminRequest, ServiceError> {
    let (word, target) = match act {
        Act::CreateOrganization(_) => (WaitingAct::CreateOrganization, None),
        Act::CreateClient(_) => (WaitingAct::CreateClient, None),
        Act::UpdateClient(id, _) => (WaitingAct::UpdateClient, Some((*id).into())),
        Act::UpdateOrganization(id, _) => (WaitingAct::UpdateOrganization, Some((*id).into())),
        Act::AddProofs(id, Action::ClientCertificateAdded, _) => (WaitingAct::AddClientCertificate, Some((*id).into())),
        Act::AddProofs(id, ..) => (WaitingAct::AddClientKeys, Some((*id).into())),
        Act::AllowSecret(id) => (WaitingAct::CreateClientSecret, Some((*id).into())),
        Act::Undo(new) => (WaitingAct::UndoClient, Some(new.span.client.into())),
        Act::ExportAudit(_) => (WaitingAct::ExportAudit, None),
    };
    let requested_at_ms = writing.now_ms;
    let request = AdminRequest {
        id: writing.new_id(),
        actor,
        act: word,
        target,
        body,
        requested_at_ms,
        approved: None,
        refused: None,
        work: None,
        done_at_ms: None,
        outcome: None,
    };
    writing.tx.keep_admin_request(&request).await?;
    Ok(request)
}
