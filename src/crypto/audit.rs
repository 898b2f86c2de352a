//! The chain of the audit log: each entry's hash covers the one before, so that no entry can be changed, taken out or put in
//! without every later one being wrong. What hides the end of the chain is noticed by the signed head of an export: see
//! docs/AUDIT.md. Where entries are is `store::audit`'s.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::signing::{PublicKey, SigningKey, base64url, from_base64url};
use crate::domain::audit::{Deed, SubjectTag};
use crate::domain::ids::{ClientId, OrganizationId, RecordId, SeriesId};
use crate::domain::instant::UnixMs;

const LABEL: &[u8] = b"lostcard:audit:v1:";
/// The `typ` of a head's JWS header.
pub const HEAD_TYP: &str = "lostcard-audit-head+jwt";

type Hash = [u8; 32];

/// An entry of the log. The action is text here: the entries of a later version are verified by this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: UnixMs,
    pub organization: Option<OrganizationId>,
    pub client: Option<ClientId>,
    pub action: String,
    pub subject: Option<RecordId>,
    /// The start of validity that a correction took away, as it is written.
    pub old_start: Option<String>,
    /// Who stood behind the client or the command, and why.
    pub person: Option<String>,
    pub os_user: Option<String>,
    pub reason: Option<String>,
    /// From what kind of address.
    pub origin: Option<String>,
    /// Whom it concerns, in the order of the tags, each once.
    pub persons: Vec<SubjectTag>,
    pub hash: Hash,
    /// Under the key of the log (`audit_key`); none in entries of before.
    pub keyed_hash: Option<Hash>,
}

/// The end of a chain: the last entry's sequence and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub sequence: u64,
    pub hash: Hash,
}

/// An entry that does not continue the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    #[error("behind entry {after} comes entry {found}: what was between them was taken out, or an entry was put in")]
    Gap { after: u64, found: u64 },
    #[error("entry {sequence} does not have the hash that it had when it was written: it or one before it was changed")]
    Changed { sequence: u64 },
}

impl End {
    /// Before the first entry.
    pub const BEGINNING: Self = Self { sequence: 0, hash: [0; 32] };

    /// The entry that records a deed, behind this one. It has no keyed hash yet.
    pub fn next(&self, at_ms: UnixMs, deed: &Deed) -> Entry {
        let mut entry = Entry {
            sequence: self.sequence + 1,
            at_ms,
            organization: deed.actor.map(|actor| actor.organization),
            client: deed.actor.map(|actor| actor.client),
            action: deed.action.as_str().to_owned(),
            subject: deed.subject,
            old_start: deed.old_start.map(|day| day.to_string()),
            person: deed.behind.person.as_ref().map(|person| person.as_str().to_owned()),
            os_user: deed.behind.os_user.as_ref().map(|user| user.as_str().to_owned()),
            reason: deed.behind.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            origin: deed.actor.and_then(|actor| actor.origin).map(|origin| origin.as_str().to_owned()),
            persons: deed.persons.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            hash: self.hash,
            keyed_hash: None,
        };
        entry.hash = entry.hash_behind(&self.hash);
        entry
    }

    /// Moves to the next entry, if that is what it is.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), BrokenChain> {
        if entry.sequence != self.sequence.saturating_add(1) {
            return Err(BrokenChain::Gap { after: self.sequence, found: entry.sequence });
        }
        // The hash has zeros for an absent id: one of zeros is no id.
        let has_nil = entry.ids().contains(&Some(RecordId::nil()));
        // A zero byte parts what follows the action: no text has one, or two entries would have one hash.
        let has_zero = entry.action.contains('\0') || entry.notes().iter().any(|(_, note)| note.contains('\0'));
        if has_nil || has_zero || entry.hash_behind(&self.hash) != entry.hash {
            return Err(BrokenChain::Changed { sequence: entry.sequence });
        }
        *self = entry.end();
        Ok(())
    }
}

impl Entry {
    fn ids(&self) -> [Option<RecordId>; 3] {
        [self.organization.map(RecordId::from), self.client.map(RecordId::from), self.subject]
    }

