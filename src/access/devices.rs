//! What is known of a client that is a device of a desk or a station.

use super::certificates::Thumbprint;
use super::jwks::thumbprint_of;
use crate::domain::client::OrganizationName;
use crate::domain::ids::PairingId;
use crate::domain::report::Label;
use crate::store::clients::{Credential, Proof};
use crate::store::pairings::Pairing;

/// A device.
#[derive(Debug)]
pub struct DeviceEntry {
    pub pairing: PairingId,
    /// Its place, and what it is called by now.
    pub site: Label,
    pub name: Option<OrganizationName>,
    /// What its PIN is proven by, sealed.
    pub pin_key: Vec<u8>,
    /// The key that its page has: its tokens are bound to it and to no other.
    pub key: Option<Thumbprint>,
}

impl DeviceEntry {
    /// Of a client, where its pairing says that it is one.
    pub fn of(pairing: Pairing, credentials: &[Credential]) -> Option<Self> {
        let key = credentials.iter().find_map(|credential| match &credential.proof {
            Proof::Key(jwk) => thumbprint_of(&serde_json::from_str(jwk).ok()?),
            _ => None,
        });
        let Pairing { pairing_id, site, name, device, .. } = pairing;
        device.map(|device| Self { pairing: pairing_id, site, name, pin_key: device.pin_key, key })
    }
}

/// Why a device does not work for who is at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnlockFault {
    /// It does not say who that is, or proves no PIN.
    Missing,
    Pin,
    Locked,
}

impl UnlockFault {
    /// For `error_description`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => {
                "the assertion of a device has clerk, a name of at most 64 bytes, and pin, a proof of its PIN"
            }
            Self::Pin => "the PIN is wrong",
            Self::Locked => "the device is locked, for its PIN was missed too often: release it, or pair it again",
        }
    }

    /// As the standards call it (RFC 6749, 5.2; RFC 8628, 3.5).
    pub const fn error(self) -> &'static str {
        match self {
            Self::Missing => "invalid_request",
            Self::Pin => "invalid_grant",
            Self::Locked => "access_denied",
        }
    }
}
