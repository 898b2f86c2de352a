//! Files of the format age (C2SP, `age-encryption.org/v1`) for X25519 recipients: how keys leave a node, so that only who holds an
//! identity kept elsewhere opens them, with this program or with `age` itself. The primitives are those of `aws-lc`.

use std::fmt;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use super::random;

const VERSION: &str = "age-encryption.org/v1";
const RECIPIENT: &str = "age";
const IDENTITY: &str = "AGE-SECRET-KEY-";
const KEY_LEN: usize = 32;
const FILE_KEY_LEN: usize = 16;
const TAG_LEN: usize = 16;
/// Of the nonce before what is sealed.
const PAYLOAD_NONCE_LEN: usize = 16;
/// What is sealed is cut into pieces of this length.
const CHUNK_LEN: usize = 64 * 1024;

/// Why a file was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    #[error("this is no recipient of age: it begins with age1, as `age-keygen` prints it")]
    Recipient,
    #[error("this file holds no identity of age: a line that begins with {IDENTITY}1")]
    Identity,
    #[error("this is no file of age, or it was damaged")]
    Damaged,
    #[error("the identity does not open it: it was sealed for another one")]
    OtherIdentity,
    #[error("the cryptographic library refused")]
    Refused,
}

/// The public half: who may open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; KEY_LEN]);

impl Recipient {
    pub fn parse(text: &str) -> Result<Self, AgeError> {
        Ok(Self(*decode(RECIPIENT, text).ok_or(AgeError::Recipient)?))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse(RECIPIENT).map_err(|_| fmt::Error)?;
        bech32::encode_to_fmt::<Bech32, _>(f, prefix, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// The private halves of a file that `age-keygen` made.
pub struct Identities(Vec<Zeroizing<[u8; KEY_LEN]>>);

impl Identities {
    /// Reads a file: an identity a line, `#` begins a remark.
    pub fn parse(text: &str) -> Result<Self, AgeError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = lines.map(|line| decode(IDENTITY, line).ok_or(AgeError::Identity));
        let identities = read.collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() { Err(AgeError::Identity) } else { Ok(Self(identities)) }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({}, redacted)", self.0.len())
    }
}

/// Seals for each of the recipients: any of them opens it.
pub fn seal(recipients: &[Recipient], secret: &[u8]) -> Result<Vec<u8>, AgeError> {
    let file_key = Zeroizing::new(random::key_bytes::<FILE_KEY_LEN>().map_err(|_| AgeError::Refused)?);
    let mut header = format!("{VERSION}\n");
    for recipient in recipients {
        let own = Zeroizing::new(random::key_bytes::<KEY_LEN>().map_err(|_| AgeError::Refused)?);
        let own = PrivateKey::from_private_key(&X25519, own.as_slice()).map_err(|_| AgeError::Refused)?;
        let share = public_of(&own)?;
        let key = wrapping_key(&own, &recipient.0, &share, recipient)?;
        let wrapped = seal_piece(&key, [0; NONCE_LEN], file_key.as_slice())?;
        header.extend(["-> X25519 ", &STANDARD_NO_PAD.encode(share), "\n", &STANDARD_NO_PAD.encode(wrapped), "\n"]);
    }
    header += "---";
    let mac = hmac::sign(&header_key(&file_key)?, header.as_bytes());
    let nonce = random::key_bytes::<PAYLOAD_NONCE_LEN>().map_err(|_| AgeError::Refused)?;
    let mut out = format!("{header} {}\n", STANDARD_NO_PAD.encode(mac)).into_bytes();
    out.extend_from_slice(&nonce);
    let key = expand(file_key.as_slice(), &nonce, b"payload")?;
    let last = secret.len().div_ceil(CHUNK_LEN).max(1) - 1;
    for place in 0..=last {
        let chunk = &secret[place * CHUNK_LEN..secret.len().min((place + 1) * CHUNK_LEN)];
        out.extend(seal_piece(&key, chunk_nonce(place, place == last), chunk)?);
    }
    Ok(out)
}

/// Opens what was sealed for one of the identities.
pub fn open(identities: &Identities, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let Header { text, stanzas, mac, payload } = Header::read(sealed).ok_or(AgeError::Damaged)?;
    let file_key = unwrap_any(identities, &stanzas)?;
    hmac::verify(&header_key(&file_key)?, text, &mac).map_err(|_| AgeError::Damaged)?;
    let (nonce, mut rest) = payload.split_at_checked(PAYLOAD_NONCE_LEN).ok_or(AgeError::Damaged)?;
    let key = expand(file_key.as_slice(), nonce, b"payload")?;
    let mut secret = Zeroizing::new(Vec::with_capacity(rest.len()));
    for place in 0.. {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_LEN + TAG_LEN));
        let opened = open_piece(&key, chunk_nonce(place, after.is_empty()), chunk).ok_or(AgeError::Damaged)?;
        // Only what is empty as a whole ends in an empty piece.
        if opened.is_empty() && place > 0 {
            return Err(AgeError::Damaged);
        }
        secret.extend_from_slice(&opened);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    Ok(secret)
}

/// A share, and the file key sealed under what it leads to.
struct Stanza {
    share: [u8; KEY_LEN],
    wrapped: Vec<u8>,
}

struct Header<'a> {
    /// What the MAC covers.
    text: &'a [u8],
    stanzas: Vec<Stanza>,
    mac: Vec<u8>,
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(sealed: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        let mut line = || {
            let length = sealed[at..].iter().position(|byte| *byte == b'\n')?;
            let text = std::str::from_utf8(&sealed[at..at + length]).ok()?;
            at += length + 1;
            Some((text, at - length - 1, at))
        };
        if line()?.0 != VERSION {
            return None;
        }
        let mut stanzas = Vec::new();
        loop {
            let (next, began, ended) = line()?;
            if let Some(mac) = next.strip_prefix("--- ") {
                let mac = STANDARD_NO_PAD.decode(mac).ok()?;
                return Some(Self { text: &sealed[..began + 3], stanzas, mac, payload: &sealed[ended..] });
            }
            let words: Vec<_> = next.strip_prefix("-> ")?.split(' ').collect();
            // The body of a stanza ends with the first line that is not full.
            let mut body = String::new();
            loop {
                let (piece, ..) = line()?;
                body += piece;
                if piece.len() < 64 {
                    break;
                }
            }
            // Other kinds of recipients are none of ours.
            if let ["X25519", share] = words[..] {
                let share = STANDARD_NO_PAD.decode(share).ok()?.try_into().ok()?;
                stanzas.push(Stanza { share, wrapped: STANDARD_NO_PAD.decode(body).ok()? });
            }
        }
    }
}

