//! Persons of the operator, whom operators suspend and end here, whatever their provider says.

use super::acts::expect_not_ended;
use super::asked::Administration;
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::LifeState;
use crate::domain::client::Actor;
use crate::domain::ids::PersonId;
use crate::service::ServiceError;
use crate::store::persons::ListedPerson;

impl Administration {
    /// Persons behind one of them, in the order of their ids.
    pub async fn persons(&self, after: Option<PersonId>, count_max: usize) -> Result<Vec<ListedPerson>, ServiceError> {
        Ok(self.writer.store.list_persons(after, count_max).await?)
    }

    pub async fn person(&self, id: PersonId) -> Result<Option<ListedPerson>, ServiceError> {
        Ok(self.writer.store.find_person(id).await?)
    }

    /// Says whether a person is let in; none where nobody has met such a one. Nobody does it to themselves: who is suspended by mistake needs
    /// another one to be let in again.
    pub async fn change_person(
        &self,
        actor: Actor,
        id: PersonId,
        state: Option<LifeState>,
    ) -> Result<Option<ListedPerson>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(mut person) = writing.tx.read_person(id).await? else { return Ok(None) };
        expect_not_ended(person.state())?;
        let Some(state) = state.filter(|state| *state != person.state()) else { return Ok(Some(person)) };
        if actor.person_id == Some(id) {
            return Err(ServiceError::AnotherMustConfirm);
        }
        let action = match state {
            LifeState::Active => {
                person.suspended_at_ms = None;
                Action::PersonResumed
            }
            LifeState::Suspended => {
                person.suspended_at_ms = Some(writing.now_ms);
                Action::PersonSuspended
            }
            LifeState::Ended => {
                person.ended_at_ms = Some(writing.now_ms);
                Action::PersonEnded
            }
        };
        writing.tx.change_person(&person, actor.client).await?;
        self.writer.finish(writing, &Deed::of(actor, action, id), None).await?;
        Ok(Some(person))
    }
}
