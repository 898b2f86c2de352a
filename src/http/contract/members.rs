//! What the document says of members beside their types: a description for each that its own object does not describe, the
//! values that absent ones have, and the longest texts that are ever taken. By name, since a name means one thing everywhere.

use serde_json::{Value, json};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{Array, Deprecated, Object, RefOr, Schema};

/// Described differently in one object than elsewhere.
const OF_OBJECTS: &[(&str, &str, &str)] = &[
    ("CertificateAnswer", "issued_at", "When the certificate was issued."),
    ("FoundCardAnswer", "card_valid_from", "The start of validity printed on the card; absent where nobody read it."),
    ("Health", "status", "A word for people; programs go by the HTTP status."),
    ("LossReportAnswer", "card_valid_from", "The start of validity of the lost card; absent where it is not known."),
    ("MisuseReportAnswer", "check_id", "The check at which it was noticed."),
    ("MisuseReportAnswer", "observed_at", "When it was noticed."),
    ("ProblemWords", "title", "What is wrong, in a few words."),
    ("ReplacementAnswer", "card_valid_from", "The start of validity of the new card."),
    ("ReplacementAnswer", "registry_sequence", "The change with which the older cards are listed."),
    ("TemporaryCardAnswer", "card_valid_from", "Its first day."),
    ("TemporaryCardAnswer", "card_valid_until", "Its last day."),
    ("VerificationAnswer", "as_of", "The registry was known up to this instant when the check was answered."),
    ("VerificationAnswer", "check_id", "The check that the receipt is of."),
    ("VerificationAnswer", "registry_sequence", "The registry's sequence at `as_of`."),
];

