//! Signed notes (C2SP signed-note): text, signature lines, verifier keys; Ed25519 (type 1) and cosignatures (type 4, C2SP
//! tlog-cosignature). What the text says is in `checkpoint`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::tile::decimal;
use crate::crypto::signing::{PublicKey, SigningKey};

/// The most bytes of a note that is read: a checkpoint with as many signatures as are read at all.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// The most signature lines of a note.
const SIGNATURES_MAX: usize = 64;

/// How a key signs notes: the signature type of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureType {
    /// Over the text: a log's.
    Ed25519 = 1,
    /// Over a time and the text: a witness's.
    Cosignature = 4,
}

/// A public key under a name, as readers are given it: `name+hash+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: SignatureType,
    key: PublicKey,
}

impl VerifierKey {
    /// None where a note may not have the name.
    pub fn new(name: &str, kind: SignatureType, key: PublicKey) -> Option<Self> {
        let id = key_id(name, kind, &key);
        is_key_name(name).then(|| Self { name: name.to_owned(), id, kind, key })
    }

    /// Reads [`Self::to_string`]; a key of another type, or whose hash is not its own, is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (kind, bytes) = key.split_first()?;
        let kind = [SignatureType::Ed25519, SignatureType::Cosignature].into_iter().find(|of| *of as u8 == *kind)?;
        let found = Self::new(name, kind, PublicKey::new(bytes.try_into().ok()?))?;
        hex::encode(found.id).eq_ignore_ascii_case(id).then_some(found)
    }

    /// The type of a verifier key, also of one that is not read here; none where it has not even the form.
    pub fn type_of(text: &str) -> Option<u8> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let is_key = is_key_name(name) && id.len() == 8 && hex::decode(id).is_ok();
        STANDARD.decode(key).ok().filter(|_| is_key)?.first().copied()
    }

    /// The name in signature lines: of a log its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    pub fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The key itself: two that are equal are one signer, whatever their names.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }

    /// What a signature of this key over `text` says; none where the signature is wrong.
    fn read(&self, text: &str, signature: &[u8]) -> Option<Signed> {
        match self.kind {
            SignatureType::Ed25519 => self.key.verifies(text.as_bytes(), signature).then_some(Signed { time_s: None }),
            SignatureType::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time_s = u64::from_be_bytes(*time);
                // Beyond, a time is none (tlog-cosignature).
                let is_time = i64::try_from(time_s).is_ok();
                let is_whole = is_time && self.key.verifies(&cosigned(text, time_s), signature);
                is_whole.then_some(Signed { time_s: Some(time_s) })
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [[self.kind as u8].as_slice(), self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

/// A signature that was verified, and the time in it if its type has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    pub time_s: Option<u64>,
}

/// Why a key's word is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// The note has no signature of this key.
    Missing,
    /// It has one, and it is wrong: the note must be refused.
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A note as it was read: nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Reads a note: text, an empty line, signature lines.
    pub fn parse(note: &str) -> Option<Self> {
        let is_plain = note.bytes().all(|byte| byte >= 0x20 || byte == b'\n');
        if note.len() > NOTE_BYTES_MAX || !is_plain {
            return None;
        }
        let at = note.rfind("\n\n")?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let signatures = signature_lines(lines)?;
        (!signatures.is_empty()).then(|| Self { text: text.to_owned(), signatures })
    }

    /// The text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes a key's word: each of its signatures must be right.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Signed, Unsigned> {
        let own = self.signatures.iter().filter(|line| line.name == key.name && line.id == key.id);
        let mut found = Err(Unsigned::Missing);
        for signature in own {
            found = Ok(key.read(&self.text, &signature.bytes).ok_or(Unsigned::Wrong)?);
        }
        found
    }
}

/// The signatures of lines that each end with a newline, of a note or of a witness's answer.
fn signature_lines(lines: &str) -> Option<Vec<Signature>> {
    let mut found = Vec::new();
    for line in lines.strip_suffix('\n')?.split('\n') {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, bytes) = signature.split_first_chunk::<4>()?;
        if !is_key_name(name) || bytes.is_empty() || found.len() == SIGNATURES_MAX {
            return None;
        }
        found.push(Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() });
    }
    Some(found)
}

/// Those lines of a witness's answer that are a right signature of `key` over `text`, with their times.
pub fn right_lines(text: &str, lines: &str, key: &VerifierKey) -> Vec<(String, Signed)> {
    let read = |line: &str| {
        let signatures = signature_lines(&format!("{line}\n"))?;
        let own = signatures.iter().find(|of| of.name == key.name && of.id == key.id)?;
        Some((format!("{line}\n"), key.read(text, &own.bytes)?))
    };
    lines.lines().take(SIGNATURES_MAX).filter_map(read).collect()
}

/// A log's signature line over a text that ends with a newline.
pub fn sign(key: &SigningKey, name: &str, text: &str) -> String {
    line(name, SignatureType::Ed25519, key.public(), &key.sign(text.as_bytes()))
}

/// A witness's signature line over a text that ends with a newline.
pub fn cosign(key: &SigningKey, name: &str, text: &str, time_s: u64) -> String {
    let signature = [time_s.to_be_bytes().as_slice(), &key.sign(&cosigned(text, time_s))].concat();
    line(name, SignatureType::Cosignature, key.public(), &signature)
}

