//! The key by which numbers are evaluated: VOPRF of RFC 9497, suite ristretto255-SHA512. Who evaluates with it can try all
//! numbers, so it is of one blind epoch, and what it makes of a number prints itself redacted and is wiped.

use std::fmt;

use voprf_ng::{BlindedElement, Group, Ristretto255, VoprfServer};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::digest::IdDigest;
use crate::crypto::pepper::Keyed;
use crate::crypto::random;

const INFO_LABEL: &str = "lostcard:blind:";
const INPUT_LABEL: &[u8; 18] = b"lostcard:blind:v1:";
/// What the secret of decoys is derived from the seed by, which itself makes the key pair alone.
const DECOY_KEY_LABEL: &[u8] = b"lostcard:blind:decoy-key:v1:";
const DECOY_LABEL: &[u8] = b"lostcard:blind:decoy:v1:";

/// Of an element of the group, in its only form.
pub const ELEMENT_BYTES: usize = 32;
/// Of a proof: the scalars c and s.
pub const PROOF_BYTES: usize = 64;

/// The key cannot be used. Chance makes none such; a damaged file might.
#[derive(Debug, thiserror::Error)]
#[error("the blind key cannot be used")]
pub struct BlindKeyError;

/// The key of one blind epoch.
pub struct BlindKey {
    epoch: u32,
    // Its `Debug` shows the secret: never derived here.
    server: VoprfServer<Ristretto255>,
    decoys: Keyed,
}

impl BlindKey {
    /// `DeriveKeyPair` (RFC 9497, 3.2.1) of the seed in the epoch's key file.
    pub fn derive(epoch: u32, seed: &[u8; 32]) -> Result<Self, BlindKeyError> {
        let info = format!("{INFO_LABEL}{epoch}");
        let server = VoprfServer::new_from_seed(seed, info.as_bytes()).map_err(|_| BlindKeyError)?;
        let decoys = Keyed::new(&Zeroizing::new(Keyed::new(seed).of(&[DECOY_KEY_LABEL, &epoch.to_be_bytes()])));
        Ok(Self { epoch, server, decoys })
    }

    /// N of `blind-N.key`.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What proofs are verified by.
    pub fn public_key(&self) -> [u8; ELEMENT_BYTES] {
        Ristretto255::serialize_elem(self.server.get_public_key()).into()
    }

    /// What a client finds out of a number with this service's help: `Evaluate` (RFC 9497, 3.3.2). 50 us.
    pub fn evaluate(&self, digest: &IdDigest) -> Result<Evaluated, BlindKeyError> {
        let mut output = self.server.evaluate(input(digest).as_slice()).map_err(|_| BlindKeyError)?;
        let evaluated = Evaluated::from_bytes(output.0);
        output.0.zeroize();
        Ok(evaluated)
    }

    /// `BlindEvaluate` (RFC 9497, 3.3.2) of 1 to 65,535 elements, with one proof that all were evaluated by this key.
    pub fn evaluate_blinded(&self, blinded: &[Blinded]) -> Result<Evaluations, BlindKeyError> {
        self.evaluate_with(&mut random::generator(), blinded)
    }

    fn evaluate_with(
        &self,
        generator: &mut impl random::CryptoRng,
        blinded: &[Blinded],
    ) -> Result<Evaluations, BlindKeyError> {
        let elements: Vec<_> = blinded.iter().map(|blinded| blinded.0.clone()).collect();
        let done = self.server.batch_blind_evaluate(generator, &elements).map_err(|_| BlindKeyError)?;
        Ok(Evaluations {
            elements: done.messages.iter().map(|element| element.serialize().into()).collect(),
            proof: done.proof.serialize().into(),
        })
    }

    /// What stands where a row of the feed lists nobody: like any other to who has not this key.
    pub(super) fn decoy(&self, sequence: u64) -> [u8; 32] {
        self.decoys.of(&[DECOY_LABEL, &sequence.to_be_bytes()])
    }
}

/// What is evaluated of a number.
pub(super) fn input(digest: &IdDigest) -> Zeroizing<[u8; INPUT_LABEL.len() + 32]> {
    let mut input = Zeroizing::new([0; INPUT_LABEL.len() + 32]);
    input[..INPUT_LABEL.len()].copy_from_slice(INPUT_LABEL);
    input[INPUT_LABEL.len()..].copy_from_slice(digest.expose());
    input
}

