//! Clients that prove by a key who they are, and that each request is their own.

use serde_json::{Value, json};

use super::{Service, guests, json};

/// RFC 8037, A.1, and RFC 7515, A.3: both halves are known to everybody.
fn jwks() -> [Value; 2] {
    [
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}),
        json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}),
    ]
}

const LIST: &[&str] = &["--purpose", "lodging", "guests.csv"];

/// A service whose client was created with the public half of a key, and the client's credentials.
fn start(jwk: &Value, bound: &str, wants_nonce: bool) -> (Service, Value) {
    let mut public = jwk.clone();
    public.as_object_mut().unwrap().remove("d");
    let args = ["--rate", "6000/1s", "--jwks", "keys.json", "--bound", bound];
    let service = Service::start_by(
        &args,
        |folder| {
            folder.write("keys.json", &json!({"keys": [public]}).to_string());
        },
        |command| {
            command.env("LOSTCARD_ACCESS__DPOP_NONCE", wants_nonce.to_string());
        },
    );
    let credentials = json(&service.read("client.json"));
    assert_eq!(credentials.get("client_secret"), None, "the client has a key instead");
    service.folder.write("guests.csv", &guests(5));
    (service, credentials)
}

#[test]
fn a_key_is_as_good_as_a_secret() {
    let [ed25519, p256] = jwks();
    for (jwk, bound, wants_nonce) in [(&ed25519, "dpop", false), (&p256, "dpop", true), (&p256, "none", false)] {
        let (service, mut credentials) = start(jwk, bound, wants_nonce);
        let (_, said) = service.check(LIST, 2);
        assert!(said.contains("add one as jwk"), "{said}");
        credentials["jwk"] = jwk.clone();
        service.folder.write("client.json", &credentials.to_string());
        let (told, _) = service.check(&[&["--json"], LIST].concat(), 10);
        assert_eq!((json(&told)["card_listed"].as_u64(), json(&told)["not_listed"].as_u64()), (Some(2), Some(3)));
        assert_eq!(service.verify("guests.csv.checked.csv.receipts", 0), "5 receipts are authentic\n");
    }
}

#[test]
fn a_key_that_is_another_one_or_none_is_told() {
    let [ed25519, p256] = jwks();
    let (service, credentials) = start(&ed25519, "dpop", false);
    let half = |member: &str, value: Value| {
        let mut jwk = ed25519.clone();
        jwk[member] = value;
        jwk
    };
    for (jwk, code, told) in [
        (p256.clone(), 1, "401 invalid_client: no key of the client"),
        (half("d", p256["d"].clone()), 2, "not a private key"),
        (half("d", Value::Null), 2, "neither the JSON"),
        (half("crv", json!("X25519")), 2, "not a private key"),
        (json!("key"), 2, "neither the JSON"),
    ] {
        let mut wrong = credentials.clone();
        wrong["jwk"] = jwk;
        service.folder.write("client.json", &wrong.to_string());
        let (_, said) = service.check(LIST, code);
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("nWGxne") && !said.contains("jpsQnn"), "{said}");
    }
}

/// A client with a secret whose tokens are bound needs no key of its own: any does, for this run.
#[test]
fn a_secret_whose_tokens_are_bound_gets_a_key_for_the_run() {
    for wants_nonce in [false, true] {
        let args = ["--rate", "6000/1s", "--bound", "dpop"];
        let service = Service::start_by(
            &args,
            |_| {},
            |command| {
                command.env("LOSTCARD_ACCESS__DPOP_NONCE", wants_nonce.to_string());
            },
        );
        service.folder.write("guests.csv", &guests(3));
        service.check(LIST, 10);
    }
}
