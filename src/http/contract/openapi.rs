//! The OpenAPI document around the route table: title, security, tags, the one shape of refusals. Exported in two versions that
//! differ in the version and in what 3.0 cannot say (`files`): the shapes avoid what the two write differently.

use std::collections::BTreeMap;

use actix_web::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, SchemaFormat};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{IntoResponses, Modify, OpenApi, ToResponse};

use super::problem::{FieldError, ProblemBody};
use super::route::{Route, Table};
use super::{examples, members, refusals, roles, webhooks};

/// A refusal of any kind: RFC 9457.
#[derive(Debug)]
pub struct Refused;

impl<'r> ToResponse<'r> for Refused {
    fn response() -> (&'r str, RefOr<Response>) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(
                "Refused: a problem document (RFC 9457). `code` says why; 429 and 503 carry `Retry-After` in seconds.",
            )
            .header("X-Request-Id", HeaderBuilder::new().description(Some("Quote it to the operator.")).build())
            .content("application/problem+json", content)
            .build();
        ("Refused", response.into())
    }
}

/// How every limited operation can be refused.
#[derive(Debug)]
pub struct CallRefusals;

impl IntoResponses for CallRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[400, 401, 403, 429, 503])
    }
}

/// How an operation with a JSON body can be refused beside that.
#[derive(Debug)]
pub struct BodyRefusals;

impl IntoResponses for BodyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refused(&[413, 415, 422])
    }
}

fn refused(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    statuses.iter().map(|status| (status.to_string(), Ref::from_response_name("Refused").into())).collect()
}

/// What holds for every operation, so that none repeats it.
const DESCRIPTION: &str = "\
Has the card in front of me been reported lost, stolen or replaced? `not_listed` never means \"valid\": it only says that nobody reported the card.

**Tokens.** `POST /oauth2/token` gives a token for ten minutes; send it as `Authorization: Bearer`. Each operation names its scope. A token that is \
bound to a certificate (RFC 8705) works on connections that show it. One that is bound to a key (RFC 9449) is sent as `Authorization: DPoP` with a new \
proof in `DPoP`, which costs one unit more; the answer offers a nonce in `DPoP-Nonce`. Anything else is 401.

**Limits.** Every answer to a limited call carries `RateLimit-Policy` and `RateLimit`; 429 and 503 carry `Retry-After`. Wait for it, then repeat.

**Repetition.** You may repeat checks and reads freely. Writes that take an `Idempotency-Key` are stored once, however often you send exactly the same \
request with the same key: use it whenever an answer is lost or is 503 `outcome_unknown`.

**Refusals** are problem documents (RFC 9457), except at the token endpoint, whose own are RFC 6749's. Programs decide by `code`. Besides what the \
operations list, any path may answer 405 (with `Allow`) and 417, and an unknown path 404.

**Form.** Members without a value are absent, never null; unknown members of a request are refused. Ignore unknown members of an answer. \
Lists with `x-extensible-enum` may grow: take a word that you do not know for the most careful one. Dates are days in Beijing, instants UTC. \
A number, a digest or a token is never in a URL.";

/// What a member of a request holds, in every body: pattern, fewest and most characters. Numbers have a format instead,
/// since no pattern tells their check character; nor does one tell that a label holds none.
const TEXTS: &[(&[&str], &str, usize, usize)] = &[
    (&["office", "to_office", "applied_at_office", "household_office"], "^[A-Za-z0-9-]+$", 1, 32),
    (&["site", "client_ref"], "^[A-Za-z0-9._:-]+$", 1, 64),
    (&["id_digest"], "^[0-9A-Fa-f]{64}$", 64, 64),
    (&["phone"], "^\\+?([ -]*[0-9]){5}[0-9 -]*$", 5, 24),
    (&["household_region", "applying_region", "found_at_region"], "^[0-9]{6}$", 6, 6),
];

