//! A status that its holder shows: what a check would be answered, signed by the receipt key, bound to number and card by a
//! commitment as receipts are. A desk that has the published keys needs nobody to verify it.

use jiff::civil::Date;

use super::signing::{SigningKey, base64url};
use crate::domain::sequence::Sequence;

/// The `typ` of its JWS header.
pub const TYP: &str = "lostcard-status+jwt";
/// How long it is good for: a report of that time is not in it.
pub const LIFETIME_S: i64 = 15 * 60;

/// What it says.
#[derive(Debug)]
pub struct CardStatus<'a> {
    pub issuer_json: &'a str,
    pub now_s: i64,
    pub as_of: &'a str,
    pub sequence: Sequence,
    pub verdict: &'a str,
    pub start: Date,
    pub commitment: [u8; 32],
}

impl CardStatus<'_> {
    /// The compact JWS.
    pub fn sign(&self, key: &SigningKey) -> String {
        let Self { issuer_json, now_s, as_of, sequence, verdict, start, commitment } = self;
        let (exp, seq, cm) = (now_s + LIFETIME_S, sequence.get(), base64url(commitment));
        let payload = format!(
            r#"{{"iss":{issuer_json},"iat":{now_s},"exp":{exp},"as_of":"{as_of}","seq":{seq},"verdict":"{verdict}","start":"{start}","cm":"{cm}"}}"#
        );
        key.sign_jws(TYP, payload.as_bytes())
    }
}
