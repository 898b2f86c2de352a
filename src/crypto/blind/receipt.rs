//! What a receipt of a blind check says: which element was evaluated, to what, and when. Number and verdict are not in it, for the
//! service knows neither; who has number, salt and base can do it all again.

use crate::crypto::signing::base64url;
use crate::domain::ids::{CheckId, OrganizationId};
use crate::domain::sequence::Sequence;

/// The claims of one element, before they are text.
#[derive(Debug)]
pub struct BlindClaims<'a> {
    pub check_id: CheckId,
    /// The epoch of the key.
    pub key: &'a str,
    /// The element as it came, base64url.
    pub blinded: &'a str,
    /// The element evaluated, base64url.
    pub evaluated: &'a str,
    pub as_of: &'a str,
    pub sequence: Sequence,
    /// The client's own.
    pub commitment: [u8; 32],
}

impl BlindClaims<'_> {
    /// The `claims` string. Nothing in it has a length that tells anything. `iss_json` is the issuer, escaped for JSON; key and
    /// elements have been read before and hold nothing to escape.
    pub fn encode(&self, iss_json: &str, organization: OrganizationId, now_s: i64) -> String {
        let Self { check_id, key, blinded, evaluated, as_of, sequence, commitment } = self;
        let cm = base64url(commitment);
        let json = format!(
            r#"{{"iss":{iss_json},"aud":"{organization}","iat":{now_s},"jti":"{check_id}","typ":"blind","key":"{key}","bl":"{blinded}","ev":"{evaluated}","as_of":"{as_of}","seq":{},"cm":"{cm}"}}"#,
            sequence.get()
        );
        base64url(json.as_bytes())
    }
}
