//! What a receipt of a write says: that a report, a withdrawal, a replacement or its correction has this place in the registry. Number and card are
//! in its commitment alone. Its salt is never stored: the seal key and the record make it again, so that a repetition of
//! the request gets the same.

use std::fmt;

use super::pepper::Keyed;
use super::salt::Salt;
use super::signing::base64url;
use crate::domain::ids::{OrganizationId, RecordId};
use crate::domain::sequence::Sequence;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Report,
    Withdrawal,
    Replacement,
    /// Of a replacement's start.
    Correction,
}

impl Act {
    const ALL: [Self; 4] = [Self::Report, Self::Withdrawal, Self::Replacement, Self::Correction];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Withdrawal => "withdrawal",
            Self::Replacement => "replacement",
            Self::Correction => "correction",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }
}

/// The claims of one write, before they are text.
#[derive(Debug)]
pub struct ActClaims {
    pub organization: OrganizationId,
    pub now_s: i64,
    pub record: RecordId,
    pub act: Act,
    /// Of the row of the feed that the write left.
    pub sequence: Sequence,
    pub commitment: [u8; 32],
}

impl ActClaims {
    /// The `claims` string. `iss_json` is the issuer, escaped for JSON.
    pub fn encode(&self, iss_json: &str) -> String {
        let Self { organization, now_s, record, act, sequence, commitment } = self;
        let (act, seq, cm) = (act.as_str(), sequence.get(), base64url(commitment));
        let json = format!(
            r#"{{"iss":{iss_json},"aud":"{organization}","iat":{now_s},"jti":"{record}","act":"{act}","seq":{seq},"cm":"{cm}"}}"#
        );
        base64url(json.as_bytes())
    }
}

/// Makes the salts.
pub struct ActSalts(Keyed);

const SALT_LABEL: &[u8] = b"lostcard:act:v1:";

impl ActSalts {
    pub fn of_seal_key(seal: &[u8; 32]) -> Self {
        Self(Keyed::new(seal))
    }

    /// The salt of what was done to a record: always the same one.
    pub fn salt(&self, act: Act, record: RecordId) -> Salt<32> {
        self.0.of(&[SALT_LABEL, act.as_str().as_bytes(), record.as_bytes()]).into()
    }
}

impl fmt::Debug for ActSalts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActSalts(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    #[test]
    fn a_salt_is_that_of_its_act_and_record_and_not_shown() {
        let (salts, record) = (ActSalts::of_seal_key(&[7; 32]), RecordId::from_u128(258));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"lostcard:act:v1:withdrawal\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02");
        assert_eq!(salts.salt(Act::Withdrawal, record).expose()[..], mac.finalize().into_bytes()[..]);
        assert_ne!(salts.salt(Act::Report, record).expose(), salts.salt(Act::Withdrawal, record).expose());
        assert_eq!(format!("{salts:?}"), "ActSalts(redacted)");
        for act in Act::ALL {
            assert_eq!(Act::parse(act.as_str()), Some(act));
        }
    }
}
