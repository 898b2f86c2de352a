//! What a client that checks blindly is answered: its elements evaluated, and every change since the sequence that it knows. The
//! answer says nothing of a number that the question did not.

use std::time::Duration;

use tokio::time::timeout;

use super::Blind;
use crate::clock::Rfc3339;
use crate::crypto::blind::{BlindKeyError, Blinded, Evaluations};
use crate::domain::sequence::Sequence;
use crate::limits::Asker;
use crate::registry::RegistryError;
use crate::service::ServiceError;
use crate::wiping::spawn_wiped;

/// Changes of one answer; who is further behind reads them elsewhere.
pub const CHANGES_MAX: u64 = 4096;
/// How long an evaluation waits for its turn before it is refused.
const TURN_WAIT: Duration = Duration::from_secs(1);

/// A question.
#[derive(Debug)]
pub struct Asked {
    /// The epoch of the key that the client verifies by.
    pub epoch: u32,
    pub blinded: Vec<Blinded>,
    /// The last change that the client knows.
    pub after: Sequence,
}

/// The answer.
#[derive(Debug)]
pub struct Evaluation {
    pub evaluations: Evaluations,
    pub as_of: Rfc3339,
    pub sequence: Sequence,
    /// The changes up to it.
    pub changes: Vec<[u8; 20]>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlindRefusal {
    /// No key of that epoch is in force.
    KeyUnknown,
    /// The key's base is not built yet, or an import leaves it behind.
    Behind,
    /// The client is too far behind, or before the base.
    BaseTooOld,
    /// The client says that it knows what has not happened.
    AfterAhead,
    /// It had no turn in time, or too many wait.
    Busy,
    /// The log has no checkpoint yet that reaches what is asked about.
    Unsigned,
}

impl Blind {
    /// Evaluates, and tells what has changed.
    pub async fn evaluate(
        &self,
        asker: Asker,
        question: Asked,
    ) -> Result<Result<Evaluation, BlindRefusal>, ServiceError> {
        let (epoch, after) = (question.epoch, question.after);
        if let Some(refusal) = self.refuses(epoch, after).await? {
            return Ok(Err(refusal));
        }
        let Some(key) = self.writer.keyring.blind().get(epoch) else { return Ok(Err(BlindRefusal::Behind)) };
        let blinded = question.blinded;
        // Before the work: a change that was acknowledged before this question is in the answer.
        let (mut sequence, mut as_of) = self.writer.registry.moment().await?;
        if after > sequence {
            // Told so by another node, which may be ahead of this one.
            (sequence, as_of) = self.writer.registry.moment_of_store().await?;
        }
        if after > sequence {
            return Ok(Err(BlindRefusal::AfterAhead));
        }
        let behind = sequence.get() - after.get();
        if behind > CHANGES_MAX {
            return Ok(Err(BlindRefusal::BaseTooOld));
        }
        let Some(changes) = self.changes(epoch, after, behind).await? else {
            // Something has changed that this node did not know of.
            self.note(self.writer.store.blind_keys().await?);
            return Ok(Err(self.refusal(epoch, after).unwrap_or(BlindRefusal::KeyUnknown)));
        };
        let evaluated = self.in_turn(asker, move || key.evaluate_blinded(&blinded)).await?;
        Ok(evaluated.map(|evaluations| Evaluation { evaluations, as_of, sequence, changes }))
    }

    /// Does what takes its time, when it is its asker's turn, away from the event loops.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> Result<T, BlindKeyError> + Send + 'static,
    ) -> Result<Result<T, BlindRefusal>, ServiceError> {
        let Ok(Some(turn)) = timeout(TURN_WAIT, self.turns.enter(asker)).await else {
            return Ok(Err(BlindRefusal::Busy));
        };
        let done = spawn_wiped(move || {
            let done = work();
            drop(turn);
            done
        });
        let done = done.await.map_err(|_| RegistryError::Stopped)?;
        Ok(Ok(done.map_err(|error| RegistryError::from(crate::crypto::KeyError::from(error)))?))
    }

    /// What is wrong with the key or the place of a question, before anything is paid for it.
    pub async fn refuses(&self, epoch: u32, after: Sequence) -> Result<Option<BlindRefusal>, ServiceError> {
        if self.refusal(epoch, after).is_none() {
            return Ok(None);
        }
        // Perhaps another node knows more than this one did a second ago.
        self.note(self.writer.store.blind_keys().await?);
        Ok(self.refusal(epoch, after))
    }

    fn refusal(&self, asked: u32, after: Sequence) -> Option<BlindRefusal> {
        let known = self.known.load();
        let live = known.versions.filter(|versions| versions.all().any(|epoch| epoch == asked));
        let Some(versions) = live else { return Some(BlindRefusal::KeyUnknown) };
        let key = known.keys.iter().find(|key| key.epoch == asked);
        match key.and_then(|key| key.base) {
            Some(base) if !versions.is_behind => (after < base.sequence).then_some(BlindRefusal::BaseTooOld),
            _ => Some(BlindRefusal::Behind),
        }
    }

    async fn changes(&self, epoch: u32, after: Sequence, count: u64) -> Result<Option<Vec<[u8; 20]>>, ServiceError> {
        if count == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(changes) = self.writer.store.blind_changes(epoch, after, count).await? else { return Ok(None) };
        if changes.len() as u64 == count {
            Ok(Some(changes))
        } else {
            Err(crate::store::StoreError::Corrupt("log_leaves: a row of the feed has no leaf").into())
        }
    }
}
