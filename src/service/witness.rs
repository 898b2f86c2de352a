//! A witness (C2SP tlog-witness): it cosigns a checkpoint of a log that it knows, if that continues the one it cosigned last. A registry
//! log that it has seen to be followed by a later one it knows no more. What it says over HTTP is in `http::api::witness`.

use std::collections::HashMap;

use crate::clock::Clock;
use crate::crypto::signing::SigningKey;
use crate::crypto::tlog::VerifierKey;
use crate::crypto::tlog::checkpoint::AddCheckpoint;
use crate::crypto::tlog::note::{SignatureType, cosign};
use crate::crypto::tlog::tree::{empty_root, is_consistent};
use crate::domain::registry_log::epoch_of;
use crate::store::StoreError;
use crate::store::witness::{Advanced, WitnessStore, Witnessed};

/// What it answers to a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The signature line.
    Cosigned(String),
    Malformed,
    UnknownLog,
    WrongSignature,
    /// The checkpoint continues another size than the one that it knows, or has another root at that.
    Conflict {
        known: u64,
    },
    Inconsistent,
    /// It has cosigned a later log of the same registry: this one has ended.
    Ended,
}

/// A witness: its key, the logs that it knows, and what it has cosigned.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    name: String,
    logs: HashMap<String, Vec<VerifierKey>>,
    store: WitnessStore,
    clock: Clock,
}

impl Witness {
    /// A log is known by its key's name; it may have several keys. A registry log begins another epoch each week, with a name of its
    /// own and the same keys: who knows one of them knows all.
    pub fn new(key: SigningKey, name: String, logs: Vec<VerifierKey>, store: WitnessStore, clock: Clock) -> Self {
        let mut by_origin = HashMap::<String, Vec<VerifierKey>>::new();
        for log in logs {
            by_origin.entry(log.name().to_owned()).or_default().push(log);
        }
        Self { key, name, logs: by_origin, store, clock }
    }

    /// The key by which others verify it; none where a note may not have the name.
    pub fn verifier(&self) -> Option<VerifierKey> {
        VerifierKey::new(&self.name, SignatureType::Cosignature, self.key.public().clone())
    }

    /// The keys of a log, under its name.
    fn keys_of(&self, origin: &str) -> Vec<VerifierKey> {
        if let Some(keys) = self.logs.get(origin) {
            return keys.clone();
        }
        let Some(log) = registry_log_of(origin) else { return Vec::new() };
        let of_log = self.logs.iter().filter(|(name, _)| registry_log_of(name) == Some(log));
        let renamed = |key: &VerifierKey| VerifierKey::new(origin, SignatureType::Ed25519, key.public().clone());
        of_log.flat_map(|(_, keys)| keys).filter_map(renamed).collect()
    }

    /// `add-checkpoint`.
    pub async fn add_checkpoint(&self, body: &str) -> Result<Answer, StoreError> {
        let Some(AddCheckpoint { old_size, proof, note, checkpoint }) = AddCheckpoint::parse(body) else {
            return Ok(Answer::Malformed);
        };
        let keys = self.keys_of(&checkpoint.origin);
        if keys.is_empty() {
            return Ok(Answer::UnknownLog);
        }
        if !keys.iter().any(|key| note.signed_by(key).is_ok()) {
            return Ok(Answer::WrongSignature);
        }
        let known = self.store.find(&checkpoint.origin).await?;
        let Witnessed { size, root } = known.unwrap_or(Witnessed { size: 0, root: empty_root() });
        let is_other = size == checkpoint.size && root != checkpoint.root;
        if old_size != size || is_other {
            return Ok(Answer::Conflict { known: size });
        }
        if !is_consistent(size, checkpoint.size, &root, &checkpoint.root, &proof) {
            return Ok(Answer::Inconsistent);
        }
        // Before it is remembered: what continues this one is read behind it, so that its time is no earlier.
        let time_s = u64::try_from(self.clock.now_s()).unwrap_or_default();
        match self.store.advance(known, &checkpoint, epoch_of(&checkpoint.origin)).await? {
            Advanced::Done => Ok(Answer::Cosigned(cosign(&self.key, &self.name, note.text(), time_s))),
            Advanced::Ended => Ok(Answer::Ended),
            // Another request was faster.
            Advanced::Overtaken => {
                let known = self.store.find(&checkpoint.origin).await?.map_or(0, |known| known.size);
                Ok(Answer::Conflict { known })
            }
        }
    }
}