/// The others.
const EVERYWHERE: &[(&str, &str)] = &[
    ("alert_id", "Names the alert; the same in its webhook and in `GET /v1/alerts`."),
    ("alg", "The algorithm of its signatures (RFC 7518, 3.1; RFC 8037, 3.1)."),
    ("application_id", "Names the application."),
    ("applied_at", "When the application was taken."),
    ("applied_at_office", "The office that took the application."),
    ("at", "The instant of the figures."),
    ("card_listed", "Checks that were answered `card_listed`."),
    ("certificate_id", "Names the certificate."),
    ("certificates", "Temporary identification certificates of this number."),
    ("check_bounds_seconds", "The upper bounds of the samples' buckets."),
    ("checked_at", "When the check was answered."),
    ("client_id", "The client's id, as the operator gave it out."),
    ("client_secret", "The client's secret, where it is not sent by `Authorization: Basic` and no assertion is sent."),
    ("count", "How many."),
    ("created_at", "When the organization was registered."),
    ("crv", "The curve of the key (RFC 8037, 2)."),
    ("error", "Why no token was given, as one of the words of RFC 6749 (5.2)."),
    ("error_description", "The same as a sentence, for the log of a client."),
    ("expires_at", "From this instant on it is no longer valid."),
    ("fingerprint_on_file", "Whether a fingerprint of the holder is on file."),
    ("found_at_region", "Where it was found: six digits of GB/T 2260."),
    ("found_card_id", "Names the found card."),
    ("found_cards", "Cards of this number that were handed in."),
    ("found_on", "The day on which the card was found."),
    ("grant_types_supported", "How tokens are got (RFC 8414, 2)."),
    ("happened", "What came of the request."),
    ("household_office", "The office of the place of household registration."),
    ("id_digest", "SHA-256 of `lostcard:v1:` and the number, 64 hexadecimal characters. As sensitive as the number."),
    ("id_number", "The 18 characters of GB 11643."),
    ("issued_at", "When it was issued."),
    ("journey_on", "The day of the journey, in Beijing."),
    ("jwks_uri", "Where the published keys are."),
    ("kid", "Names the key: heads of receipts, certificates and tokens say which one signed."),
    ("kty", "The type of the key (RFC 7517, 4.1)."),
    ("lost_on", "The day on which the card was lost, if known: not in the future, not before its start of validity."),
    ("matched_report_id", "The active loss report that the card belongs to; absent where there is none."),
    ("misuse_report_id", "Names the misuse report."),
    ("misuse_reports", "Misuse reports in this state, oldest first."),
    ("name", "The organization's name, as the operator registered it."),
    ("narrative", "What happened, in the words of who reported it."),
    ("node_id", "Names the node until its next start."),
    ("not_listed", "Checks that were answered `not_listed`."),
    ("number_listed", "Checks that were answered `number_listed`."),
    ("office", "The office that does this: 1 to 32 letters, digits and hyphens, without an identity number."),
    ("organization_id", "Names the organization."),
    ("other_card_listed", "Checks that were answered `other_card_listed`."),
    ("pairing_id", "Names the pairing."),
    ("per_seconds", "In so many seconds."),
    ("receipt_salt", "The `receipt_salt` of the check's answer: with the number it opens the receipt."),
    ("recorded_at", "When the replacement was recorded."),
    ("redis_configured", "Whether the operator has set up Redis."),
    ("registered_at", "When the card was registered as found."),
    ("replacement_id", "Names the replacement."),
    ("reported_at", "When the report was taken."),
    ("reports", "Loss reports of this number."),
    ("requests", "So many units."),
    ("reset_at", "When the sandbox was emptied."),
    ("resident_memory_bytes", "The memory that the process holds."),
    ("resolved_at", "When a registrar resolved it."),
    ("response_types_supported", "`none` alone: there is no authorization endpoint (RFC 8414, 2)."),
    ("revoked", "Whether it was revoked."),
    ("revoked_at", "When it was revoked; absent where it was not."),
    ("scopes_supported", "Every scope that there is."),
    ("service_documentation", "Where people read how to use the service."),
    ("sightings", "Checks that found the number listed, newest first."),
    ("site", "Which hotel or branch."),
    ("started_at", "When the node was started."),
    ("temporary_card_id", "Names the temporary card."),
    ("title", "The kind of problem, in a few words."),
    ("to_office", "The office that gets the card: 1 to 32 letters, digits and hyphens, without an identity number."),
    ("token_endpoint", "Where tokens are got."),
    ("token_endpoint_auth_methods_supported", "How clients say who they are (RFC 8414, 2)."),
    ("token_endpoint_auth_signing_alg_values_supported", "The algorithms by which clients may sign assertions."),
    ("token_type", "`Bearer` (RFC 6750); `DPoP` (RFC 9449) where the token is bound to the key of a proof."),
    ("uptime_seconds", "For how long the node has run."),
    ("use", "What the key is for (RFC 7517, 4.2): `sig`."),
    ("valid_from", "From this instant on it is valid."),
    ("valid_hours", "For how many hours it is valid."),
    ("verdict", "The verdict that the check was answered with."),
    ("version", "Of the program."),
    ("why", "Why the service refuses such requests."),
    ("x", "The public key itself, in base64url (RFC 8037, 2)."),
];

/// The most characters that a text can have: in a request nothing longer has a meaning, in an answer nothing longer is written.
const LONGEST: &[(&str, &str, usize)] = &[
    ("VerificationRequest", "receipt", 8192),
    ("VerificationRequest", "receipt_salt", 43),
    ("ReceiptAuditRequest", "receipt", 8192),
    ("ReceiptAuditRequest", "receipt_salt", 43),
    ("CheckAnswer", "receipt", 8192),
    ("CheckAnswer", "receipt_salt", 43),
    ("LossReportAnswer", "report_receipt", 8192),
    ("LossReportAnswer", "report_receipt_salt", 43),
    ("ReplacementAnswer", "report_receipt", 8192),
    ("ReplacementAnswer", "report_receipt_salt", 43),
    ("FoundCardAnswer", "report_receipt", 8192),
    ("FoundCardAnswer", "report_receipt_salt", 43),
    ("ReplacementApplicationAnswer", "report_receipt", 8192),
    ("ReplacementApplicationAnswer", "report_receipt_salt", 43),
    ("CertificateVerificationRequest", "certificate", 4096),
    ("CertificateIssuedAnswer", "certificate", 4096),
    ("CardStatusAnswer", "status", 4096),
    ("CardStatusAnswer", "status_salt", 43),
    ("AdminClientAnswer", "client_secret", 256),
    ("TokenAnswer", "access_token", 4096),
    ("TokenRequest", "grant_type", 64),
    ("TokenRequest", "scope", 256),
    ("TokenRequest", "client_id", 64),
    ("TokenRequest", "client_secret", 256),
    ("TokenRequest", "client_assertion_type", 128),
    ("TokenRequest", "client_assertion", 4096),
];

