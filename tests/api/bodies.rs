//! What callers send: random valid numbers, and bodies that are good until a case changes a member.

use lostcard::clock::Clock;
use lostcard::crypto::random;
use lostcard::domain::client::Rate;
use lostcard::domain::id_number::IdNumber;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A valid number of nobody in particular, new at each call.
pub(crate) fn random_number() -> String {
    let digits = |n: u32, width: usize| format!("{:0width$}", random::below(n));
    let first_17 = format!(
        "{}{:04}{:02}{:02}{}",
        ["110105", "310104", "440304", "510107", "650102", "810000"][random::below(6) as usize],
        1950 + random::below(60),
        1 + random::below(12),
        1 + random::below(28),
        digits(1000, 3)
    );
    let number = IdNumber::from_first_17(first_17.as_bytes().try_into().unwrap(), Clock::System.today()).unwrap();
    number.as_bytes().iter().copied().map(char::from).collect()
}

/// A check as a hotel sends it.
pub(crate) fn check_of(number: &str, card_valid_from: Option<&str>) -> Value {
    let mut body = json!({"id_number": number, "purpose": "lodging"});
    if let Some(date) = card_valid_from {
        body["card_valid_from"] = json!(date);
    }
    body
}

/// A report as a police station files it.
pub(crate) fn report_of(number: &str, card_valid_from: Option<&str>) -> Value {
    let mut body = json!({
        "id_number": number, "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station",
    });
    if let Some(date) = card_valid_from {
        body["card_valid_from"] = json!(date);
    }
    body
}

/// A body with one member changed, or added.
pub(crate) fn with(mut body: Value, member: &str, value: impl Into<Value>) -> Value {
    body[member] = value.into();
    body
}

/// An answer to a write without its receipt: as the record is read later. A node that has not begun its log gives none.
pub(crate) fn later(mut answer: Value) -> Value {
    for member in ["report_receipt", "report_receipt_salt"] {
        answer.as_object_mut().unwrap().remove(member);
    }
    answer
}

/// The digest of a number as API clients compute it.
pub(crate) fn digest_bytes(number: &str) -> [u8; 32] {
    Sha256::digest(format!("lostcard:v1:{number}")).into()
}

/// The same in hexadecimal, as it is sent.
pub(crate) fn digest_of(number: &str) -> String {
    hex::encode(digest_bytes(number))
}

/// A limit, as settings write it.
pub(crate) fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}
