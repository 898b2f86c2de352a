//! The route table: every fact of every route is in its row. The router and the document are made of it here; boundary, caller
//! and repetition ask the row that travels with the request ([`super::contract::route`]).

use std::future::ready;
use std::sync::LazyLock;

use actix_web::guard::fn_guard;
use actix_web::http::header::{ContentType, IfNoneMatch};
use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, middleware};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::api::{
    acceptance, accesses, admin_accesses, admin_clients, admin_credentials, admin_exports, admin_offices,
    admin_organizations, admin_pairings, admin_persons, admin_proofs, admin_requests, admin_undo, alerts, applications,
    blind, card_status, certificates, checks, citizen, console, found_cards, lists, misuse_reports, oauth, ops,
    organization, pairings, passkeys, receipt_audits, receipts, registry_log, replacements, reports, sandbox,
    sightings, status, temporary_cards, usage, withdrawals,
};
use super::contract::answers::Published;
use super::contract::openapi;
use super::contract::problem::{self, Problem};
use super::contract::reference::Reference;
use super::contract::route::{Class, Route, TEN, Table};
use super::pages::{self, desk, files, site};
use super::pipeline::exchange::Exchange;
use super::pipeline::lane::Way;
use super::pipeline::state::AppState;
use crate::domain::client::Scope;
use crate::telemetry::Metrics;

/// One row an operation: the handler, then its facts. Paths are matched in this order, literal ones first.
macro_rules! operations {
    ($($module:ident :: $handler:ident = $row:expr;)+) => {
        /// The operations' part of the OpenAPI document.
        #[derive(Debug, OpenApi)]
        #[openapi(paths($($module::$handler),+))]
        struct Operations;

        /// Every operation.
        pub static ROUTES: &[Route] = &[$($row),+];

        fn route_operations(config: &mut ServiceConfig, is_sandbox: bool) {
            let mut rows = ROUTES.iter();
            $(if let Some(row) = rows.next() && (is_sandbox || !row.is_of_sandbox) {
                config.service(resource(row, $module::$handler));
            })+
        }
    };
}

const CHECKS: &[Scope] = &[Scope::Checks];
const BLIND: &[Scope] = &[Scope::Blind];
const REGISTRY: &[Scope] = &[Scope::Registry];
const CITIZEN: &[Scope] = &[Scope::Citizen];
const ADMIN: &[Scope] = &[Scope::Admin];
const CHECKS_OR_AUDIT: &[Scope] = &[Scope::Checks, Scope::Audit];
const BLIND_OR_AUDIT: &[Scope] = &[Scope::Blind, Scope::Audit];
const CHECKS_OR_REGISTRY: &[Scope] = &[Scope::Checks, Scope::Registry];

// Paths that several rows name.
const LOSS_REPORTS: &str = "/v1/loss-reports";
const LOSS_REPORT: &str = "/v1/loss-reports/{report_id}";
const WITHDRAWAL: &str = "/v1/loss-reports/{report_id}/withdrawal";
const MISUSE_REPORTS: &str = "/v1/misuse-reports";
const MISUSE_REPORT: &str = "/v1/misuse-reports/{misuse_report_id}";
/// Where many cards are checked.
pub const CHECK_BATCH: &str = "/v1/checks/batch";
/// Where a receipt is audited.
pub const RECEIPT_AUDIT: &str = "/v1/receipts/audit";
/// Where a client gets its token.
pub const TOKEN: &str = "/oauth2/token";
const REPLACEMENTS: &str = "/v1/replacements";
const FOUND_CARDS: &str = "/v1/found-cards";
const APPLICATIONS: &str = "/v1/replacement-applications";
const CERTIFICATES: &str = "/v1/temporary-certificates";
const FOUND_CARD: &str = "/v1/found-cards/{found_card_id}";
const APPLICATION: &str = "/v1/replacement-applications/{application_id}";
const CERTIFICATE: &str = "/v1/temporary-certificates/{certificate_id}";

const ADMIN_ORGANIZATIONS: &str = "/v1/admin/organizations";
const ADMIN_ORGANIZATION: &str = "/v1/admin/organizations/{organization_id}";
const ADMIN_OFFICES: &str = "/v1/admin/offices";
const ADMIN_CLIENTS: &str = "/v1/admin/clients";
const ADMIN_CLIENT: &str = "/v1/admin/clients/{client_id}";
const ADMIN_PAIRINGS: &str = "/v1/admin/pairings";
const ADMIN_PAIRING: &str = "/v1/admin/pairings/{pairing_id}";
const ADMIN_PERSON: &str = "/v1/admin/persons/{person_id}";
const ADMIN_REQUEST: &str = "/v1/admin/requests/{request_id}";

