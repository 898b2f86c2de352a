//! Evaluations of numbers that the asker says openly, for audits: the element is that of the number itself, not blinded, with the
//! proof of any other. Who has the public key verifies it, and gets what a blind client gets.

use sha2::Sha512;
use voprf_ng::{EvaluationElement, Group, Proof, Ristretto255, VoprfClient};
use zeroize::Zeroizing;

use super::key::{BlindKey, BlindKeyError, Blinded, ELEMENT_BYTES, Evaluated, Evaluations, input};
use crate::crypto::digest::IdDigest;

type Element = <Ristretto255 as Group>::Elem;

/// RFC 9497, 3.1, mode 1 (VOPRF), behind what each hash is for.
const TO_GROUP: &[u8] = b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512";
const TO_SCALAR: &[u8] = b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512";
const BLINDING_LABEL: &[u8] = b"lostcard:blind:r:v1:";
/// Elements of one blind request.
const INDEX_MAX: u16 = 32;

/// The element of a number: `HashToGroup`.
fn element_of(digest: &IdDigest) -> Option<Element> {
    Ristretto255::hash_to_curve::<Sha512>(&[input(digest).as_slice()], &[TO_GROUP]).ok()
}

impl BlindKey {
    /// The element of a number, evaluated, with the proof that it was done by this key.
    pub fn evaluate_open(&self, digest: &IdDigest) -> Result<Evaluations, BlindKeyError> {
        let element = element_of(digest).map(Ristretto255::serialize_elem).ok_or(BlindKeyError)?;
        self.evaluate_blinded(&[Blinded::parse(&element).ok_or(BlindKeyError)?])
    }
}

/// What `evaluate_open` proves; none where the proof does not hold.
pub fn verify_open(public_key: &[u8], digest: &IdDigest, element: &[u8], proof: &[u8]) -> Option<Evaluated> {
    let public = Ristretto255::deserialize_elem(public_key).ok()?;
    // A client whose blinding scalar is 1.
    let mut state = Zeroizing::new([0; 2 * ELEMENT_BYTES]);
    state[0] = 1;
    state[ELEMENT_BYTES..].copy_from_slice(&Ristretto255::serialize_elem(element_of(digest)?));
    let client = VoprfClient::<Ristretto255>::deserialize(state.as_slice()).ok()?;
    let evaluated = EvaluationElement::deserialize(element).ok()?;
    let proof = Proof::deserialize(proof).ok()?;
    let output = client.finalize(input(digest).as_slice(), &evaluated, &proof, public).ok()?;
    Some(Evaluated::from_bytes(output.into()))
}

/// Whether an element is that of a number, blinded by the scalar that a salt gives, and evaluated as `element` says. None: the salt
/// does not give it at any place of a request.
pub fn was_evaluated_so(
    digest: &IdDigest,
    salt: &[u8; 32],
    element: &[u8],
    blinded: &[u8],
    evaluated: &[u8],
) -> Option<bool> {
    let (own, element) = (element_of(digest)?, Ristretto255::deserialize_elem(element).ok()?);
    let scalar = |index: u16| {
        let parts = [BLINDING_LABEL, salt.as_slice(), &index.to_be_bytes()];
        Ristretto255::hash_to_scalar::<Sha512>(&parts, &[TO_SCALAR]).ok()
    };
    let scalars = (0..INDEX_MAX).filter_map(scalar);
    let is_it =
        |scalar: &<Ristretto255 as Group>::Scalar| Ristretto255::serialize_elem(own * scalar).as_slice() == blinded;
    let scalar = scalars.into_iter().find(is_it)?;
    Some(Ristretto255::serialize_elem(element * scalar).as_slice() == evaluated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> BlindKey {
        BlindKey::derive(7, &[5; 32]).unwrap()
    }

    #[test]
    fn an_open_evaluation_is_that_of_the_number_and_of_the_key() {
        let (key, digest) = (key(), IdDigest::from_bytes([3; 32]));
        let Evaluations { elements, proof } = key.evaluate_open(&digest).unwrap();
        let direct = key.evaluate(&digest).unwrap();
        let open = |public: &[u8], digest: &IdDigest, proof: &[u8]| verify_open(public, digest, &elements[0], proof);
        let found = open(&key.public_key(), &digest, &proof).unwrap();
        assert_eq!((found.tag(), found.placement()), (direct.tag(), direct.placement()));
        let other = BlindKey::derive(8, &[5; 32]).unwrap();
        assert!(open(&other.public_key(), &digest, &proof).is_none());
        assert!(open(&key.public_key(), &IdDigest::from_bytes([4; 32]), &proof).is_none());
        let mut wrong = proof;
        wrong[5] ^= 1;
        assert!(open(&key.public_key(), &digest, &wrong).is_none());
        let of_other = other.evaluate_open(&digest).unwrap();
        assert!(verify_open(&key.public_key(), &digest, &of_other.elements[0], &of_other.proof).is_none());
    }

    #[test]
    fn a_salt_opens_what_a_client_had_blinded() {
        let (key, digest, salt) = (key(), IdDigest::from_bytes([3; 32]), [8; 32]);
        let scalar = Ristretto255::hash_to_scalar::<Sha512>(&[BLINDING_LABEL, &salt, &[0, 31]], &[TO_SCALAR]).unwrap();
        let blinded = Ristretto255::serialize_elem(element_of(&digest).unwrap() * scalar);
        let sent = key.evaluate_blinded(&[Blinded::parse(&blinded).unwrap()]).unwrap().elements[0];
        let element = key.evaluate_open(&digest).unwrap().elements[0];
        assert_eq!(was_evaluated_so(&digest, &salt, &element, &blinded, &sent), Some(true));
        assert_eq!(was_evaluated_so(&digest, &salt, &element, &blinded, &element), Some(false));
        assert_eq!(was_evaluated_so(&digest, &[9; 32], &element, &blinded, &sent), None);
        assert_eq!(was_evaluated_so(&IdDigest::from_bytes([4; 32]), &salt, &element, &blinded, &sent), None);
    }
}
