//! What the entries of a log, all of them, say of the number of a receipt.

use super::evidence::Answer;
use super::reading::Log;
use super::subject::Subject;
use crate::crypto::blind::judging::{BaseSays, Committed, Judged, Outcome, judge, last_of};
use crate::crypto::blind::opened::{verify_open, was_evaluated_so};
use crate::crypto::blind::{BaseIndex, Evaluated};
use crate::crypto::receipt::Says;
use crate::crypto::salt::Salt;
use crate::crypto::signing::from_base64url;
use crate::domain::registry_log::{Entry, HashedEntry};

/// What came of it.
pub(super) struct OfNumber {
    pub(super) judged: Judged,
    /// Where the log began, as far as what it commits to bears that out.
    pub(super) s0: Option<u64>,
    /// The sequence of the number's last entry in this log, and what it says of the card.
    pub(super) last: Option<(u64, &'static str)>,
}

pub(super) fn judge_number(subject: &Subject, answer: &Answer, log: &Log) -> OfNumber {
    let s0 = pinned(answer, log);
    let cannot_tell = |why| OfNumber { judged: (Outcome::CannotTell, why), s0, last: None };
    let bytes = |text: &Option<String>| text.as_deref().and_then(from_base64url);
    let (Some(public), Some(element), Some(proof)) =
        (bytes(&answer.public_key), bytes(&answer.element), bytes(&answer.proof))
    else {
        return cannot_tell("the key of that time was destroyed");
    };
    let Ok(public_key) = <[u8; 32]>::try_from(public) else { return cannot_tell("the public key is malformed") };
    if log.key_entry() != Some(Entry::hash(HashedEntry::BlindKey, public_key).as_bytes()) {
        return cannot_tell("the key of the answer is not that of the log");
    }
    let Some(evaluated) = verify_open(&public_key, &subject.digest, &element, &proof) else {
        return cannot_tell("the number was not evaluated by the key of the log");
    };
    let claims = &subject.found.claims;
    if let Says::Blind { key, blinded, evaluated, .. } = &claims.says {
        if *key != log.epoch().to_string() {
            return cannot_tell("the log is not that of the receipt's key");
        }
        return OfNumber { judged: judge_blind(subject, &element, blinded, evaluated), s0, last: None };
    }
    let Some(s0) = s0 else { return cannot_tell("nothing in the log bears out where it began") };
    if s0.saturating_add(log.size()) < claims.seq.get() {
        return cannot_tell("the log does not reach the receipt yet");
    }
    let base = base_says(answer, log, &evaluated);
    // All of them, behind the receipt too: by a wrong begin they open to other flags.
    let committed = Committed { s0, entries: &log.tagged(&evaluated.tag()), base };
    let start = subject.found.card_valid_from;
    let last = last_of(&evaluated, &committed).map(|(at, status)| (at, status.decide(start).as_str()));
    OfNumber { judged: judge(claims, start, &evaluated, &committed), s0: Some(s0), last }
}

/// Where the log began, if what it commits to bears out what the answer says: its first leaf, where it follows another. The first log
/// of a store has its base alone for that: it was made between the begin and the leaf that names it.
fn pinned(answer: &Answer, log: &Log) -> Option<u64> {
    let s0 = answer.s0?;
    if let Some(committed) = log.successor() {
        return (committed == s0).then_some(s0);
    }
    let (index, base) = base_of(answer, log)?;
    (s0 < base.sequence() && base.sequence() - s0 <= index).then_some(s0)
}

fn judge_blind(subject: &Subject, element: &[u8], blinded: &str, evaluated: &str) -> Judged {
    let salt = Salt::<32>::parse(&subject.salt);
    let bytes = from_base64url(blinded).zip(from_base64url(evaluated)).zip(salt);
    let was = bytes.and_then(|((bl, ev), salt)| was_evaluated_so(&subject.digest, salt.expose(), element, &bl, &ev));
    match was {
        Some(true) => (Outcome::Consistent, "the element was evaluated by the key of that time"),
        Some(false) => (Outcome::Contradicted, "the element was not evaluated by the key of that time"),
        None => (Outcome::CannotTell, "the salt does not give the scalar by which the number was blinded"),
    }
}

/// The base of the answer and the place of its leaf, if it is the base of the log: its first, for each key has one.
fn base_of(answer: &Answer, log: &Log) -> Option<(u64, BaseIndex)> {
    use sha2::{Digest, Sha256};

    let header = from_base64url(&answer.base.as_ref()?.index)?;
    let manifest: [u8; 32] = Sha256::digest(&header).into();
    let (index, entry) = log.first_base()?;
    (entry == Entry::hash(HashedEntry::Base, manifest).as_bytes()).then_some(())?;
    Some((index, BaseIndex::parse(&header).ok()?))
}

/// What its part says.
fn base_says(answer: &Answer, log: &Log, evaluated: &Evaluated) -> Option<BaseSays> {
    let (_, index) = base_of(answer, log)?;
    let part = from_base64url(&answer.base.as_ref()?.part)?;
    let statuses = index.read(evaluated, &part).ok()?;
    Some(BaseSays { sequence: index.sequence(), statuses })
}
