//! The macros and token recipes of tests/bad-inputs.json, turned into bytes:
//! `{{REPEAT:s:n}}`, `{{HEX:..}}`, `{{UTF16:s}}`, `{{GZIP:s}}`, and `{header, claims, sign}` for tokens.

use aws_lc_rs::signature::Ed25519KeyPair;
use hmac::{Hmac, KeyInit, Mac};
use lostcard::crypto::signing::{SigningKey, base64url};
use lostcard::domain::ids::{ClientId, OrganizationId};
use serde_json::{Value, json};
use sha2::Sha256;

/// The bytes that an input stands for.
pub(crate) fn expand(input: &str) -> Vec<u8> {
    // The first macro, whichever it is; those that take text reach to the last braces, the others to the next.
    let names = ["{{GZIP:", "{{UTF16:", "{{REPEAT:", "{{HEX:"];
    let Some((start, name)) = names.iter().filter_map(|name| Some((input.find(name)?, *name))).min() else {
        return input.as_bytes().to_vec();
    };
    let rest = &input[start + name.len()..];
    let takes_text = matches!(name, "{{GZIP:" | "{{UTF16:");
    let end = if takes_text { rest.rfind("}}") } else { rest.find("}}") }.expect("a macro ends with two braces");
    let argument = &rest[..end];
    let made = match name {
        "{{GZIP:" => gzip(&expand(argument)),
        "{{UTF16:" => argument.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "{{HEX:" => hex::decode(argument).unwrap(),
        _ => {
            let (text, times) = argument.rsplit_once(':').unwrap();
            text.repeat(times.parse().unwrap()).into_bytes()
        }
    };
    [&input.as_bytes()[..start], &made, &expand(&rest[end + 2..])].concat()
}

/// A gzip member (RFC 1952) of one block with fixed codes (RFC 1951, 3.2.6): literals, and matches of 258 equal bytes. Its
/// checksum is left zero: a decompressor would find that out only after the whole bomb.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    const RUN: usize = 258;
    let mut bits = Bits { out: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], partial: 0, filled: 0 };
    bits.push(1, 1);
    bits.push(1, 2);
    let mut at = 0;
    while at < bytes.len() {
        let is_run =
            at > 0 && bytes[at..].len() >= RUN && bytes[at..at + RUN].iter().all(|byte| *byte == bytes[at - 1]);
        if is_run {
            // Length code 285 and distance code 0: the byte before, 258 times.
            bits.push_code(0xc5, 8);
            bits.push_code(0, 5);
            at += RUN;
        } else {
            bits.push_code(0x30 + u32::from(bytes[at]), 8);
            at += 1;
        }
    }
    bits.push_code(0, 7);
    bits.push(0, 7);
    let length = u32::try_from(bytes.len()).unwrap();
    [bits.out.as_slice(), &[0; 4], &length.to_le_bytes()].concat()
}

struct Bits {
    out: Vec<u8>,
    partial: u32,
    filled: u32,
}

impl Bits {
    /// Least significant bit first.
    fn push(&mut self, value: u32, bits: u32) {
        self.partial |= value << self.filled;
        self.filled += bits;
        while self.filled >= 8 {
            self.out.push(self.partial.to_le_bytes()[0]);
            self.partial >>= 8;
            self.filled -= 8;
        }
    }

    /// Huffman codes have their most significant bit first.
    fn push_code(&mut self, code: u32, bits: u32) {
        self.push(code.reverse_bits() >> (32 - bits), bits);
    }
}

/// What token recipes refer to.
pub(crate) struct TokenContext {
    /// The service's own key.
    pub(crate) key: SigningKey,
    pub(crate) issuer: String,
    pub(crate) now_s: i64,
    /// Client and organization of `c1` and of `c2`.
    pub(crate) clients: [(ClientId, OrganizationId); 2],
    pub(crate) revoked_jti: String,
}

impl TokenContext {
    /// The token of a recipe.
    pub(crate) fn token(&self, recipe: &Value) -> String {
        let sign = recipe["sign"].as_str().unwrap();
        let other = SigningKey::generate().unwrap();
        let mut header = recipe["header"].clone();
        if header["kid"] == "k1" {
            header["kid"] = json!(self.key.public().kid());
        }
        if header.get("jwk").is_some() {
            header["jwk"] = other.public().to_jwk();
        }
        let signed =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(self.claims(recipe).as_bytes()));
        let signature = match sign {
            "valid" => ed25519(&self.key, &signed),
            "other_key" | "attacker_jwk" => ed25519(&other, &signed),
            "zeros" => vec![0; 64],
            "none" => Vec::new(),
            "strip" => return signed,
            "flip" => {
                let mut signature = ed25519(&self.key, &signed);
                signature[63] ^= 1;
                signature
            }
            "hs256:public_key_pem" => hs256(&self.public_pem(), &signed),
            _ => hs256(sign.strip_prefix("hs256:").unwrap(), &signed),
        };
        format!("{signed}.{}", base64url(&signature))
    }

    /// The claims of a recipe, with those that every token of this service has beside them.
    fn claims(&self, recipe: &Value) -> String {
        if let Some(text) = recipe["claims"]["__raw__"].as_str() {
            return text.replace("NOW+600", &(self.now_s + 600).to_string());
        }
        let mut claims = recipe["claims"].clone();
        let (client, organization) = self.clients[usize::from(claims["sub"] == "c2")];
        for (_, value) in claims.as_object_mut().unwrap() {
            let Some(word) = value.as_str() else { continue };
            *value = match word {
                "issuer" | "api" => json!(self.issuer),
                "c1" | "c2" => json!(client),
                "REVOKED" => json!(self.revoked_jti),
                _ => match word.strip_prefix("NOW") {
                    Some(offset) => json!(self.now_s + offset.parse::<i64>().unwrap()),
                    None => continue,
                },
            };
        }
        for (name, value) in
            [("client_id", json!(client)), ("org", json!(organization)), ("scope", json!("checks registry"))]
        {
            claims[name] = value;
        }
        claims.to_string()
    }

    fn public_pem(&self) -> String {
        pem::encode(&pem::Pem::new("PUBLIC KEY", self.key.public().to_spki()))
    }
}

fn ed25519(key: &SigningKey, signed: &str) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.pkcs8()).unwrap();
    pair.sign(signed.as_bytes()).as_ref().to_vec()
}

fn hs256(secret: &str, signed: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn macros_expand_to_their_bytes() {
    assert_eq!(expand("plain {x}"), b"plain {x}");
    assert_eq!(expand("a{{REPEAT:[:3}}b{{REPEAT:ab:2}}"), b"a[[[babab");
    assert_eq!(expand("{{HEX:efbbbf}}x"), b"\xef\xbb\xbfx");
    assert_eq!(expand("{{UTF16:{\"a\":{}}}}"), b"{\0\"\0a\0\"\0:\0{\0}\0}\0");
    // Two literals and two runs between them: 3 + 8 + 13 + 13 + 8 + 7 bits.
    let packed = expand("{{GZIP:{{REPEAT:a:518}}}}");
    assert_eq!((&packed[..3], packed.len()), (b"\x1f\x8b\x08".as_slice(), 10 + 7 + 8), "{}", hex::encode(&packed));
}