/// The name of an epoch of a registry log without its number; none of another name.
fn registry_log_of(origin: &str) -> Option<&str> {
    epoch_of(origin).map(|(log, _)| log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tlog::Checkpoint;
    use crate::crypto::tlog::note::{Note, sign};
    use crate::crypto::tlog::proof::{consistency, hashes};
    use crate::crypto::tlog::tree::{Hash, leaf_hash, root};

    const ORIGIN: &str = "log.example/1";

    struct Log {
        key: SigningKey,
        leaves: Vec<Hash>,
    }

    impl Log {
        fn new() -> Self {
            let leaves = (0..50_u64).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
            Self { key: SigningKey::generate().unwrap(), leaves }
        }

        fn verifier(&self) -> VerifierKey {
            VerifierKey::new(ORIGIN, SignatureType::Ed25519, self.key.public().clone()).unwrap()
        }

        fn proof(&self, old: u64, size: usize) -> Vec<Hash> {
            let subtree = |of: crate::crypto::tlog::proof::Subtree| {
                let start = usize::try_from(of.index << of.height).unwrap();
                self.leaves.get(start..start + (1 << of.height)).map(root)
            };
            hashes(&consistency(old, size as u64), subtree).unwrap()
        }

        fn body(&self, old: u64, size: usize) -> String {
            let proof = self.proof(old, size);
            let text = Checkpoint { origin: ORIGIN.into(), size: size as u64, root: root(&self.leaves[..size]) }.text();
            AddCheckpoint::body(old, &proof, &format!("{text}\n{}", sign(&self.key, ORIGIN, &text)))
        }
    }

    async fn witness(folder: &std::path::Path, log: &Log) -> Witness {
        let store = WitnessStore::open(folder).await.unwrap();
        Witness::new(SigningKey::generate().unwrap(), "w.example".into(), vec![log.verifier()], store, Clock::System)
    }

    #[tokio::test]
    async fn it_cosigns_what_continues_and_nothing_else() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::new());
        let witness = witness(folder.path(), &log).await;
        let ask = async |body: &str| witness.add_checkpoint(body).await.unwrap();
        let Answer::Cosigned(line) = ask(&log.body(0, 7)).await else { panic!("the first is cosigned") };
        let note = log.body(0, 7).split_once("\n\n").unwrap().1.to_owned() + &line;
        let signed = Note::parse(&note).unwrap().signed_by(&witness.verifier().unwrap()).unwrap();
        assert!(signed.time_s.unwrap().abs_diff(u64::try_from(Clock::System.now_s()).unwrap()) < 60);
        assert!(matches!(ask(&log.body(7, 7)).await, Answer::Cosigned(_)), "the same again");
        assert_eq!(ask(&log.body(0, 9)).await, Answer::Conflict { known: 7 });
        assert_eq!(ask(&log.body(3, 9)).await, Answer::Conflict { known: 7 });
        let (good, other) = (
            log.body(7, 20),
            Log {
                key: SigningKey::from_pkcs8(log.key.pkcs8()).unwrap(),
                leaves: log.leaves.iter().rev().copied().collect(),
            },
        );
        assert_eq!(ask(&other.body(7, 20)).await, Answer::Inconsistent);
        assert_eq!(ask(&other.body(7, 7)).await, Answer::Conflict { known: 7 });
        assert_eq!(ask(&good.replace(ORIGIN, "log.example/2")).await, Answer::UnknownLog);
        assert_eq!(ask(&good.replace("\n20\n", "\n21\n")).await, Answer::WrongSignature);
        assert_eq!(ask(&Log::new().body(7, 20)).await, Answer::WrongSignature);
        assert_eq!(ask(&good[1..]).await, Answer::Malformed);
        assert_eq!(ask(&log.body(0, 3)).await, Answer::Conflict { known: 7 }, "it never goes back");
        assert!(matches!(ask(&good).await, Answer::Cosigned(_)));
    }

    #[tokio::test]
    async fn who_knows_one_epoch_of_a_registry_log_knows_them_all() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::new());
        let store = WitnessStore::open(folder.path()).await.unwrap();
        let known = VerifierKey::new("a.example/registry-log/1", SignatureType::Ed25519, log.key.public().clone());
        let key = SigningKey::generate().unwrap();
        let witness = Witness::new(key, "w.example".into(), vec![known.unwrap()], store, Clock::System);
        let signed = |key: &SigningKey, origin: &str| {
            let text = Checkpoint { origin: origin.into(), size: 7, root: root(&log.leaves[..7]) }.text();
            AddCheckpoint::body(0, &[], &format!("{text}\n{}", sign(key, origin, &text)))
        };
        for origin in ["a.example/registry-log/1", "a.example/registry-log/2", "a.example/registry-log/1048576"] {
            let answer = witness.add_checkpoint(&signed(&log.key, origin)).await.unwrap();
            assert!(matches!(answer, Answer::Cosigned(_)), "{origin}: {answer:?}");
        }
        let stranger = SigningKey::generate().unwrap();
        let answer = witness.add_checkpoint(&signed(&stranger, "a.example/registry-log/3")).await.unwrap();
        assert_eq!(answer, Answer::WrongSignature);
        for origin in
            ["b.example/registry-log/2", "a.example/registry-log/02", "a.example/registry-log/x", "a.example/other/2"]
        {
            let answer = witness.add_checkpoint(&signed(&log.key, origin)).await.unwrap();
            assert_eq!(answer, Answer::UnknownLog, "{origin}");
        }
    }

    /// Two successors of one log would be two histories, each cosigned.
    #[tokio::test]
    async fn a_log_that_a_later_one_follows_is_cosigned_no_more() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::new());
        let name = |host: &str, epoch: u32| format!("{host}.example/registry-log/{epoch}");
        let keys = |host: &str| VerifierKey::new(&name(host, 5), SignatureType::Ed25519, log.key.public().clone());
        let opened = async || {
            let store = WitnessStore::open(folder.path()).await.unwrap();
            let key = SigningKey::generate().unwrap();
            let logs = vec![keys("a").unwrap(), keys("b").unwrap(), log.verifier()];
            Witness::new(key, "w.example".into(), logs, store, Clock::System)
        };
        let body = |origin: &str, old: u64, size: usize| {
            let text = Checkpoint { origin: origin.into(), size: size as u64, root: root(&log.leaves[..size]) }.text();
            let proof = log.proof(old, size);
            AddCheckpoint::body(old, &proof, &format!("{text}\n{}", sign(&log.key, origin, &text)))
        };
        let witness = opened().await;
        let ask = async |witness: &Witness, origin: &str, old, size| {
            witness.add_checkpoint(&body(origin, old, size)).await.unwrap()
        };
        for (epoch, size) in [(5, 10), (7, 3)] {
            assert!(matches!(ask(&witness, &name("a", epoch), 0, size).await, Answer::Cosigned(_)));
        }
        assert_eq!(ask(&witness, &name("a", 5), 10, 20).await, Answer::Ended, "the one before grows no more");
        assert_eq!(ask(&witness, &name("a", 5), 10, 10).await, Answer::Ended);
        assert_eq!(ask(&witness, &name("a", 6), 0, 3).await, Answer::Ended, "nor is there another in its place");
        assert!(matches!(ask(&witness, &name("a", 7), 3, 9).await, Answer::Cosigned(_)));
        assert!(matches!(ask(&witness, &name("b", 6), 0, 3).await, Answer::Cosigned(_)), "of another registry");
        for size in [4, 9] {
            let old = if size == 4 { 0 } else { 4 };
            assert!(matches!(ask(&witness, ORIGIN, old, size).await, Answer::Cosigned(_)), "no registry log");
        }
        // What a version before this one has remembered counts as well.
        witness.store.forget_epochs().await.unwrap();
        witness.store.close().await;
        let witness = opened().await;
        assert_eq!(ask(&witness, &name("a", 6), 0, 3).await, Answer::Ended);
        assert!(matches!(ask(&witness, &name("a", 8), 0, 3).await, Answer::Cosigned(_)));
        assert_eq!(ask(&witness, &name("a", 7), 9, 9).await, Answer::Ended);
    }

    #[tokio::test]
    async fn of_two_at_once_one_is_cosigned() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::new());
        let witness = witness(folder.path(), &log).await;
        for round in 0..10 {
            let (old, sizes) = (round * 4, [round * 4 + 2, round * 4 + 4]);
            let bodies = sizes.map(|size| log.body(old, usize::try_from(size).unwrap()));
            let answers = futures_util::future::join_all(bodies.iter().map(|body| witness.add_checkpoint(body))).await;
            let cosigned: Vec<_> = answers.iter().map(|answer| matches!(answer, Ok(Answer::Cosigned(_)))).collect();
            assert_eq!(cosigned.iter().filter(|is| **is).count(), 1, "{answers:?}");
            let known = witness.store.find(ORIGIN).await.unwrap().unwrap().size;
            assert_eq!(known, if cosigned[0] { sizes[0] } else { sizes[1] });
            if cosigned[0] {
                let body = log.body(known, usize::try_from(sizes[1]).unwrap());
                assert!(matches!(witness.add_checkpoint(&body).await, Ok(Answer::Cosigned(_))));
            }
        }
    }
}
