//! Words as the OpenAPI document shows them, taken from the domain's lists: closed enums in requests; in answers only the
//! verdict is closed, every other code is an open string with `x-extensible-enum`, so that a new word breaks no client.

use serde::Serialize;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::acceptance::Ground;
use crate::domain::alert::AlertKind;
use crate::domain::application::{ApplicationReason, ApplicationState, TemporaryCardState};
use crate::domain::authority::{LifeState, WaitingAct};
use crate::domain::certificate::{CertificatePurpose, CertificateState, CertificateStatus, PresentedFor};
use crate::domain::client::{Bound, OrganizationKind, Scope};
use crate::domain::found_card::{FoundCardState, HolderVerification};
use crate::domain::misuse::{MisuseKind, MisuseOutcome, MisuseState};
use crate::domain::numbers::{Digests, HeldFor};
use crate::domain::pairing::PairingState;
use crate::domain::person::Role;
use crate::domain::report::{Channel, Reason, ReportState, Reporter, WithdrawalReason};
use crate::domain::usage::Grouping;
use crate::domain::verdict::{Advice, ListingKind, Purpose};

// `defaulted` is closed, and its first word holds where none is sent.
macro_rules! word_schemas {
    ($($kind:ident $name:ident($words:ty), $description:literal;)+) => {
        $(
            #[doc = $description]
            #[derive(Debug)]
            pub struct $name;

            impl $name {
                /// The words themselves.
                pub fn words() -> Vec<&'static str> {
                    <$words>::ALL.iter().map(|word| word.as_str()).collect()
                }
            }

            impl ToSchema for $name {}
            word_schemas!(@schema $kind $name, $description);
        )+
    };
    (@schema closed $name:ident, $description:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::words())).description(Some($description)).into()
            }
        }
    };
    (@schema defaulted $name:ident, $description:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let first = Self::words().first().map(|word| (*word).into());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::words())).default(first).description(Some($description)).into()
            }
        }
    };
    (@schema open $name:ident, $description:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = ExtensionsBuilder::new().add("x-extensible-enum", Self::words()).build();
                ObjectBuilder::new().schema_type(Type::String).extensions(Some(words)).description(Some($description)).into()
            }
        }
    };
}