operations! {
    checks::create = Route::post("/v1/checks").scopes(CHECKS).personal(Class::Check).verdicts();
    checks::create_batch = Route::post(CHECK_BATCH).scopes(CHECKS).personal(Class::Checks).costs_by_body().verdicts();
    blind::evaluate = Route::post("/v1/blind/evaluations").scopes(BLIND).personal(Class::Expensive).costs_by_body();
    blind::keys = Route::get("/v1/blind/keys").scopes(BLIND).personal(Class::Expensive);
    blind::base = Route::get("/v1/blind/bases/{epoch}").scopes(BLIND).personal(Class::Expensive);
    alerts::list = Route::get("/v1/alerts").scopes(CHECKS).personal(Class::Checks).query();
    receipts::verify_receipt = Route::post("/v1/receipts/verify").scopes(CHECKS_OR_AUDIT).personal(Class::Expensive)
        .costs_by_body();
    receipt_audits::audit = Route::post(RECEIPT_AUDIT).scopes(CHECKS_OR_AUDIT).personal(Class::Expensive).costs(TEN);
    reports::create = Route::post(LOSS_REPORTS).scopes(REGISTRY).personal(Class::Reports)
        .repeatable("createLossReport").creates(LOSS_REPORT);
    lists::loss_reports = Route::get(LOSS_REPORTS).scopes(REGISTRY).personal(Class::Reports).query();
    reports::search = Route::post("/v1/loss-reports/search").scopes(REGISTRY).personal(Class::Reports);
    reports::read = Route::get(LOSS_REPORT).scopes(REGISTRY).personal(Class::Reports);
    withdrawals::withdraw = Route::post(WITHDRAWAL).scopes(REGISTRY).personal(Class::Reports).waits(WITHDRAWAL);
    withdrawals::read = Route::get(WITHDRAWAL).scopes(REGISTRY).personal(Class::Reports);
    withdrawals::confirm = Route::post("/v1/loss-reports/{report_id}/withdrawal/confirmation")
        .scopes(REGISTRY).personal(Class::Reports);
    sightings::list = Route::get("/v1/loss-reports/{report_id}/sightings")
        .scopes(REGISTRY).personal(Class::Reports).query();
    replacements::create = Route::post(REPLACEMENTS).scopes(REGISTRY).personal(Class::Reports)
        .repeatable("createReplacement").creates("");
    lists::replacements = Route::get(REPLACEMENTS).scopes(REGISTRY).personal(Class::Reports).query();
    replacements::correct = Route::post("/v1/replacements/{replacement_id}/correction")
        .scopes(REGISTRY).personal(Class::Reports);
    misuse_reports::create = Route::post(MISUSE_REPORTS).scopes(CHECKS).personal(Class::Reports)
        .repeatable("createMisuseReport").creates(MISUSE_REPORT);
    misuse_reports::list = Route::get(MISUSE_REPORTS).scopes(CHECKS_OR_REGISTRY).personal(Class::Reports).query();
    misuse_reports::read = Route::get(MISUSE_REPORT).scopes(CHECKS_OR_REGISTRY).personal(Class::Reports);
    misuse_reports::resolve = Route::post("/v1/misuse-reports/{misuse_report_id}/resolution")
        .scopes(REGISTRY).personal(Class::Reports);
    found_cards::create = Route::post(FOUND_CARDS).scopes(REGISTRY).personal(Class::Reports)
        .repeatable("createFoundCard").creates(FOUND_CARD);
    lists::found_cards = Route::get(FOUND_CARDS).scopes(REGISTRY).personal(Class::Reports).query();
    found_cards::read = Route::get(FOUND_CARD).scopes(REGISTRY).personal(Class::Reports);
    found_cards::hand_back = Route::post("/v1/found-cards/{found_card_id}/return")
        .scopes(REGISTRY).personal(Class::Reports).waits(WITHDRAWAL);
    found_cards::destroy = Route::post("/v1/found-cards/{found_card_id}/destruction")
        .scopes(REGISTRY).personal(Class::Reports);
    found_cards::transfer = Route::post("/v1/found-cards/{found_card_id}/transfer").scopes(REGISTRY).personal(Class::Reports);
    citizen::records = Route::post("/v1/citizen/records").scopes(CITIZEN).personal(Class::Reports);
    accesses::list = Route::post("/v1/citizen/accesses").scopes(CITIZEN).personal(Class::Reports);
    citizen::create = Route::post("/v1/citizen/loss-reports").scopes(CITIZEN).personal(Class::Reports)
        .repeatable("createCitizenLossReport").creates(LOSS_REPORT);
    citizen::withdraw = Route::post("/v1/citizen/loss-reports/{report_id}/withdrawal")
        .scopes(CITIZEN).personal(Class::Reports);
    card_status::create = Route::post("/v1/citizen/card-status").scopes(CITIZEN).personal(Class::Checks);
    applications::create = Route::post(APPLICATIONS).scopes(REGISTRY).personal(Class::Reports)
        .repeatable("createReplacementApplication").creates(APPLICATION);
    lists::applications = Route::get(APPLICATIONS).scopes(REGISTRY).personal(Class::Reports).query();
    applications::read = Route::get(APPLICATION).scopes(REGISTRY).personal(Class::Reports);
    applications::issue = Route::post("/v1/replacement-applications/{application_id}/issue")
        .scopes(REGISTRY).personal(Class::Reports);
    applications::cancel = Route::post("/v1/replacement-applications/{application_id}/cancellation")
        .scopes(REGISTRY).personal(Class::Reports);
    temporary_cards::issue = Route::post("/v1/replacement-applications/{application_id}/temporary-card")
        .scopes(REGISTRY).personal(Class::Reports).repeatable("issueTemporaryCard").creates(APPLICATION);
    temporary_cards::take_back = Route::post("/v1/replacement-applications/{application_id}/temporary-card/return")
        .scopes(REGISTRY).personal(Class::Reports);
    acceptance::eligibility = Route::post("/v1/acceptance/eligibility").personal(Class::Checks);
    certificates::create = Route::post(CERTIFICATES).scopes(REGISTRY).personal(Class::Expensive).costs(TEN)
        .repeatable("createTemporaryCertificate").creates(CERTIFICATE);
    lists::certificates = Route::get(CERTIFICATES).scopes(REGISTRY).personal(Class::Reports).query();
    certificates::verify = Route::post("/v1/temporary-certificates/verify").scopes(CHECKS).personal(Class::Checks);
    certificates::read = Route::get(CERTIFICATE).scopes(REGISTRY).personal(Class::Reports);
    certificates::revoke = Route::post("/v1/temporary-certificates/{certificate_id}/revocation")
        .scopes(REGISTRY).personal(Class::Reports);
    usage::read = Route::get("/v1/usage").scopes(Scope::ALL).personal(Class::Checks).costs(TEN).query();
    organization::read = Route::get("/v1/organization").scopes(Scope::ALL).personal(Class::Checks);
    status::read = Route::get("/v1/status").personal_always();
    sandbox::reset = Route::post("/v1/sandbox/reset").scopes(Scope::ALL).personal(Class::Reports).costs(TEN).of_sandbox();
    oauth::token = Route::post(TOKEN).personal(Class::Reports);
    oauth::jwks = Route::get("/.well-known/jwks.json");
    oauth::metadata = Route::get("/.well-known/oauth-authorization-server");
    console::read = Route::get("/v1/console").scopes(ADMIN).personal(Class::Reports);
    console::history = Route::get("/v1/console/history").scopes(ADMIN).personal(Class::Reports);
    admin_organizations::list = Route::get(ADMIN_ORGANIZATIONS).scopes(ADMIN).personal(Class::Reports).query();
    admin_organizations::create = Route::post(ADMIN_ORGANIZATIONS).scopes(ADMIN).personal(Class::Reports)
        .repeatable("createOrganization").creates(ADMIN_ORGANIZATION).waits(ADMIN_REQUEST);
    admin_organizations::read = Route::get(ADMIN_ORGANIZATION).scopes(ADMIN).personal(Class::Reports);
    admin_organizations::update = Route::patch(ADMIN_ORGANIZATION).scopes(ADMIN).personal(Class::Reports).waits(ADMIN_REQUEST);
    admin_offices::list = Route::get(ADMIN_OFFICES).scopes(ADMIN).personal(Class::Reports).query();
    admin_offices::describe = Route::post(ADMIN_OFFICES).scopes(ADMIN).personal(Class::Reports);
    admin_clients::list = Route::get(ADMIN_CLIENTS).scopes(ADMIN).personal(Class::Reports).query();
    admin_clients::create = Route::post(ADMIN_CLIENTS).scopes(ADMIN).personal(Class::Reports)
        .repeatable("createClient").creates(ADMIN_CLIENT).waits(ADMIN_REQUEST);
    admin_clients::read = Route::get(ADMIN_CLIENT).scopes(ADMIN).personal(Class::Reports);
    admin_clients::update = Route::patch(ADMIN_CLIENT).scopes(ADMIN).personal(Class::Reports).waits(ADMIN_REQUEST);
    admin_credentials::rotate = Route::post("/v1/admin/clients/{client_id}/secrets").scopes(ADMIN).personal(Class::Reports)
        .repeatable("createClientSecret").creates("").waits(ADMIN_REQUEST);
    admin_credentials::add_certificate = Route::post("/v1/admin/clients/{client_id}/certificates")
        .scopes(ADMIN).personal(Class::Reports).waits(ADMIN_REQUEST);
    admin_credentials::add_keys = Route::post("/v1/admin/clients/{client_id}/keys").scopes(ADMIN).personal(Class::Reports)
        .waits(ADMIN_REQUEST);
    admin_proofs::list = Route::get("/v1/admin/clients/{client_id}/credentials").scopes(ADMIN).personal(Class::Reports);
    admin_proofs::end = Route::post("/v1/admin/clients/{client_id}/credentials/{credential_id}/revocation")
        .scopes(ADMIN).personal(Class::Reports);
    admin_credentials::release = Route::post("/v1/admin/clients/{client_id}/release").scopes(ADMIN).personal(Class::Reports);
    admin_credentials::revoke = Route::post("/v1/admin/clients/{client_id}/revocation").scopes(ADMIN).personal(Class::Reports);
    admin_undo::create = Route::post("/v1/admin/undo").scopes(ADMIN).personal(Class::Reports)
        .repeatable("undoClient").waits(ADMIN_REQUEST);
    admin_exports::create = Route::post("/v1/admin/audit-exports").scopes(ADMIN).personal(Class::Reports)
        .repeatable("exportAudit").waits(ADMIN_REQUEST);
    admin_exports::read = Route::get("/v1/admin/requests/{request_id}/export").scopes(ADMIN).personal(Class::Reports).query();
    admin_accesses::list = Route::post("/v1/admin/accesses").scopes(ADMIN).personal(Class::Reports);
    admin_pairings::list = Route::get(ADMIN_PAIRINGS).scopes(ADMIN).personal(Class::Reports).query();
    admin_pairings::create = Route::post(ADMIN_PAIRINGS).scopes(ADMIN).personal(Class::Reports)
        .repeatable("createPairing").creates(ADMIN_PAIRING);
    admin_pairings::read = Route::get(ADMIN_PAIRING).scopes(ADMIN).personal(Class::Reports);
    admin_pairings::update = Route::patch(ADMIN_PAIRING).scopes(ADMIN).personal(Class::Reports);
    admin_pairings::release = Route::post("/v1/admin/pairings/{pairing_id}/release").scopes(ADMIN).personal(Class::Reports);
    pairings::register = Route::post("/v1/pairings/registration").personal(Class::Reports).creates("");
    passkeys::ask_for_new = Route::post("/v1/passkeys/registration-options").personal(Class::Reports);
    passkeys::register = Route::post("/v1/passkeys/registration").personal(Class::Reports).creates("");
    passkeys::ask_who = Route::post("/v1/passkeys/sign-in-options").personal(Class::Reports);
    passkeys::sign_in = Route::post("/v1/passkeys/sign-in").personal(Class::Reports);
    admin_persons::list = Route::get("/v1/admin/persons").scopes(ADMIN).personal(Class::Reports).query();
    admin_persons::read = Route::get(ADMIN_PERSON).scopes(ADMIN).personal(Class::Reports);
    admin_persons::update = Route::patch(ADMIN_PERSON).scopes(ADMIN).personal(Class::Reports);
    admin_requests::list = Route::get("/v1/admin/requests").scopes(ADMIN).personal(Class::Reports).query();
    admin_requests::read = Route::get(ADMIN_REQUEST).scopes(ADMIN).personal(Class::Reports);
    admin_requests::approve = Route::post("/v1/admin/requests/{request_id}/approval").scopes(ADMIN).personal(Class::Reports).approval();
    admin_requests::refuse = Route::post("/v1/admin/requests/{request_id}/refusal").scopes(ADMIN).personal(Class::Reports).approval();
    ops::live = Route::get("/health/live").probe();
    ops::ready = Route::get("/health/ready").probe();
    site::problem_page = Route::get("/problems/{code}");
    registry_log::checkpoint = Route::get("/registry-log/{epoch}/checkpoint").class(Class::Checks);
    registry_log::entries = Route::get("/registry-log/{epoch}/tile/entries/{bundle}").scopes(BLIND_OR_AUDIT).class(Class::Checks)
        .rest();
    registry_log::tile = Route::get("/registry-log/{epoch}/tile/{tile}").class(Class::Checks).rest();
    registry_log::keys = Route::get("/registry-log/keys").class(Class::Checks);
}