/// Tells what an object's member is, how long it can be, and what holds where it is absent.
pub fn describe(schema: &str, name: &str, member: &mut Object) {
    fill(schema, name, &mut member.description);
    if let Some((.., longest)) = LONGEST.iter().find(|(of, member, _)| *of == schema && *member == name) {
        member.max_length = Some(*longest);
    }
    member.default = member.default.take().or_else(|| if_absent(schema, name));
}

/// The value that an absent member has, where it is always the same.
fn if_absent(schema: &str, name: &str) -> Option<Value> {
    match (schema, name) {
        ("CheckRequest", "receipt") => Some(json!(true)),
        ("NewOrganizationRequest", "any_office") => Some(json!(false)),
        ("SecretRequest", "keep") => Some(json!("7d")),
        ("AccessesRequest" | "CitizenAccessesRequest" | "CitizenRecordsRequest", "limit") => Some(json!(100)),
        _ => None,
    }
}

/// Tells what an object's member is that is a list.
pub fn describe_list(schema: &str, name: &str, member: &mut Array) {
    fill(schema, name, &mut member.description);
}

fn fill(schema: &str, name: &str, description: &mut Option<String>) {
    if description.as_deref().is_none_or(str::is_empty) {
        let own = OF_OBJECTS.iter().find(|(of, member, _)| *of == schema && *member == name).map(|(.., words)| words);
        let shared = || EVERYWHERE.iter().find(|(member, _)| *member == name).map(|(_, words)| words);
        *description = own.or_else(shared).map(|words| (*words).to_owned());
    }
}

/// Parameters of requests that are taken for the sake of old clients alone.
const DEPRECATED: &[(&str, &str)] = &[("listAlerts", "after")];

