//! The use cases: what a check, a report, a replacement, a verification *do*, in order. One-way: calls registry, store, crypto
//! and domain; never sees HTTP, never decides a status code. Invariants: a verdict is only ever decided on a `Finding`;
//! a 201 goes out after commit and publication.

pub mod acceptance;
pub mod accesses;
pub mod act_receipts;
pub mod administration;
pub mod alerts;
pub mod applications;
pub mod audit;
pub mod backup;
pub mod blind;
pub mod certificates;
pub mod checks;
pub mod citizen;
pub mod console;
pub mod day_limit;
pub mod erasure;
pub mod fields;
pub mod filing;
pub mod found_cards;
pub mod groups;
pub mod json;
pub mod listing;
pub mod misfits;
pub mod misuse_reports;
pub mod pace;
pub mod pairings;
pub mod passkeys;
pub mod person_export;
mod qr;
pub mod receipts;
pub mod registry_log;
pub mod reports;
pub mod retention;
pub mod retry_after;
pub mod rotation;
pub mod sandbox;
pub mod sightings;
pub mod undoing;
pub mod usage;
pub mod webhooks;
pub mod withdrawals;
pub mod witness;
pub mod writing;

use std::borrow::Cow;

use self::fields::WrongMember;
use crate::crypto::seal::SealError;
use crate::domain::alert::WatchesSpent;
use crate::domain::report::InvalidTransition;
use crate::registry::RegistryError;
use crate::store::StoreError;

/// A use case could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the key was used for another request")]
    IdempotencyKeyReused,
    /// An object is not in a state that allows what was asked.
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// A new card does not start after each card of its number that is listed.
    #[error("the new card does not start after each card of the number that is listed: read its start again")]
    NotAfterListed,
    /// What only an office of another organization may do.
    #[error("{0}")]
    OfficeNotYours(&'static str),
    #[error("the client has asked for it itself: another client must confirm")]
    AnotherMustConfirm,
    /// Listings that a client ends by itself in a day.
    #[error(
        "the client has ended as many listings today as it may alone: another client of the organization must do it"
    )]
    DaySpent,
    /// What a client files in a day that others have to read.
    #[error("the client has filed as many misuse reports today as it may")]
    MisuseReportsSpent { retry_after_s: u64 },
    #[error("a person with the role security must approve it")]
    PersonMustApprove,
    /// What no operator may do by the API: it would make a second one of him.
    #[error("clients of operators are made, and get what they prove themselves by, at the command line")]
    ByCommandLine,
    /// Which of its rules the code breaks, is not told.
    #[error("the code is not one that is good now")]
    PairingRefused,
    /// Neither which of its rules was broken.
    #[error("refused")]
    PasskeyRefused,
    /// A member is wrong for this object.
    #[error("a member is wrong: {}", .0.code)]
    WrongMember(WrongMember),
    /// What was found cannot be recorded now, so it may not be told.
    #[error("the disk is behind with what checks have found")]
    SightingsBehind,
    /// No more watches for this client now.
    #[error("the client has as many watches as it may")]
    WatchesSpent(WatchesSpent),
    #[error("the receipt could not be signed")]
    NotSigned,
    /// A fault of this program, or of the day that the clock tells.
    #[error("a constant of this program is not what it should be: {0}")]
    WrongConstant(&'static str),
}

impl ServiceError {
    /// The failure of a group for another one of it. What one alone has met, and what the others then could not do.
    fn again(&self) -> Self {
        match self {
            Self::Store(error) => error.again().into(),
            Self::Registry(error) => error.again().into(),
            _ => StoreError::Busy.into(),
        }
    }

    /// A member that only the stored object shows to be wrong.
    pub(crate) fn wrong_member(
        pointer: &'static str,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::WrongMember(WrongMember { pointer, code, detail: detail.into() })
    }
}

/// Pieces of work that are done before others of the same event loop have their turn: some 0.05 ms of them.
const SLICE: usize = 16;

/// Between the pieces of work of one long request: lets other requests of the event loop have their turn after each slice.
pub async fn breathe(done: usize) {
    if done % SLICE == SLICE - 1 {
        tokio::task::yield_now().await;
    }
}