/// The check's short way: its row, and how its body is read and its answer written.
pub const CHECK: Way = Way { route: &ROUTES[0], read: checks::read_plain, write: checks::write_answer };

/// What boundary and caller ask.
pub const TABLE: Table = Table::new(ROUTES, &["/v1/", "/oauth2/"]).and(&NEWEST);

/// One operation of a path, and HEAD where that is GET (RFC 9110, 9.1). A method that another operation of the path takes is
/// left to it; any other is 405 with all that the path takes (15.5.6).
fn resource<F, Args>(row: &'static Route, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let (path, own) = (row.path, row.methods());
    let of_others = ROUTES.iter().filter(|other| other.path == path && other.method != row.method);
    let others: Vec<_> = of_others.flat_map(Route::methods).collect();
    let mut names: Vec<_> = own.iter().chain(others.iter().copied()).map(Method::as_str).collect();
    names.sort_unstable();
    let allowed = names.join(", ");
    let takes = fn_guard(move |context| own.contains(&context.head().method));
    let is_for_this = fn_guard(move |context| !others.contains(&&context.head().method));
    let refuse =
        move || ready(HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allowed.as_str())).finish());
    web::resource(row.pattern())
        .guard(is_for_this)
        .route(web::route().guard(takes).to(handler))
        .default_service(web::to(refuse))
}

