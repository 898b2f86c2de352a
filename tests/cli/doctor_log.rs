//! What `doctor` says of the registry log and its witnesses.

use lostcard::crypto::signing::SigningKey;
use lostcard::crypto::tlog::VerifierKey;
use lostcard::crypto::tlog::note::SignatureType;

use crate::looking::{assert_fault, found, look, made, published, tamper};
use crate::receiver::Receiver;
use crate::servers::free_address;

#[test]
fn a_registry_log_that_does_not_follow_is_found() {
    let folder = made();
    assert_eq!(look(&folder, &[], &[]).0, 0, "none has begun yet");
    drop(published(&folder));
    // Two changes that nobody has published for an hour.
    tamper(&folder, &["UPDATE feed_head SET seq = seq + 2", "UPDATE log_head SET signed_at = signed_at - 3600000"]);
    assert_fault(&folder, &[], "log", "warning", " changes are not in it");
    let off = [("LOSTCARD_BLIND__ENABLED", "false")];
    let (code, said) = look(&folder, &[], &off);
    assert_eq!((code, found(&said, "log")), (0, "there is none: blind.enabled is off"), "{said:#}");
}

#[test]
fn a_witness_that_is_not_there_is_found() {
    let folder = made();
    drop(published(&folder));
    let receiver = Receiver::start(405);
    let public = SigningKey::generate().unwrap().public().clone();
    let key = VerifierKey::new("w.example/1", SignatureType::Cosignature, public).unwrap();
    let policy = |url: &str| {
        let file = folder.write("policy.txt", &format!("witness W {key} {url}\nquorum W\n"));
        [("LOSTCARD_WITNESSES__POLICY", file)]
    };
    let environment = policy(receiver.url().trim_end_matches('/'));
    let environment = environment.each_ref().map(|(name, file)| (*name, file.as_str()));
    let (code, said) = look(&folder, &[], &environment);
    assert_eq!((code, found(&said, "witnesses")), (0, "w.example/1 is there"), "{said:#}");
    assert!(found(&said, "log").contains("cosigned by 0 of 1 witnesses"), "{said:#}");
    assert!(receiver.requests().iter().all(|request| request.starts_with("HEAD ")), "nothing is sent by looking");
    let environment = policy(&format!("http://{}", free_address()));
    let environment = environment.each_ref().map(|(name, file)| (*name, file.as_str()));
    assert_fault(&folder, &environment, "witnesses", "warning", "w.example/1: it cannot be reached");
    let file = folder.write("policy.txt", "witness\n");
    assert_fault(&folder, &[("LOSTCARD_WITNESSES__POLICY", &file)], "configuration", "wrong", "line 1");
}
