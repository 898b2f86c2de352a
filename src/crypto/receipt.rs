//! The signed verdict: claims, their Merkle tree (RFC 9162, 2.1, SHA-256) and the head that one signature covers.
//! The form is `<head>~<claims>~<path>`: see docs/RECEIPTS.md. Leaves are the `claims` strings exactly as in the receipt
//! (base64url), so that no verifier has to re-serialize JSON. Who waits for a signature is the service's affair, not ours.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::act_receipt::Act;
use super::digest::IdDigest;
use super::salt::Salt;
use super::signing::{PublicKey, SigningKey, base64url, from_base64url, push_all, push_base64url};
use crate::domain::ids::{CheckId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Verdict;

/// The `typ` of a head's JWS header.
pub const HEAD_TYP: &str = "lostcard-receipt+jwt";
/// The `typ` among the claims of a blind check.
const BLIND_TYP: &str = "blind";
/// More leaves than any batch has: a longer path is refused unread.
const PATH_HASHES_MAX: usize = 32;
/// Room for the claims' JSON with an issuer of usual length.
const CLAIMS_BYTES: usize = 448;
const COMMITMENT_LABEL: &[u8] = b"lostcard:receipt:v1:";

type Hash = [u8; 32];

/// What a receipt says.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawClaims")]
pub struct Claims {
    /// The service that answered.
    pub iss: String,
    /// The organization that asked.
    pub aud: OrganizationId,
    /// When, in seconds since the Unix epoch.
    pub iat: i64,
    /// The check, or the record that was written.
    pub jti: RecordId,
    /// What was answered or done.
    pub says: Says,
    /// The registry's sequence at that instant.
    pub seq: Sequence,
    /// The commitment to number and card, base64url.
    pub cm: String,
    /// The registry log's newest checkpoint when the head was signed, as size and root; none where there is no log.
    pub cp: Option<String>,
}

/// What a receipt is of. `as_of` is the instant up to which the registry was known when the answer was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// A check, with its answer.
    Verdict { verdict: String, as_of: String },
    /// A blind check: the epoch of the key, the element as it came and as it went back.
    Blind { key: String, blinded: String, evaluated: String, as_of: String },
    /// A write: `seq` is its own.
    Act(Act),
}

impl Says {
    pub fn verdict(&self) -> Option<&str> {
        if let Self::Verdict { verdict, .. } = self { Some(verdict) } else { None }
    }

    pub fn as_of(&self) -> Option<&str> {
        match self {
            Self::Verdict { as_of, .. } | Self::Blind { as_of, .. } => Some(as_of),
            Self::Act(_) => None,
        }
    }

    pub fn act(&self) -> Option<Act> {
        if let Self::Act(act) = self { Some(*act) } else { None }
    }

    pub fn is_blind(&self) -> bool {
        matches!(self, Self::Blind { .. })
    }
}

/// As they are written.
#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    aud: OrganizationId,
    iat: i64,
    jti: RecordId,
    seq: Sequence,
    cm: String,
    typ: Option<String>,
    verdict: Option<String>,
    as_of: Option<String>,
    key: Option<String>,
    bl: Option<String>,
    ev: Option<String>,
    act: Option<String>,
}

impl TryFrom<RawClaims> for Claims {
    type Error = ReceiptError;

    fn try_from(raw: RawClaims) -> Result<Self, ReceiptError> {
        let RawClaims { iss, aud, iat, jti, seq, cm, typ, verdict, as_of, key, bl, ev, act } = raw;
        let says = match (typ.as_deref(), act.as_deref(), verdict, as_of, key.zip(bl).zip(ev)) {
            (None, None, Some(verdict), Some(as_of), None) => Says::Verdict { verdict, as_of },
            (Some(BLIND_TYP), None, None, Some(as_of), Some(((key, blinded), evaluated))) => {
                Says::Blind { key, blinded, evaluated, as_of }
            }
            (None, Some(act), None, None, None) => Says::Act(Act::parse(act).ok_or(ReceiptError::Malformed)?),
            _ => return Err(ReceiptError::Malformed),
        };
        Ok(Self { iss, aud, iat, jti, says, seq, cm, cp: None })
    }
}

