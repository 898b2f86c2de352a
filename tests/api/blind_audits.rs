//! Receipts of blind checks, which commit to a number that the service never saw: what an audit says of them, and what it says to who
//! commits to another number.

use lostcard::crypto::digest::IdDigest;
use lostcard::crypto::receipt::commitment;
use lostcard::crypto::signing::base64url;
use serde_json::{Value, json};
use sha2::Sha512;
use voprf_ng::{Group, Ristretto255};

use crate::auditor::Auditor;
use crate::bodies::{digest_bytes, random_number};
use crate::helpers::TestApp;
use crate::receipt_audits::{LOST, audited, opening};
use crate::registry_log::begin;

/// A blind check's receipt, by a salt that opens commitment and blinding alike.
pub(crate) async fn blindly_checked(app: &TestApp, number: &str) -> Value {
    committed_to(app, number, number).await
}

/// One whose commitment is to a number that need not be the one that was blinded.
async fn committed_to(app: &TestApp, number: &str, committed: &str) -> Value {
    let (blind, salt) = (app.add_client("blind", None).await, [7_u8; 32]);
    let suite = |of: &str| format!("{of}-OPRFV1-\u{1}-ristretto255-SHA512").into_bytes();
    let input = [b"lostcard:blind:v1:".as_slice(), &digest_bytes(number)].concat();
    let element = Ristretto255::hash_to_curve::<Sha512>(&[&input], &[&suite("HashToGroup")]).unwrap();
    let parts = [b"lostcard:blind:r:v1:".as_slice(), &salt, &[0, 0]];
    let scalar = Ristretto255::hash_to_scalar::<Sha512>(&parts, &[&suite("HashToScalar")]).unwrap();
    let cm = commitment(&salt.into(), &IdDigest::from_bytes(digest_bytes(committed)), None);
    let body = json!({"key": "1", "blinded": [base64url(&Ristretto255::serialize_elem(element * scalar))],
        "cm": [base64url(&cm)], "after": app.store.head().await.unwrap().get(), "purpose": "lodging"});
    let answer = app.post(&blind.token, "/v1/blind/evaluations", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    opening(&answer.json()["receipts"][0], &json!(base64url(&salt)), committed)
}

#[tokio::test]
async fn blind_receipts_are_verified_and_audited() {
    let app = TestApp::spawn().await;
    begin(&app).await;
    let auditor = Auditor::of(&app).await;
    let number = random_number();
    let asked = blindly_checked(&app, &number).await;
    let verified = app.verify_receipt(&asked).await.json();
    assert_eq!(
        (&verified["authentic"], &verified["opens"], verified.get("verdict")),
        (&json!(true), &json!(true), None)
    );
    assert_eq!(audited(&app, &auditor.by, &asked).await["outcome"], "consistent");
    Auditor::expect(&auditor.judge(&app, &asked).await, 0, "consistent");
    // Who commits to a stranger's number learns nothing of it.
    let stranger = random_number();
    app.report_lost(&stranger, Some(LOST)).await;
    let told = audited(&app, &auditor.by, &committed_to(&app, &number, &stranger).await).await;
    assert_eq!(told["outcome"], "cannot_tell");
    assert_eq!(told["entries"], json!([]));
    for member in ["element", "proof", "base", "checkpoint"] {
        assert_eq!(told.get(member), None, "{told}");
    }
}
