//! What the store keeps of persons and organizations, each table described once: rotation of the pepper, retention, erasure, the
//! reset of a sandbox, a citizen's records and the subjects of the audit log follow from here. `tests/store/aggregates.rs` reads
//! the schema and fails on a column that says something of a person and is not described.

use super::aggregate::{Aggregate, CitizenList, Compared, Expiry, Number, Reference, Shown, WhenGone};
use super::report_rows::{in_force, told_columns};
use crate::domain::audit::Action;
use crate::domain::retention::Class;

/// A table that holds nothing of what may be.
const PLAIN: Aggregate = Aggregate {
    table: "",
    id: "",
    number: Number::None,
    is_listing: false,
    sealed_texts: &[],
    references: &[],
    expiries: &[],
    is_owned: true,
    is_reset: false,
    citizen: None,
    actions: &[],
    personal: &[],
};

const fn at(class: Class, due: &'static str, order: &'static str) -> Expiry {
    Expiry { class, due, order, compared: Compared::Instant, is_listing: false }
}

pub static LOSS_REPORTS: Aggregate = Aggregate {
    table: "loss_reports",
    id: "report_id",
    number: Number::Rekeyed,
    is_listing: true,
    sealed_texts: &["contact"],
    expiries: &[
        Expiry {
            compared: Compared::Today,
            is_listing: true,
            ..at(
                Class::Listings,
                concat!(
                    in_force!(),
                    " AND card_valid_until IS NOT NULL \
                      AND substr(card_valid_until, 1, 7) <= substr($1, 1, 7) AND card_valid_until < $1"
                ),
                "substr(card_valid_until, 1, 7)",
            )
        },
        Expiry {
            is_listing: true,
            ..at(
                Class::Listings,
                concat!(
                    in_force!(),
                    " AND card_valid_until IS NULL \
                      AND reported_at / 2592000000 <= $1 / 2592000000 AND reported_at <= $1"
                ),
                "reported_at / 2592000000",
            )
        },
        at(Class::WithdrawnReports, "state = 'withdrawn' AND closed_at <= $1", "closed_at"),
    ],
    is_reset: true,
    citizen: Some(Shown { list: CitizenList::Reports, columns: told_columns!(), newest: "reported_at" }),
    actions: &[
        Action::ReportFiled,
        Action::ReportRead,
        Action::ReportWithdrawn,
        Action::WithdrawalRequested,
        Action::WithdrawalConfirmed,
        Action::ReportFilingUndone,
        Action::ReportWithdrawalUndone,
        Action::WithdrawalRequestUndone,
        Action::SightingsRead,
    ],
    personal: &["card_valid_from", "card_valid_until", "reason", "lost_on", "reporter", "withdrawal_reason"],
    ..PLAIN
};
pub static PENDING_WITHDRAWALS: Aggregate = Aggregate {
    table: "pending_withdrawals",
    id: "report_id",
    references: &[
        Reference { column: "report_id", of: &["loss_reports"], when_gone: WhenGone::Delete },
        Reference { column: "found_card_id", of: &["found_cards"], when_gone: WhenGone::Delete },
    ],
    is_reset: true,
    personal: &["card_valid_from", "holder_verified_by", "reason"],
    ..PLAIN
};
pub static REPLACEMENTS: Aggregate = Aggregate {
    table: "replacements",
    id: "replacement_id",
    number: Number::Rekeyed,
    is_listing: true,
    expiries: &[Expiry {
        compared: Compared::InstantAndDay,
        is_listing: true,
        ..at(Class::Listings, "recorded_at <= $1 AND card_valid_from <= $2", "recorded_at")
    }],
    is_reset: true,
    actions: &[Action::ReplacementRecorded, Action::ReplacementCorrected, Action::ReplacementCorrectionUndone],
    personal: &["card_valid_from"],
    ..PLAIN
};
/// They list nothing any more.
pub static TAKEN_BACK_REPLACEMENTS: Aggregate = Aggregate {
    table: "taken_back_replacements",
    id: "replacement_id",
    number: Number::Rekeyed,
    expiries: &[at(Class::WithdrawnReports, "taken_back_at <= $1", "taken_back_at")],
    is_reset: true,
    actions: &[Action::ReplacementUndone],
    personal: &["card_valid_from"],
    ..PLAIN
};
pub static FOUND_CARDS: Aggregate = Aggregate {
    table: "found_cards",
    id: "found_card_id",
    number: Number::Rekeyed,
    sealed_texts: &["contact"],
    references: &[Reference { column: "matched_report_id", of: &["loss_reports"], when_gone: WhenGone::Forget }],
    expiries: &[at(Class::FoundCards, "closed_at <= $1", "closed_at")],
    is_reset: true,
    citizen: Some(Shown {
        list: CitizenList::FoundCards,
        columns: "found_card_id, state, office, found_on, registered_at",
        newest: "registered_at",
    }),
    actions: &[
        Action::FoundCardRegistered,
        Action::FoundCardRead,
        Action::FoundCardReturned,
        Action::FoundCardDestroyed,
        Action::FoundCardTransferred,
        Action::FoundCardReturnUndone,
    ],
    personal: &["card_valid_from", "found_on", "found_at_region", "holder_verified_by"],
    ..PLAIN
};
pub static APPLICATIONS: Aggregate = Aggregate {
    table: "replacement_applications",
    id: "application_id",
    number: Number::Rekeyed,
    expiries: &[
        at(Class::Applications, "closed_at <= $1", "closed_at"),
        // Refused at once, it was never open.
        at(Class::Applications, "state = 'refused' AND closed_at IS NULL AND applied_at <= $1", "applied_at"),
    ],
    is_reset: true,
    actions: &[
        Action::ApplicationMade,
        Action::ApplicationRead,
        Action::ApplicationIssued,
        Action::ApplicationCancelled,
        Action::ApplicationUndone,
    ],
    personal: &["ground", "reason", "household_office", "replacement_id"],
    ..PLAIN
};
pub static TEMPORARY_CARDS: Aggregate = Aggregate {
    table: "temporary_cards",
    id: "temporary_card_id",
    references: &[Reference {
        column: "application_id",
        of: &["replacement_applications"],
        when_gone: WhenGone::Delete,
    }],
    is_owned: false,
    is_reset: true,
    actions: &[Action::TemporaryCardIssued, Action::TemporaryCardReturned],
    personal: &["card_valid_from", "card_valid_until"],
    ..PLAIN
};
pub static MISUSE_REPORTS: Aggregate = Aggregate {
    table: "misuse_reports",
    id: "misuse_report_id",
    number: Number::Rekeyed,
    sealed_texts: &["narrative", "note"],
    expiries: &[at(Class::MisuseReports, "resolved_at <= $1", "resolved_at")],
    is_reset: true,
    actions: &[Action::MisuseReported, Action::MisuseReportRead, Action::MisuseResolved],
    personal: &["kind", "check_id", "observed_at", "site", "outcome"],
    ..PLAIN
};
pub static CERTIFICATES: Aggregate = Aggregate {
    table: "temporary_certificates",
    id: "certificate_id",
    number: Number::Rekeyed,
    expiries: &[at(Class::Certificates, "expires_at <= $1", "expires_at")],
    is_reset: true,
    citizen: Some(Shown {
        list: CitizenList::Certificates,
        columns: "certificate_id, purpose, issued_at, expires_at, revoked_at, office",
        newest: "issued_at",
    }),
    actions: &[
        Action::CertificateIssued,
        Action::CertificateRead,
        Action::CertificateRevoked,
        Action::CertificateUndone,
    ],
    personal: &["purpose", "journey_on"],
    ..PLAIN
};
/// A person reads sightings without their organization, so `citizen` joins them by itself.
pub static SIGHTINGS: Aggregate = Aggregate {
    table: "sightings",
    id: "listing_id, check_id",
    references: &[Reference {
        column: "listing_id",
        of: &["loss_reports", "replacements"],
        when_gone: WhenGone::Delete,
    }],
    expiries: &[at(Class::Sightings, "seen_at <= $1", "seen_at")],
    is_reset: true,
    personal: &["site", "purpose", "verdict", "seen_at"],
    ..PLAIN
};
/// What lists show of sightings: those of a client, a day and a place as one.
pub static SIGHTING_DAYS: Aggregate = Aggregate {
    table: "sighting_days",
    id: "listing_id, client_id, day, site",
    references: SIGHTINGS.references,
    expiries: &[at(Class::Sightings, "seen_at <= $1", "seen_at")],
    is_reset: true,
    personal: &["check_id", "day", "site", "purpose", "verdict", "checks", "own_checks", "first_seen_at", "seen_at"],
    ..PLAIN
};
/// By fingerprints: of the source, and of a row with its number, under a secret that no rotation of peppers changes. A row outlives its
/// report: the source lists it still, and it must not come back as a new one. Its period begins when it was stored, which the
/// report's id tells.
pub static IMPORT_ROWS: Aggregate = Aggregate {
    table: "import_rows",
    id: "source_id, row_fingerprint",
    references: &[Reference { column: "report_id", of: &["loss_reports"], when_gone: WhenGone::Outlive }],
    expiries: &[Expiry {
        compared: Compared::Id,
        ..at(
            Class::ImportRows,
            "report_id <= $1 \
             AND NOT EXISTS (SELECT 1 FROM loss_reports WHERE loss_reports.report_id = import_rows.report_id)",
            "report_id",
        )
    }],
    is_owned: false,
    is_reset: true,
    ..PLAIN
};
pub static WATCHES: Aggregate = Aggregate {
    table: "watches",
    id: "watch_id",
    number: Number::Keyed,
    expiries: &[at(Class::Watches, "ends_at <= $1", "ends_at")],
    is_reset: true,
    personal: &["card_valid_from"],
    ..PLAIN
};
pub static ALERTS: Aggregate = Aggregate {
    table: "alerts",
    id: "alert_id",
    references: &[
        Reference { column: "report_id", of: &["loss_reports"], when_gone: WhenGone::Forget },
        Reference { column: "replacement_id", of: &["replacements"], when_gone: WhenGone::Forget },
    ],
    expiries: &[at(Class::Alerts, "listed_at <= $1", "listed_at")],
    is_reset: true,
    personal: &["check_id", "kind", "listing_kind"],
    ..PLAIN
};
pub static DELIVERIES: Aggregate = Aggregate {
    table: "deliveries",
    id: "alert_id, webhook_id",
    references: &[Reference { column: "alert_id", of: &["alerts"], when_gone: WhenGone::Delete }],
    is_owned: false,
    is_reset: true,
    ..PLAIN
};
pub static NOTICES: Aggregate = Aggregate {
    table: "notices",
    id: "source_id, webhook_id",
    references: &[Reference { column: "report_id", of: &["loss_reports"], when_gone: WhenGone::Delete }],
    is_owned: false,
    is_reset: true,
    personal: &["source_id", "notice_id", "kind", "made_at"],
    ..PLAIN
};
pub static IDEMPOTENCY: Aggregate = Aggregate {
    table: "idempotency",
    id: "request_key",
    expiries: &[at(Class::IdempotencyKeys, "created_at <= $1", "created_at")],
    is_owned: false,
    personal: &["request_hash", "location", "body"],
    ..PLAIN
};
pub static REVOKED_TOKENS: Aggregate = Aggregate {
    table: "revoked_tokens",
    id: "token_hash",
    expiries: &[at(Class::RevokedTokens, "revoked_at <= $1", "revoked_at")],
    is_owned: false,
    ..PLAIN
};
pub static USAGE: Aggregate = Aggregate {
    table: "usage_counts",
    id: "organization_id, on_day, site",
    // A day is due for deletion when its end is.
    expiries: &[Expiry { compared: Compared::Day, ..at(Class::Usage, "on_day < $1", "on_day") }],
    ..PLAIN
};

