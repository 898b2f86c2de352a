//! When what a snapshot holds is saved to local disk, and whether a saved one may be started from. What is in doubt is refused and built
//! from rows: what lacks a listed number would answer `not_listed` for it.
//! Saving costs no answer: it runs beside the follower, and a disk that takes nothing is reported, not fatal.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{info, warn};

use super::disk::{Refusal, Saved};
use super::snapshot::Snapshot;
use super::state::{Registry, RegistryError, nanos};

use crate::crypto::pepper::KeyVersions;
use crate::crypto::random;
use crate::domain::sequence::Sequence;
use crate::store::StoreError;
use crate::store::feed::Marked;
use crate::wiping::spawn_wiped;

/// How often the filter is written at most, the first time apart: 10^8 numbers are 225 MB.
const SAVE_EVERY: Duration = Duration::from_mins(1);
/// How many changes a start takes up from the feed. Beyond that reading the rows is not slower, and the changes would take more
/// memory than the filter: as many as `registry.rebuild_after` may be at most.
const BEHIND_MAX: u64 = 1_000_000;

/// The saved filter, if this store's feed since leads from it to the present.
pub(super) async fn restore(registry: &Registry) -> Result<Option<(Saved, KeyVersions)>, RegistryError> {
    let (folder, exact_bytes) = (Arc::clone(&registry.folder), registry.options.exact_bytes);
    let read = spawn_wiped(move || folder.read(exact_bytes)).await.map_err(|_| RegistryError::Stopped)?;
    let judged = match read {
        Ok(None) => {
            registry.metrics.filter_file_reads.with_label_values(&["none"]).inc();
            return Ok(None);
        }
        Ok(Some(saved)) => {
            let marked = registry.store.find_mark(&saved.mark).await?;
            let versions = registry.store.key_versions().await?;
            judge(&saved, &marked, versions.current).map(|()| (saved, versions))
        }
        Err(refusal) => Err(refusal),
    };
    let outcome = judged.as_ref().map_or_else(Refusal::reason, |_| "used");
    registry.metrics.filter_file_reads.with_label_values(&[outcome]).inc();
    Ok(judged.inspect_err(|why| info!(%why, "the saved filter is refused; it is built from all rows")).ok())
}

/// The mark was put after the filter was built, so while it is there, everything up to the filter's sequence is unchanged.
fn judge(saved: &Saved, now: &Marked, key_version: u32) -> Result<(), Refusal> {
    let built_at = saved.base.built_at();
    if saved.epoch != now.epoch {
        Err(Refusal::Epoch)
    } else if saved.key_version != key_version {
        Err(Refusal::KeyVersion)
    } else if !now.has_mark || saved.mark.sequence <= built_at || now.head < saved.mark.sequence {
        Err(Refusal::History)
    } else if now.head.since(built_at) > BEHIND_MAX {
        Err(Refusal::Old)
    } else {
        Ok(())
    }
}

/// Saves each new filter, when it is time.
#[derive(Debug, Default)]
pub(super) struct Saving {
    /// Which filter is on disk, by epoch and sequence.
    on_disk: Option<Identity>,
    not_before_ns: u64,
    /// At most one. It ends with the follower.
    task: JoinSet<Option<Identity>>,
}

type Identity = (Arc<str>, Sequence);

impl Saving {
    /// The filter in use came from the disk.
    pub(super) fn is_saved(&mut self, snapshot: &Snapshot) {
        self.on_disk = Some(identity(snapshot));
    }

    /// Begins to save the filter in use if it is another than the saved one.
    pub(super) fn tend(&mut self, registry: &Arc<Registry>) {
        if let Some(Ok(Some(saved))) = self.task.try_join_next() {
            self.on_disk = Some(saved);
        }
        let snapshot = registry.snapshot.load_full();
        let now = registry.clock.boot_ns();
        let is_loaded = !snapshot.epoch.is_empty();
        if !is_loaded || !self.task.is_empty() || now < self.not_before_ns || self.on_disk == Some(identity(&snapshot))
        {
            return;
        }
        self.not_before_ns = now.saturating_add(nanos(SAVE_EVERY));
        self.task.spawn(save(Arc::clone(registry), snapshot));
    }
}

/// A filter could not be saved.
#[derive(Debug, thiserror::Error)]
enum SaveError {
    #[error("its mark: {0}")]
    Mark(#[from] StoreError),
    #[error("its file: {0}")]
    File(#[from] std::io::Error),
    #[error("its writer has stopped")]
    Stopped,
}

fn identity(snapshot: &Snapshot) -> Identity {
    (Arc::clone(&snapshot.epoch), snapshot.base.built_at())
}

async fn save(registry: Arc<Registry>, snapshot: Arc<Snapshot>) -> Option<Identity> {
    let written = write(&registry, &snapshot).await;
    let outcome = if written.is_ok() { "written" } else { "failed" };
    registry.metrics.filter_file_writes.with_label_values(&[outcome]).inc();
    written
        .inspect_err(|error| warn!(error = %error, "the filter was not saved; the next start may read all rows"))
        .ok()
        .map(|()| identity(&snapshot))
}

async fn write(registry: &Registry, snapshot: &Arc<Snapshot>) -> Result<(), SaveError> {
    let mark = registry.store.put_mark(random::id(registry.clock.now_ms())).await?;
    let (folder, snapshot) = (Arc::clone(&registry.folder), Arc::clone(snapshot));
    spawn_wiped(move || folder.write(&snapshot.base, &snapshot.epoch, snapshot.peppers.current.version(), mark))
        .await
        .map_err(|_| SaveError::Stopped)??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::MarkId;
    use crate::registry::filter::Filter;
    use crate::registry::snapshot::Base;
    use crate::store::feed::Mark;

    #[test]
    fn only_a_filter_that_the_feed_leads_on_from_is_started_from() {
        let judged_by = |key_version, epoch: &str, mark_at: u64, head: u64, has_mark: bool| {
            let mark = Mark { sequence: Sequence::new(mark_at), id: MarkId::nil() };
            let filter = Filter::build(vec![1], Sequence::new(100)).unwrap();
            let saved = Saved { base: Base::Filter(filter.into()), epoch: "this".to_owned(), key_version: 1, mark };
            let now = Marked { epoch: epoch.to_owned(), head: Sequence::new(head), has_mark };
            judge(&saved, &now, key_version).map_err(|refusal| refusal.reason())
        };
        let judged = |epoch, mark_at, head, has_mark| judged_by(1, epoch, mark_at, head, has_mark);
        assert_eq!(judged_by(2, "this", 101, 101, true), Err("key_version"));
        assert_eq!(judged("this", 101, 101, true), Ok(()));
        assert_eq!(judged("this", 150, 100 + BEHIND_MAX, true), Ok(()));
        assert_eq!(judged("this", 150, 101 + BEHIND_MAX, true), Err("old"));
        assert_eq!(judged("other", 101, 101, true), Err("epoch"));
        assert_eq!(judged("this", 101, 200, false), Err("history"));
        assert_eq!(judged("this", 101, 100, false), Err("history"));
        assert_eq!(judged("this", 100, 200, true), Err("history"), "a mark before the filter proves nothing of it");
    }
}
