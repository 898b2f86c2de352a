//! Pages that become devices, for those tests that need one: codes, keys, PINs, tokens.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use lostcard::crypto::pairing::{code_mark, name_mark, seal_pin_key};
use lostcard::crypto::random;
use lostcard::crypto::signing::base64url;
use lostcard::domain::client::Scopes;
use lostcard::domain::ids::PairingId;
use lostcard::domain::pairing::PairingCode;
use lostcard::domain::report::Label;
use lostcard::store::pairings::{Device, Marks, Pairing};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bodies::with;
use crate::dpop::Holder;
use crate::helpers::{Answer, ISSUER, TestApp, TestClient};

pub(crate) const PAIRINGS: &str = "/v1/admin/pairings";
pub(crate) const REGISTRATION: &str = "/v1/pairings/registration";
pub(crate) const PIN_KEY: [u8; 32] = [7; 32];

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// What a page sends with a code.
pub(crate) fn registration_of(code: &str) -> Value {
    json!({"code": code, "key": Holder::p256().jwk, "pin_key": base64url(&PIN_KEY)})
}

fn pairing_of(app: &TestApp, organization: &TestClient, code: PairingCode) -> Pairing {
    let (now_ms, keys) = (app.clock.now_ms(), app.keyring.fingerprints());
    let id = random::id(now_ms);
    let marks = Marks { name: name_mark(keys, &code), code: code_mark(keys, id, &code) };
    let what = (Scopes::parse("checks").unwrap(), Label::parse("harbour-1").unwrap());
    let times = (now_ms, now_ms.plus(Duration::from_hours(24)));
    Pairing::new(id, organization.organization, what, marks, times)
}

/// A code for any number of pages, as a demo has it.
pub(crate) async fn lasting_code(app: &TestApp) -> String {
    let code = PairingCode::of_random(random::bytes());
    let pairing = Pairing { is_lasting: true, ..pairing_of(app, &app.hotel, code) };
    app.change_store(async |tx| tx.insert_pairing(&pairing).await.unwrap()).await;
    code.to_text().expose().to_owned()
}

/// A device whose PIN has been missed five times.
pub(crate) async fn locked_pairing(app: &TestApp, of: &TestClient) -> String {
    let client = app.add_client_of(of.organization, "checks").await.client_id;
    let pairing = pairing_of(app, of, PairingCode::of_random(random::bytes()));
    let (id, now_ms) = (pairing.pairing_id, app.clock.now_ms());
    let pin_key = seal_pin_key(app.keyring.sealer(), id, &PIN_KEY.into()).unwrap();
    app.change_store(async |tx| {
        tx.insert_pairing(&pairing).await.unwrap();
        tx.pair_device(id, &Device { client, paired_at_ms: now_ms, pin_key }).await.unwrap();
        for _ in 0..5 {
            tx.spend_pin(id).await.unwrap();
        }
        assert!(tx.lock_device(id, client, now_ms).await.unwrap());
    })
    .await;
    id.to_string()
}

/// A page that has become a device.
pub(crate) struct Page {
    pub(crate) holder: Holder,
    pub(crate) client: String,
    pub(crate) pairing: PairingId,
}

pub(crate) async fn open(app: &TestApp, operator: &TestClient, scopes: Value) -> Answer {
    let organization = if scopes == json!(["checks"]) { app.hotel.organization } else { app.police.organization };
    let body = json!({"organization_id": organization, "scopes": scopes, "site": "110105-03", "name": "front desk",
        "numbers": "250/1d"});
    let opened = app.post(&operator.token, PAIRINGS, &body).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    opened
}

impl Page {
    pub(crate) async fn pair(app: &TestApp, operator: &TestClient, scopes: Value) -> Self {
        let opened = open(app, operator, scopes).await.json();
        let page = Self::of_code(app, &text(&opened["code"])).await;
        assert_eq!(json!(page.pairing), opened["pairing_id"]);
        page
    }

    pub(crate) async fn of_code(app: &TestApp, code: &str) -> Self {
        let holder = Holder::p256();
        let body = with(registration_of(code), "key", holder.jwk.clone());
        let registered = app.post("", REGISTRATION, &body).await;
        assert_eq!(registered.status, 201, "{}", registered.text);
        let registered = registered.json();
        assert_eq!(registered["site"], "110105-03");
        let pairing = text(&registered["pairing_id"]).parse().unwrap();
        Self { holder, client: text(&registered["client_id"]), pairing }
    }

    pub(crate) fn claims(&self, app: &TestApp, clerk: &str, pin_key: &[u8; 32]) -> Value {
        let (now_s, jti) = (app.clock.now_s(), base64url(&random::bytes::<16>()));
        let mut proof = Hmac::<Sha256>::new_from_slice(pin_key).unwrap();
        proof.update(format!("lostcard:pin:v1:{jti}").as_bytes());
        let proof = base64url(&proof.finalize().into_bytes());
        json!({"iss": self.client, "sub": self.client, "aud": ISSUER, "iat": now_s, "exp": now_s + 60, "jti": jti,
            "clerk": clerk, "pin": proof})
    }

    pub(crate) async fn present(&self, app: &TestApp, claims: &Value) -> Answer {
        self.present_by(app, claims, &self.holder).await
    }

    pub(crate) async fn present_by(&self, app: &TestApp, claims: &Value, prover: &Holder) -> Answer {
        let assertion = self.holder.sign(&json!({"typ": "JWT", "alg": "ES256"}), claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        let request = app.request("POST", "/oauth2/token").form(&form);
        app.send(request.header("DPoP", prover.proof(app, "POST", "/oauth2/token", None))).await
    }

    pub(crate) async fn unlock(&self, app: &TestApp, clerk: &str) -> String {
        let answer = self.present(app, &self.claims(app, clerk, &PIN_KEY)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["token_type"], "DPoP");
        text(&answer.json()["access_token"])
    }

    pub(crate) async fn miss(&self, app: &TestApp) -> Answer {
        self.present(app, &self.claims(app, "Wang", &[8; 32])).await
    }

    pub(crate) async fn post(&self, app: &TestApp, token: &str, path: &str, body: &Value) -> Answer {
        let request = app.request("POST", path).header("Authorization", format!("DPoP {token}"));
        app.send(request.header("DPoP", self.holder.proof(app, "POST", path, Some(token))).json(body)).await
    }

    pub(crate) async fn state(&self, app: &TestApp, operator: &TestClient) -> Value {
        app.get(&operator.token, &format!("{PAIRINGS}/{}", self.pairing)).await.json()["state"].clone()
    }
}
