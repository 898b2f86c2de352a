//! What the refusal of each layer below is to a caller: the one place where their errors become problems.

use std::borrow::Cow;

use super::problem::{
    ABNORMAL_USE, ADDRESS_LIMIT_SPENT, ANOTHER_MUST_CONFIRM, BASE_TOO_OLD, BLIND_BEHIND, BLIND_KEY_UNKNOWN,
    COMMAND_LINE_ONLY, FieldError, IDEMPOTENCY_KEY_REUSED, INSUFFICIENT_SCOPE, INTERNAL, INVALID_TOKEN, LIMIT_SPENT,
    NOT_READY, NUMBERS_SPENT, OFFICE_NOT_YOURS, ORGANIZATION_LIMIT_SPENT, OUTCOME_UNKNOWN, PAIRING_REFUSED,
    PASSKEY_REFUSED, PUBLIC_LIMIT_SPENT, Problem, REGISTRY_UNAVAILABLE, REPORT_NOT_ACTIVE, START_NOT_AFTER_LISTED,
    STORAGE_FULL, STORE_READ_ONLY, WATCHES_SPENT, WRONG_STATE,
};
use crate::access::{AccessError, PasskeyError, dpop};
use crate::domain::person::Role;
use crate::limits::{BatchRefused, Crowded, LimitName, NumbersRefused, Refused};
use crate::registry::RegistryError;
use crate::service::ServiceError;
use crate::service::blind::evaluating::BlindRefusal;
use crate::service::fields::WrongMember;
use crate::service::json::MemberFault;
use crate::store::StoreError;

