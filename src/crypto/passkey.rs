//! Passkeys (Web Authentication): what a browser is asked for, and whether what it answers holds. The rules of the standard are `webauthn_rp`'s; here
//! is what this service asks of them: a key that the authenticator keeps, a person whom it has verified, this origin, no attestation, and a
//! counter that grows where there is one. What is wrong with an answer is told nobody.

use std::time::Duration;

use serde_json::Value;
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::AuthenticationVerificationOptions;
use webauthn_rp::request::register::{CredProtect, RegistrationVerificationOptions, UserHandle};
use webauthn_rp::request::{AsciiDomain, PublicKeyCredentialDescriptor, RpId};
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration, RegistrationServerState,
};

use super::pepper::Fingerprints;
use super::random::{self, NoRandomness};
use super::signing::{base64url, from_base64url};
use crate::domain::ids::PersonId;
use crate::domain::redacted::SecretText;

/// How long a browser may take to answer.
pub const CEREMONY_LIVES: Duration = Duration::from_mins(5);
/// What the fingerprint of an invitation's code is made for.
const CODE: &str = "passkey-invitation";
/// A code is so many random bytes.
const CODE_BYTES: usize = 16;
/// Bytes of the public keys, as they are stored: Ed25519, P-256, P-384.
type StoredKey = StaticState<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>;

/// An answer is not what was asked for, or what was stored cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the passkey's answer does not hold")]
pub struct PasskeyFault;

/// For whom passkeys are: the name and the origin of the service.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    id: RpId,
    origin: String,
}

/// What a browser is asked for, and what its answer is judged by.
#[derive(Debug)]
pub struct Asked {
    pub options: Value,
    pub state: Vec<u8>,
}

/// A passkey that was made.
#[derive(Debug)]
pub struct MadePasskey {
    pub credential_id: Vec<u8>,
    pub static_state: Vec<u8>,
    pub dynamic_state: Vec<u8>,
}

/// What a browser answered who was asked to sign in.
#[derive(Debug)]
pub struct Assertion(DiscoverableAuthentication<16>);

/// Draws the code of an invitation: who has it makes a passkey.
pub fn new_code() -> Result<SecretText, NoRandomness> {
    random::key_bytes::<CODE_BYTES>().map(|code| base64url(&code).into())
}

/// What an invitation is found by; none where the text is no code.
pub fn code_mark(keys: &Fingerprints, code: &SecretText) -> Option<[u8; 32]> {
    let code = from_base64url(code.expose()).filter(|code| code.len() == CODE_BYTES)?;
    Some(keys.of(CODE, &[&code]))
}

impl RelyingParty {
    /// Of the host of an origin; none where that is no name: addresses have no passkeys.
    pub fn new(host: &str, origin: String) -> Option<Self> {
        // What ends in a number is an address, or what browsers take for one.
        let last = host.rsplit('.').next().unwrap_or_default();
        let is_name = !last.is_empty() && !last.bytes().all(|byte| byte.is_ascii_digit()) && !host.contains([':', '[']);
        let id = AsciiDomain::try_from(host.to_owned()).ok().filter(|_| is_name)?;
        Some(Self { id: RpId::Domain(id), origin })
    }

    /// Asks for a new passkey of a person, on an authenticator that has none of theirs yet.
    pub fn ask_for_new(&self, person: PersonId, name: &str, known: Vec<Vec<u8>>) -> Result<Asked, PasskeyFault> {
        let user = handle_of(person)?;
        let known = known.into_iter().filter_map(|id| CredentialId::decode(id).ok());
        let transports = AuthTransports::decode(0).map_err(|_| PasskeyFault)?;
        let known = known.map(|id| PublicKeyCredentialDescriptor { id, transports }).collect();
        let mut options = PublicKeyCredentialCreationOptions::passkey(&self.id, (&user).into(), known);
        // The person is verified each time all the same, and authenticators that know no such policy would be shut out.
        options.extensions.cred_protect = CredProtect::None;
        let (server, client) = options.start_ceremony().map_err(|_| PasskeyFault)?;
        let mut options = serde_json::to_value(&client).map_err(|_| PasskeyFault)?;
        // Names of people have spaces, which the library's names of users have not; nothing is judged by them.
        options["user"]["name"] = name.into();
        options["user"]["displayName"] = name.into();
        Ok(Asked { options, state: server.encode().map_err(|_| PasskeyFault)? })
    }

