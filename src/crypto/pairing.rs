//! Codes of pairings, and what PINs of devices are proven by. The store has neither: it has keyed hashes of the first and the sealed
//! key of the second.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::pepper::Fingerprints;
use super::random::{self, NoRandomness};
use super::seal::{SealError, Sealer};
use crate::domain::ids::PairingId;
use crate::domain::pairing::PairingCode;

/// What the fingerprints are made for.
const NAME: &str = "pairing-name";
const CODE: &str = "pairing-code";
/// What a PIN is proven to be for: no key of a PIN makes an HMAC of anything else.
const PIN_LABEL: &[u8] = b"lostcard:pin:v1:";

/// A key that a page has derived from its PIN.
pub type PinKey = zeroize::Zeroizing<[u8; 32]>;

/// Draws a code.
pub fn new_code() -> Result<PairingCode, NoRandomness> {
    random::key_bytes::<8>().map(PairingCode::of_random)
}

/// What a pairing is found by.
pub fn name_mark(keys: &Fingerprints, code: &PairingCode) -> [u8; 32] {
    keys.of(NAME, &[code.name()])
}

/// What its code is known by.
pub fn code_mark(keys: &Fingerprints, pairing: PairingId, code: &PairingCode) -> [u8; 32] {
    keys.of(CODE, &[pairing.as_bytes(), code.bytes()])
}

/// Whether a mark is of a code, in a time that says nothing about where they differ.
pub fn is_code_of(keys: &Fingerprints, pairing: PairingId, code: &PairingCode, mark: &[u8; 32]) -> bool {
    keys.is_of(CODE, &[pairing.as_bytes(), code.bytes()], mark)
}

/// How the key of a PIN is stored.
pub fn seal_pin_key(sealer: &Sealer, pairing: PairingId, key: &PinKey) -> Result<Vec<u8>, SealError> {
    sealer.seal(pairing.as_bytes(), key.as_slice())
}

/// Whether a proof was made for a text by the key of the PIN, in a time that says nothing about where it is wrong.
pub fn proves_pin(
    sealer: &Sealer,
    pairing: PairingId,
    sealed_key: &[u8],
    text: &str,
    proof: &[u8],
) -> Result<bool, SealError> {
    let key = zeroize::Zeroizing::new(sealer.open(pairing.as_bytes(), sealed_key)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| SealError)?;
    mac.update(PIN_LABEL);
    mac.update(text.as_bytes());
    Ok(mac.verify_slice(proof).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_its_key_its_pairing_and_its_code() {
        let (own, other) = (Fingerprints::new(&[1; 32]), Fingerprints::new(&[2; 32]));
        let (one, two) = (PairingId::from_u128(1), PairingId::from_u128(2));
        let (code, wrong) = (PairingCode::of_random([1; 8]), PairingCode::of_random([1, 1, 1, 1, 1, 1, 1, 2]));
        let mark = code_mark(&own, one, &code);
        assert!(is_code_of(&own, one, &code, &mark));
        assert!(!is_code_of(&own, one, &wrong, &mark) && !is_code_of(&own, two, &code, &mark));
        assert!(!is_code_of(&other, one, &code, &mark));
        assert_eq!(name_mark(&own, &code), name_mark(&own, &wrong), "they share the half that names them");
        assert_ne!(name_mark(&own, &code), name_mark(&other, &code));
    }

    #[test]
    fn a_pin_is_proven_by_its_key_for_one_text() {
        let (sealer, pairing) = (Sealer::new(&[7; 32]).unwrap(), PairingId::from_u128(1));
        let key = PinKey::new([9; 32]);
        let kept = seal_pin_key(&sealer, pairing, &key).unwrap();
        let prove = |key: &[u8; 32], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(format!("lostcard:pin:v1:{text}").as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let proves = |text: &str, proof: &[u8]| proves_pin(&sealer, pairing, &kept, text, proof).unwrap();
        assert!(proves("a", &prove(&[9; 32], "a")));
        assert!(!proves("b", &prove(&[9; 32], "a")) && !proves("a", &prove(&[8; 32], "a")) && !proves("a", b""));
        assert!(proves_pin(&sealer, PairingId::from_u128(2), &kept, "a", b"").is_err(), "the key of another device");
    }
}