impl Problem {
    /// No valid token, for a reason of one word. Every 401 carries the same challenge: a forger learns nothing from it.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_TOKEN, detail).challenging(r#"Bearer error="invalid_token""#.to_owned())
    }

    /// Nobody signs in, or gets a passkey, by this. Which rule was broken, is not told.
    pub fn passkey_refused() -> Self {
        Self::new(PASSKEY_REFUSED, "refused").challenging("Bearer".to_owned())
    }

    /// A token whose holder has not shown to be it, by the standard's word where a proof is the reason (RFC 9449, 7.1).
    pub fn not_the_holder(detail: &'static str, error: &str) -> Self {
        let challenge = format!(r#"DPoP error="{error}", algs="{}""#, dpop::ALGORITHMS.join(" "));
        Self::new(INVALID_TOKEN, detail).challenging(challenge)
    }

    pub fn insufficient_scope(scope: &str) -> Self {
        let detail = format!("the token lacks the scope of this operation: {scope}");
        Self::new(INSUFFICIENT_SCOPE, detail)
            .challenging(format!(r#"Bearer error="insufficient_scope", scope="{scope}""#))
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let kind = match refused.standing.limit {
            LimitName::Client => LIMIT_SPENT,
            LimitName::Organization => ORGANIZATION_LIMIT_SPENT,
            LimitName::Address => ADDRESS_LIMIT_SPENT,
            LimitName::Public => PUBLIC_LIMIT_SPENT,
            LimitName::AbnormalUse => ABNORMAL_USE,
            LimitName::Numbers => NUMBERS_SPENT,
        };
        Self::spent(kind, refused)
    }
}

impl From<NumbersRefused> for Problem {
    fn from(refused: NumbersRefused) -> Self {
        Self::of_numbers(refused)
    }
}

impl From<BatchRefused> for Problem {
    fn from(refused: BatchRefused) -> Self {
        match refused {
            BatchRefused::TooLarge { items_max } => Self::batch_too_large(items_max),
            BatchRefused::Spent(refused) => refused.into(),
        }
    }
}

impl From<Crowded> for Problem {
    fn from(_: Crowded) -> Self {
        // Turns are fair by asker: where others are refused as well, `Admission` sees it.
        Self::reduced_capacity().of_own_load()
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Token(refusal) => Self::unauthorized(refusal.to_string()),
            AccessError::Crowded(crowded) => crowded.into(),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Refused => Self::passkey_refused(),
            PasskeyError::Crowded(crowded) => crowded.into(),
            PasskeyError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(STORAGE_FULL, "nothing was stored"),
            StoreError::Unsound => Self::unavailable(NOT_READY, "the disk failed to confirm a write; restart the node"),
            StoreError::ReadOnly => Self::unavailable(STORE_READ_ONLY, "nothing was stored"),
            StoreError::OutcomeUnknown(_) | StoreError::CommitUnanswered => {
                Self::unavailable(OUTCOME_UNKNOWN, "the commit was not confirmed")
            }
            StoreError::Busy
            | StoreError::Dead { .. }
            | StoreError::OtherPepper
            | StoreError::Files(_)
            | StoreError::Unavailable(_)
            | StoreError::Stopped => Self::unavailable(REGISTRY_UNAVAILABLE, "the store does not answer"),
            StoreError::Corrupt(_)
            | StoreError::Misused(_)
            | StoreError::UnknownUrl
            | StoreError::Absent
            | StoreError::Migration(_) => {
                tracing::error!(error = %error, "the store holds or was sent what it should not");
                Self::new(INTERNAL, "the registry's data cannot be read")
            }
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            RegistryError::OtherHistory => Self::unavailable(OUTCOME_UNKNOWN, "the store has changed since the commit"),
            // The follower has already logged missing keys, once.
            RegistryError::Keys(_) => Self::unavailable(REGISTRY_UNAVAILABLE, "this node lacks a key"),
            RegistryError::TooSlow | RegistryError::Stopped | RegistryError::Filter(_) => {
                Self::unavailable(REGISTRY_UNAVAILABLE, "the registry did not answer in time")
            }
        }
    }
}

impl From<BlindRefusal> for Problem {
    fn from(refusal: BlindRefusal) -> Self {
        match refusal {
            BlindRefusal::KeyUnknown => Self::new(BLIND_KEY_UNKNOWN, "no key of that name is in force"),
            BlindRefusal::Behind => Self::unavailable(BLIND_BEHIND, "the base of this key is being built"),
            BlindRefusal::BaseTooOld => {
                Self::new(BASE_TOO_OLD, "after is before the base, or more than 4,096 changes back")
            }
            BlindRefusal::AfterAhead => Self::invalid(vec![FieldError {
                pointer: "/after".into(),
                code: "out_of_range",
                detail: "the registry has not come so far".into(),
            }]),
            BlindRefusal::Busy => Self::reduced_capacity(),
            BlindRefusal::Unsigned => {
                Self::unavailable(REGISTRY_UNAVAILABLE, "the log has no checkpoint yet that reaches the receipt")
            }
        }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Store(error) => error.into(),
            ServiceError::Registry(error) => error.into(),
            ServiceError::Conflict(refusal) => Self::new(WRONG_STATE, refusal),
            error @ ServiceError::NotAfterListed => Self::new(START_NOT_AFTER_LISTED, error.to_string()),
            ServiceError::OfficeNotYours(refusal) => Self::new(OFFICE_NOT_YOURS, refusal),
            error @ (ServiceError::AnotherMustConfirm | ServiceError::DaySpent) => {
                Self::new(ANOTHER_MUST_CONFIRM, error.to_string())
            }
            ServiceError::MisuseReportsSpent { retry_after_s } => {
                let detail = "the client has filed as many misuse reports today as it may";
                Self::retry_after(LIMIT_SPENT, detail, retry_after_s)
            }
            ServiceError::PersonMustApprove => Self::insufficient_role(Role::Security),
            error @ ServiceError::ByCommandLine => Self::new(COMMAND_LINE_ONLY, error.to_string()),
            error @ ServiceError::PairingRefused => Self::new(PAIRING_REFUSED, error.to_string()),
            ServiceError::PasskeyRefused => Self::passkey_refused(),
            ServiceError::WrongMember(wrong) => Self::invalid(vec![wrong.into()]),
            ServiceError::Transition(refusal) => Self::new(REPORT_NOT_ACTIVE, refusal.to_string()),
            ServiceError::IdempotencyKeyReused => {
                Self::new(IDEMPOTENCY_KEY_REUSED, "the body differs from the first request with this key")
            }
            // The same words as for any other node that is behind.
            ServiceError::SightingsBehind => RegistryError::TooSlow.into(),
            ServiceError::WatchesSpent(spent) => {
                Self::retry_after(WATCHES_SPENT, "checks without watch_hours still get answers", spent.retry_after_s)
            }
            ServiceError::Seal(_) | ServiceError::NotSigned => Self::new(INTERNAL, "a key could not be used"),
            ServiceError::WrongConstant(_) => {
                tracing::error!(error = %error, "a fault of this program");
                Self::new(INTERNAL, "a fault of this program")
            }
        }
    }
}

impl From<MemberFault> for FieldError {
    fn from(fault: MemberFault) -> Self {
        Self { pointer: fault.pointer.into(), code: fault.code, detail: fault.detail.into() }
    }
}

impl From<WrongMember> for FieldError {
    fn from(wrong: WrongMember) -> Self {
        Self { pointer: wrong.pointer.into(), code: wrong.code, detail: wrong.detail }
    }
}