/// Describes the texts of a request that one rule holds for.
fn describe_text(name: &str, text: &mut Object) {
    if name == "id_number" {
        text.format = Some(SchemaFormat::Custom("id-number".to_owned()));
    }
    if let Some((_, pattern, shortest, longest)) = TEXTS.iter().find(|(names, ..)| names.contains(&name)) {
        text.pattern = Some((*pattern).to_owned());
        (text.min_length, text.max_length) = (Some(*shortest), Some(*longest));
    }
    if matches!(name, "note" | "narrative") {
        text.min_length = Some(1);
    }
}

/// The library knows a list of schemes without `DPoP` (RFC 9449, 7.1): `text` writes its name in this one's place.
const STANDS_FOR_DPOP: HttpAuthScheme = HttpAuthScheme::Vapid;
/// Ways to use a token that not every generator knows.
const BESIDE_BEARER: [&str; 2] = ["dpop", "mtls"];
const DPOP: &str = "A token that is bound to a key (RFC 9449), with a new proof in the header `DPoP`.";
const MTLS: &str = "The certificate that a token is bound to (RFC 8705), beside the token.";

/// What every operation shares.
#[derive(Debug, OpenApi)]
#[openapi(
    servers((url = "/", description = "This server.")),
    info(
        title = "lostcard",
        description = DESCRIPTION,
        contact(name = "The operator of this service"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(
        schemas(
            ProblemBody<'static>,
            FieldError,
            super::schema::GroupingName,
            super::schema::ReportStateName,
            super::schema::FoundCardStateName,
            super::schema::ApplicationStateName,
            super::schema::CertificateStateName
        ),
        responses(Refused)
    ),
    modifiers(&Shared),
    tags(
        (name = "checks", description = "For organizations that must check cards."),
        (name = "blind", description = "For organizations that check without telling whom."),
        (name = "receipts", description = "For those who must prove, or audit, that a card was checked."),
        (name = "registry", description = "For police stations and registration halls."),
        (name = "citizen", description = "For portals that authenticated the person."),
        (name = "acceptance", description = "For anybody who wants to know where a person can apply for a card. No token."),
        (name = "certificates", description = "For travellers without a card: for those who issue temporary identification certificates, and those who verify one."),
        (name = "usage", description = "For every organization: what the service knows and counts of it."),
        (name = "devices", description = "For the pages of desks and stations: how one becomes a device."),
        (name = "access", description = "Tokens and keys."),
        (name = "sandbox", description = "For integrators' tests. Only in a sandbox."),
        (name = "administration", description = "For those who run the service: organizations, their clients, and what waits for a second operator."),
        (name = "operations", description = "For those who run the service."),
    )
)]
pub struct Base;

struct Shared;

impl Modify for Shared {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token from POST /oauth2/token. Scopes: checks, blind, registry, citizen, audit, admin; each operation names its own."))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let scheme = HttpBuilder::new().scheme(STANDS_FOR_DPOP).description(Some(DPOP)).build();
        components.add_security_scheme("dpop", SecurityScheme::Http(scheme));
        let description = Some(MTLS.to_owned());
        let scheme = SecurityScheme::MutualTls { description, deprecated: None, extensions: None };
        components.add_security_scheme("mtls", scheme);
        // `identifier` is 3.1 only: the twin for 3.0 must differ in the version alone.
        if let Some(license) = openapi.info.license.as_mut() {
            license.identifier = None;
            license.url = Some("https://www.apache.org/licenses/LICENSE-2.0".to_owned());
        }
    }
}

