//! Persons with passkeys, for those tests that need one: an authenticator as a program, links, sign-ins.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use lostcard::crypto::passkey::{RelyingParty, code_mark, new_code};
use lostcard::crypto::random;
use lostcard::crypto::signing::{base64url, from_base64url};
use lostcard::domain::client::Rate;
use lostcard::domain::ids::PersonId;
use lostcard::domain::person::{Role, ShortName};
use lostcard::store::passkeys::{Invitation, KeyHolder, Passkey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::deeds::There;
use crate::helpers::{Answer, ISSUER, TestApp, TestClient};

pub(crate) const ASK_NEW: &str = "/v1/passkeys/registration-options";
pub(crate) const REGISTER: &str = "/v1/passkeys/registration";
pub(crate) const ASK_WHO: &str = "/v1/passkeys/sign-in-options";
pub(crate) const SIGN_IN: &str = "/v1/passkeys/sign-in";

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const HAS_KEY: u8 = 0x40;

/// What an authenticator and its browser put into an answer.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) origin: String,
    pub(crate) name: String,
    pub(crate) flags: u8,
    pub(crate) kind: Option<&'static str>,
    pub(crate) challenge: Option<String>,
    pub(crate) is_cross_origin: bool,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            origin: ISSUER.to_owned(),
            name: "lostcard.test".to_owned(),
            flags: PRESENT | VERIFIED,
            kind: None,
            challenge: None,
            is_cross_origin: false,
        }
    }
}

impl Way {
    /// Nobody was verified.
    pub(crate) fn unverified() -> Self {
        Self { flags: PRESENT, ..Self::default() }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = self.challenge.clone().unwrap_or_else(|| options["challenge"].as_str().unwrap().to_owned());
        // In this order (Web Authentication Level 3, 5.8.1.1).
        format!(
            r#"{{"type":"{}","challenge":"{challenge}","origin":"{}","crossOrigin":{}}}"#,
            self.kind.unwrap_or(kind),
            self.origin,
            self.is_cross_origin
        )
        .into_bytes()
    }

    fn head(&self, flags: u8, counter: u32) -> Vec<u8> {
        let mut data = Sha256::digest(&self.name).to_vec();
        data.push(self.flags | flags);
        data.extend(counter.to_be_bytes());
        data
    }
}

