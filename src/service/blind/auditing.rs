//! What the service says of a receipt by its own log: the number's element with its proof, every entry of the number with its path, and
//! the part of the base where no entry decides. It is evidence for what it shows, and none for what it leaves out: an auditor reads
//! the bundles himself.

use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::Blind;
use super::building::PIECE_BYTES;
use super::evaluating::BlindRefusal;
use crate::crypto::KeyError;
use crate::crypto::blind::judging::{BaseSays, Committed, Judged, Outcome, judge};
use crate::crypto::blind::opened::{verify_open, was_evaluated_so};
use crate::crypto::blind::{BaseIndex, BlindKey, Evaluated, Evaluations};
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::{Claims, Says};
use crate::crypto::salt::Salt;
use crate::crypto::signing::from_base64url;
use crate::crypto::tlog::{Checkpoint, Hash, Note};
use crate::domain::registry_log::{Entry, LogEpoch};
use crate::domain::sequence::Sequence;
use crate::limits::Asker;
use crate::registry::RegistryError;
use crate::service::ServiceError;
use crate::service::registry_log::proofs::inclusion_path;
use crate::store::StoreError;
use crate::store::blind_keys::StoredBase;
use crate::store::log::LogHead;

/// A receipt that was verified and opened.
#[derive(Debug)]
pub struct AuditAsked {
    pub claims: Claims,
    pub digest: IdDigest,
    pub salt: Salt<32>,
    pub card_valid_from: Option<Date>,
}

/// What the log says of it.
#[derive(Debug)]
pub struct Audit {
    pub judged: Judged,
    pub log: Option<AuditedLog>,
}

/// The log that the receipt is of, and what it has of the number.
#[derive(Debug)]
pub struct AuditedLog {
    pub epoch: LogEpoch,
    pub s0: Sequence,
    pub checkpoint: String,
    /// None where the key was destroyed.
    pub key: Option<AuditedKey>,
    pub entries: Vec<ProvenEntry>,
    pub base: Option<BasePart>,
}

/// The number's element, and the proof.
#[derive(Debug)]
pub struct AuditedKey {
    pub public_key: [u8; 32],
    pub evaluations: Evaluations,
}

/// An entry, and that it is in the tree of the checkpoint.
#[derive(Debug)]
pub struct ProvenEntry {
    pub index: u64,
    pub entry: [u8; 20],
    pub path: Vec<Hash>,
}

/// What the base has where the number would be.
#[derive(Debug)]
pub struct BasePart {
    /// Header and index.
    pub index: Vec<u8>,
    pub part: Vec<u8>,
}

impl Blind {
    /// Audits a receipt.
    pub async fn audit(&self, asker: Asker, question: AuditAsked) -> Result<Result<Audit, BlindRefusal>, ServiceError> {
        let seq = question.claims.seq;
        let store = &self.writer.store;
        let head = match &question.claims.says {
            // Perhaps the key before, which lives on for a day.
            Says::Blind { key, .. } => match LogEpoch::parse(key) {
                Some(epoch) => store.log_head(Some(epoch)).await?,
                None => None,
            },
            Says::Verdict { .. } => store.log_of(seq, true).await?,
            Says::Act(_) => store.log_of(seq, false).await?,
        };
        let Some(head) = head else {
            return Ok(Ok(no_log()));
        };
        let is_blind = matches!(&question.claims.says, Says::Blind { .. });
        match head.sequence() < seq {
            true if !head.has_ended => return Ok(Err(BlindRefusal::Unsigned)),
            // After the end of one log, before the next one. The key of a blind check outlives its log by a day.
            true if !is_blind => return Ok(Ok(no_log())),
            _ => {}
        }
        let Some(key) = self.audit_key(head.epoch.get()).await? else {
            let judged = (Outcome::CannotTell, "the key of that time was destroyed");
            return Ok(Ok(Audit { judged, log: Some(AuditedLog::without_key(head)) }));
        };
        let question = Arc::new(question);
        let shared = Arc::clone(&question);
        let work = move || {
            let evaluated = key.evaluate(&shared.digest)?;
            let key = AuditedKey { public_key: key.public_key(), evaluations: key.evaluate_open(&shared.digest)? };
            Ok((evaluated, judge_blind(&shared, &key), key))
        };
        let (evaluated, judged, key) = match self.in_turn(asker, work).await? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // The receipt of a blind check commits to a number that its client chose: what the log has of it is for who shows that the
        // element was that number's. Otherwise any number would cost nothing.
        if let Some(judged @ (Outcome::CannotTell, _)) = judged {
            return Ok(Ok(Audit { judged, log: None }));
        }
        self.look(&question, head, (evaluated, judged), key).await.map(Ok)
    }

