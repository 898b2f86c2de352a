//! Signing keys that are made while nodes run: published at once, and known to every node that meets what they signed.

use lostcard::clock::Clock;
use lostcard::crypto::keyfiles::KeyFolder;
use lostcard::crypto::signing::{base64url, from_base64url};
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number, rate};
use crate::child;
use crate::helpers::TestApp;

/// However often it is asked: a client keeps the set for five minutes, and a node signs by the new key already.
#[tokio::test]
async fn every_rotated_key_is_published_at_once() {
    let app = TestApp::spawn_at(Clock::System, |_| {}).await;
    let sibling = app.sibling().await;
    let keys = KeyFolder::new(app.config.key_folder());
    let published = async |node: &TestApp| node.get("", "/.well-known/jwks.json").await.text;
    for _ in 0..3 {
        for purpose in keys.signing_purposes().unwrap() {
            for node in [&app, &sibling] {
                published(node).await;
            }
            let (version, kid) = keys.rotate_signing_key(purpose).unwrap();
            for node in [&app, &sibling] {
                assert!(published(node).await.contains(&kid), "{purpose:?} {version}");
            }
        }
    }
    let sets = [published(&app).await, published(&sibling).await];
    assert_eq!(sets[0], sets[1]);
    assert_eq!(sets[0].matches("\"kid\"").count(), 16, "four of today, twelve retired");
    // The same after a start.
    let restarted = app.sibling().await;
    assert_eq!(published(&restarted).await, sets[0]);
}

/// Strangers' tokens make a node look into the folder once a second: that must not hide a key from those who come by it.
#[tokio::test]
async fn what_another_node_signs_by_a_new_key_is_good_while_strangers_guess() {
    let one = TestApp::spawn_at(Clock::System, |config| config.limits.address = rate("100000/60s")).await;
    let two = one.sibling().await;
    let number = random_number();
    for _ in 0..3 {
        let rotated = child::run_json(
            &one.config.data,
            &["keys", "rotate", "--tokens", "--receipts", "--certificates", "--json"],
        );
        let kids: Vec<_> = rotated["rotated"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
        // It knows them from here on.
        assert!(one.get("", "/.well-known/jwks.json").await.text.contains(kids[2].as_str().unwrap()));
        let token = one.token_for(&one.hotel).await;
        let receipt = one.check(&check_of(&random_number(), None)).await.json()["receipt"].clone();
        let issued = crate::certificates::issue(&one, &number, "rail").await;
        let forged = forged_by_an_unknown_key(&token);
        two.get(&forged, "/v1/usage").await.problem(401, "invalid_token");
        let answer = two.post(&token, "/v1/receipts/verify", &json!({ "receipt": receipt })).await;
        assert_eq!((answer.status, &answer.json()["authentic"]), (200, &json!(true)), "{}", answer.text);
        let shown = json!({"certificate": issued["certificate"], "id_number": number});
        let answer = two.post(&token, "/v1/temporary-certificates/verify", &shown).await;
        assert_eq!(answer.json()["authentic"], true, "{}", answer.text);
    }
}

/// A token with a `kid` that nobody has.
fn forged_by_an_unknown_key(token: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&from_base64url(header).unwrap()).unwrap();
    header["kid"] = json!("nobody");
    format!("{}.{rest}", base64url(header.to_string().as_bytes()))
}