fn unwrap_any(identities: &Identities, stanzas: &[Stanza]) -> Result<Zeroizing<[u8; FILE_KEY_LEN]>, AgeError> {
    for identity in &identities.0 {
        let own = PrivateKey::from_private_key(&X25519, identity.as_slice()).map_err(|_| AgeError::Identity)?;
        let recipient = Recipient(public_of(&own)?);
        for stanza in stanzas {
            let Ok(key) = wrapping_key(&own, &stanza.share, &stanza.share, &recipient) else { continue };
            if let Some(file_key) = open_piece(&key, [0; NONCE_LEN], &stanza.wrapped) {
                let file_key = file_key.as_slice().try_into().map_err(|_| AgeError::Damaged)?;
                return Ok(Zeroizing::new(file_key));
            }
        }
    }
    Err(AgeError::OtherIdentity)
}

fn public_of(key: &PrivateKey) -> Result<[u8; KEY_LEN], AgeError> {
    let public = key.compute_public_key().map_err(|_| AgeError::Refused)?;
    public.as_ref().try_into().map_err(|_| AgeError::Refused)
}

fn wrapping_key(
    own: &PrivateKey,
    peer: &[u8],
    share: &[u8; KEY_LEN],
    recipient: &Recipient,
) -> Result<LessSafeKey, AgeError> {
    let salt = [share.as_slice(), &recipient.0].concat();
    let info = format!("{VERSION}/X25519");
    agree(own, UnparsedPublicKey::new(&X25519, peer), AgeError::Damaged, |secret| {
        sealing(&expand_bytes(secret, &salt, info.as_bytes())?)
    })
}

fn header_key(file_key: &[u8; FILE_KEY_LEN]) -> Result<hmac::Key, AgeError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, expand_bytes(file_key, &[], b"header")?.as_slice()))
}

fn expand(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<LessSafeKey, AgeError> {
    sealing(&expand_bytes(secret, salt, info)?)
}

fn sealing(key: &Zeroizing<[u8; KEY_LEN]>) -> Result<LessSafeKey, AgeError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map_err(|_| AgeError::Refused)?;
    Ok(LessSafeKey::new(key))
}

fn expand_bytes(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, AgeError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    let filled = extracted.expand(&[info], HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
    filled.map(|()| key).map_err(|_| AgeError::Refused)
}

/// The place of a piece, and whether it is the last: what is cut off or moved does not open.
fn chunk_nonce(place: usize, is_last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&(place as u64).to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}

fn seal_piece(key: &LessSafeKey, nonce: [u8; NONCE_LEN], secret: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut piece = secret.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut piece).map_err(|_| AgeError::Refused)?;
    Ok(piece)
}

