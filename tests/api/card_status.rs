//! The status that a holder shows: what it says, whose it is, how long it is good.

use lostcard::crypto::signing::{PublicKey, from_base64url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bodies::{digest_bytes, random_number};
use crate::helpers::TestApp;

const LOST: &str = "2016-05-01";
const PATH: &str = "/v1/citizen/card-status";

fn part(text: &str) -> Value {
    serde_json::from_slice(&from_base64url(text).unwrap()).unwrap()
}

#[tokio::test]
async fn a_status_says_what_a_check_would_and_whose_it_is_to_who_has_salt_and_number() {
    let app = TestApp::spawn().await;
    let portal = app.add_client("citizen", None).await;
    let number = random_number();
    let keys = app.get("", "/.well-known/jwks.json").await.json();
    for (start, verdict) in [(LOST, "not_listed"), (LOST, "card_listed"), ("2020-01-01", "other_card_listed")] {
        if verdict == "card_listed" {
            app.report_lost(&number, Some(LOST)).await;
        }
        let told = app.post(&portal.token, PATH, &json!({"id_number": number, "card_valid_from": start})).await;
        assert_eq!(told.status, 200, "{}", told.text);
        let told = told.json();
        let (signed, signature) = told["status"].as_str().unwrap().rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        let (header, says) = (part(header), part(payload));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("lostcard-status+jwt"), &json!("EdDSA")));
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
        let key = PublicKey::new(from_base64url(key["x"].as_str().unwrap()).unwrap().try_into().unwrap());
        assert!(key.verifies(signed.as_bytes(), &from_base64url(signature).unwrap()));
        assert_eq!((&says["verdict"], &says["start"]), (&json!(verdict), &json!(start)));
        assert_eq!(says["exp"].as_i64().unwrap() - says["iat"].as_i64().unwrap(), 15 * 60);
        let salt = from_base64url(told["status_salt"].as_str().unwrap()).unwrap();
        let opened = Sha256::new()
            .chain_update(b"lostcard:receipt:v1:")
            .chain_update(&salt)
            .chain_update(digest_bytes(&number))
            .chain_update(start.replace('-', ""))
            .finalize();
        assert_eq!(from_base64url(says["cm"].as_str().unwrap()).unwrap(), opened.to_vec());
        assert!(says["as_of"].is_string() && says["seq"].is_u64() && says["iss"].is_string());
    }
    let missing = app.post(&portal.token, PATH, &json!({"id_number": number})).await;
    assert_eq!(missing.status, 400, "{}", missing.text);
    let early = app.post(&portal.token, PATH, &json!({"id_number": number, "card_valid_from": "1984-04-05"})).await;
    assert_eq!(early.field_errors()[0].0, "/card_valid_from");
    app.post(&app.hotel.token, PATH, &json!({})).await.problem(403, "insufficient_scope");
}