/// One passkey.
pub(crate) struct Authenticator {
    pair: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    /// Whose it believes to be.
    pub(crate) user: String,
    pub(crate) counter: u32,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { pair, id: random::bytes::<32>().to_vec(), user: String::new(), counter: 0 }
    }

    /// The same key again, as one who copied it has it.
    pub(crate) fn with_counter(self, counter: u32) -> Self {
        Self { counter, ..self }
    }

    /// Makes the credential that was asked for.
    pub(crate) fn make(&mut self, options: &Value, way: &Way) -> Value {
        options["user"]["id"].as_str().unwrap().clone_into(&mut self.user);
        let point = self.pair.public_key().as_ref();
        let mut data = way.head(HAS_KEY, self.counter);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        // COSE: EC2, ES256, P-256, x, y.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        let mut attested = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attested.push(u8::try_from(data.len()).unwrap());
        attested.extend(&data);
        let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        spki.extend(point);
        self.credential(&json!({
            "clientDataJSON": base64url(&way.client_data("webauthn.create", options)),
            "attestationObject": base64url(&attested), "authenticatorData": base64url(&data),
            "transports": ["internal"], "publicKey": base64url(&spki), "publicKeyAlgorithm": -7,
        }))
    }

    /// Signs what was asked.
    pub(crate) fn sign(&mut self, options: &Value, way: &Way) -> Value {
        self.counter += 1;
        let client_data = way.client_data("webauthn.get", options);
        let data = way.head(0, self.counter);
        let message = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        self.credential(&json!({
            "clientDataJSON": base64url(&client_data), "authenticatorData": base64url(&data),
            "signature": base64url(signature.as_ref()), "userHandle": self.user,
        }))
    }

    fn credential(&self, response: &Value) -> Value {
        let id = base64url(&self.id);
        json!({"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}})
    }
}

/// A link of a person who may have others.
pub(crate) async fn invite_again(app: &TestApp, holder: KeyHolder) -> String {
    let code = new_code().unwrap();
    let code_mark = code_mark(app.keyring.fingerprints(), &code).unwrap();
    let now_ms = app.clock.now_ms();
    let new = Invitation { code_mark, holder, expires_at_ms: now_ms.plus(Duration::from_hours(1)) };
    app.change_store(async |tx| tx.insert_invitation(&new, now_ms).await.unwrap()).await;
    code.expose().to_owned()
}

pub(crate) fn holder(app: &TestApp, name: &str, role: Role) -> KeyHolder {
    KeyHolder { id: random::id(app.clock.now_ms()), name: ShortName::stored(name).unwrap(), role }
}

/// What a node asks a browser, and how that is named.
pub(crate) async fn asked(app: &TestApp, path: &str, body: &Value) -> (Value, Value) {
    let answer = app.post("", path, body).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    let told = answer.json();
    (told["ceremony_id"].clone(), told["options"].clone())
}

/// A person with a passkey.
pub(crate) struct Person {
    pub(crate) key: Authenticator,
    pub(crate) id: PersonId,
}

impl Person {
    pub(crate) async fn register(app: &TestApp, name: &str, role: Role) -> Self {
        Self::register_as(app, holder(app, name, role)).await
    }

    pub(crate) async fn register_as(app: &TestApp, holder: KeyHolder) -> Self {
        let code = invite_again(app, holder).await;
        let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
        assert_eq!(options["user"]["id"], base64url(holder.id.as_bytes()));
        assert_eq!(from_base64url(options["challenge"].as_str().unwrap()).unwrap().len(), 16);
        let mut key = Authenticator::new();
        let credential = key.make(&options, &Way::default());
        let made = app.post("", REGISTER, &json!({"ceremony_id": ceremony, "credential": credential})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let (name, role) = (holder.name.as_str(), holder.role.as_str());
        assert_eq!(made.json(), json!({"person_id": holder.id, "name": name, "role": role}));
        Self { key, id: holder.id }
    }

    /// The same, without a registration that the audit log notes.
    async fn there(app: &TestApp, holder: KeyHolder) -> Self {
        let party = RelyingParty::new("lostcard.test", ISSUER.to_owned()).unwrap();
        let asked = party.ask_for_new(holder.id, holder.name.as_str(), Vec::new()).unwrap();
        let mut key = Authenticator::new();
        let made = party.register(&asked.state, &key.make(&asked.options, &Way::default())).unwrap();
        let new = Passkey {
            credential_id: made.credential_id,
            holder,
            static_state: made.static_state,
            dynamic_state: made.dynamic_state,
            made_at_ms: app.clock.now_ms(),
            used_at_ms: None,
        };
        app.change_store(async |tx| assert!(tx.insert_passkey(&new).await.unwrap())).await;
        Self { key, id: holder.id }
    }

    pub(crate) async fn try_to(&mut self, app: &TestApp, way: &Way) -> Answer {
        let (ceremony, options) = asked(app, ASK_WHO, &json!({})).await;
        let credential = self.key.sign(&options, way);
        app.post("", SIGN_IN, &json!({"ceremony_id": ceremony, "credential": credential})).await
    }

    pub(crate) async fn token(&mut self, app: &TestApp) -> String {
        let answer = self.try_to(app, &Way::default()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// A node whose persons act by a client.
pub(crate) async fn spawn_for(app: &TestApp, client: &TestClient) -> TestApp {
    let id = client.client_id.to_string();
    app.sibling_with(|config| config.admin_passkeys.client = Some(id)).await
}

/// A node whose persons have passkeys.
pub(crate) struct Operators {
    pub(crate) app: TestApp,
    /// By which they act.
    pub(crate) client: TestClient,
}

impl Operators {
    pub(crate) async fn spawn() -> Self {
        let app = TestApp::spawn_with(|config| {
            // Forgeries are of one address.
            config.limits.address = Rate::parse("6000/60s").unwrap();
            config.limits.public = config.limits.address;
        })
        .await;
        let client = app.add_client("admin", None).await;
        Self { app: spawn_for(&app, &client).await, client }
    }

    /// Action and person of each entry of the log.
    pub(crate) async fn entries(&self) -> Vec<(String, Option<String>)> {
        let all = self.app.store.list_audit(0).await.unwrap();
        all.into_iter().map(|entry| (entry.action, entry.person)).collect()
    }
}

/// Does an operation of passkeys once, at such a node.
pub(crate) async fn perform(app: &TestApp, there: &There, path: &str) -> Answer {
    let node = spawn_for(app, &there.operator).await;
    if path == ASK_WHO {
        return node.post("", path, &json!({})).await;
    }
    if path == SIGN_IN {
        return Person::there(&node, holder(app, "wang", Role::Operator)).await.try_to(&node, &Way::default()).await;
    }
    let code = invite_again(app, holder(app, "wang", Role::Operator)).await;
    if path == ASK_NEW {
        return node.post("", path, &json!({ "code": code })).await;
    }
    let (ceremony, options) = asked(&node, ASK_NEW, &json!({ "code": code })).await;
    let credential = Authenticator::new().make(&options, &Way::default());
    node.post("", path, &json!({"ceremony_id": ceremony, "credential": credential})).await
}