fn line(name: &str, kind: SignatureType, key: &PublicKey, signature: &[u8]) -> String {
    let bytes = [key_id(name, kind, key).as_slice(), signature].concat();
    format!("— {name} {}\n", STANDARD.encode(bytes))
}

fn cosigned(text: &str, time_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}

fn key_id(name: &str, kind: SignatureType, key: &PublicKey) -> [u8; 4] {
    let hash =
        Sha256::new().chain_update(name).chain_update([b'\n', kind as u8]).chain_update(key.as_bytes()).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn is_key_name(name: &str) -> bool {
    let is_out = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && !name.contains(is_out)
}

/// The size in a witness's refusal: a decimal and a newline.
pub fn size_line(text: &str) -> Option<u64> {
    decimal(text.strip_suffix('\n')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const LINE: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_made_elsewhere_is_verified() {
        let key = VerifierKey::parse(KEY).unwrap();
        assert_eq!((key.to_string().as_str(), key.name(), key.kind()), (KEY, "PeterNeumann", SignatureType::Ed25519));
        let note = Note::parse(&format!("{TEXT}\n{LINE}")).unwrap();
        assert_eq!((note.text(), note.signed_by(&key)), (TEXT, Ok(Signed { time_s: None })));
        let changed = Note::parse(&format!("{}\n{LINE}", TEXT.replace("answer", "Answer"))).unwrap();
        assert_eq!(changed.signed_by(&key), Err(Unsigned::Wrong));
        let other =
            VerifierKey::new("PeterNeumann", SignatureType::Ed25519, SigningKey::generate().unwrap().public().clone());
        assert_eq!(note.signed_by(&other.unwrap()), Err(Unsigned::Missing));
    }

    #[test]
    fn what_is_no_note_or_key_is_refused() {
        let good = format!("{TEXT}\n{LINE}");
        assert!(Note::parse(&good).is_some());
        for bad in [
            TEXT.to_owned(),
            format!("{TEXT}\n"),
            format!("{TEXT}{LINE}"),
            format!("{TEXT}\r\n{LINE}"),
            format!("{TEXT}\t\n{LINE}"),
            good.trim_end().to_owned(),
            good.replace("— ", "- "),
            good.replace("PeterNeumann", "Peter+Neumann"),
            good.replace("PeterNeumann", "Peter\u{2003}Neumann"),
            good.replace("PeterNeumann", ""),
            format!("{TEXT}\n— PeterNeumann x08go/\n"),
            format!("{TEXT}\n— PeterNeumann x08goA==\n"),
            format!("{good}{}", LINE.repeat(64)),
            format!("{}{good}", "a".repeat(NOTE_BYTES_MAX)),
        ] {
            assert_eq!(Note::parse(&bad), None, "{bad}");
        }
        assert!(Note::parse(&format!("{good}{}", LINE.repeat(63))).is_some());
        for bad in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpcARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10",
        ] {
            assert_eq!(VerifierKey::parse(bad), None, "{bad}");
        }
        // As Go reads it, the hash may be written in either case.
        let upper = "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(VerifierKey::parse(upper), VerifierKey::parse(KEY));
    }

    #[test]
    fn a_cosignature_is_of_its_text_its_time_and_its_key() {
        let (key, text) = (SigningKey::generate().unwrap(), "example.com/log\n1\nroot\n");
        let verifier = VerifierKey::new("w.example/1", SignatureType::Cosignature, key.public().clone()).unwrap();
        assert_eq!(VerifierKey::parse(&verifier.to_string()).unwrap(), verifier);
        let line = cosign(&key, "w.example/1", text, 1_679_315_147);
        let signed = Signed { time_s: Some(1_679_315_147) };
        assert_eq!(Note::parse(&format!("{text}\n{line}")).unwrap().signed_by(&verifier), Ok(signed));
        assert_eq!(right_lines(text, &line, &verifier), [(line.clone(), signed)]);
        let other = cosign(&SigningKey::generate().unwrap(), "w.example/1", text, 1);
        assert_eq!(right_lines(text, &format!("{other}junk\n{line}"), &verifier), [(line.clone(), signed)]);
        assert_eq!(right_lines("other\n", &line, &verifier), []);
        // As a log's signature it counts for nothing, though the key is the same.
        let as_log = VerifierKey::new("w.example/1", SignatureType::Ed25519, key.public().clone()).unwrap();
        let note = Note::parse(&format!("{text}\n{line}{}", sign(&key, "w.example/1", text))).unwrap();
        assert_eq!((note.signed_by(&as_log), note.signed_by(&verifier)), (Ok(Signed { time_s: None }), Ok(signed)));
        let mut late = STANDARD.decode(line.trim_end().rsplit(' ').next().unwrap()).unwrap();
        late[11] ^= 1;
        let late = format!("— w.example/1 {}\n", STANDARD.encode(late));
        assert_eq!(right_lines(text, &late, &verifier), []);
        let signed = Note::parse(&format!("{text}\n{late}")).unwrap().signed_by(&verifier);
        assert_eq!(signed, Err(Unsigned::Wrong));
    }

    #[test]
    fn a_size_stands_alone_in_its_line() {
        assert_eq!((size_line("20852014\n"), size_line("0\n")), (Some(20_852_014), Some(0)));
        for bad in ["", "\n", "1", "01\n", "+1\n", " 1\n", "1\n\n", "18446744073709551616\n"] {
            assert_eq!(size_line(bad), None, "{bad:?}");
        }
    }
}