/// Every table here. In this order pepper and retention go through them.
pub static ALL: [&Aggregate; 19] = [
    &LOSS_REPORTS,
    &REPLACEMENTS,
    &TAKEN_BACK_REPLACEMENTS,
    &FOUND_CARDS,
    &APPLICATIONS,
    &TEMPORARY_CARDS,
    &MISUSE_REPORTS,
    &CERTIFICATES,
    &SIGHTINGS,
    &SIGHTING_DAYS,
    &IMPORT_ROWS,
    &WATCHES,
    &ALERTS,
    &DELIVERIES,
    &NOTICES,
    &IDEMPOTENCY,
    &REVOKED_TOKENS,
    &USAGE,
    &PENDING_WITHDRAWALS,
];

/// Tables whose rows get the key of a new pepper.
pub fn rekeyed() -> impl Iterator<Item = &'static Aggregate> {
    ALL.into_iter().filter(|aggregate| aggregate.number == Number::Rekeyed)
}

/// Tables that verdicts depend on.
pub fn listings() -> impl Iterator<Item = &'static Aggregate> {
    ALL.into_iter().filter(|aggregate| aggregate.is_listing)
}

/// What a class of retention means.
pub fn expiring(class: Class) -> impl Iterator<Item = (&'static Aggregate, &'static Expiry)> {
    let of = |aggregate: &'static Aggregate| aggregate.expiries.iter().map(move |expiry| (aggregate, expiry));
    ALL.into_iter().flat_map(of).filter(move |(_, expiry)| expiry.class == class)
}

/// The table whose records an action is about; none where it is about something else, or about several at once.
pub fn subject_of(action: Action) -> Option<&'static Aggregate> {
    ALL.into_iter().find(|aggregate| aggregate.actions.contains(&action))
}

/// Where the number of a table's records is: there, or in the table whose record each belongs to, by the column that names it.
pub fn holder_of_number(of: &'static Aggregate) -> Option<(&'static Aggregate, Option<&'static str>)> {
    if of.number == Number::Rekeyed {
        return Some((of, None));
    }
    // What no act is about needs nobody's number.
    if of.actions.is_empty() {
        return None;
    }
    let belongs = of.references.iter().find(|reference| reference.when_gone == WhenGone::Delete)?;
    let &[table] = belongs.of else { return None };
    let holder = rekeyed().find(|holder| holder.table == table)?;
    Some((holder, Some(belongs.column)))
}

/// Who names the records of a table, by which column.
pub fn naming(named: &Aggregate) -> impl Iterator<Item = (&'static Aggregate, &'static Reference)> {
    let table = named.table;
    let of = |other: &'static Aggregate| other.references.iter().map(move |reference| (other, reference));
    ALL.into_iter().flat_map(of).filter(move |(_, reference)| reference.of.contains(&table))
}