fn open_piece(key: &LessSafeKey, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut piece = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut piece).ok()?.len();
    piece.truncate(length);
    Some(piece)
}

fn decode(prefix: &str, text: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let (found, bytes) = bech32::decode(text.trim()).ok()?;
    let bytes = Zeroizing::new(bytes);
    let is_of = found == Hrp::parse(prefix).ok()? && text.trim().starts_with(prefix);
    let bytes = bytes.as_slice().try_into().ok()?;
    is_of.then(|| Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by age-keygen and age 1.1.1.
    const PUBLIC: &str = "age1adl3zctlv35uu87aq6z4ccwgx6ndccxrjddd89uf7gs9vf9kmu3s2pfm6n";
    const SECRET: &str = "# a remark\nAGE-SECRET-KEY-1DR8YSRHGSS4RFQAX06T54HX3DRDNGNGLK6V7VUXF7AJ5XJNY92WQG75SW9\n";
    const SEALED: &str = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSAvUGQvMmQrYzJQM3hXSjlRUjlZR3dCS2dSZ1QxV3o3OWkwWndvbjRscW5FCjFzNElNdF\
        ZiS3JYbWIrTkUyNmhKQy9XWmZQOVhwQzZUcXplaXE3R21NMlEKLS0tIGJ4YmJ1cSt6VHpsbGdlODJHWXMya2R5NDU4VUtpajFodktESytwQVZT\
        ZDAKknSrMozaTtUer+iTCI5Jo8aH9SlKmZUVgDzQBMVQaJd1PIyDk/xWgZAYhiL1RdVaDXPEPRpyCxXHBQ";

    #[test]
    fn what_age_sealed_is_opened() {
        let sealed = STANDARD_NO_PAD.decode(SEALED).unwrap();
        let identities = Identities::parse(SECRET).unwrap();
        assert_eq!(open(&identities, &sealed).unwrap().as_slice(), b"sealed by another program\n");
        assert_eq!(Recipient::parse(PUBLIC).unwrap().to_string(), PUBLIC);
    }

    #[test]
    fn what_is_sealed_is_opened_by_each_recipient_and_nobody_else() {
        let other = || PrivateKey::generate(&X25519).unwrap();
        let recipients = [Recipient(public_of(&other()).unwrap()), Recipient::parse(PUBLIC).unwrap()];
        let identities = Identities::parse(SECRET).unwrap();
        for length in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN, 2 * CHUNK_LEN + 7] {
            let secret: Vec<_> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let sealed = seal(&recipients, &secret).unwrap();
            assert!(*open(&identities, &sealed).unwrap() == secret, "{length} bytes");
            let alone = seal(&recipients[..1], &secret).unwrap();
            assert_eq!(open(&identities, &alone).unwrap_err(), AgeError::OtherIdentity);
        }
    }

    #[test]
    fn what_was_damaged_or_cut_off_is_refused() {
        let recipient = Recipient::parse(PUBLIC).unwrap();
        let identities = Identities::parse(SECRET).unwrap();
        let sealed = seal(&[recipient], &vec![7; CHUNK_LEN + 100]).unwrap();
        let header = sealed.len() - (CHUNK_LEN + 100 + 2 * TAG_LEN);
        // All places of the header, and some of what follows.
        for place in (0..header).chain((header..sealed.len()).step_by(997)) {
            let mut spoilt = sealed.clone();
            spoilt[place] ^= 1;
            assert!(open(&identities, &spoilt).is_err(), "byte {place}");
        }
        for length in (0..header).chain([header + CHUNK_LEN + TAG_LEN, sealed.len() - 1]) {
            assert!(open(&identities, &sealed[..length]).is_err(), "{length} bytes");
        }
        assert!(open(&identities, &[sealed.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn what_is_no_key_of_age_is_refused() {
        for text in ["", "age1", "age1qqqq", SECRET.lines().last().unwrap(), &PUBLIC.to_uppercase(), &PUBLIC[..61]] {
            assert_eq!(Recipient::parse(text).unwrap_err(), AgeError::Recipient, "{text}");
        }
        for text in ["", "# nothing\n", PUBLIC, &SECRET[..40]] {
            assert_eq!(Identities::parse(text).unwrap_err(), AgeError::Identity, "{text}");
        }
        let shown = format!("{:?}", Identities::parse(SECRET).unwrap());
        assert_eq!(shown, "Identities(1, redacted)");
    }
}
