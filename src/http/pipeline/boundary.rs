//! The outermost layer of every request: what is refused whatever the path, the request id, the headers of every answer, the
//! text of every problem, and the one log line of a failure. Raw paths, queries and header values are never logged.

use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse, ResponseError};

use super::admission::Place;
use super::answering::{self, Failure, NO_SNIFF, NO_STORE, ONE_YEAR, Standings, log_failure, problem_fields};
use super::connection::{Connection, hand_over, reserve};
use super::exchange::{Exchange, OwnErrorForm, refused_check};
use super::screen::{REQUEST_ID, Target, drop_foreign_condition, request_id, screen};
use super::state::AppState;
use super::wire::{Faults, Inbox};
use crate::domain::client::Actor;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::{Class, Route};
use crate::limits::{Asker, CallerAddress};
use crate::telemetry::traces::{Answered, Parent};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Wraps every request.
pub async fn boundary(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<Data<AppState>>().cloned() else {
        return Ok(request.into_response(HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR)));
    };
    let started_ns = state.clock.boot_ns();
    drop_foreign_condition(&mut request);
    let target = Target::of(&request, &state);
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.begin(started_ns);
    }
    let parent = state.traces.as_ref().and_then(|_| parent(&request, &state));
    let faults = request.conn_data::<Rc<Faults>>().cloned();
    let inbox = request.conn_data::<Rc<Inbox>>().cloned();
    let (body, head) = inbox.as_ref().map_or((None, None), |inbox| inbox.next());
    let mut exchange = Exchange {
        route: target.route,
        request_id: request_id(&request, &state),
        body: body.clone(),
        head,
        ..Exchange::default()
    };
    let admitted = identify(&request, &state, &mut exchange)
        .and_then(|address| screen(&request, &state, target).map(|()| address))
        .and_then(|address| admit(target, address, &state, started_ns));
    let admitted = admitted.map(|place| exchange.place = place);
    request.extensions_mut().insert(exchange);
    let mut response = match admitted {
        Err(problem) => request.error_response(problem),
        Ok(()) => match next.call(request).await {
            Ok(response) => response.map_into_boxed_body(),
            Err(error) => return Err(error),
        },
    };
    let exchange = response.request().extensions_mut().remove::<Exchange>();
    let Exchange {
        request_id: id,
        standing,
        numbers,
        caller,
        asker,
        address,
        mut place,
        offers_nonce,
        prefix,
        // Until the answer is written.
        head: _head,
        ..
    } = exchange.unwrap_or_default();
    let asker = caller.map(|caller| Asker::Client(caller.client)).or(asker).unwrap_or_else(|| Asker::at(address));
    let mut reserved = None;
    match reserve(&response, inbox.as_deref(), asker) {
        Ok(hold) => reserved = hold,
        Err(full) => response = response.into_response(full.problem(caller.is_some()).error_response()),
    }
    // What was not read of the body is thrown away as it comes, or too much of it is to come.
    let is_too_much = body.is_some_and(|body| !body.dismiss());
    let mut standings = Standings { call: standing, numbers };
    let elapsed_ns = state.clock.boot_ns().saturating_sub(started_ns);
    if response.status().as_u16() >= 400 {
        let problem = response.response().extensions().get::<Problem>().cloned();
        let is_reduced = problem.as_ref().is_some_and(|problem| problem.kind().code == problem::REDUCED_CAPACITY.code);
        standings = problem.as_ref().map_or(standings, |problem| standings.refused_by(problem));
        response = explain(response, target, (&id, &prefix), (caller, asker), &state, elapsed_ns);
        // Who may not check has asked for no check.
        let may_check = problem.as_ref().is_none_or(|problem| problem.kind() != problem::INSUFFICIENT_SCOPE);
        if let Some(Actor { organization, .. }) =
            caller.filter(|_| may_check && target.route.is_some_and(|route| route.gives_verdicts))
        {
            state.counter.count(organization, refused_check(response.status().as_u16()), state.clock.now_ms());
        }
        if is_reduced {
            // Who is made to wait holds nothing that others could have.
            place = None;
            let wait = state.delay.pace_refusal(state.clock.boot_ns());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    } else {
        let label = || target.label(&response);
        answering::note_success(&state, target.class(), response.status(), &id, label, elapsed_ns);
    }
    trace(&state, parent.as_ref(), &response, target, &id, elapsed_ns);
    if is_too_much && let Some(faults) = &faults {
        faults.end();
    }
    let fields = response.headers_mut();
    dress(fields, target, id, &prefix, &state);
    if offers_nonce && let Ok(nonce) = HeaderValue::from_maybe_shared(state.access.dpop_nonce()) {
        fields.insert(DPOP_NONCE, nonce);
    }
    standings.tell(|name, text| {
        if let Ok(value) = HeaderValue::from_bytes(text) {
            fields.insert(name, value);
        }
    });
    if state.is_draining() || faults.is_some_and(|faults| faults.is_last()) {
        // The client learns it with its answer, so that it sends nothing more on a connection that is about to end.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(hand_over(response, place, reserved))
}

/// One span, where there are traces.
fn trace(
    state: &AppState,
    parent: Option<&Parent>,
    response: &ServiceResponse<BoxBody>,
    target: Target,
    request_id: &str,
    spent_ns: u64,
) {
    let Some(traces) = &state.traces else { return };
    let method = known(response.request().method().as_str());
    let (route, status) = (target.label(response), response.status().as_u16());
    traces.note(parent, &Answered { method, route: &route, status, request_id, spent_ns });
}

/// What every answer says of itself, and what those of its route do.
fn dress(headers: &mut header::HeaderMap, target: Target, id: String, prefix: &str, state: &AppState) {
    if let Ok(value) = HeaderValue::from_maybe_shared(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if state.is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
    put_below(prefix, headers);
    if let Some(deprecation) = target.route.and_then(|route| route.deprecation) {
        deprecation.write(prefix, headers);
    }
    // Only what is about nobody says for how long it may be kept.
    if target.is_personal && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
}

/// Who asks, and where it sees this service.
fn identify(request: &ServiceRequest, state: &AppState, exchange: &mut Exchange) -> Result<CallerAddress, Problem> {
    exchange.address = state.proxies.caller(request)?;
    exchange.prefix = state.proxies.prefix(request)?;
    Ok(exchange.address)
}

/// What an answer points to, as the caller sees it.
fn put_below(prefix: &str, headers: &mut header::HeaderMap) {
    if prefix.is_empty() {
        return;
    }
    let path = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).filter(|path| path.starts_with('/'));
    if let Some(value) = path.and_then(|path| HeaderValue::from_str(&format!("{prefix}{path}")).ok()) {
        headers.insert(header::LOCATION, value);
    }
}

/// A place for what will wait. A single check takes one only when memory cannot answer it, long work only after its turn in the
/// workshop, and what needs no token only once its body has come. Where a token is needed it is nobody's until that is known: a client that
/// is known is not refused for its address.
fn admit(target: Target, address: CallerAddress, state: &AppState, now_ns: u64) -> Result<Option<Place>, Problem> {
    let Some(class) = target.class() else { return Ok(None) };
    if class != Class::Reports {
        state.delay.admit(now_ns)?;
    }
    match class {
        _ if target.route.is_some_and(Route::enters_late) => Ok(None),
        Class::Check | Class::Expensive => Ok(None),
        Class::Checks | Class::Reports => {
            let is_public = target.route.is_some_and(|route| route.scopes.is_empty());
            state.admission.enter(class, is_public.then(|| Asker::at(address))).map(Some)
        }
    }
}

/// Writes the problem document, counts and logs the failure.
fn explain(
    response: ServiceResponse<BoxBody>,
    target: Target,
    (request_id, prefix): (&str, &str),
    (caller, asker): (Option<Actor>, Asker),
    state: &AppState,
    spent_ns: u64,
) -> ServiceResponse<BoxBody> {
    let own_form = response.response().extensions().get::<OwnErrorForm>().copied();
    let problem = response.response().extensions().get::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| Problem::of_status(response.status()));
    let code = own_form.map_or(problem.kind().code, |form| form.0);
    let failure = Failure {
        request_id,
        method: known(response.request().method().as_str()),
        route: &target.label(&response),
        status: response.status(),
        code,
        limit: problem.standing().map(|standing| standing.limit),
        caller,
        asker,
        is_own_load: problem.is_own_load(),
        spent_ns,
    };
    log_failure(state, &failure);
    if own_form.is_some() {
        return response;
    }
    let (request, old) = response.into_parts();
    let mut fresh = HttpResponse::build(problem.kind().status);
    for field in problem_fields(&problem) {
        fresh.insert_header(field);
    }
    if let Some(allow) = old.headers().get(header::ALLOW) {
        fresh.insert_header((header::ALLOW, allow.clone()));
    }
    let body = problem.to_json(request_id, prefix);
    ServiceResponse::new(request, fresh.body(body))
}

/// A method as log lines and spans name it: one that is unknown is the client's own text.
fn known(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH" => method,
        _ => "(other)",
    }
}

/// The caller's span that this request belongs to.
fn parent(request: &ServiceRequest, state: &AppState) -> Option<Parent> {
    let mut fields = request.headers().get_all("traceparent");
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    Parent::parse(field.to_str().ok()?, state.clock.today())
}
