//! HTTP: the route table (which is the OpenAPI document), the order of the layers, the state of a worker.
//! Invariants: status codes and headers appear only here; every refusal is a `Problem`; authentication, authorization and limits
//! stand in a handler's signature. Handlers turn bodies into domain types and back, and orchestrate nothing.

pub mod acceptance;
pub mod admission;
pub mod alerts;
pub mod answers;
pub mod applications;
pub mod boundary;
pub mod certificates;
pub mod checks;
pub mod citizen;
pub mod connection;
pub mod console;
pub mod desk;
pub mod examples;
pub mod explanations;
pub mod extract;
pub mod fields;
pub mod files;
pub mod found_cards;
pub mod misuse_reports;
pub mod oauth;
pub mod openapi;
pub mod ops;
pub mod organization;
pub mod pages;
pub mod problem;
pub mod receipts;
pub mod refusals;
pub mod replacements;
pub mod reports;
pub mod sandbox;
pub mod schema;
pub mod sightings;
pub mod status;
pub mod temporary_cards;
pub mod usage;

use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::guard::fn_guard;
use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, middleware};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::Access;
use crate::clock::Clock;
use crate::config::Security;
use crate::crypto::Keyring;
use crate::limits::AddressLimits;
use crate::registry::Registry;
use crate::service::acceptance::AcceptanceRules;
use crate::service::alerts::Alerts;
use crate::service::applications::Applications;
use crate::service::certificates::Certificates;
use crate::service::checks::Checks;
use crate::service::citizen::Citizen;
use crate::service::console::Console;
use crate::service::found_cards::FoundCards;
use crate::service::misuse_reports::MisuseReports;
use crate::service::reports::Reports;
use crate::service::sightings::Sightings;
use crate::service::sightings::journal::Journal;
use crate::service::usage::Usage;
use crate::service::usage::counter::UsageCounter;
use crate::service::writing::Writer;
use crate::telemetry::Metrics;
use admission::{Admission, Delay};
use boundary::Hosts;
use problem::Problem;
use sandbox::SandboxNode;

/// What the workers of a node share.
#[derive(Debug, Clone)]
pub struct Shared {
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub registry: Arc<Registry>,
    pub access: Arc<Access>,
    pub addresses: Arc<AddressLimits>,
    pub public_addresses: Arc<AddressLimits>,
    pub acceptance: Arc<AcceptanceRules>,
    pub writer: Arc<Writer>,
    pub found_cards: Arc<FoundCards>,
    pub citizen: Arc<Citizen>,
    pub applications: Arc<Applications>,
    pub misuse_reports: Arc<MisuseReports>,
    pub certificates: Arc<Certificates>,
    pub alerts: Arc<Alerts>,
    pub reports: Arc<Reports>,
    pub sightings: Arc<Sightings>,
    pub journal: Arc<Journal>,
    pub metrics: Arc<Metrics>,
    pub usage: Arc<Usage>,
    pub console: Arc<Console>,
    pub hosts: Hosts,
    pub security: Arc<Security>,
    pub admission: Arc<Admission>,
    /// None in production.
    pub sandbox: Option<Arc<SandboxNode>>,
    pub draining: Arc<AtomicBool>,
}

/// What one worker has: the shared parts, its own receipt signer, and how far it is behind.
#[derive(Debug)]
pub struct AppState {
    shared: Shared,
    pub checks: Checks,
    pub counter: Rc<UsageCounter>,
    pub delay: Delay,
}

impl AppState {
    /// The state of a new worker.
    pub fn new(shared: Shared) -> Self {
        let counter = Rc::new(UsageCounter::new(Arc::clone(&shared.usage)));
        let checks = Checks::new(
            shared.access.issuer(),
            shared.clock.clone(),
            Arc::clone(&shared.keyring),
            Arc::clone(&shared.registry),
            Arc::clone(&shared.journal),
            Arc::clone(&shared.alerts),
            Arc::clone(&shared.metrics),
            Rc::clone(&counter),
        );
        let delay = Delay::new(shared.clock.clone(), shared.admission.delay_max());
        Self { shared, checks, counter, delay }
    }

    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

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
    get "/problems/{code}" => pages::problem_page;
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
        .service(resource("get", "/", pages::start))
        .service(resource("get", "/.well-known/security.txt", pages::security_txt))
        .service(resource("get", "/desk", desk::page))
        .service(resource("get", "/desk/{file}", desk::file))
        .service(resource("get", "/console", console::page))
        .service(resource("get", "/console/{file}", console::file))
        .service(resource("get", "/web/{file}", files::shared))
        .service(resource("get", "/openapi.json", document))
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

async fn document() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(openapi::document())
}
