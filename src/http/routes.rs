//! The route table.

use std::future::ready;

use actix_web::guard::fn_guard;
use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, middleware};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::api::{
    acceptance, alerts, applications, certificates, checks, citizen, console, found_cards, misuse_reports, oauth, ops,
    organization, receipts, replacements, reports, sandbox, sightings, status, temporary_cards, usage,
};
use super::contract::openapi;
use super::contract::problem::Problem;
use super::pages::{self, desk, files, site};
use super::pipeline::state::AppState;
use crate::telemetry::Metrics;

/// One line an operation: the router and the document are made of the same list.
macro_rules! operations {
    ($($method:ident $path:literal => $module:ident :: $handler:ident;)+) => {
        /// The operations' part of the OpenAPI document.
        #[derive(Debug, OpenApi)]
        #[openapi(paths($($module::$handler),+))]
        pub struct Operations;

        /// Method and path of every operation, as routed.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),+];

        fn route_operations(config: &mut ServiceConfig, is_sandbox: bool) {
            $(if is_sandbox || !is_of_sandbox($path) {
                config.service(resource(stringify!($method), $path, $module::$handler));
            })+
        }
    };
}

operations! {
    post "/v1/checks" => checks::create;
    post "/v1/checks/batch" => checks::create_batch;
    get "/v1/alerts" => alerts::list;
    post "/v1/receipts/verify" => receipts::verify_receipt;
    post "/v1/loss-reports" => reports::create;
    post "/v1/loss-reports/search" => reports::search;
    get "/v1/loss-reports/{report_id}" => reports::read;
    post "/v1/loss-reports/{report_id}/withdrawal" => reports::withdraw;
    get "/v1/loss-reports/{report_id}/sightings" => sightings::list;
    post "/v1/replacements" => replacements::create;
    post "/v1/misuse-reports" => misuse_reports::create;
    get "/v1/misuse-reports" => misuse_reports::list;
    get "/v1/misuse-reports/{misuse_report_id}" => misuse_reports::read;
    post "/v1/misuse-reports/{misuse_report_id}/resolution" => misuse_reports::resolve;
    post "/v1/found-cards" => found_cards::create;
    get "/v1/found-cards/{found_card_id}" => found_cards::read;
    post "/v1/found-cards/{found_card_id}/return" => found_cards::hand_back;
    post "/v1/found-cards/{found_card_id}/destruction" => found_cards::destroy;
    post "/v1/found-cards/{found_card_id}/transfer" => found_cards::transfer;
    post "/v1/citizen/records" => citizen::records;
    post "/v1/citizen/loss-reports" => citizen::create;
    post "/v1/citizen/loss-reports/{report_id}/withdrawal" => citizen::withdraw;
    post "/v1/replacement-applications" => applications::create;
    get "/v1/replacement-applications/{application_id}" => applications::read;
    post "/v1/replacement-applications/{application_id}/issue" => applications::issue;
    post "/v1/replacement-applications/{application_id}/cancellation" => applications::cancel;
    post "/v1/replacement-applications/{application_id}/temporary-card" => temporary_cards::issue;
    post "/v1/replacement-applications/{application_id}/temporary-card/return" => temporary_cards::take_back;
    post "/v1/acceptance/eligibility" => acceptance::eligibility;
    post "/v1/temporary-certificates" => certificates::create;
    post "/v1/temporary-certificates/verify" => certificates::verify;
    get "/v1/temporary-certificates/{certificate_id}" => certificates::read;
    post "/v1/temporary-certificates/{certificate_id}/revocation" => certificates::revoke;
    get "/v1/usage" => usage::read;
    get "/v1/organization" => organization::read;
    get "/v1/status" => status::read;
    post "/v1/sandbox/reset" => sandbox::reset;
    post "/oauth2/token" => oauth::token;
    get "/.well-known/jwks.json" => oauth::jwks;
    get "/.well-known/oauth-authorization-server" => oauth::metadata;
    get "/v1/console" => console::read;
    get "/v1/console/history" => console::history;
    get "/health/live" => ops::live;
    get "/health/ready" => ops::ready;
    get "/problems/{code}" => site::problem_page;
}

/// Whether only a sandbox has a path.
fn is_of_sandbox(path: &str) -> bool {
    path.starts_with("/v1/sandbox/")
}

/// One operation of a path, and HEAD where that is GET (RFC 9110, 9.1). A method that another operation of the path takes is
/// left to it; any other is 405 with all that the path takes (15.5.6).
fn resource<F, Args>(method: &str, path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let own = methods(method);
    let of_others = ROUTES.iter().filter(|(other, of)| *of == path && *other != method);
    let others: Vec<_> = of_others.flat_map(|(other, _)| methods(other)).collect();
    let mut names: Vec<_> = own.iter().chain(others.iter().copied()).map(Method::as_str).collect();
    names.sort_unstable();
    let allowed = names.join(", ");
    let takes = fn_guard(move |context| own.contains(&context.head().method));
    let is_for_this = fn_guard(move |context| !others.contains(&&context.head().method));
    let refuse =
        move || ready(HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allowed.as_str())).finish());
    web::resource(path).guard(is_for_this).route(web::route().guard(takes).to(handler)).default_service(web::to(refuse))
}

fn methods(method: &str) -> &'static [Method] {
    if method == "get" { &[Method::GET, Method::HEAD] } else { &[Method::POST] }
}

/// Nothing that the pages load comes from elsewhere. Swagger UI styles its elements inline.
const DOCS_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Puts the public API into an application.
pub fn configure(config: &mut ServiceConfig, state: Data<AppState>) {
    let is_sandbox = state.sandbox.is_some();
    config.app_data(state);
    route_operations(config, is_sandbox);
    if is_sandbox {
        // The metadata of an issuer with a path (RFC 8414, 3.1).
        config.service(resource("get", "/.well-known/oauth-authorization-server/sandbox", oauth::metadata));
    }
    let swagger = SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json").validator_url("none"));
    config
        .service(resource("get", "/", site::start))
        .service(resource("get", "/.well-known/security.txt", site::security_txt))
        .service(resource("get", "/desk", desk::page))
        .service(resource("get", "/desk/{file}", desk::file))
        .service(resource("get", "/console", pages::console::page))
        .service(resource("get", "/console/{file}", pages::console::file))
        .service(resource("get", "/web/{file}", files::shared))
        .service(resource("get", "/openapi.json", openapi_json))
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

async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(document())
}

/// The OpenAPI document of all operations.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(Operations::openapi())
}
