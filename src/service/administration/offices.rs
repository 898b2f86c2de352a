//! What offices are called and how to reach them: said by operators, told to the persons whose records name them.

use super::asked::Administration;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::office::Office;
use crate::service::ServiceError;

impl Administration {
    /// Offices behind one of them, in the order of their codes.
    pub async fn offices(&self, after: Option<&str>, count_max: usize) -> Result<Vec<Office>, ServiceError> {
        Ok(self.writer.store.list_offices(after, count_max).await?)
    }

    /// Says what an office is, in place of what was said before.
    pub async fn describe_office(&self, actor: Actor, office: &Office) -> Result<(), ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        writing.tx.put_office(office).await?;
        self.writer.finish(writing, &Deed::of_many(actor, Action::OfficeDescribed), None).await?;
        Ok(())
    }
}
