//! The two programs of docs/guides/auditors.md, run exactly as there: a receipt verified by bash and openssl, and by Python, without
//! this program. Every kind of forgery stops each of them, and the last line says so.

use std::process::{Command, Stdio};

use lostcard::crypto::signing::{SigningKey, base64url, from_base64url};
use serde_json::{Value, json};

use crate::bodies::{check_of, random_number};
use crate::helpers::TestApp;

const GUIDE: &str = include_str!("../../docs/guides/auditors.md");
const CARD: &str = "2016-05-01";

/// What is handed to a program.
#[derive(Clone)]
struct Given {
    jwks: String,
    receipt: String,
    salt: String,
    number: String,
    start: Option<&'static str>,
    fingerprint: String,
}

impl Given {
    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// Head, claims and path.
    fn parts(&self) -> [String; 3] {
        self.receipt.split('~').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
    }

    fn with_part(&self, at: usize, text: &str) -> Self {
        let mut parts = self.parts();
        text.clone_into(&mut parts[at]);
        self.with(|given| given.receipt = parts.join("~"))
    }

    /// Claims that say something else.
    fn saying(&self, name: &str, value: Value) -> Self {
        self.with_part(1, &changed(&self.parts()[1], name, value))
    }
}

/// A base64url text of JSON with one other member.
fn changed(part: &str, name: &str, value: Value) -> String {
    let mut object: Value = serde_json::from_slice(&from_base64url(part).unwrap()).unwrap();
    object[name] = value;
    base64url(object.to_string().as_bytes())
}

/// The last line that each of the two programs says, and whether it ended well: they must agree.
fn run(given: &Given) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for (name, text) in [("jwks.json", &given.jwks), ("receipt.txt", &given.receipt), ("number.txt", &given.number)] {
        write(name, text);
    }
    let told = [("bash", "verify_receipt.sh"), ("python", "verify_receipt.py")].map(|(language, name)| {
        let program = GUIDE.split(&format!("```{language}\n")).nth(1).unwrap().split("```\n").next().unwrap();
        write(name, program);
        let command = if language == "bash" { "bash" } else { "python3" };
        let args = [name, "jwks.json", "receipt.txt", &given.salt, "number.txt"];
        let child = Command::new(command)
            .args(args)
            .args(given.start)
            .env("FINGERPRINT", &given.fingerprint)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (name, child)
    });
    let told = told.map(|(name, child)| {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let last = said.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(last.starts_with("VERIFIED: "), output.status.success(), "{name}: {last}");
        assert_eq!(last.starts_with("NOT VERIFIED: "), !output.status.success(), "{name}: {last}");
        (output.status.success(), last.to_owned())
    });
    assert_eq!(told[0].0, told[1].0, "the two differ: {told:?}");
    if told[0].0 {
        assert_eq!(told[0].1, told[1].1);
    }
    told[0].clone()
}

/// A receipt of the node, alone or one of a batch.
async fn given(app: &TestApp, card: Option<&'static str>, batch: usize) -> Given {
    let jwks = app.get("", "/.well-known/jwks.json").await.text;
    let number = random_number();
    let check = if batch == 0 {
        app.check(&check_of(&number, card)).await.json()
    } else {
        let mut checks: Vec<_> = (0..batch).map(|_| check_of(&random_number(), card)).collect();
        checks[batch * 2 / 3] = check_of(&number, card);
        let answer = app.check_batch(&checks).await.json();
        answer["results"][batch * 2 / 3]["check"].clone()
    };
    let text = |name: &str| check[name].as_str().unwrap_or_else(|| panic!("{check}")).to_owned();
    Given {
        jwks,
        receipt: text("receipt"),
        salt: text("receipt_salt"),
        number,
        start: card,
        fingerprint: String::new(),
    }
}

#[tokio::test]
async fn an_auditor_verifies_receipts_by_hand() {
    let app = TestApp::spawn().await;
    for (card, batch) in [(Some(CARD), 0), (None, 0), (Some(CARD), 2), (Some(CARD), 7), (None, 64), (Some(CARD), 100)] {
        let given = given(&app, card, batch).await;
        let (verified, last) = run(&given);
        assert!(verified && last.ends_with(": not_listed"), "{batch}: {last}");
        // As the desk saves it, with other line ends.
        let saved = format!("receipt\r\n\r\nverdict: not_listed\r\nreceipt: {}\r\nreceipt_salt: x\r\n", given.receipt);
        assert!(run(&given.with(|given| given.receipt = saved)).0);
        assert!(run(&given.with(|given| given.number = format!("{}\n", given.number.to_lowercase()))).0);
    }
}