    /// What an entry may have, by name, in the order of the hash.
    fn notes(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let all = [
            ("old_start", &self.old_start),
            ("person", &self.person),
            ("os_user", &self.os_user),
            ("reason", &self.reason),
            ("origin", &self.origin),
        ];
        let persons: Vec<_> = self.persons.iter().map(|tag| base64url(tag.as_bytes())).collect();
        let persons = Some(("persons", persons.join(",").into())).filter(|_| !persons.is_empty());
        let noted = all.into_iter().filter_map(|(name, note)| Some((name, note.as_deref()?.into())));
        noted.chain(persons).collect()
    }

    /// The chain's end at this entry.
    pub fn end(&self) -> End {
        End { sequence: self.sequence, hash: self.hash }
    }

    /// The hash that it has behind another: SHA-256 over label, previous hash, sequence and time (64-bit big-endian), three ids
    /// (16 bytes, zeros for none) and the action's word. Behind it, for each of `notes` that the entry has: a zero byte, its
    /// name, a colon, its text.
    pub fn hash_behind(&self, previous: &Hash) -> Hash {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(previous);
        hash.update(self.sequence.to_be_bytes());
        hash.update(self.at_ms.get().to_be_bytes());
        for id in self.ids() {
            hash.update(id.unwrap_or(RecordId::nil()).as_bytes());
        }
        hash.update(self.action.as_bytes());
        for (name, note) in self.notes() {
            hash.update([0]);
            hash.update(name.as_bytes());
            hash.update(b":");
            hash.update(note.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Says that a log ended so at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The service.
    pub issuer: String,
    /// In seconds since the Unix epoch.
    pub issued_at_s: i64,
    pub end: End,
    /// Of a node's head; an export's is in no series.
    pub place: Option<Place>,
}

/// Where a head stands among those that a node has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub series: SeriesId,
    /// From 1, without gaps.
    pub number: u64,
    /// The digest of the head before; zeros before the first.
    pub previous: Hash,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    iat: i64,
    seq: u64,
    hash: String,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    place: Option<PlaceText>,
}

#[derive(Serialize, Deserialize)]
struct PlaceText {
    series: SeriesId,
    n: u64,
    prev: String,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

/// The text is not a head of an audit log, or not one of this service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("the head is not a compact JWS of an audit log")]
    Malformed,
    #[error("the head is signed by no key of this set")]
    UnknownKey,
    #[error("the signature of the head does not match")]
    NotAuthentic,
}

impl Head {
    /// A compact JWS, header `{"typ","alg","kid"}`, payload `{"iss","iat","seq","hash"}`, of a node's also `series`, `n`, `prev`.
    pub fn sign(&self, key: &SigningKey) -> String {
        let payload = Payload {
            iss: self.issuer.clone(),
            iat: self.issued_at_s,
            seq: self.end.sequence,
            hash: base64url(&self.end.hash),
            place: self.place.map(|Place { series, number, previous }| PlaceText {
                series,
                n: number,
                prev: base64url(&previous),
            }),
        };
        key.sign_jws(HEAD_TYP, &serde_json::to_vec(&payload).unwrap_or_default())
    }

    /// Verifies a head against published keys.
    pub fn verify(jws: &str, keys: &[PublicKey]) -> Result<Self, HeadError> {
        let (signed, signature) = jws.rsplit_once('.').ok_or(HeadError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(HeadError::Malformed)?;
        let header: Header = from_json(header)?;
        if header.typ != HEAD_TYP || header.alg != "EdDSA" {
            return Err(HeadError::Malformed);
        }
        let key = keys.iter().find(|key| key.kid() == header.kid).ok_or(HeadError::UnknownKey)?;
        let signature = from_base64url(signature).ok_or(HeadError::Malformed)?;
        if !key.verifies(signed.as_bytes(), &signature) {
            return Err(HeadError::NotAuthentic);
        }
        let payload: Payload = from_json(payload)?;
        let hash = hash_of(&payload.hash).ok_or(HeadError::Malformed)?;
        let place = |PlaceText { series, n, prev }| {
            let previous = hash_of(&prev).ok_or(HeadError::Malformed)?;
            Ok(Place { series, number: n, previous })
        };
        let place = payload.place.map(place).transpose()?;
        Ok(Self { issuer: payload.iss, issued_at_s: payload.iat, end: End { sequence: payload.seq, hash }, place })
    }

    /// By what the next head of a series names this one.
    pub fn digest(jws: &str) -> [u8; 32] {
        Sha256::digest(jws).into()
    }
}

fn from_json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, HeadError> {
    let bytes = from_base64url(part).ok_or(HeadError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| HeadError::Malformed)
}

/// A hash as exports write it.
pub fn hash_of(text: &str) -> Option<Hash> {
    from_base64url(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::audit::{Action, Behind, Grounds, OsUser, Person};
    use crate::domain::client::Actor;
    use crate::domain::ids::ReportId;

    /// Entries of every kind of content.
    fn chain() -> Vec<Entry> {
        let actor = Actor::new(OrganizationId::from_u128(1), ClientId::from_u128(2));
        let mut end = End::BEGINNING;
        let deeds = [
            Deed::of_operator(Action::ReportFiled, None),
            Deed::of(actor, Action::ReportRead, ReportId::from_u128(3)),
            Deed::of_many(actor, Action::ReportsSearched),
            Deed::of_operator(Action::ContactErased, Some(RecordId::from_u128(4))),
        ];
        let mut next = |(at_ms, deed): (i64, &Deed)| {
            let entry = end.next(UnixMs::new(at_ms), deed);
            end = entry.end();
            entry
        };
        (1000..).zip(&deeds).map(&mut next).collect()
    }

    fn follow(entries: &[Entry]) -> Result<End, BrokenChain> {
        let mut end = End::BEGINNING;
        entries.iter().try_for_each(|entry| end.follow(entry))?;
        Ok(end)
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        let entry = chain().remove(1);
        let mut bytes = b"lostcard:audit:v1:".to_vec();
        bytes.extend_from_slice(&chain()[0].hash);
        bytes.extend_from_slice(&2_u64.to_be_bytes());
        bytes.extend_from_slice(&1001_i64.to_be_bytes());
        for id in [1_u128, 2, 3] {
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        bytes.extend_from_slice(b"report_read");
        assert_eq!(entry.hash, <Hash>::from(Sha256::digest(bytes)));
    }

    #[test]
    fn an_old_start_is_part_of_the_hash_behind_the_word() {
        let deed = Deed::of_operator(Action::ReplacementCorrected, Some(RecordId::from_u128(4)));
        let deed = deed.taking_away(jiff::civil::date(2016, 5, 1));
        let entry = End::BEGINNING.next(UnixMs::new(1000), &deed);
        let mut bytes = b"lostcard:audit:v1:".to_vec();
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&1000_i64.to_be_bytes());
        for id in [0_u128, 0, 4] {
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        bytes.extend_from_slice(b"replacement_corrected\0old_start:2016-05-01");
        assert_eq!(entry.hash, <Hash>::from(Sha256::digest(bytes)));
        // Neither taken away, nor made a part of the word.
        let joined = format!("{}\0old_start:2016-05-01", entry.action);
        for (action, old_start) in
            [(entry.action.clone(), None), (joined.clone(), Some("2016-05-02".to_owned())), (joined, None)]
        {
            let changed = Entry { action, old_start, ..entry.clone() };
            assert!(follow(&[changed]).is_err());
        }
    }

    #[test]
    fn who_stood_behind_a_deed_is_part_of_the_hash() {
        let today = jiff::civil::date(2026, 11, 23);
        let behind = Behind {
            person: Person::parse("王芳", today),
            os_user: OsUser::parse("wang", today),
            reason: Grounds::parse("ticket 7", today),
        };
        let deed = Deed::of_operator(Action::ClientDisabled, Some(RecordId::from_u128(4))).by(&behind);
        let entry = End::BEGINNING.next(UnixMs::new(1000), &deed);
        let mut bytes = b"lostcard:audit:v1:".to_vec();
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&1000_i64.to_be_bytes());
        for id in [0_u128, 0, 4] {
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        bytes.extend_from_slice("client_disabled\0person:王芳\0os_user:wang\0reason:ticket 7".as_bytes());
        assert_eq!(entry.hash, <Hash>::from(Sha256::digest(bytes)));
        assert!(follow(std::slice::from_ref(&entry)).is_ok());
        let changes: [fn(&mut Entry); 5] = [
            |entry| entry.person = None,
            |entry| entry.os_user = Some("root".to_owned()),
            |entry| entry.reason = None,
            |entry| {
                entry.person = None;
                entry.old_start = None;
                entry.action = "client_disabled\0person:王芳".to_owned();
            },
            |entry| {
                entry.os_user = None;
                entry.person = Some("王芳\0os_user:wang".to_owned());
            },
        ];
        for change in changes {
            let mut forged = entry.clone();
            change(&mut forged);
            assert_eq!(follow(&[forged]), Err(BrokenChain::Changed { sequence: 1 }));
        }
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let entries = chain();
        assert_eq!(follow(&entries), Ok(entries[3].end()));
        assert_eq!(follow(&[]), Ok(End::BEGINNING));
    }

    #[test]
    fn every_change_of_an_entry_breaks_the_chain_there() {
        let changes: [fn(&mut Entry); 9] = [
            |entry| entry.old_start = Some("2016-05-01".to_owned()),
            |entry| entry.at_ms = entry.at_ms.plus(Duration::from_millis(1)),
            |entry| entry.organization = Some(OrganizationId::from_u128(9)),
            |entry| entry.client = None,
            |entry| entry.subject = Some(RecordId::from_u128(9)),
            |entry| entry.action = "report_filed".to_owned(),
            |entry| entry.hash[31] ^= 1,
            |entry| entry.subject = Some(RecordId::nil()),
            |entry| {
                let [organization, client, _] = entry.ids().map(|id| id.map(|id| *id.as_bytes()));
                entry.organization = client.map(OrganizationId::from_bytes);
                entry.client = organization.map(ClientId::from_bytes);
            },
        ];
        for change in changes {
            let mut entries = chain();
            // The third has an actor and no subject.
            change(&mut entries[2]);
            assert_eq!(follow(&entries), Err(BrokenChain::Changed { sequence: 3 }));
        }
        let mut forged = chain();
        // A forger who changes an entry and corrects its hash leaves the next one wrong.
        forged[1].at_ms = forged[1].at_ms.plus(Duration::from_millis(1));
        forged[1].hash = forged[1].hash_behind(&forged[0].hash);
        assert_eq!(follow(&forged), Err(BrokenChain::Changed { sequence: 3 }));
    }

    #[test]
    fn entries_are_neither_taken_out_nor_put_in_nor_moved() {
        let without = |at: usize| {
            let mut entries = chain();
            entries.remove(at);
            entries
        };
        assert_eq!(follow(&without(0)), Err(BrokenChain::Gap { after: 0, found: 2 }));
        assert_eq!(follow(&without(2)), Err(BrokenChain::Gap { after: 2, found: 4 }));
        let mut twice = chain();
        twice.insert(1, twice[0].clone());
        assert_eq!(follow(&twice), Err(BrokenChain::Gap { after: 1, found: 1 }));
        let mut renumbered = without(1);
        renumbered[1].sequence = 2;
        assert_eq!(follow(&renumbered), Err(BrokenChain::Changed { sequence: 2 }));
    }

    #[test]
    fn a_head_is_verified_by_its_key_and_no_other() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let head = Head { issuer: "http://x/\"".to_owned(), issued_at_s: 7, end: chain()[3].end(), place: None };
        let keys = [other.public().clone(), key.public().clone()];
        let jws = head.sign(&key);
        assert_eq!(Head::verify(&jws, &keys), Ok(head.clone()));
        assert_eq!(Head::verify(&jws, &keys[..1]), Err(HeadError::UnknownKey));
        let (own, foreign) = (jws.rsplit_once('.').unwrap(), head.sign(&other));
        let place = Place { series: SeriesId::from_u128(5), number: 2, previous: Head::digest(&jws) };
        let placed = Head { place: Some(place), ..head.clone() };
        assert_eq!(Head::verify(&placed.sign(&key), &keys), Ok(placed));
        let forged = format!("{}.{}", own.0, foreign.rsplit_once('.').unwrap().1);
        assert_eq!(Head::verify(&forged, &keys), Err(HeadError::NotAuthentic));
        // What the same key signed for another purpose is no head.
        let payload = br#"{"iss":"x","iat":1,"seq":1,"hash":"AAAA"}"#;
        assert_eq!(Head::verify(&key.sign_jws("lostcard-receipt+jwt", payload), &keys), Err(HeadError::Malformed));
        for bad in ["", ".", "a.b.c", &key.sign_jws(HEAD_TYP, b"{}"), &key.sign_jws(HEAD_TYP, payload)] {
            assert_eq!(Head::verify(bad, &keys), Err(HeadError::Malformed), "{bad}");
        }
    }
}
