//! The rules of the field, and nothing else: identity numbers, cards, loss reports, verdicts,
//! clients.
//!
//! Invariant: no I/O, no async, no clock, no serialization but of the texts in `redacted` and of ids, sequences and instants.
//! Whatever depends on the day takes `today` as an argument, and every type that holds untrusted text is made by its `parse` and by
//! nothing else.

/// A closed list of words that travel as text: declared once, so that `parse`, `as_str` and `ALL`
/// cannot disagree.
macro_rules! words {
    ($(#[$of_list:meta])* $name:ident { $($(#[$of_word:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$of_list])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$of_word])* $variant),+ }

        impl $name {
            /// Every word, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as in the contract and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Exact match only: no folding of case, no trimming.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

// First: its macros are for the modules after it.
#[macro_use]
pub mod ids;

pub mod acceptance;
pub mod alert;
pub mod application;
pub mod audit;
pub mod authority;
pub mod card;
pub mod certificate;
pub mod client;
pub mod found_card;
pub mod id_number;
pub mod instant;
pub mod label;
pub mod misuse;
pub mod notice;
pub mod numbers;
pub mod office;
pub mod pairing;
pub mod person;
pub mod redacted;
pub mod registry_log;
pub mod report;
pub mod retention;
pub mod sandbox;
pub mod sequence;
pub mod sighting;
pub mod undoing;
pub mod usage;
pub mod verdict;

#[cfg(test)]
mod tests {
    use super::found_card::{FoundCardState, HolderVerification};
    use super::report::{Channel, Reason, ReportState, Reporter, WithdrawalReason};
    use super::{
        acceptance, alert, application, certificate, client, misuse, pairing, person, retention, sandbox, usage,
        verdict,
    };

    macro_rules! assert_words {
        ($($list:ty = $words:expr),+ $(,)?) => {$(
            let words: Vec<_> = <$list>::ALL.iter().map(|word| word.as_str()).collect();
            assert_eq!(words, $words);
            for &word in <$list>::ALL {
                assert_eq!(<$list>::parse(word.as_str()), Some(word));
                assert_eq!(<$list>::parse(&word.as_str().to_uppercase()), None);
                assert_eq!(<$list>::parse(&format!(" {}", word.as_str())), None);
            }
            assert_eq!(<$list>::parse(""), None);
        )+};
    }

    #[test]
    fn words_are_those_of_the_contract_and_nothing_else() {
        assert_words!(
            Reason = ["lost", "stolen"],
            Reporter = ["holder", "guardian", "agent"],
            Channel = ["station", "hall", "online"],
            WithdrawalReason = ["found", "mistaken"],
            ReportState = ["active", "withdrawn", "replaced"],
            FoundCardState = ["held", "returned", "destroyed", "transferred"],
            HolderVerification = ["fingerprint", "face", "document"],
            verdict::Verdict = ["not_listed", "card_listed", "other_card_listed", "number_listed"],
            verdict::Advice = ["proceed", "refuse_and_report", "confirm_card"],
            verdict::ListingKind = ["reported", "superseded"],
            verdict::Purpose = ["lodging", "banking", "transport", "telecom", "other"],
            misuse::MisuseKind = ["impersonation", "altered_card", "forged_card", "refused_to_show"],
            misuse::MisuseState = ["open", "resolved"],
            misuse::MisuseOutcome = ["confirmed", "unfounded", "handed_over"],
            acceptance::Ground = [
                "household_place",
                "pilot_pair",
                "within_province",
                "listed_place",
                "nationwide",
                "not_yet",
                "appearance_changed",
                "document_fraud"
            ],
            application::ApplicationReason = ["lost", "expired", "damaged"],
            application::ApplicationState = ["accepted", "refused", "issued", "cancelled"],
            application::TemporaryCardState = ["outstanding", "returned", "lost"],
            alert::AlertKind = ["card_listed", "number_listed", "check_again"],
            client::OrganizationKind = ["certifying", "registrar", "portal", "auditor", "operator"],
            client::Bound = ["none", "mtls", "dpop"],
            pairing::PairingState = ["waiting", "expired", "paired", "locked", "ended"],
            person::Role = ["viewer", "operator", "security"],
            client::Scope = ["checks", "registry", "citizen", "audit", "admin", "blind"],
            retention::Class = [
                "listings",
                "withdrawn_reports",
                "import_rows",
                "sightings",
                "found_cards",
                "applications",
                "misuse_reports",
                "certificates",
                "watches",
                "alerts",
                "idempotency_keys",
                "revoked_tokens",
                "usage"
            ],
            usage::Outcome = [
                "not_listed",
                "card_listed",
                "other_card_listed",
                "number_listed",
                "invalid",
                "limited",
                "unavailable",
                "batches",
                "receipts_verified",
                "loss_reports",
                "misuse_reports"
            ],
            usage::Grouping = ["day", "site"],
            sandbox::Environment = ["production", "sandbox"],
            certificate::CertificatePurpose = ["air", "rail", "lodging"],
            certificate::PresentedFor = ["lodging", "banking", "transport", "telecom", "other", "air", "rail"],
            certificate::CertificateStatus =
                ["valid", "another_person", "revoked", "expired", "not_yet_valid", "another_purpose"],
            certificate::CertificateState = ["active", "revoked", "expired"],
        );
    }
}