impl Claims {
    /// When the check was decided, in milliseconds since the Unix epoch. `iat` counts whole seconds (RFC 7519, 2): within its second
    /// the check is not before the instant that its answer is of.
    pub fn checked_at_ms(&self) -> UnixMs {
        let iat = UnixMs::from_seconds(self.iat);
        let as_of = self.says.as_of().and_then(|as_of| as_of.parse().ok());
        let as_of = as_of.map_or(iat, |at: jiff::Timestamp| UnixMs::new(at.as_millisecond()));
        if (iat..iat.plus(Duration::from_secs(1))).contains(&as_of) { as_of } else { iat }
    }
}

/// The claims of one check, before they are text.
#[derive(Debug)]
pub struct NewClaims<'a> {
    /// The issuer, already escaped for JSON.
    pub iss_json: &'a str,
    pub organization: OrganizationId,
    pub now_s: i64,
    pub check_id: CheckId,
    pub verdict: Verdict,
    pub as_of: &'a str,
    pub sequence: Sequence,
    pub commitment: Hash,
}

impl NewClaims<'_> {
    /// The `claims` string. Padded with white space, so that its length says nothing about the verdict.
    pub fn encode(&self) -> String {
        let verdict = self.verdict.as_str();
        let mut json = Vec::with_capacity(CLAIMS_BYTES);
        let number = &mut itoa::Buffer::new();
        push_all(&mut json, [r#"{"iss":"#, self.iss_json, r#","aud":""#]);
        self.organization.push_to(&mut json);
        push_all(&mut json, [r#"","iat":"#, number.format(self.now_s), r#","jti":""#]);
        self.check_id.push_to(&mut json);
        push_all(&mut json, [r#"","verdict":""#, verdict, r#"","as_of":""#, self.as_of, r#"","seq":"#]);
        push_all(&mut json, [number.format(self.sequence.get()), r#","cm":""#]);
        push_base64url(&mut json, &self.commitment);
        push_all(&mut json, ["\"", &PADDING[verdict.len()..], "}"]);
        base64url(&json)
    }
}

/// The length of the longest verdict's name: answers are padded to it.
pub const fn longest_verdict() -> usize {
    PADDING.len()
}

/// As long as `other_card_listed`.
const PADDING: &str = "                 ";

/// Binds a receipt to a number and a card without telling either: only who knows number and salt can open it.
pub fn commitment(salt: &Salt<32>, digest: &IdDigest, card_valid_from: Option<Date>) -> Hash {
    let date = card_valid_from.map_or([b'0'; 8], eight_digits);
    let mut hash = Sha256::new();
    hash.update(COMMITMENT_LABEL);
    hash.update(salt.expose());
    hash.update(digest.expose());
    hash.update(date);
    hash.finalize().into()
}

/// A date in the basic format (ISO 8601-1, 5.2.2.1).
fn eight_digits(date: Date) -> [u8; 8] {
    let mut rest = i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day());
    let mut digits = [b'0'; 8];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    digits
}

/// A receipt before it is text, which is first put together where it is sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Shared with the others of its batch.
    head: Arc<str>,
    claims: String,
    path: Vec<u8>,
}

impl Signed {
    /// The length of its text, or a little more.
    pub fn room(&self) -> usize {
        self.head.len() + self.claims.len() + self.path.len().div_ceil(3) * 4 + 2
    }

    /// Appends its text.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        push_all(out, [&self.head, "~", &self.claims, "~"]);
        push_base64url(out, &self.path);
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}", self.head, self.claims, base64url(&self.path))
    }
}

/// Signs one head over a batch of claims and returns a receipt for each, in order. `checkpoint` is what [`checkpoint_member`] has
/// made once, or nothing.
pub fn sign_batch(key: &SigningKey, iss_json: &str, now_s: i64, checkpoint: &str, claims: Vec<String>) -> Vec<Signed> {
    let tree = Tree::over(&claims);
    let payload = format!(
        r#"{{"iss":{iss_json},"iat":{now_s},"size":{},"root":"{}"{checkpoint}}}"#,
        claims.len(),
        base64url(&tree.root())
    );
    let head: Arc<str> = key.sign_jws(HEAD_TYP, payload.as_bytes()).into();
    let receipt = |(index, claims)| Signed { head: Arc::clone(&head), claims, path: tree.path(index) };
    claims.into_iter().enumerate().map(receipt).collect()
}

/// The member of a head's payload that names a checkpoint of the registry log, with the comma before it.
pub fn checkpoint_member(size: u64, root: &Hash) -> String {
    format!(r#","cp":"{size}.{}""#, base64url(root))
}

/// Size and root of a checkpoint as receipts name it.
pub fn parse_checkpoint(cp: &str) -> Option<(u64, Hash)> {
    let (size, root) = cp.split_once('.')?;
    let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size)?;
    Some((number, from_base64url(root)?.try_into().ok()?))
}

/// A Merkle tree by levels, leaves first. A node without a sibling moves up as it is, which gives RFC 9162's shape.
struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    fn over(claims: &[String]) -> Self {
        let mut levels = vec![claims.iter().map(|text| leaf_hash(text)).collect::<Vec<Hash>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node_hash(left, right),
                    [alone, ..] => *alone,
                    [] => Hash::default(),
                })
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    fn root(&self) -> Hash {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or_default()
    }

    /// The leaf index (unsigned 32-bit, big-endian) and the inclusion hashes, bottom up.
    fn path(&self, leaf: usize) -> Vec<u8> {
        let mut path = Vec::with_capacity(4 + 32 * self.levels.len());
        path.extend_from_slice(&u32::try_from(leaf).unwrap_or(u32::MAX).to_be_bytes());
        let mut index = leaf;
        for level in &self.levels {
            if let Some(sibling) = level.get(index ^ 1) {
                path.extend_from_slice(sibling);
            }
            index /= 2;
        }
        path
    }
}

fn leaf_hash(claims: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(claims.as_bytes());
    hash.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The text is not a receipt, or not one of this service's: the error says no more than which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("the text is not a receipt of the form <head>~<claims>~<path>")]
    Malformed,
    #[error("the receipt is signed by no key of this set")]
    UnknownKey,
    #[error("the signature or the inclusion path does not match")]
    NotAuthentic,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct HeadPayload {
    iss: String,
    size: u64,
    root: String,
    cp: Option<String>,
}

/// Verifies a receipt against published keys and returns its claims. Needs nothing but the keys: an auditor can do it offline.
pub fn verify(receipt: &str, keys: &[PublicKey]) -> Result<Claims, ReceiptError> {
    let malformed = ReceiptError::Malformed;
    let mut parts = receipt.split('~');
    let (Some(head), Some(claims), Some(path), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed);
    };
    let (signed, signature) = head.rsplit_once('.').ok_or(malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(malformed)?;
    let header: Header = from_json(header)?;
    let signature = from_base64url(signature).ok_or(malformed)?;
    if header.typ != HEAD_TYP || header.alg != "EdDSA" {
        return Err(ReceiptError::NotAuthentic);
    }
    let key = keys.iter().find(|key| key.kid() == header.kid).ok_or(ReceiptError::UnknownKey)?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(ReceiptError::NotAuthentic);
    }
    let payload: HeadPayload = from_json(payload)?;
    let decoded: Claims = from_json(claims)?;
    let root = from_base64url(&payload.root).ok_or(malformed)?;
    let path = from_base64url(path).ok_or(malformed)?;
    let included = included_root(claims, &path, payload.size).ok_or(ReceiptError::NotAuthentic)?;
    if included.as_slice() != root || payload.iss != decoded.iss {
        return Err(ReceiptError::NotAuthentic);
    }
    if payload.cp.as_deref().is_some_and(|cp| parse_checkpoint(cp).is_none()) {
        return Err(malformed);
    }
    Ok(Claims { cp: payload.cp, ..decoded })
}

/// The root that the path leads to, by RFC 9162, 2.1.3.2.
fn included_root(claims: &str, path: &[u8], size: u64) -> Option<Hash> {
    let (index, hashes) = path.split_first_chunk::<4>()?;
    let mut index = u64::from(u32::from_be_bytes(*index));
    if index >= size || hashes.len() % 32 != 0 || hashes.len() / 32 > PATH_HASHES_MAX {
        return None;
    }
    let mut last = size - 1;
    let mut node = leaf_hash(claims);
    for sibling in hashes.as_chunks::<32>().0 {
        if last == 0 {
            return None;
        }
        if index % 2 == 1 || index == last {
            node = node_hash(sibling, &node);
            while index % 2 == 0 && index != 0 {
                index /= 2;
                last /= 2;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        index /= 2;
        last /= 2;
    }
    (last == 0).then_some(node)
}

fn from_json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, ReceiptError> {
    let bytes = from_base64url(part).ok_or(ReceiptError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| ReceiptError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(check: u128, verdict: Verdict) -> String {
        NewClaims {
            iss_json: r#""https://lostcard.example""#,
            organization: OrganizationId::nil(),
            now_s: 1_700_000_000,
            check_id: CheckId::from_u128(check),
            verdict,
            as_of: "2026-11-23T09:00:00.123Z",
            sequence: Sequence::new(7),
            commitment: [3; 32],
        }
        .encode()
    }

    #[test]
    fn a_check_is_not_before_what_it_is_of() {
        let of = |iat: i64, as_of: &str| Claims {
            iss: String::new(),
            aud: OrganizationId::nil(),
            iat,
            jti: CheckId::nil().into(),
            says: Says::Verdict { verdict: String::new(), as_of: as_of.to_owned() },
            seq: Sequence::new(1),
            cm: String::new(),
            cp: None,
        };
        let of = |iat, as_of| of(iat, as_of).checked_at_ms();
        assert_eq!(of(1_763_888_400, "2025-11-23T09:00:00.123Z"), UnixMs::new(1_763_888_400_123));
        assert_eq!(of(1_763_888_400, "2025-11-23T08:59:59.999Z"), UnixMs::new(1_763_888_400_000));
        // What is a contradiction is not put right.
        assert_eq!(of(1_763_888_400, "2025-11-23T09:00:01.000Z"), UnixMs::new(1_763_888_400_000));
        assert_eq!(of(1_763_888_400, "no instant"), UnixMs::new(1_763_888_400_000));
    }

    /// RFC 9162, 2.1.1, written as it reads there: the split is at the largest power of two below the size.
    fn naive_root(leaves: &[String]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => leaf_hash(one),
            many => {
                let split = 1 << (usize::BITS - 1 - (many.len() - 1).leading_zeros());
                node_hash(&naive_root(&many[..split]), &naive_root(&many[split..]))
            }
        }
    }

    #[test]
    fn every_receipt_of_every_batch_size_verifies() {
        let key = SigningKey::generate().unwrap();
        for size in (1..=70).chain([127, 128, 129, 1000]) {
            let all: Vec<_> = (0..size).map(|n| claims(n, Verdict::NotListed)).collect();
            assert_eq!(Tree::over(&all).root(), naive_root(&all), "size {size}");
            for (n, receipt) in sign_batch(&key, r#""https://lostcard.example""#, 1, "", all).iter().enumerate() {
                let mut text = Vec::new();
                receipt.push_to(&mut text);
                assert!((text.len()..text.len() + 3).contains(&receipt.room()), "{} {}", text.len(), receipt.room());
                assert_eq!(String::from_utf8(text).unwrap(), receipt.to_string());
                let read = verify(&receipt.to_string(), &[key.public().clone()]).unwrap();
                assert_eq!(read.jti, CheckId::from_u128(n as u128).into());
            }
        }
    }

    #[test]
    fn a_head_names_a_checkpoint_where_there_is_one() {
        let key = SigningKey::generate().unwrap();
        let sign = |checkpoint: &str| {
            let all = vec![claims(1, Verdict::NotListed)];
            sign_batch(&key, r#""https://lostcard.example""#, 1, checkpoint, all)[0].to_string()
        };
        let read = |checkpoint: &str| verify(&sign(checkpoint), &[key.public().clone()]).map(|claims| claims.cp);
        assert_eq!(read("").unwrap(), None);
        let named = read(&checkpoint_member(17, &[9; 32])).unwrap().unwrap();
        assert_eq!(parse_checkpoint(&named), Some((17, [9; 32])));
        for bad in ["17", "017.AA", "17.AA", "-1.AA", &format!("+17.{}", base64url(&[9; 32]))] {
            assert_eq!(parse_checkpoint(bad), None, "{bad}");
            assert_eq!(read(&format!(r#","cp":"{bad}""#)).unwrap_err(), ReceiptError::Malformed);
        }
    }

    #[test]
    fn claims_are_of_one_kind() {
        let base = r#""iss":"x","aud":"01993c5e-0000-7000-8000-000000000000","iat":1,"jti":"01993c5e-0000-7000-8000-000000000001","seq":1,"cm":"""#;
        let read = |members: &str| {
            serde_json::from_str::<Claims>(&format!("{{{base}{members}}}")).map(|claims| claims.says).ok()
        };
        assert_eq!(read(r#","act":"report""#), Some(Says::Act(Act::Report)));
        assert!(
            read(r#","verdict":"not_listed","as_of":"x""#).is_some_and(|says| says.verdict() == Some("not_listed"))
        );
        assert!(read(r#","typ":"blind","key":"1","bl":"a","ev":"b","as_of":"x""#).is_some_and(|says| says.is_blind()));
        for bad in [
            "",
            r#","act":"theft""#,
            r#","act":"report","verdict":"not_listed","as_of":"x""#,
            r#","verdict":"not_listed""#,
            r#","typ":"blind","as_of":"x""#,
            r#","typ":"other","verdict":"not_listed","as_of":"x""#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_changed_receipt_does_not_verify() {
        let key = SigningKey::generate().unwrap();
        let keys = [key.public().clone()];
        let all: Vec<_> = (0..5).map(|n| claims(n, Verdict::CardListed)).collect();
        let receipts = sign_batch(&key, r#""https://lostcard.example""#, 1, "", all);
        let receipts: Vec<_> = receipts.iter().map(Signed::to_string).collect();
        let parts: Vec<&str> = receipts[1].split('~').collect();
        let other: Vec<&str> = receipts[2].split('~').collect();
        let forged = claims(1, Verdict::NotListed);
        for bad in [
            format!("{}~{forged}~{}", parts[0], parts[2]),
            format!("{}~{}~{}", parts[0], parts[1], other[2]),
            format!("{}~{}~{}", parts[0], parts[1], base64url(&[0, 0, 0, 1])),
            format!("{}~{}~{}", parts[0], parts[1], base64url(&[0, 0, 0, 9])),
        ] {
            assert_eq!(verify(&bad, &keys).unwrap_err(), ReceiptError::NotAuthentic);
        }
        let stranger = SigningKey::generate().unwrap();
        assert_eq!(verify(&receipts[0], &[stranger.public().clone()]).unwrap_err(), ReceiptError::UnknownKey);
        for bad in ["", "~~", "a~b", "a.b.c~d~e", "a~b~c~d"] {
            assert_eq!(verify(bad, &keys).unwrap_err(), ReceiptError::Malformed);
        }
    }

    #[test]
    fn the_length_tells_nothing_of_the_verdict() {
        let lengths: Vec<_> =
            [Verdict::NotListed, Verdict::CardListed, Verdict::OtherCardListed, Verdict::NumberListed]
                .map(|verdict| claims(1, verdict).len())
                .to_vec();
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
    }

    #[test]
    fn the_commitment_depends_on_salt_number_and_card() {
        let digest = IdDigest::from_bytes([1; 32]);
        let base = commitment(&[0; 32].into(), &digest, None);
        assert_ne!(base, commitment(&[1; 32].into(), &digest, None));
        assert_ne!(base, commitment(&[0; 32].into(), &IdDigest::from_bytes([2; 32]), None));
        assert_ne!(base, commitment(&[0; 32].into(), &digest, Some(jiff::civil::date(2016, 5, 1))));
        let by_hand = Sha256::digest([COMMITMENT_LABEL, &[0; 32], &[1; 32], b"20160501"].concat());
        assert_eq!(
            commitment(&[0; 32].into(), &digest, Some(jiff::civil::date(2016, 5, 1))).as_slice(),
            by_hand.as_slice()
        );
    }
}