#[tokio::test]
async fn every_kind_of_forgery_is_refused_by_hand() {
    let app = TestApp::spawn().await;
    for batch in [0, 7] {
        let true_one = given(&app, Some(CARD), batch).await;
        let [head, claims, path] = true_one.parts();
        let [header, payload, signature]: [&str; 3] = head.split('.').collect::<Vec<_>>().try_into().unwrap();
        let other = given(&app, Some(CARD), batch).await;
        let refused = |what: &str, forged: &Given, because: &str| {
            let (verified, last) = run(forged);
            assert!(!verified && last.contains(because), "batch {batch}, {what}: {last}");
        };
        // Verdict, time, audience and all else that the claims say.
        for (name, value) in [
            ("verdict", json!("card_listed")),
            ("iat", json!(1_700_000_000)),
            ("as_of", json!("2026-01-01T00:00:00.000Z")),
            ("aud", json!("01993c5e-0000-7000-8000-000000000000")),
            ("iss", json!("https://elsewhere.example")),
            ("jti", json!("01993c5e-0000-7000-8000-000000000000")),
            ("cm", json!(base64url(&[7; 32]))),
        ] {
            refused(name, &true_one.saying(name, value), "do not belong to the signed head");
        }
        refused("other claims", &true_one.with_part(1, &other.parts()[1]), "do not belong to the signed head");
        // Number, card, salt.
        let not_about = "not about this number";
        refused("number", &true_one.with(|given| given.number = random_number()), not_about);
        refused("salt", &true_one.with(|given| given.salt.clone_from(&other.salt)), not_about);
        refused("day", &true_one.with(|given| given.start = Some("2016-05-02")), not_about);
        refused("no day", &true_one.with(|given| given.start = None), not_about);
        refused("date", &true_one.with(|given| given.start = Some("20160501")), "YYYY-MM-DD");
        // Path.
        let mut bytes = from_base64url(&path).unwrap();
        bytes[3] ^= 1;
        refused("index", &true_one.with_part(2, &base64url(&bytes)), "");
        refused("longer path", &true_one.with_part(2, &base64url(&[bytes.as_slice(), &[1; 32]].concat())), "");
        refused("no path", &true_one.with_part(2, "AAAA"), "");
        if batch > 0 {
            refused("shorter path", &true_one.with_part(2, &base64url(&bytes[..bytes.len() - 32])), "");
            refused("path of another", &true_one.with_part(2, &other.parts()[2]), "do not belong");
        }
        // Head: its words, its signature, that of another batch.
        let signature_wrong = "signature is wrong";
        let head_of = |payload: &str, signature: &str| format!("{header}.{payload}.{signature}");
        let more = changed(payload, "size", json!(9));
        refused("size", &true_one.with_part(0, &head_of(&more, signature)), signature_wrong);
        let hash = lostcard_leaf_hash(&true_one.saying("verdict", json!("card_listed")).parts()[1]);
        let root = changed(payload, "root", json!(hash));
        refused("root", &true_one.with_part(0, &head_of(&root, signature)), signature_wrong);
        refused("head of another", &true_one.with_part(0, &other.parts()[0]), "do not belong");
        let mut turned = from_base64url(signature).unwrap();
        turned[5] ^= 1;
        refused("signature", &true_one.with_part(0, &head_of(payload, &base64url(&turned))), signature_wrong);
        // Spare bits that no decoder of the lenient kind sees.
        let spare = format!("{}{}", &signature[..85], next_letter(&signature[85..]));
        refused("spare bits", &true_one.with_part(0, &head_of(payload, &spare)), "base64url");
        // Key: a stranger's under its own id, under the published one, and published under the true id.
        let stranger = SigningKey::generate().unwrap();
        let forged = lostcard::crypto::receipt::sign_batch(&stranger, "\"x\"", 1, "", vec![claims.clone()]).remove(0);
        let forged = true_one.with(|given| given.receipt = forged.to_string());
        refused("unknown key", &forged, "no published key");
        let kid = from_base64url(header).unwrap();
        let kid = serde_json::from_slice::<Value>(&kid).unwrap()["kid"].clone();
        let posing = changed(forged.parts()[0].split('.').next().unwrap(), "kid", kid.clone());
        let rest = forged.parts()[0].split_once('.').unwrap().1.to_owned();
        let posing = forged.with_part(0, &format!("{posing}.{rest}"));
        refused("posing key", &posing, signature_wrong);
        let mut jwk = stranger.public().to_jwk();
        jwk["kid"] = kid;
        refused("false set", &posing.with(|given| given.jwks = json!({ "keys": [jwk] }).to_string()), "key");
        refused("no set", &true_one.with(|given| given.jwks = "{}".to_owned()), "");
        // What another key of the set signed is no receipt: a token.
        let token = true_one.with_part(0, &app.hotel.token);
        refused("token", &token, "not the head of a receipt");
        for text in ["", "~~", "a.b.c~d", "receipt:"] {
            refused("no receipt", &true_one.with(|given| given.receipt = text.to_owned()), "");
        }
    }
}

#[tokio::test]
async fn a_pinned_fingerprint_holds_by_hand() {
    let app = TestApp::spawn().await;
    let given = given(&app, None, 0).await;
    let set: Value = serde_json::from_str(&given.jwks).unwrap();
    let header = from_base64url(given.receipt.split('.').next().unwrap()).unwrap();
    let kid = serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone();
    let mut told = 0;
    for key in set["keys"].as_array().unwrap() {
        let bytes = from_base64url(key["x"].as_str().unwrap()).unwrap().try_into().unwrap();
        let fingerprint = lostcard::crypto::signing::PublicKey::new(bytes).fingerprint();
        let pinned = given.with(|given| given.fingerprint = fingerprint.to_uppercase());
        let (verified, last) = run(&pinned);
        assert_eq!(verified, key["kid"] == kid, "{last}");
        told += usize::from(!verified && last.contains("pinned fingerprint"));
    }
    assert!(told >= 2, "keys of tokens and certificates are not those of receipts");
}

fn lostcard_leaf_hash(claims: &str) -> String {
    use sha2::{Digest, Sha256};
    base64url(&Sha256::digest([b"\0", claims.as_bytes()].concat()))
}

/// The letter whose value is one more: the last of 86 carries two bits of the signature and four spare ones.
fn next_letter(letter: &str) -> char {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    LETTERS.chars().nth(LETTERS.find(letter).unwrap() + 1).unwrap()
}
