//! The ids of what is kept, each a type of its own: the id of a report is taken nowhere for that of a check. Inside each is a
//! `UUIDv7`, drawn by `crypto::random`, read back by the store.
//!
//! What handles any record takes a [`RecordId`] and what names a listing a [`ListingId`]: ids turn into these, and back
//! only by [`RecordId::as_its_kind`], where a stored act says what its record is.
//!
//! ```compile_fail,E0308
//! use lostcard::domain::ids::{CheckId, ReportId};
//! let check: CheckId = ReportId::nil();
//! ```
//!
//! ```compile_fail,E0277
//! use lostcard::domain::ids::{RecordId, ReportId};
//! let report: ReportId = RecordId::nil().into();
//! ```

use std::str::FromStr;

use uuid::Uuid;

/// An id of any kind: for those who draw ids and for those who read rows.
pub trait Id: Copy + FromStr {
    fn from_uuid(uuid: Uuid) -> Self;
}

/// Ids: here, or beside what they are of.
macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            pub const fn nil() -> Self {
                Self(uuid::Uuid::nil())
            }

            /// An id that is no drawn one: of what a sandbox begins with, of what is written in a file.
            pub const fn from_u128(number: u128) -> Self {
                Self(uuid::Uuid::from_u128(number))
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Uuid::from_bytes(bytes))
            }

            pub fn parse(text: &str) -> Option<Self> {
                uuid::Uuid::try_parse(text).ok().map(Self)
            }

            /// Without the hyphens.
            pub fn as_simple(&self) -> &uuid::fmt::Simple {
                self.0.as_simple()
            }

            /// Appends it, without the formatting machinery.
            pub fn push_to(&self, text: &mut Vec<u8>) {
                let mut room = uuid::Uuid::encode_buffer();
                text.extend_from_slice(self.0.as_hyphenated().encode_lower(&mut room).as_bytes());
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl AsRef<[u8; 16]> for $name {
            fn as_ref(&self) -> &[u8; 16] {
                self.as_bytes()
            }
        }

        impl $crate::domain::ids::Id for $name {
            fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::try_parse(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    )+};
}

/// The ids that turn into one that is less exact.
macro_rules! turns_into {
    ($wide:ident: $($name:ident),+ $(,)?) => {$(
        impl From<$name> for $wide {
            fn from(id: $name) -> Self {
                Self::from_bytes(*id.as_bytes())
            }
        }
    )+};
}

ids! {
    ReportId;
    ReplacementId;
    FoundCardId;
    ApplicationId;
    TemporaryCardId;
    MisuseReportId;
    CertificateId;
    /// A check, and what it left that is watched.
    CheckId;
    AlertId;
    /// What a portal is told about a report.
    NoticeId;
    /// An endpoint that alerts are sent to.
    WebhookId;
    OrganizationId;
    ClientId;
    /// What a client proves itself by.
    CredentialId;
    /// An access token.
    TokenId;
    /// A node, from its start to its end.
    NodeId;
    /// A process, as its counts of usage name it.
    ProcessId;
    /// The heads of the audit log that one data folder's nodes sign, one after the other.
    SeriesId;
    /// A mark that was put into the feed.
    MarkId;
    /// What an operator has asked for and another one must approve.
    AdminRequestId;
    /// A person of the operator: made of the issuer that knows them and its name for them, or drawn where they have passkeys.
    PersonId;
    /// A code by which a page becomes a device, and the device.
    PairingId;
    /// What a browser is asked about a passkey, until it answers.
    CeremonyId;
    /// A file that was imported.
    ImportId;
    /// A report or a replacement: what makes cards listed.
    ListingId;
    /// A record of any kind, as what seals, re-keys, erases or remembers it names it.
    RecordId;
}

impl RecordId {
    /// The record that an act is about: what it is, the act says.
    pub fn as_its_kind<T: Id>(self) -> T {
        T::from_uuid(self.0)
    }
}

turns_into!(ListingId: ReportId, ReplacementId);
turns_into!(
    RecordId: ReportId,
    ReplacementId,
    FoundCardId,
    ApplicationId,
    TemporaryCardId,
    MisuseReportId,
    CertificateId,
    CheckId,
    AlertId,
    WebhookId,
    OrganizationId,
    ClientId,
    TokenId,
    ImportId,
    AdminRequestId,
    PairingId,
    PersonId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_as_its_kind_its_uuid_is() {
        let text = "01936b1e-9c00-7000-8000-0123456789ab";
        let id: ReportId = text.parse().unwrap();
        assert_eq!((id.to_string(), format!("{id:?}")), (text.to_owned(), text.to_owned()));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<ReportId>(&json).unwrap(), id);
        assert_eq!(ReportId::from_bytes(*id.as_bytes()), id);
        assert_eq!(ReportId::parse(text), Some(id));
        for wrong in ["", "01936b1e", "01936b1e-9c00-7000-8000-0123456789ax"] {
            assert_eq!(ReportId::parse(wrong), None);
            assert!(serde_json::from_str::<ReportId>(&format!("\"{wrong}\"")).is_err());
        }
    }

    #[test]
    fn a_less_exact_id_has_the_same_bytes() {
        let id = ReplacementId::from_u128(7);
        assert_eq!(ListingId::from(id).as_bytes(), id.as_bytes());
        assert_eq!(RecordId::from(id).as_bytes(), id.as_bytes());
    }
}
