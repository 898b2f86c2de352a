//! The signed verdict: claims, their Merkle tree (RFC 9162, 2.1, SHA-256) and the head that one signature covers.
//! The form is `<head>~<claims>~<path>`: see docs/RECEIPTS.md. Leaves are the `claims` strings exactly as in the receipt
//! (base64url), so that no verifier has to re-serialize JSON. Who waits for a signature is the service's affair, not ours.

use std::time::Duration;

use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::digest::IdDigest;
use super::salt::Salt;
use super::signing::{PublicKey, SigningKey, base64url, from_base64url, push_base64url};
use crate::domain::ids::{CheckId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::Verdict;

/// The `typ` of a head's JWS header.
pub const HEAD_TYP: &str = "lostcard-receipt+jwt";
/// More leaves than any batch has: a longer path is refused unread.
const PATH_HASHES_MAX: usize = 32;
/// Room for the claims' JSON with an issuer of usual length.
const CLAIMS_BYTES: usize = 448;
const COMMITMENT_LABEL: &[u8] = b"lostcard:receipt:v1:";

type Hash = [u8; 32];

/// What a receipt says.
#[derive(Debug, Clone, Deserialize)]
pub struct Claims {
    /// The service that answered.
    pub iss: String,
    /// The organization that asked.
    pub aud: OrganizationId,
    /// When, in seconds since the Unix epoch.
    pub iat: i64,
    /// The check.
    pub jti: CheckId,
    /// The answer.
    pub verdict: String,
    /// The instant up to which the registry was known when the answer was made.
    pub as_of: String,
    /// The registry's sequence at that instant.
    pub seq: Sequence,
    /// The commitment to number and card, base64url.
    pub cm: String,
}

impl Claims {
    /// When the check was decided, in milliseconds since the Unix epoch. `iat` counts whole seconds (RFC 7519, 2): within its second
    /// the check is not before the instant that its answer is of.
    pub fn checked_at_ms(&self) -> UnixMs {
        let iat = UnixMs::from_seconds(self.iat);
        let as_of = self.as_of.parse().map_or(iat, |at: jiff::Timestamp| UnixMs::new(at.as_millisecond()));
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
        let mut json = String::with_capacity(CLAIMS_BYTES);
        let number = &mut itoa::Buffer::new();
        json.push_str(r#"{"iss":"#);
        json.push_str(self.iss_json);
        json.push_str(r#","aud":""#);
        self.organization.push_to(&mut json);
        json.push_str(r#"","iat":"#);
        json.push_str(number.format(self.now_s));
        json.push_str(r#","jti":""#);
        self.check_id.push_to(&mut json);
        json.push_str(r#"","verdict":""#);
        json.push_str(verdict);
        json.push_str(r#"","as_of":""#);
        json.push_str(self.as_of);
        json.push_str(r#"","seq":"#);
        json.push_str(number.format(self.sequence.get()));
        json.push_str(r#","cm":""#);
        push_base64url(&mut json, &self.commitment);
        json.push('"');
        json.extend(std::iter::repeat_n(' ', longest_verdict() - verdict.len()));
        json.push('}');
        base64url(json.as_bytes())
    }
}

/// The length of the longest verdict's name: answers are padded to it.
pub const fn longest_verdict() -> usize {
    "other_card_listed".len()
}

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

/// Signs one head over a batch of claims and returns a receipt for each, in order.
pub fn sign_batch(key: &SigningKey, iss_json: &str, now_s: i64, claims: &[String]) -> Vec<String> {
    let tree = Tree::over(claims);
    let payload =
        format!(r#"{{"iss":{iss_json},"iat":{now_s},"size":{},"root":"{}"}}"#, claims.len(), base64url(&tree.root()));
    let head = key.sign_jws(HEAD_TYP, payload.as_bytes());
    let receipt = |(index, claims): (usize, &String)| {
        let path = base64url(&tree.path(index));
        let mut receipt = String::with_capacity(head.len() + claims.len() + path.len() + 2);
        for part in [&head, "~", claims, "~", &path] {
            receipt.push_str(part);
        }
        receipt
    };
    claims.iter().enumerate().map(receipt).collect()
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
    Ok(decoded)
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
            jti: CheckId::nil(),
            verdict: String::new(),
            as_of: as_of.to_owned(),
            seq: Sequence::new(1),
            cm: String::new(),
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
            for (n, receipt) in sign_batch(&key, r#""https://lostcard.example""#, 1, &all).iter().enumerate() {
                let read = verify(receipt, &[key.public().clone()]).unwrap();
                assert_eq!(read.jti, CheckId::from_u128(n as u128));
            }
        }
    }

    #[test]
    fn a_changed_receipt_does_not_verify() {
        let key = SigningKey::generate().unwrap();
        let keys = [key.public().clone()];
        let all: Vec<_> = (0..5).map(|n| claims(n, Verdict::CardListed)).collect();
        let receipts = sign_batch(&key, r#""https://lostcard.example""#, 1, &all);
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
