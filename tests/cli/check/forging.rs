//! Receipts that are forged, each in one place.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Service, guests, json as parsed};

const FOLDER: &str = "guests.csv.checked.csv.receipts";

/// With one bit of a byte turned.
fn flipped(text: &str, at: usize) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    bytes[at] ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn every_kind_of_forgery_is_named() {
    let service = Service::start("6000/1s");
    service.folder.write("guests.csv", &guests(5));
    service.check(&["--purpose", "lodging", "guests.csv"], 10);
    assert_eq!(service.verify(FOLDER, 0), "5 receipts are authentic\n");
    let file = format!("{FOLDER}/row-1.json");
    let genuine = service.read(&file);
    let other = parsed(&service.read(&format!("{FOLDER}/row-2.json")));
    let kept = parsed(&genuine);
    let parts: Vec<String> = kept["receipt"].as_str().unwrap().split('~').map(str::to_owned).collect();
    let [head, claims, path] = <[String; 3]>::try_from(parts).unwrap();
    let with_claim = |name: &str, value: Value| {
        let mut changed = decoded(&claims);
        assert_ne!(changed[name], value, "{name}");
        changed[name] = value;
        format!("{head}~{}~{path}", encoded(&changed))
    };
    let with_payload = |name: &str, value: Value| {
        let pieces: Vec<_> = head.split('.').collect();
        let mut payload = decoded(pieces[1]);
        payload[name] = value;
        format!("{}.{}.{}~{claims}~{path}", pieces[0], encoded(&payload), pieces[2])
    };
    let with_header = |name: &str, value: Value| {
        let (first, rest) = head.split_once('.').unwrap();
        let mut header = decoded(first);
        header[name] = value;
        format!("{}.{rest}~{claims}~{path}", encoded(&header))
    };
    let iat = decoded(&claims)["iat"].as_i64().unwrap();
    let (signed, signature) = head.rsplit_once('.').unwrap();
    let forged = [
        ("verdict", with_claim("verdict", json!("not_listed"))),
        ("time", with_claim("iat", json!(iat - 1))),
        ("as_of", with_claim("as_of", json!("2026-01-01T00:00:00.000Z"))),
        ("commitment", with_claim("cm", json!(URL_SAFE_NO_PAD.encode([7; 32])))),
        ("audience", with_claim("aud", json!("01993c5e-0000-7000-8000-000000000000"))),
        ("issuer", with_claim("iss", json!("https://other.example"))),
        ("check", with_claim("jti", json!("01993c5e-0000-7000-8000-000000000000"))),
        ("path", format!("{head}~{claims}~{}", flipped(&path, 10))),
        ("index", format!("{head}~{claims}~{}", flipped(&path, 3))),
        ("root", with_payload("root", json!(URL_SAFE_NO_PAD.encode([7; 32])))),
        ("size", with_payload("size", json!(1))),
        ("head", format!("{signed}.{}~{claims}~{path}", flipped(signature, 5))),
        ("key", with_header("kid", json!("another"))),
        ("algorithm", with_header("alg", json!("none"))),
        ("type", with_header("typ", json!("JWT"))),
        (
            "another's head",
            format!("{}~{claims}~{path}x", other["receipt"].as_str().unwrap().split('~').next().unwrap()),
        ),
        ("another's receipt", other["receipt"].as_str().unwrap().to_owned()),
        ("nothing", String::new()),
    ];
    let mut files: Vec<_> = forged
        .into_iter()
        .map(|(kind, receipt)| {
            let mut file = kept.clone();
            assert_ne!(file["receipt"], receipt, "{kind}");
            file["receipt"] = json!(receipt);
            (kind, file.to_string())
        })
        .collect();
    for (kind, name, value) in
        [("check id", "check_id", other["check_id"].clone()), ("salt", "receipt_salt", json!("c2FsdA"))]
    {
        let mut file = kept.clone();
        file[name] = value;
        files.push((kind, file.to_string()));
    }
    files.push(("cut", genuine[..genuine.len() / 2].to_owned()));
    for (kind, text) in files {
        service.folder.write(&file, &text);
        let said = service.verify(FOLDER, 1);
        assert!(said.starts_with(&format!("4 receipts are authentic\n{file}: ")), "{kind}: {said}");
        assert_eq!(said.lines().count(), 2, "{kind}: {said}");
    }
    service.folder.write(&file, &genuine);
    // Keys of another service.
    let mut keys = parsed(&service.read("jwks.json"));
    for key in keys["keys"].as_array_mut().unwrap() {
        key["x"] = json!(URL_SAFE_NO_PAD.encode([9; 32]));
    }
    let right = service.read("jwks.json");
    service.folder.write("jwks.json", &keys.to_string());
    assert!(service.verify(FOLDER, 1).starts_with("0 receipts are authentic\n"));
    service.folder.write("jwks.json", &right);
    // A receipt alone is a receipt; a folder without any is a mistake.
    service.folder.write(&file, kept["receipt"].as_str().unwrap());
    assert_eq!(service.verify(FOLDER, 0), "5 receipts are authentic\n");
    // What systems and people leave beside receipts is none.
    for name in [".DS_Store", "Thumbs.db", "jwks.json"] {
        service.folder.write(&format!("{FOLDER}/{name}"), "x");
    }
    std::fs::create_dir(service.folder.path().join(FOLDER).join("older")).unwrap();
    assert_eq!(service.verify(FOLDER, 0), "5 receipts are authentic\n4 other files and folders are passed over\n");
    // What looks like a receipt is judged.
    service.folder.write(&format!("{FOLDER}/note.txt"), "x");
    assert!(service.verify(FOLDER, 1).contains("note.txt: "));
    std::fs::create_dir(service.folder.path().join("empty")).unwrap();
    service.verify("empty", 65);
    service.verify("nowhere", 1);
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
