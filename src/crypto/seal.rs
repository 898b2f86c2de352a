//! Authenticated encryption (AES-256-GCM, NIST SP 800-38D) of what is stored but must not be readable without the key folder.
//! Digests are sealed under the seal key itself, contacts under a data key of their own, which is sealed in turn: destroying
//! the wrapped data key erases the contact, in spite of backups of the other columns.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::random;

/// The sealed bytes do not open: another key, another record, or damage.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open with this key")]
pub struct SealError;

/// One AES-256-GCM key. Nonces are random: up to 2^32 seals under one key (SP 800-38D, 8.3).
pub struct Sealer(LessSafeKey);

/// A secret with its own data key, as two columns of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The data key, sealed under the seal key.
    pub wrapped_key: Vec<u8>,
    /// The secret, sealed under the data key.
    pub sealed: Vec<u8>,
}

impl Sealer {
    /// A sealer of 32 key bytes.
    pub fn new(key: &[u8; 32]) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `secret`, bound to `context` (the record's id), so that it cannot be moved to another record.
    pub fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = random::bytes::<NONCE_LEN>();
        let mut out = Vec::with_capacity(NONCE_LEN + secret.len() + AES_256_GCM.tag_len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(secret);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut out[NONCE_LEN..])
            .map_err(|_| SealError)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Seals what a buffer holds from `from` on, in its place, and adds the tag. For the data key of a file: the place in the
    /// file is the nonce, and no place is written twice under one key, nor is the key used for anything else.
    pub fn seal_at(&self, place: u64, buffer: &mut Vec<u8>, from: usize) -> Result<(), SealError> {
        let secret = buffer.get_mut(from..).ok_or(SealError)?;
        let tag = self.0.seal_in_place_separate_tag(nonce_of(place), Aad::empty(), secret).map_err(|_| SealError)?;
        buffer.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens what [`Sealer::seal_at`] sealed for the same place.
    pub fn open_at(&self, place: u64, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut body = sealed.to_vec();
        let plain = self.0.open_in_place(nonce_of(place), Aad::empty(), &mut body).map_err(|_| SealError)?.len();
        body.truncate(plain);
        Ok(body)
    }

    /// Opens what [`Sealer::seal`] sealed for the same context.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut body = body.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| SealError)?.len();
        body.truncate(plain);
        Ok(body)
    }

    /// Seals `secret` under a fresh data key and wraps that key.
    pub fn seal_envelope(&self, context: &[u8], secret: &[u8]) -> Result<Envelope, SealError> {
        let (wrapped_key, own) = self.new_data_key(context)?;
        Ok(Envelope { wrapped_key, sealed: own.seal(context, secret)? })
    }

    /// A sealer under a fresh data key, and that key wrapped: for a file of many records, so that the seal key itself is used once.
    pub fn new_data_key(&self, context: &[u8]) -> Result<(Vec<u8>, Self), SealError> {
        let data_key = zeroize::Zeroizing::new(random::key_bytes::<32>().map_err(|_| SealError)?);
        Ok((self.seal(context, data_key.as_slice())?, Self::new(&data_key)?))
    }

    /// The sealer under a data key that [`Self::new_data_key`] wrapped.
    pub fn open_data_key(&self, context: &[u8], wrapped_key: &[u8]) -> Result<Self, SealError> {
        let key = zeroize::Zeroizing::new(self.open(context, wrapped_key)?);
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| SealError)?;
        Self::new(key)
    }

    /// Opens an envelope.
    pub fn open_envelope(&self, context: &[u8], envelope: &Envelope) -> Result<Vec<u8>, SealError> {
        self.open_data_key(context, &envelope.wrapped_key)?.open(context, &envelope.sealed)
    }
}

fn nonce_of(place: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&place.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_its_record_and_key() {
        let (own, other) = (Sealer::new(&[1; 32]).unwrap(), Sealer::new(&[2; 32]).unwrap());
        let sealed = own.seal(b"record-1", b"secret").unwrap();
        assert_eq!(own.open(b"record-1", &sealed).unwrap(), b"secret");
        assert!(own.open(b"record-2", &sealed).is_err());
        assert!(other.open(b"record-1", &sealed).is_err());
        assert!(own.open(b"record-1", &sealed[..10]).is_err());
        let mut damaged = sealed.clone();
        damaged[20] ^= 1;
        assert!(own.open(b"record-1", &damaged).is_err());
        assert_ne!(sealed, own.seal(b"record-1", b"secret").unwrap(), "nonces differ");
    }

    #[test]
    fn what_is_sealed_in_its_place_opens_there_alone() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let mut buffer = b"head".to_vec();
        buffer.extend_from_slice(b"secret");
        sealer.seal_at(77, &mut buffer, 4).unwrap();
        assert_eq!((&buffer[..4], buffer.len()), (&b"head"[..], 4 + 6 + 16));
        assert_eq!(sealer.open_at(77, &buffer[4..]).unwrap(), b"secret");
        assert!(sealer.open_at(78, &buffer[4..]).is_err());
        buffer[5] ^= 1;
        assert!(sealer.open_at(77, &buffer[4..]).is_err());
        assert!(sealer.seal_at(1, &mut buffer, 1000).is_err());
    }

    #[test]
    fn an_envelope_without_its_key_stays_shut() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let mut envelope = sealer.seal_envelope(b"r", b"phone").unwrap();
        assert_eq!(sealer.open_envelope(b"r", &envelope).unwrap(), b"phone");
        envelope.wrapped_key.clear();
        assert!(sealer.open_envelope(b"r", &envelope).is_err());
    }
}