    async fn look(
        &self,
        asked: &AuditAsked,
        head: LogHead,
        (evaluated, judged_blind): (Evaluated, Option<Judged>),
        key: AuditedKey,
    ) -> Result<Audit, ServiceError> {
        let (store, seq) = (&self.writer.store, asked.claims.seq);
        let base = self.base_of(head.epoch, &evaluated).await?;
        let base_at = base.as_ref().map_or(seq, |(says, _)| Sequence::new(says.sequence));
        let until = seq.max(base_at).min(head.sequence());
        let (checkpoint, size) = checkpoint_for(&head, until);
        let found = store.log_entries_of(head.epoch, &evaluated.tag(), until).await?;
        let index = |at: &Sequence| at.get() - head.s0.get() - 1;
        let tagged: Vec<_> = found.iter().map(|(at, entry)| (index(at), *entry)).collect();
        let is_decided = found.iter().any(|(at, _)| *at <= seq);
        let (says, part) = base.unzip();
        let committed = Committed { s0: head.s0.get(), entries: &tagged, base: says };
        let judged =
            judged_blind.unwrap_or_else(|| judge(&asked.claims, asked.card_valid_from, &evaluated, &committed));
        let mut entries = Vec::with_capacity(tagged.len());
        for (index, entry) in tagged {
            let path = inclusion_path(store, head.epoch, index, size).await?;
            entries.push(ProvenEntry { index, entry, path });
        }
        let is_act = asked.claims.says.act().is_some();
        // The first log of a store has nothing else that bears out where it began.
        let first = store.log_entries(head.epoch, head.s0, 1).await?;
        let is_successor = first.first().is_some_and(|entry| Entry::is_successor(entry));
        let base = part.filter(|_| !is_successor || (!is_decided && !is_act));
        let log = AuditedLog { epoch: head.epoch, s0: head.s0, checkpoint, key: Some(key), entries, base };
        Ok(Audit { judged, log: Some(log) })
    }

    /// The key of an epoch, also of one that is over; none where it was destroyed.
    async fn audit_key(&self, epoch: u32) -> Result<Option<Arc<BlindKey>>, ServiceError> {
        if let Some(key) = self.writer.keyring.blind().get(epoch) {
            return Ok(Some(key));
        }
        let Some(sealed) = self.writer.store.sealed_blind_seed(epoch).await? else { return Ok(None) };
        let key = self.writer.keyring.open_blind(epoch, &sealed);
        Ok(Some(Arc::new(key.map_err(|error| RegistryError::from(KeyError::from(error)))?)))
    }