/// Pages and files: their paths are all there is to know.
macro_rules! pages {
    ($($path:literal = $handler:path;)+) => {
        fn route_pages(config: &mut ServiceConfig) {
            $({
                static ROW: Route = Route::get($path);
                config.service(resource(&ROW, $handler));
            })+
        }
    };
}

pages! {
    "/" = site::start;
    "/.well-known/security.txt" = site::security_txt;
    "/desk" = desk::page;
    "/desk/{file}" = desk::file;
    "/station" = pages::station::page;
    "/station/{file}" = pages::station::file;
    "/console" = pages::console::page;
    "/console/provider.json" = pages::console::provider;
    "/console/{file}" = pages::console::file;
    "/verify" = pages::verify::page;
    "/verify/{file}" = pages::verify::file;
    "/web/{file}" = files::shared;
    "/openapi.json" = openapi_json;
    "/docs/openapi.json" = reference_json;
}

/// The metadata of an issuer with a path (RFC 8414, 3.1), as a sandbox's is.
static METADATA_OF_PATH: Route = Route::get("/.well-known/oauth-authorization-server/{path}").rest();

/// Where the newest epoch of the registry log is.
static NEWEST: [Route; 2] = [
    Route::get("/registry-log/checkpoint").class(Class::Checks),
    Route::get("/registry-log/tile/{tile}").class(Class::Checks).rest(),
];

