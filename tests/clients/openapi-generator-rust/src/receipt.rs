//! Verifies a receipt offline, as docs/RECEIPTS.md says: the head's signature by a JOSE library, the Merkle path, the commitment.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lostcard_client::models::{JwkSet, VerdictName};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Outcome;

/// What an authentic receipt says, as far as this program reads it.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: String,
    pub jti: String,
    pub verdict: VerdictName,
    cm: String,
}

#[derive(Debug, Deserialize)]
struct TreeHead {
    iss: String,
    size: u64,
    root: String,
}

/// An error for whatever is not a receipt that the service at `issuer` signed.
pub fn verify(receipt: &str, keys: &JwkSet, issuer: &str) -> Outcome<Claims> {
    let [head, claims, path] = receipt.split('~').collect::<Vec<_>>()[..] else {
        return Err("a receipt has three parts".into());
    };
    let header = decode_header(head)?;
    // The set also holds the keys of access tokens.
    if header.typ.as_deref() != Some("lostcard-receipt+jwt") {
        return Err("not the head of a receipt".into());
    }
    let key = keys.keys.iter().find(|key| header.kid.as_ref() == Some(&key.kid)).ok_or("the key is not published")?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // A receipt does not expire, and its organization is in the claims.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let head = decode::<TreeHead>(head, &DecodingKey::from_ed_components(&key.x)?, &validation)?.claims;
    if included_root(claims, &bytes(path)?, head.size)?[..] != bytes(&head.root)?[..] {
        return Err("the path does not lead to the signed root".into());
    }
    let claims: Claims = serde_json::from_slice(&bytes(claims)?)?;
    if head.iss != issuer || claims.iss != issuer {
        return Err("head or claims name another issuer".into());
    }
    Ok(claims)
}

/// Whether the receipt is about this number and card; `card_valid_from` as YYYY-MM-DD.
pub fn opens(claims: &Claims, salt: &str, id_number: &str, card_valid_from: Option<&str>) -> Outcome<bool> {
    let digest = sha256(&[b"lostcard:v1:", id_number.to_ascii_uppercase().as_bytes()]);
    let start = card_valid_from.unwrap_or("0000-00-00").replace('-', "");
    Ok(sha256(&[b"lostcard:receipt:v1:", &bytes(salt)?, &digest, start.as_bytes()])[..] == bytes(&claims.cm)?[..])
}

/// RFC 9162, 2.1.3.2.
fn included_root(claims: &str, path: &[u8], size: u64) -> Outcome<[u8; 32]> {
    let (index, hashes) = path.split_first_chunk::<4>().ok_or("the path is too short")?;
    let (mut index, mut last) = (u64::from(u32::from_be_bytes(*index)), size.saturating_sub(1));
    let (hashes, rest) = hashes.as_chunks::<32>();
    if index >= size || !rest.is_empty() {
        return Err("the path has a wrong length or index".into());
    }
    let mut node = sha256(&[&[0], claims.as_bytes()]);
    for sibling in hashes {
        if last == 0 {
            return Err("the path is too long".into());
        }
        if index % 2 == 1 || index == last {
            node = sha256(&[&[1], sibling, &node]);
            while index.is_multiple_of(2) && index != 0 {
                (index, last) = (index / 2, last / 2);
            }
        } else {
            node = sha256(&[&[1], &node, sibling]);
        }
        (index, last) = (index / 2, last / 2);
    }
    if last == 0 { Ok(node) } else { Err("the path is too short".into()) }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

fn bytes(text: &str) -> Outcome<Vec<u8>> {
    Ok(URL_SAFE_NO_PAD.decode(text)?)
}

/// The receipt with another verdict in its claims; the length of the text stays.
pub fn tampered(receipt: &str) -> Outcome<String> {
    let [head, claims, path] = receipt.split('~').collect::<Vec<_>>()[..] else {
        return Err("a receipt has three parts".into());
    };
    let forged = String::from_utf8(bytes(claims)?)?.replace(r#""card_listed""#, r#""not_listed" "#);
    Ok([head, &URL_SAFE_NO_PAD.encode(forged), path].join("~"))
}