    /// The passkey of an answer.
    pub fn register(&self, state: &[u8], answer: &Value) -> Result<MadePasskey, PasskeyFault> {
        let state = RegistrationServerState::<16>::decode(state).map_err(|_| PasskeyFault)?;
        let answer: Registration = serde_json::from_str(&answer.to_string()).map_err(|_| PasskeyFault)?;
        let origins = [self.origin.as_str()];
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            // Authenticators tell more than they are asked, and none of it is used.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = state.verify(&self.id, &answer, &options).map_err(|_| PasskeyFault)?;
        let (Ok(static_state), Ok(dynamic_state)) = (made.static_state().encode(), made.dynamic_state().encode());
        Ok(MadePasskey {
            credential_id: made.id().as_ref().to_vec(),
            static_state,
            dynamic_state: dynamic_state.to_vec(),
        })
    }

    /// Asks for any passkey of this service.
    pub fn ask_who(&self) -> Result<Asked, PasskeyFault> {
        let options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        let (server, client) = options.start_ceremony().map_err(|_| PasskeyFault)?;
        let options = serde_json::to_value(&client).map_err(|_| PasskeyFault)?;
        Ok(Asked { options, state: server.encode().map_err(|_| PasskeyFault)? })
    }

    /// Whether an answer is of a passkey that was stored for a person; its new counter. Costs a signature.
    pub fn verify(
        &self,
        state: &[u8],
        assertion: &Assertion,
        person: PersonId,
        (static_state, dynamic_state): (&[u8], &[u8]),
    ) -> Result<Vec<u8>, PasskeyFault> {
        let state = DiscoverableAuthenticationServerState::decode(state).map_err(|_| PasskeyFault)?;
        let key = StoredKey::decode(static_state).map_err(|_| PasskeyFault)?;
        let counter = DynamicState::decode(dynamic_state.try_into().map_err(|_| PasskeyFault)?);
        let user = handle_of(person)?;
        let id = assertion.0.raw_id();
        let counter = counter.map_err(|_| PasskeyFault)?;
        let mut stored = AuthenticatedCredential::new(id, &user, key, counter).map_err(|_| PasskeyFault)?;
        let origins = [self.origin.as_str()];
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        state.verify(&self.id, &assertion.0, &mut stored, &options).map_err(|_| PasskeyFault)?;
        let Ok(counter) = stored.dynamic_state().encode();
        Ok(counter.to_vec())
    }
}

impl Assertion {
    /// As a browser writes it (`AuthenticationResponseJSON`).
    pub fn read(answer: &Value) -> Option<Self> {
        serde_json::from_str(&answer.to_string()).ok().map(Self)
    }

    /// Which passkey it claims to be of.
    pub fn credential_id(&self) -> Vec<u8> {
        self.0.raw_id().as_ref().to_vec()
    }
}

fn handle_of(person: PersonId) -> Result<UserHandle<16>, PasskeyFault> {
    UserHandle::<16>::decode(*person.as_bytes()).map_err(|_| PasskeyFault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_for_names() {
        let of = |host: &str| RelyingParty::new(host, format!("https://{host}")).is_some();
        assert!(of("lostcard.example") && of("localhost") && of("node-1.lostcard.example"));
        for address in ["127.0.0.1", "[::1]", "::1", "", "1", "a..example", "10.1"] {
            assert!(!of(address), "{address}");
        }
    }

    #[test]
    fn a_code_is_found_by_its_keyed_hash() {
        let (own, other) = (Fingerprints::new(&[1; 32]), Fingerprints::new(&[2; 32]));
        let code = new_code().unwrap();
        assert_eq!(code.expose().len(), 22);
        assert_eq!(code_mark(&own, &code), code_mark(&own, &code));
        assert_ne!(code_mark(&own, &code), code_mark(&other, &code));
        for wrong in ["", "AAAA", "not base64url!", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(code_mark(&own, &wrong.to_owned().into()), None, "{wrong}");
        }
    }

    #[test]
    fn a_person_is_asked_for_a_key_that_stays_and_for_being_verified() {
        let party = RelyingParty::new("lostcard.example", "https://lostcard.example".to_owned()).unwrap();
        let person = PersonId::from_u128(7);
        let asked = party.ask_for_new(person, "Wang Fang 王芳", vec![vec![9; 32]]).unwrap();
        let options = &asked.options;
        assert_eq!((&options["rp"]["id"], &options["attestation"]), (&"lostcard.example".into(), &"none".into()));
        assert_eq!(options["user"]["displayName"], "Wang Fang 王芳");
        assert_eq!(options["user"]["id"], base64url(person.as_bytes()));
        let chosen = &options["authenticatorSelection"];
        assert_eq!((&chosen["residentKey"], &chosen["userVerification"]), (&"required".into(), &"required".into()));
        assert_eq!(options["extensions"], Value::Object(serde_json::Map::new()));
        assert_eq!(options["excludeCredentials"][0]["id"], base64url(&[9; 32]));
        let asked = party.ask_who().unwrap();
        assert_eq!(asked.options["userVerification"], "required");
        assert_ne!(asked.options["challenge"], party.ask_who().unwrap().options["challenge"]);
    }
}