/// Nothing that the pages load comes from elsewhere. Swagger UI styles its elements inline.
const DOCS_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Puts the public API into an application.
pub fn configure(config: &mut ServiceConfig, state: Data<AppState>) {
    let is_sandbox = state.sandbox.is_some();
    config.app_data(state);
    route_operations(config, is_sandbox);
    config.service(resource(&METADATA_OF_PATH, oauth::metadata_of_path));
    config.service(resource(&NEWEST[0], registry_log::newest_checkpoint));
    config.service(resource(&NEWEST[1], registry_log::newest_tile));
    route_pages(config);
    let swagger = SwaggerUi::new("/docs/{_:.*}").config(Config::from("../docs/openapi.json").validator_url("none"));
    config
        .service(web::redirect("/docs", "/docs/"))
        .service(
            web::scope("")
                .wrap(middleware::DefaultHeaders::new().add((header::CONTENT_SECURITY_POLICY, DOCS_POLICY)))
                .service(swagger),
        )
        .default_service(web::to(|| async { Err::<HttpResponse, Problem>(Problem::not_found()) }));
}

/// Puts the operator's listener into an application.
pub fn configure_metrics(config: &mut ServiceConfig, metrics: Data<Metrics>) {
    config.app_data(metrics).route("/metrics", web::get().to(ops::metrics));
}