impl fmt::Debug for BlindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindKey({}, redacted)", self.epoch)
    }
}

/// A number as a client blinded it: it says nothing about the number.
pub struct Blinded(BlindedElement<Ristretto255>);

impl Blinded {
    /// An element in its only form. The identity is none: whatever evaluates it gets the identity.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let exactly: &[u8; ELEMENT_BYTES] = bytes.try_into().ok()?;
        BlindedElement::deserialize(exactly).ok().map(Self)
    }
}

impl fmt::Debug for Blinded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blinded(redacted)")
    }
}

/// Evaluated elements, in the order of the blinded ones, and the proof for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluations {
    pub elements: Vec<[u8; ELEMENT_BYTES]>,
    pub proof: [u8; PROOF_BYTES],
}

/// F of a number: its place in the base, by what its entries are known, and what opens them. On the heap, as the digest is.
#[derive(Clone)]
pub struct Evaluated(Box<[u8; 64]>);

impl Evaluated {
    /// From what a client finalized.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Box::new(bytes))
    }

    /// Its place in the base: part and tag there.
    pub fn placement(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// What entries of the number begin with.
    pub fn tag(&self) -> [u8; 16] {
        std::array::from_fn(|at| self.0[8 + at])
    }

    /// What a status is hidden by: `label` says for which place, `at` at which sequence.
    pub(super) fn pad(&self, label: &[u8], at: u64) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&self.0[32..]);
        Zeroizing::new(Keyed::new(&key).of(&[label, &at.to_be_bytes()]))
    }
}

impl Drop for Evaluated {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Evaluated(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use rand::{TryCryptoRng, TryRng};
    use voprf_ng::{EvaluationElement, Proof, VoprfClient};

    use super::*;

    /// Gives out what it was given: scalars of the vectors, blinds and the proof's.
    struct Given(Vec<u8>);

    impl TryRng for Given {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("scalars are drawn as bytes")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("scalars are drawn as bytes")
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            let rest = self.0.split_off(bytes.len());
            bytes.copy_from_slice(&self.0);
            self.0 = rest;
            Ok(())
        }
    }

    impl TryCryptoRng for Given {}

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    /// RFC 9497, A.1.2: inputs, blinds, blinded, evaluated, proof, its scalar, outputs.
    const VECTORS: [[&str; 7]; 3] = [
        [
            "00",
            "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
            "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
            "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
            "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd066d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
            "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
            "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
        ],
        [
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
            "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
            "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
            "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
            "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
            "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
        ],
        [
            "00,5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706,222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
            "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945,90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
            "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e,cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
            "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
            "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
            "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c,8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
        ],
    ];

    #[test]
    fn the_vectors_of_the_rfc_come_out() {
        let server = VoprfServer::<Ristretto255>::new_from_seed(&[0xa3; 32], b"test key").unwrap();
        let key = BlindKey { epoch: 1, server, decoys: Keyed::new(&[0; 32]) };
        let public = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
        assert_eq!(hex::encode(key.public_key()), public);
        for vector in VECTORS {
            let [inputs, blinds, blinded, evaluated, proof, scalar, outputs] =
                vector.map(|list| list.split(',').map(unhex).collect::<Vec<_>>());
            let clients: Vec<_> = inputs
                .iter()
                .zip(blinds)
                .map(|(input, blind)| VoprfClient::<Ristretto255>::blind(input, &mut Given(blind)).unwrap())
                .collect();
            let sent: Vec<_> = clients.iter().map(|client| client.message.serialize().to_vec()).collect();
            assert_eq!(sent, blinded);
            let elements: Vec<_> = sent.iter().map(|bytes| Blinded::parse(bytes).unwrap()).collect();
            let done = key.evaluate_with(&mut Given(scalar[0].clone()), &elements).unwrap();
            assert_eq!(done.elements.iter().map(|element| element.to_vec()).collect::<Vec<_>>(), evaluated);
            assert_eq!(done.proof.to_vec(), proof[0]);
            let direct: Vec<_> = inputs.iter().map(|input| key.server.evaluate(input).unwrap().to_vec()).collect();
            assert_eq!(direct, outputs);
        }
    }

