//! The publisher: once a second a node checks whether the feed has grown, and if so takes the tree, extends it and signs. Any node may
//! do it, one at a time does; that one asks the witnesses, and nothing waits for them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::latest::Latest;
use super::tree::{extend, is_signed};
use super::witnesses::{Cosigned, Witnesses};
use crate::clock::Clock;
use crate::crypto::tlog::{Checkpoint, Note};
use crate::crypto::{Keyring, SigningSet};
use crate::domain::sequence::Sequence;
use crate::store::log::{LogHead, LogStanding};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// When witnesses that were not enough are asked again, if nothing else has come.
const AGAIN: Duration = Duration::from_secs(10);
/// How old cosignatures may be: by their times readers know that what they are shown is the newest.
const RENEWED: Duration = Duration::from_mins(5);
/// How long after its end a log may be cosigned for the last time: witnesses that have seen the next one do it no more.
const ENDED: Duration = Duration::from_hours(1);

/// Extends and signs.
#[derive(Debug)]
pub struct Publisher {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// What receipts name.
    pub latest: Arc<Latest>,
    /// None: nobody cosigns.
    pub witnesses: Option<Witnesses>,
}

/// What came of one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// A checkpoint that this node signed.
    pub signed: Option<LogHead>,
    /// What keeps the tree from the end of the feed.
    pub hindrance: Option<String>,
}

impl Publisher {
    /// Publishes until the node stops.
    pub async fn run(self) {
        let (signed, to_cosign) = watch::channel(None);
        join(self.keep_publishing(&signed), self.keep_cosigning(to_cosign)).await;
    }

    async fn keep_publishing(&self, signed: &watch::Sender<Option<LogHead>>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_complaining = false;
        loop {
            ticks.tick().await;
            let hindrance = match self.publish().await {
                Ok(published) => {
                    if published.signed.is_some() {
                        signed.send_replace(published.signed);
                    }
                    published.hindrance
                }
                // The follower reports a store that does not answer.
                Err(error) if error.is_passing() => continue,
                Err(error) => Some(error.to_string()),
            };
            let Some(why) = hindrance else {
                is_complaining = false;
                continue;
            };
            if !std::mem::replace(&mut is_complaining, true) {
                tracing::error!(error = %why, "the registry log has stopped");
            }
        }
    }

    /// Extends the newest tree to the end of the feed, and tells receipts how it is.
    pub async fn publish(&self) -> Result<Published, StoreError> {
        let standing = self.store.log_standing().await?.filter(|standing| !standing.is_cut);
        let Some(LogStanding { head, feed, lacks_entries, .. }) = standing else {
            self.latest.note(None);
            return Ok(Published::default());
        };
        let published = self.extend_to(&head, feed).await?;
        // Receipts name no checkpoint while the log would not bear them out.
        let newest = published.signed.as_ref().unwrap_or(&head);
        self.latest.note(Some(newest).filter(|_| !lacks_entries));
        Ok(published)
    }

    async fn extend_to(&self, head: &LogHead, feed: Sequence) -> Result<Published, StoreError> {
        let mut behind = feed.since(head.sequence());
        let signing = self.keyring.signing();
        let mut signed = None;
        if behind > 0 || !is_signed(head, &signing.published_logs) {
            if signing.log.is_none() {
                let why = "the key folder holds no log key: copy it from another node's".to_owned();
                return Ok(Published { signed, hindrance: Some(why) });
            }
            let extended = self.extend(&signing).await?;
            behind = feed.since(extended.sequence());
            signed = (extended.note != head.note).then_some(extended);
        }
        self.metrics.registry_log_behind.set(i64::try_from(behind).unwrap_or(i64::MAX));
        let hindrance = (behind > 0).then(|| format!("a row of the feed has no leaf, {behind} from its end"));
        Ok(Published { signed, hindrance })
    }