    /// What the base of an epoch has where a number would be; none where there is no base any more, or not yet.
    async fn base_of(
        &self,
        epoch: LogEpoch,
        evaluated: &Evaluated,
    ) -> Result<Option<(BaseSays, BasePart)>, ServiceError> {
        let stored = self.writer.store.blind_keys().await?;
        // Also that of a key that is over: until its seed is destroyed.
        let Some(base) = stored.keys.iter().find(|key| key.epoch == epoch.get()).and_then(|key| key.base) else {
            return Ok(None);
        };
        let corrupt = |_| StoreError::Corrupt("blind_pieces");
        let mut head = self.base_bytes(epoch, &base, 0..BaseIndex::HEADER_BYTES as u64).await?;
        // Versions before this one removed the bases of keys that were over.
        if head.is_empty() {
            return Ok(None);
        }
        let length = BaseIndex::length(&head).map_err(corrupt)? as u64;
        head = self.base_bytes(epoch, &base, 0..length).await?;
        if Sha256::digest(&head).as_slice() != base.manifest {
            return Err(StoreError::Corrupt("blind_pieces").into());
        }
        let index = BaseIndex::parse(&head).map_err(corrupt)?;
        let (_, from, to) = index.part(evaluated);
        let part = self.base_bytes(epoch, &base, u64::from(from)..to.map_or(base.bytes, u64::from)).await?;
        let statuses = index.read(evaluated, &part).map_err(corrupt)?;
        let says = BaseSays { sequence: index.sequence(), statuses };
        Ok(Some((says, BasePart { index: head, part })))
    }

    /// Some bytes of a base: of one that is over the node keeps none in memory, and reads no more than it takes.
    async fn base_bytes(&self, epoch: LogEpoch, base: &StoredBase, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(bytes) = self.known.load().bases.get(&epoch.get()) {
            return Ok(bytes.get(place(range.start)..place(range.end)).unwrap_or_default().to_vec());
        }
        let mut bytes = Vec::new();
        let first = range.start / PIECE_BYTES as u64;
        for piece in first..range.end.min(base.bytes).div_ceil(PIECE_BYTES as u64) {
            let Some(piece) = self.writer.store.base_piece(epoch.get(), piece).await? else { break };
            bytes.extend_from_slice(&piece);
        }
        let from = first * PIECE_BYTES as u64;
        Ok(bytes.get(place(range.start - from)..place(range.end - from)).unwrap_or_default().to_vec())
    }
}

impl AuditedLog {
    fn without_key(head: LogHead) -> Self {
        Self { epoch: head.epoch, s0: head.s0, checkpoint: head.note, key: None, entries: Vec::new(), base: None }
    }
}

/// The checkpoint that an auditor is given, and its size: the one that witnesses have cosigned, where it reaches what is asked about.
fn checkpoint_for(head: &LogHead, until: Sequence) -> (String, u64) {
    let cosigned = head.cosigned.as_ref().and_then(|note| {
        let size = Checkpoint::parse(Note::parse(note)?.text())?.size;
        (head.s0.plus(size) >= until).then(|| (note.clone(), size))
    });
    cosigned.unwrap_or_else(|| (head.note.clone(), head.size))
}

fn no_log() -> Audit {
    Audit { judged: (Outcome::CannotTell, "there was no log at the time of the receipt"), log: None }
}

/// Of a blind check: whether the element that came was evaluated by the key of that time. None: it is the receipt of something else.
fn judge_blind(asked: &AuditAsked, key: &AuditedKey) -> Option<Judged> {
    let Says::Blind { blinded, evaluated, .. } = &asked.claims.says else { return None };
    let element = key.evaluations.elements.first();
    let proven =
        element.and_then(|it| verify_open(&key.public_key, &asked.digest, it, &key.evaluations.proof).map(|_| it));
    let bytes = from_base64url(blinded).zip(from_base64url(evaluated));
    let was = bytes
        .zip(proven)
        .and_then(|((bl, ev), element)| was_evaluated_so(&asked.digest, asked.salt.expose(), element, &bl, &ev));
    Some(match was {
        Some(true) => (Outcome::Consistent, "the element was evaluated by the key of that time"),
        Some(false) => (Outcome::Contradicted, "the element was not evaluated by the key of that time"),
        None => (Outcome::CannotTell, "the salt does not give the scalar by which the number was blinded"),
    })
}