/// The document as files and `/openapi.json` give it.
pub fn document(operations: utoipa::openapi::OpenApi, routes: Table) -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    document.merge(operations);
    document.webhooks = Some(webhooks::sent());
    let components = document.components.get_or_insert_default();
    for (path, item) in &mut document.paths.paths {
        let of_path = [(Method::GET, &mut item.get), (Method::POST, &mut item.post), (Method::PATCH, &mut item.patch)];
        for (method, operation) in of_path {
            let Some(operation) = operation else { continue };
            let route = routes.find(&method, path);
            complete(route, operation);
            refusals::detail(operation, components);
            examples::illustrate(operation, &components.schemas);
            let id = operation.operation_id.clone().unwrap_or_default();
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    members::set_default(&id, parameter);
                }
            }
            if let Some(deprecation) = route.and_then(|route| route.deprecation) {
                deprecation.describe(operation);
            }
        }
    }
    // Each status has its own by now.
    components.responses.remove("Refused");
    for (of, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        let is_request = matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)));
        for (name, member) in &mut object.properties {
            if let RefOr::T(Schema::Object(text)) = member
                && is_request
            {
                describe_text(name, text);
            }
            match member {
                RefOr::T(Schema::Object(member)) => members::describe(of, name, member),
                RefOr::T(Schema::Array(member)) => members::describe_list(of, name, member),
                _ => {}
            }
            // In 3.0 nothing may be next to a `$ref`: what it refers to describes itself.
            if let RefOr::Ref(reference) = member {
                reference.description.clear();
            }
        }
    }
    document
}

/// Adds what holds for every operation: that a public one needs no token, and how `boundary` and the reading of bodies refuse.
fn complete(route: Option<&Route>, operation: &mut Operation) {
    let security = operation.security.get_or_insert_default();
    if !security.is_empty() {
        let none: [&str; 0] = [];
        security.push(SecurityRequirement::new("dpop", none));
        security.push(SecurityRequirement::new("bearer", none).add("mtls", none));
    }
    let mut statuses = vec![400, 414, 500];
    if !route.is_some_and(|route| route.is_probe) {
        statuses.push(421);
    }
    if operation.request_body.is_some() {
        statuses.push(408);
    }
    for (status, response) in refused(&statuses) {
        operation.responses.responses.entry(status).or_insert(response);
    }
}

/// A document's text: what `/openapi.json` and the file say.
pub fn text(document: &utoipa::openapi::OpenApi) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(document)? + "\n";
    Ok(text.replacen("\"scheme\": \"vapid\"", "\"scheme\": \"dpop\"", 1))
}

/// The document of 3.0 is for generators: `mutualTLS` came with 3.1, and some make clients that fail at a scheme that they do not
/// know, as `DPoP` is.
fn with_bearer_alone(document: &utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut document = document.clone();
    if let Some(components) = &mut document.components {
        components.security_schemes.retain(|name, _| !BESIDE_BEARER.contains(&name.as_str()));
    }
    let is_beside = |one: &SecurityRequirement| {
        serde_json::to_value(one).is_ok_and(|one| BESIDE_BEARER.iter().any(|name| one.get(name).is_some()))
    };
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.patch].into_iter().flatten() {
            operation.security.iter_mut().for_each(|all| all.retain(|one| !is_beside(one)));
        }
    }
    document
}

/// Both versions' texts: file name and content. In 3.0 webhooks are an extension, and tokens go as bearer alone.
pub fn files(document: &utoipa::openapi::OpenApi) -> Result<[(&'static str, String); 2], serde_json::Error> {
    let (text, older) = (text(document)?, text(&with_bearer_alone(document))?);
    let older = older.replacen("\"openapi\": \"3.1.0\"", "\"openapi\": \"3.0.3\"", 1);
    let older = older.replacen("\n  \"webhooks\": {", "\n  \"x-webhooks\": {", 1);
    Ok([("lostcard.json", text), ("lostcard-3.0.json", older)])
}

/// The whole document's files and those of each role.
pub fn all_files(
    document: &utoipa::openapi::OpenApi,
    routes: Table,
) -> Result<Vec<(&'static str, String)>, serde_json::Error> {
    let mut all = Vec::from(files(document)?);
    for role in roles::ROLES {
        all.push((role.file, text(&role.part_of(document, routes))?));
    }
    Ok(all)
}
