//! Words as the OpenAPI document shows them, taken from the domain's lists: closed enums in requests; in answers only the
//! verdict is closed, every other code is an open string with `x-extensible-enum`, so that a new word breaks no client.

use serde::Serialize;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::alert::AlertKind;
use crate::domain::client::Scope;
use crate::domain::report::{Channel, Reason, ReportState, Reporter, WithdrawalReason};
use crate::domain::verdict::{Advice, ListingKind, Purpose};

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
    closed WithdrawalReasonName(WithdrawalReason), "Why a report is taken back.";
    open AdviceCode(Advice), "What to do: `proceed`; `refuse_and_report` (do not serve on this card, do not keep it, file a misuse report); `confirm_card` (read the card's start date and check again, or establish identity another way).";
    open ListingKindCode(ListingKind), "Why the number is listed: a card of it was reported, or was superseded by a newer one.";
    open AlertKindCode(AlertKind), "What the check would be answered now: `card_listed` (this very card) or `number_listed` (the number, and perhaps this card).";
    open ReportStateCode(ReportState), "Where the report is in its life.";
    open ReasonCode(Reason), "How the card went missing.";
    open ScopeCode(Scope), "What a client may do.";
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
