//! The newest checkpoint that a node knows, as heads of receipts name it: made once for each checkpoint, read without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::crypto::receipt::checkpoint_member;
use crate::crypto::tlog::{Checkpoint, Note};
use crate::store::log::LogHead;

/// So many looks pass before a new epoch is named, one a second: until then answers may be of a sequence before it began, and a
/// receipt must not name a log that begins after its answer.
const HELD_LOOKS: u32 = 3;

/// The newest checkpoint, once the publisher has seen one.
#[derive(Debug, Default)]
pub struct Latest {
    member: ArcSwap<String>,
    /// The newest epoch that was seen; 0 before the first.
    epoch: AtomicU32,
    held: AtomicU32,
}

impl Latest {
    /// The member of a head's payload; empty before the first checkpoint.
    pub fn member(&self) -> Guard<Arc<String>> {
        self.member.load()
    }

    /// Takes up how the newest tree is after a look at it. The publisher alone does.
    pub fn note(&self, head: Option<&LogHead>) {
        if let Some(head) = head {
            let known = self.epoch.swap(head.epoch.get(), Ordering::Relaxed);
            if known != 0 && known != head.epoch.get() {
                self.held.store(HELD_LOOKS, Ordering::Relaxed);
            }
            let looks = self.held.load(Ordering::Relaxed);
            if looks > 0 {
                self.held.store(looks - 1, Ordering::Relaxed);
                return;
            }
        }
        let note = head.and_then(|head| Note::parse(&head.note));
        let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()));
        let member = checkpoint.map(|checkpoint| checkpoint_member(checkpoint.size, &checkpoint.root));
        let member = member.unwrap_or_default();
        if **self.member.load() != member {
            self.member.store(Arc::new(member));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::UnixMs;
    use crate::domain::registry_log::LogEpoch;
    use crate::domain::sequence::Sequence;

    fn head(epoch: u32, size: u64) -> LogHead {
        let text = Checkpoint { origin: "o".to_owned(), size, root: [9; 32] }.text();
        LogHead {
            epoch: LogEpoch::new(epoch),
            origin: "o".to_owned(),
            s0: Sequence::new(0),
            size,
            note: format!("{text}\n\u{2014} o AAAAAAAA\n"),
            signed_at: UnixMs::EPOCH,
            cosigned: None,
            waiting_since: None,
            has_ended: false,
        }
    }

    #[test]
    fn the_newest_checkpoint_is_named_and_a_new_log_only_after_a_while() {
        let latest = Latest::default();
        assert_eq!(**latest.member(), "");
        latest.note(Some(&head(1, 7)));
        assert_eq!(**latest.member(), checkpoint_member(7, &[9; 32]));
        for looks in 1..=HELD_LOOKS {
            latest.note(Some(&head(2, 1)));
            assert_eq!(**latest.member(), checkpoint_member(7, &[9; 32]), "{looks}");
        }
        latest.note(Some(&head(2, 2)));
        assert_eq!(**latest.member(), checkpoint_member(2, &[9; 32]));
        latest.note(None);
        assert_eq!(**latest.member(), "", "there is no log any more, or it does not bear receipts out");
    }
}