    async fn extend(&self, keys: &SigningSet) -> Result<LogHead, StoreError> {
        loop {
            let mut tx = self.store.begin().await?;
            let head = tx.lock_log(None).await?.ok_or(StoreError::Corrupt("log_head"))?;
            // Restored or promoted meanwhile: the rows behind its end may be others than those that it would have had.
            if tx.is_log_cut().await? {
                return Ok(head);
            }
            // It ended while its lock was waited for: there is a newer one.
            let has_ended = head.has_ended;
            let (head, is_whole) = extend(&mut tx, keys, head, self.clock.now_ms(), self.witnesses.is_some()).await?;
            tx.commit_unlisted().await?;
            if is_whole && !has_ended {
                return Ok(head);
            }
        }
    }

    /// Has what this node signs cosigned: the newest, whatever came while witnesses were asked.
    async fn keep_cosigning(&self, mut signed: watch::Receiver<Option<LogHead>>) {
        let Some(witnesses) = &self.witnesses else { return };
        let mut of_epoch = None;
        loop {
            let came = timeout(AGAIN, signed.changed()).await;
            if matches!(came, Ok(Err(_))) {
                return;
            }
            // What was asked for in vain may have cosignatures of another node's asking by now.
            let head = match came {
                Ok(_) => signed.borrow_and_update().clone(),
                Err(_) => self.store.log_head(None).await.ok().flatten().filter(|head| self.is_due(witnesses, head)),
            };
            let Some(head) = head else { continue };
            if of_epoch.replace(head.epoch) != Some(head.epoch) {
                self.have_end_cosigned(witnesses, &head).await;
            }
            self.have_cosigned(witnesses, head).await;
        }
    }

    /// Whether a checkpoint waits for witnesses, or has only old cosignatures.
    fn is_due(&self, witnesses: &Witnesses, head: &LogHead) -> bool {
        let since_s = u64::try_from(self.clock.now_ms().minus(RENEWED).seconds()).unwrap_or_default();
        !head.has_ended
            && !head.note.is_empty()
            && (head.waiting_since.is_some() || !witnesses.are_enough_since(&head.note, since_s))
    }

    /// The end of the log before, which was signed without them: before they see the next one.
    async fn have_end_cosigned(&self, witnesses: &Witnesses, next: &LogHead) {
        let Ok(Some(before)) = self.store.log_before(next.epoch).await else { return };
        let is_new = self.clock.now_ms().since(before.signed_at) < ENDED;
        let size = |note: &String| Some(Checkpoint::parse(Note::parse(note)?.text())?.size);
        let has_end = before.cosigned.as_ref().and_then(size) == Some(before.size);
        if is_new && before.has_ended && !has_end {
            self.have_cosigned(witnesses, before).await;
        }
    }

    async fn have_cosigned(&self, witnesses: &Witnesses, head: LogHead) {
        let (mut asking, mut kept) = (witnesses.ask_all(&self.store, &head), Kept::new(&head));
        while asking.next().await {
            let so_far = asking.cosigned();
            // At once, and what comes later with the last: one that does not answer would keep readers from what the others signed,
            // while newer checkpoints come.
            if so_far.is_enough && kept.cosigned == 0 {
                self.keep_cosigned(&mut kept, &so_far).await;
            }
        }
        let cosigned = asking.cosigned();
        self.metrics.witness_answers.with_label_values(&["cosigned"]).inc_by(cosigned.cosigned);
        self.metrics.witness_answers.with_label_values(&["failed"]).inc_by(cosigned.failed);
        self.keep_cosigned(&mut kept, &cosigned).await;
    }

    /// Keeps what was not kept yet.
    async fn keep_cosigned(&self, kept: &mut Kept, new: &Cosigned) {
        if new.cosigned <= kept.cosigned {
            return;
        }
        if let Err(error) = self.store.keep_cosigned(&kept.head, &new.note, new.is_enough).await {
            tracing::warn!(error = %error, "cosignatures are not kept: the next checkpoint has its own");
            return;
        }
        kept.head.note.clone_from(&new.note);
        kept.cosigned = new.cosigned;
    }
}

/// A checkpoint as the store has it by now, with so many new cosignatures.
struct Kept {
    head: LogHead,
    cosigned: u64,
}

impl Kept {
    fn new(head: &LogHead) -> Self {
        Self { head: head.clone(), cosigned: 0 }
    }
}