word_schemas! {
    closed PurposeName(Purpose), "What a card is checked for.";
    closed ReasonName(Reason), "How the card went missing.";
    closed ReporterName(Reporter), "Who made the report.";
    closed ChannelName(Channel), "Where the report was made.";
    open ReporterCode(Reporter), "Who made the report.";
    open ChannelCode(Channel), "Where the report was made.";
    closed ReportStateName(ReportState), "Where a report is in its life.";
    closed FoundCardStateName(FoundCardState), "Where a found card is in its life.";
    closed ApplicationStateName(ApplicationState), "Where an application is in its life.";
    closed CertificateStateName(CertificateState), "Where a certificate is in its life.";
    closed WithdrawalReasonName(WithdrawalReason), "Why a report is taken back.";
    open WithdrawalReasonCode(WithdrawalReason), "Why a report is taken back.";
    closed MisuseKindName(MisuseKind), "What was done with the card.";
    closed MisuseOutcomeName(MisuseOutcome), "What a registrar found.";
    open MisuseKindCode(MisuseKind), "What was done with the card.";
    open MisuseStateCode(MisuseState), "Whether a registrar has resolved the report.";
    open MisuseOutcomeCode(MisuseOutcome), "What a registrar found: it was so; it was not; another authority continues with it.";
    open AdviceCode(Advice), "What to do: `proceed`; `refuse_and_report` (do not serve on this card, do not keep it, file a misuse report); `confirm_card` (read the card's start date and check again, or establish identity another way). The way out for a holder whose card is turned down: a temporary identification certificate from the police, verified by `POST /v1/temporary-certificates/verify`.";
    closed CertificatePurposeName(CertificatePurpose), "What a temporary identification certificate is issued for.";
    closed PresentedForName(PresentedFor), "What a certificate is shown for. `lodging` is served by certificates for lodging, `air` and `rail` by their own, `transport` by both; the others by none.";
    open CertificatePurposeCode(CertificatePurpose), "What the certificate was issued for.";
    open CertificateStatusCode(CertificateStatus), "What the verification found: the first of `another_person`, `revoked`, `expired`, `not_yet_valid`, `another_purpose` that holds, else `valid`. Accept `valid` and nothing else.";
    open CertificateStateCode(CertificateState), "Where the certificate is in its life.";
    open ListingKindCode(ListingKind), "Why the number is listed: a card of it was reported, or was superseded by a newer one.";
    open AlertKindCode(AlertKind), "What the check would answer now: `card_listed` (exactly this card) or `number_listed` (the number, and perhaps this card). `check_again`: it was answered by a record that was wrong and has been corrected or taken back; check the card again.";
    open ReportStateCode(ReportState), "Where the report is in its life.";
    open ReasonCode(Reason), "How the card went missing.";
    closed HolderVerificationName(HolderVerification), "How the holder's identity was established.";
    open HolderVerificationCode(HolderVerification), "How the holder's identity was established.";
    open FoundCardStateCode(FoundCardState), "Where the found card is in its life.";
    open OrganizationKindCode(OrganizationKind), "What an organization is to the service.";
    closed OrganizationKindName(OrganizationKind), "What an organization is to the service. Operators are made at the command line.";
    closed ScopeName(Scope), "What a client may do.";
    closed BoundName(Bound), "What the tokens of a client are bound to.";
    open BoundCode(Bound), "What the tokens of a client are bound to: `none`, its certificate (RFC 8705), its key (RFC 9449).";
    closed DigestsName(Digests), "Whether a client may send digests.";
    defaulted NewDigestsName(Digests), "Whether a new client may send digests; `taken` if absent.";
    open DigestsCode(Digests), "Whether the client may send digests, which hide where a number belongs.";
    open HeldForCode(HeldFor), "Why the client is held.";
    open PairingStateCode(PairingState), "Where the pairing is in its life: `waiting` for a page with its code, `expired`, `paired`, `locked` (its PIN was missed too often), `ended`.";
    closed LifeStateName(LifeState), "`suspended`: not let in for now; `ended`: never again.";
    open LifeStateCode(LifeState), "Whether it is let in: `active`, `suspended` (not now), `ended` (never again).";
    open WaitingActCode(WaitingAct), "What was asked for.";
    open RoleCode(Role), "What the person may do: `viewer` (look), `operator` (make and change), `security` (approve); each has those before it.";
    open PurposeCode(Purpose), "What a card was checked for.";
    open ScopeCode(Scope), "What a client may do.";
    defaulted GroupingName(Grouping), "By what counts are summed; by day where it is absent.";
    open GroupingCode(Grouping), "By what counts are summed.";
    closed ApplicationReasonName(ApplicationReason), "Why a new card is needed.";
    open ApplicationReasonCode(ApplicationReason), "Why a new card is needed.";
    open ApplicationStateCode(ApplicationState), "Where the application is in its life; all but `accepted` are final.";
    open TemporaryCardStateCode(TemporaryCardState), "Where the temporary card is: `lost` once a loss report names its start of validity.";
    open GroundCode(Ground), "Why an application is taken (`household_place`; a rule of off-site acceptance: `pilot_pair`, `within_province`, `listed_place`, `nationwide`) or not (`not_yet`: no rule was in force; `appearance_changed`, `document_fraud`: only at the place of household registration, at any date).";
}

/// The verdict: the one closed list among the answers.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictName {
    /// Nobody reported the card; never "valid".
    NotListed,
    /// This very card is listed.
    CardListed,
    /// An older card of the number is listed, not this one.
    OtherCardListed,
    /// The number is listed and the card is not known exactly.
    NumberListed,
}