/// Tells which value an absent parameter has, and whether it should be absent.
pub fn set_default(operation_id: &str, parameter: &mut Parameter) {
    if DEPRECATED.contains(&(operation_id, &parameter.name)) {
        parameter.deprecated = Some(Deprecated::True);
    }
    let default = match (operation_id, parameter.name.as_str()) {
        ("listAlerts", "after") => json!(0),
        (
            "listAlerts"
            | "listMisuseReports"
            | "listLossReports"
            | "listReplacements"
            | "listFoundCards"
            | "listReplacementApplications"
            | "listTemporaryCertificates"
            | "listOrganizations"
            | "listClients"
            | "listPairings"
            | "listOffices"
            | "listPersons"
            | "listAdminRequests"
            | "readAuditExport",
            "limit",
        ) => json!(100),
        ("listSightings", "limit") => json!(1000),
        ("listMisuseReports", "state") => json!("open"),
        _ => return,
    };
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
        object.default = Some(default);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::http::routes::document;

    /// Members without a description, in what they refer to neither.
    fn bare(document: &Value) -> Vec<String> {
        let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
        let members = schemas.flat_map(|(of, schema)| {
            schema["properties"].as_object().into_iter().flatten().map(move |(name, member)| (of, name, member))
        });
        let is_bare = |member: &Value| {
            let told = match member["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')),
                None => Some(member),
            };
            told.and_then(|told| told["description"].as_str()).is_none_or(str::is_empty)
        };
        members.filter(|(.., member)| is_bare(member)).map(|(of, name, _)| format!("{of}.{name}")).collect()
    }

    #[test]
    fn every_member_is_described() {
        let mut document = serde_json::to_value(document()).unwrap();
        assert_eq!(bare(&document), Vec::<String>::new());
        document["components"]["schemas"]["CheckRequest"]["properties"]["receipt"]["description"] = "".into();
        assert_eq!(bare(&document), ["CheckRequest.receipt"], "the test can fail");
    }

    #[test]
    fn every_rule_is_about_a_member_that_is_there() {
        let document = serde_json::to_value(document()).unwrap();
        let member = |of: &str, name: &str| document["components"]["schemas"][of]["properties"][name].clone();
        for (of, name, longest) in super::LONGEST {
            assert_eq!(member(of, name)["maxLength"], *longest, "{of}.{name}");
        }
        for (of, name, words) in super::OF_OBJECTS {
            assert_eq!(member(of, name)["description"], *words, "{of}.{name}");
        }
        for (name, words) in super::EVERYWHERE {
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let says = |schema: &Value| schema["properties"][*name]["description"] == *words;
            assert!(schemas.values().any(says), "no object needs the words for {name}");
        }
    }

    #[test]
    fn absent_members_have_the_values_that_the_document_names() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["components"]["schemas"]["CheckRequest"]["properties"]["receipt"]["default"], true);
        assert_eq!(document["components"]["schemas"]["GroupingName"]["default"], "day");
        let default = |path: &str, name: &str| {
            let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            parameters.iter().find(|one| one["name"] == name).unwrap()["schema"]["default"].clone()
        };
        assert_eq!(default("/v1/alerts", "after"), 0);
        assert_eq!(default("/v1/alerts", "limit"), 100);
        assert_eq!(default("/v1/misuse-reports", "state"), "open");
        assert_eq!(default("/v1/loss-reports", "limit"), 100);
        let schemas = &document["components"]["schemas"];
        for (of, name, value) in [
            ("SecretRequest", "keep", Value::from("7d")),
            ("NewOrganizationRequest", "any_office", false.into()),
            ("AccessesRequest", "limit", 100.into()),
        ] {
            assert_eq!(schemas[of]["properties"][name]["default"], value, "{of}.{name}");
        }
        assert_eq!(schemas["NewDigestsName"]["default"], "taken");
    }

    /// The word before "if absent", where it is a value and no description of one.
    fn told_default(description: &str) -> Option<String> {
        // A phrase of its own: `day` and not "thirty days with `to`".
        let word = description.split_once(" if absent")?.0.rsplit_once("; ")?.1;
        let word = Some(word).filter(|word| !word.contains(' '))?;
        let quoted = word.strip_prefix('`').and_then(|word| word.strip_suffix('`'));
        let number = || word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.replace(',', ""));
        quoted.map(str::to_owned).or_else(number).or_else(|| ["true", "false"].contains(&word).then(|| word.to_owned()))
    }

    /// Members and parameters whose description tells a value that the schema does not have as its default.
    fn defaults_that_differ(document: &Value) -> Vec<String> {
        let mut all = Vec::new();
        for (of, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                all.push((format!("{of}.{name}"), member["description"].clone(), member.clone()));
            }
        }
        let operations = document["paths"].as_object().into_iter().flatten().filter_map(|(_, path)| path.as_object());
        for operation in operations.flatten().map(|(_, operation)| operation) {
            for one in operation["parameters"].as_array().into_iter().flatten() {
                let name = format!("{}.{}", operation["operationId"], one["name"]);
                all.push((name, one["description"].clone(), one["schema"].clone()));
            }
        }
        let differs = |(name, description, schema): (String, Value, Value)| {
            let reference = schema["$ref"].as_str().and_then(|to| document.pointer(to.trim_start_matches('#')));
            let told = told_default(description.as_str()?)?;
            let default = &reference.unwrap_or(&schema)["default"];
            let written = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            (written != told).then_some(name)
        };
        all.into_iter().filter_map(differs).collect()
    }

    #[test]
    fn a_value_that_is_told_for_what_is_absent_is_its_default() {
        let mut document = serde_json::to_value(document()).unwrap();
        assert_eq!(defaults_that_differ(&document), Vec::<String>::new());
        let keep = &mut document["components"]["schemas"]["SecretRequest"]["properties"]["keep"];
        keep["default"] = "8d".into();
        assert_eq!(defaults_that_differ(&document), ["SecretRequest.keep"], "the test can fail");
    }
}
