//! The lines of docs/guides/auditors.md, run exactly as there: a receipt verified by bash and openssl, without this program.

use std::process::{Command, Output};

use crate::bodies::{check_of, random_number};
use crate::helpers::TestApp;

const GUIDE: &str = include_str!("../../docs/guides/auditors.md");

/// Runs the guide's lines on a receipt. `start` is the card's, as the receipt has it.
fn verify(jwks: &str, receipt: &str, salt: &str, number: &str, start: &str) -> Output {
    let lines = GUIDE.split("```bash\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jwks.json"), jwks).unwrap();
    std::fs::write(folder.path().join("receipt.txt"), receipt).unwrap();
    let values = [("salt", salt), ("number", number), ("start", start)];
    Command::new("bash").args(["-c", lines]).envs(values).current_dir(folder.path()).output().unwrap()
}

#[tokio::test]
async fn an_auditor_verifies_a_receipt_by_hand() {
    let app = TestApp::spawn().await;
    let jwks = app.get("", "/.well-known/jwks.json").await.text;
    let number = random_number();
    for (card, start) in [(Some("2016-05-01"), "20160501"), (None, "00000000")] {
        let check = app.check(&check_of(&number, card)).await.json();
        let (receipt, salt) = (check["receipt"].as_str().unwrap(), check["receipt_salt"].as_str().unwrap());
        let output = verify(&jwks, receipt, salt, &number, start);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Signature Verified Successfully") && said.contains("about this number"), "{said}");
        assert!(said.contains(r#""verdict":"not_listed""#), "{said}");

        // Another number, another verdict, a signature that is none: each stops the lines.
        assert!(!verify(&jwks, receipt, salt, &random_number(), start).status.success());
        let (head, rest) = receipt.split_once('~').unwrap();
        let (claims, path) = rest.split_once('~').unwrap();
        let turned: String = claims.chars().rev().collect();
        assert!(!verify(&jwks, &format!("{head}~{turned}~{path}"), salt, &number, start).status.success());
        let (signed, signature) = head.rsplit_once('.').unwrap();
        let turned: String = signature[..80].chars().rev().chain(signature[80..].chars()).collect();
        assert!(!verify(&jwks, &format!("{signed}.{turned}~{rest}"), salt, &number, start).status.success());
    }
}