    fn finish(
        clients: &Vec<VoprfClient<Ristretto255>>,
        inputs: &Vec<Vec<u8>>,
        evaluations: &Evaluations,
        public: &[u8; 32],
    ) -> Option<Vec<Vec<u8>>> {
        let elements = evaluations.elements.iter().map(|bytes| EvaluationElement::deserialize(bytes));
        let elements: Vec<_> = elements.collect::<Result<_, _>>().ok()?;
        let proof = Proof::deserialize(&evaluations.proof).ok()?;
        let public = Ristretto255::deserialize_elem(public).ok()?;
        let outputs = VoprfClient::batch_finalize(inputs, clients, &elements, &proof, public).ok()?;
        outputs.map(|output| output.ok().map(|output| output.to_vec())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_blinded_number_comes_out_as_the_number_itself(
            seed: [u8; 32], epoch: u32, digests in proptest::collection::vec(any::<[u8; 32]>(), 1..5),
            flipped in (any::<prop::sample::Index>(), 0..8_u32),
        ) {
            let key = BlindKey::derive(epoch, &seed).unwrap();
            let inputs: Vec<_> = digests.iter().map(|digest| [INPUT_LABEL.as_slice(), digest].concat()).collect();
            let blind = |input: &Vec<u8>| VoprfClient::blind(input, &mut rand::rng()).unwrap();
            let blinded: Vec<_> = inputs.iter().map(blind).collect();
            let sent: Vec<_> = blinded.iter().map(|it| Blinded::parse(&it.message.serialize()).unwrap()).collect();
            let clients: Vec<_> = blinded.iter().map(|it| it.state.clone()).collect();
            let done = key.evaluate_blinded(&sent).unwrap();
            let outputs = finish(&clients, &inputs, &done, &key.public_key()).unwrap();
            for (digest, output) in digests.iter().zip(&outputs) {
                prop_assert_eq!(&key.evaluate(&IdDigest::from_bytes(*digest)).unwrap().0.to_vec(), output);
            }
            // One bit of the proof, or of an element, and it proves nothing.
            let (at, bit) = flipped;
            let mut bent = done.clone();
            bent.proof[at.index(PROOF_BYTES)] ^= 1 << bit;
            prop_assert!(finish(&clients, &inputs, &bent, &key.public_key()).is_none());
            let mut bent = done.clone();
            bent.elements[0][at.index(ELEMENT_BYTES)] ^= 1 << bit;
            prop_assert!(finish(&clients, &inputs, &bent, &key.public_key()).is_none());
            let other = BlindKey::derive(epoch.wrapping_add(1), &seed).unwrap();
            prop_assert!(finish(&clients, &inputs, &done, &other.public_key()).is_none());
        }

        /// Whatever is taken is an element: 32 bytes, written back as they came, and not the identity.
        #[test]
        fn what_is_no_element_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..70), canonical: [u8; 32]) {
            for bytes in [bytes.as_slice(), &canonical] {
                if let Some(blinded) = Blinded::parse(bytes) {
                    prop_assert_eq!(blinded.0.serialize().to_vec(), bytes);
                    prop_assert!(bytes.iter().any(|byte| *byte != 0));
                    BlindKey::derive(1, &[7; 32]).unwrap().evaluate_blinded(&[blinded]).unwrap();
                }
            }
        }
    }

    #[test]
    fn elements_that_only_look_so_are_refused() {
        let good = BlindKey::derive(1, &[1; 32]).unwrap().public_key();
        assert!(Blinded::parse(&good).is_some());
        assert!(Blinded::parse(&[0; 32]).is_none(), "the identity");
        assert!(Blinded::parse(&good[..31]).is_none() && Blinded::parse(&[]).is_none());
        assert!(Blinded::parse(&[good.as_slice(), &[0]].concat()).is_none(), "a byte too many");
        // RFC 9496, A.3: not canonical, negative, and no square.
        for bad in [
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            assert!(Blinded::parse(&unhex(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn epochs_and_seeds_have_keys_of_their_own_and_show_none() {
        let key = BlindKey::derive(7, &[1; 32]).unwrap();
        assert_ne!(key.public_key(), BlindKey::derive(8, &[1; 32]).unwrap().public_key());
        assert_ne!(key.public_key(), BlindKey::derive(7, &[2; 32]).unwrap().public_key());
        let evaluated = key.evaluate(&IdDigest::from_bytes([1; 32])).unwrap();
        let blinded = Blinded::parse(&key.public_key()).unwrap();
        let shown = format!("{key:?} {evaluated:?} {blinded:?}");
        assert_eq!(shown, "BlindKey(7, redacted) Evaluated(redacted) Blinded(redacted)");
    }
}