/// Made once: it is the same until the program is another.
static DOCUMENT: LazyLock<Option<Published>> = LazyLock::new(|| openapi::text(&document()).ok().map(Published::new));

async fn openapi_json(known: web::Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    let published =
        DOCUMENT.as_ref().ok_or_else(|| Problem::new(problem::INTERNAL, "the document cannot be written"))?;
    Ok(published.answer(&known))
}

/// Makes what is made once, before an event loop would have to.
pub fn prepare() {
    LazyLock::force(&DOCUMENT);
    LazyLock::force(&REFERENCE);
}

/// The page's own copy, made once but for its reader's prefix.
static REFERENCE: LazyLock<Option<Reference>> = LazyLock::new(|| Reference::of(&document(), TABLE).ok());

async fn reference_json(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let written =
        REFERENCE.as_ref().ok_or_else(|| Problem::new(problem::INTERNAL, "the document cannot be written"))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(written.below(&Exchange::prefix(&request))))
}

/// The OpenAPI document of all operations.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(operations(), TABLE)
}

/// What the handlers' attributes say.
pub fn operations() -> utoipa::openapi::OpenApi {
    Operations::openapi()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the handlers' attributes say of a row, held against it.
    fn disagreements(row: &Route, document: &Value) -> Vec<&'static str> {
        let operation = &document["paths"][row.path][row.verb()];
        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
        let has = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
        let is_repeatable = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        let needs_token =
            operation["security"].as_array().is_some_and(|all| all.iter().any(|one| one["bearer"].is_array()));
        let description = operation["description"].as_str().unwrap_or_default();
        let names_scopes = if row.scopes.len() == Scope::ALL.len() {
            description.contains("Any scope")
        } else {
            row.scopes.iter().all(|scope| description.contains(&format!("`{}`", scope.as_str())))
        };
        let created = &operation["responses"]["201"];
        let facts = [
            ("the operation", operation.is_object()),
            ("a token", needs_token != row.scopes.is_empty()),
            ("the scopes in the description", names_scopes),
            ("a query", has("query") == row.takes_query),
            ("Idempotency-Key", is_repeatable == row.repeatable_as.is_some()),
            ("operationId", row.repeatable_as.is_none_or(|id| operation["operationId"] == id)),
            ("201", created.is_object() == row.creates.is_some()),
            ("Location", created["headers"]["Location"].is_object() == row.creates.is_some_and(|at| !at.is_empty())),
            ("421", operation["responses"]["421"].is_object() != row.is_probe),
        ];
        facts.into_iter().filter(|(_, holds)| !holds).map(|(fact, _)| fact).collect()
    }

    #[test]
    fn attributes_of_the_handlers_say_what_the_table_says() {
        let document = serde_json::to_value(document()).unwrap();
        for row in ROUTES {
            assert_eq!(disagreements(row, &document), Vec::<&str>::new(), "{} {}", row.verb(), row.path);
        }
        let wrong = Route::get("/v1/checks").query();
        assert!(!disagreements(&wrong, &document).is_empty(), "the test can fail");
    }

    #[test]
    fn what_is_created_is_read_by_a_row() {
        for row in ROUTES.iter().filter(|row| row.creates.is_some_and(|at| !at.is_empty())) {
            let location = row.location("0");
            let read = TABLE.find(&Method::GET, &location).filter(|read| read.method == Method::GET);
            assert_eq!(read.map(|read| Some(read.path)), Some(row.creates), "{location}");
        }
    }

    #[test]
    fn literal_paths_stand_before_patterns_that_match_them() {
        for (at, row) in ROUTES.iter().enumerate() {
            let found = TABLE.find(&row.method, row.path);
            assert!(found.is_some_and(|found| std::ptr::eq(found, row)), "row {at}: {}", row.path);
        }
    }

    #[test]
    fn whatever_is_below_a_root_is_personal() {
        for row in ROUTES {
            assert_eq!(row.is_personal, TABLE.is_below_root(row.path), "{}", row.path);
        }
    }
}
