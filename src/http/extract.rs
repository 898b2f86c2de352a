//! What a handler's signature demands: `Caller<Scope>` authenticates, authorizes and spends the limit, so that none of the three
//! can be forgotten; `JsonBody<T>` is the body, read only after the caller is known.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::task::Poll;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::AppState;
use super::admission::Class;
use super::boundary::Exchange;
use super::fields::{Fields, Object};
use super::problem::{self, Problem};
use crate::access::Principal;
use crate::domain::client::{Actor, OrganizationKind, Scope};
use crate::limits::{Refused, Standing};
use crate::service::fields::describe_json;

/// The scopes of an operation, as a type.
pub trait RequiredScope: 'static {
    /// One of these is enough.
    const ANY_OF: &'static [Scope];
}

macro_rules! required_scopes {
    ($($(#[$doc:meta])* $name:ident = $($scope:ident)|+;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl RequiredScope for $name {
            const ANY_OF: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )+};
}

required_scopes! {
    /// Scope `checks`.
    Checks = Checks;
    /// Scope `registry`.
    Registry = Registry;
    /// Scope `citizen`.
    Citizen = Citizen;
    /// Scope `admin`.
    Admin = Admin;
    /// Scope `checks` or `audit`.
    ChecksOrAudit = Checks | Audit;
    /// Scope `checks` or `registry`.
    ChecksOrRegistry = Checks | Registry;
    /// Any scope: what an organization reads of itself.
    AnyScope = Checks | Registry | Citizen | Audit | Admin;
}

/// An authenticated client with the scope `S`, whose limit has been spent by one unit.
#[derive(Debug)]
pub struct Caller<S> {
    pub principal: Principal,
    request: HttpRequest,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> FromRequest for Caller<S> {
    type Error = Problem;
    type Future = Admission<S>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = AppState::of(request);
        let token = match bearer(request.headers()) {
            Ok(token) => token,
            Err(detail) => {
                let refused =
                    failed_authentication(&state, request).err().unwrap_or_else(|| Problem::unauthorized(detail));
                return Either::Left(ready(Err(refused)));
            }
        };
        if let Some(principal) = state.access.recall(token) {
            return Self::admit(principal, request);
        }
        let (request, token) = (request.clone(), token.to_owned());
        Either::Right(Box::pin(async move {
            // A signature costs eight checks: an address that has failed too often does not get one verified.
            state.addresses.check(peer(&request))?;
            match state.read_in_time(state.access.verify(&token)).await? {
                Ok(principal) => Self::admit(principal, &request).await,
                Err(error @ crate::access::AccessError::Token(_)) => {
                    state.metrics.tokens_refused.inc();
                    failed_authentication(&state, &request)?;
                    Err(error.into())
                }
                Err(error) => Err(error.into()),
            }
        }))
    }
}

/// Most callers are admitted at once: the token is remembered and their units are at hand.
type Admission<S> = Either<Ready<Result<Caller<S>, Problem>>, LocalBoxFuture<'static, Result<Caller<S>, Problem>>>;

impl<S: RequiredScope> Caller<S> {
    fn admit(principal: Principal, request: &HttpRequest) -> Admission<S> {
        if !S::ANY_OF.iter().any(|scope| principal.scopes.contains(*scope)) {
            let names: Vec<_> = S::ANY_OF.iter().map(|scope| scope.as_str()).collect();
            return Either::Left(ready(Err(Problem::insufficient_scope(&names.join(" ")))));
        }
        let caller = Self { principal, request: request.clone(), scope: PhantomData };
        match caller.principal.client.limits.try_spend_unit() {
            Some(spent) => Either::Left(ready(caller.admitted(spent))),
            None => Either::Right(Box::pin(async move {
                let spent = caller.principal.client.limits.spend_unit().await;
                caller.admitted(spent)
            })),
        }
    }

    fn admitted(self, spent: Result<Standing, Refused>) -> Result<Self, Problem> {
        if let Some(exchange) = self.request.extensions_mut().get_mut::<Exchange>() {
            exchange.organization = Some(self.principal.client.organization_id);
            exchange.standing = spent.ok();
        }
        spent?;
        Ok(self)
    }

    /// Spends the rest of what an operation costs, where that shows only in its body.
    pub async fn spend_rest(&self, cost: NonZeroU32) -> Result<(), Problem> {
        if let Some(standing) = self.principal.client.limits.spend_rest(cost).await? {
            self.note(standing);
        }
        Ok(())
    }

    fn note(&self, standing: Standing) {
        if let Some(exchange) = self.request.extensions_mut().get_mut::<Exchange>() {
            exchange.standing = Some(standing);
        }
    }

    /// Where the caller stands with its limit.
    pub fn standing(&self) -> Option<Standing> {
        self.request.extensions().get::<Exchange>().and_then(|exchange| exchange.standing)
    }

    /// The organization that the client belongs to.
    pub fn organization_id(&self) -> Uuid {
        self.principal.client.organization_id
    }

    /// Who calls, for services and the audit log.
    pub fn actor(&self) -> Actor {
        Actor { organization: self.organization_id(), client: self.principal.client.client_id }
    }

    /// Whether the token carries a scope, where an operation takes one of several.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.principal.scopes.contains(scope)
    }

    /// Whether this is a registrar: the organization's kind, and the scope. Registrars see what concerns all of them.
    pub fn is_registrar(&self) -> bool {
        self.has_scope(Scope::Registry) && self.principal.client.organization_kind == OrganizationKind::Registrar
    }

    /// The id of the request, for problems inside a batch.
    pub fn request_id(&self) -> String {
        self.request.extensions().get::<Exchange>().map_or_else(String::new, |exchange| exchange.request_id.clone())
    }

    /// The value built from members, or the problem with them. A number with a wrong check character is counted against the client.
    pub fn finish<T>(&self, fields: Fields, value: Option<T>) -> Result<T, Problem> {
        if fields.guessed {
            self.principal.client.limits.count_wrong_number()?;
        }
        fields.finish(value)
    }
}

fn failed_authentication(state: &AppState, request: &HttpRequest) -> Result<(), Problem> {
    state.addresses.spend(peer(request))?;
    Ok(())
}

/// The address of the other end of the connection. Never a header's: those can be made up.
pub fn peer(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

/// The token of an `Authorization: Bearer` header (RFC 6750, 2.1): one header, one space, one token.
fn bearer(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut all = headers.get_all(header::AUTHORIZATION);
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err("send one Authorization header with a bearer token");
    };
    // By bytes: this runs for every check, over a token of some 600 characters.
    let token = value.as_bytes().split_at_checked("bearer ".len()).and_then(|(scheme, token)| {
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then_some(token)
            .filter(|token| !token.is_empty() && !token.contains(&b' '))
    });
    token.and_then(|token| std::str::from_utf8(token).ok()).ok_or("the Authorization header is not `Bearer <token>`")
}

/// Whoever asks without a token: its address's limit of public questions has been spent by one unit. Token requests and failed
/// authentications have one of their own, so that neither locks the other out.
#[derive(Debug)]
pub struct Anyone;

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let spent = AppState::of(request).public_addresses.spend(peer(request));
        if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
            exchange.standing = spent.ok();
        }
        ready(spent.map(|_| Self).map_err(Into::into))
    }
}

/// A body, not read yet.
pub struct JsonBody<T> {
    request: HttpRequest,
    payload: Payload,
    shape: PhantomData<T>,
}

impl<T> std::fmt::Debug for JsonBody<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonBody(unread)")
    }
}

impl<T> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), payload: payload.take(), shape: PhantomData }))
    }
}

/// A single check, report or other small object: room for a 100 kB string that is refused as a value, not as a body.
pub const SINGLE_BYTES_MAX: usize = 256 * 1024;
/// A batch of 1,000 checks.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take, whatever its size.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

impl<T: DeserializeOwned> JsonBody<T> {
    /// Reads and parses a small body.
    pub async fn read(self) -> Result<T, Problem> {
        self.read_up_to(SINGLE_BYTES_MAX).await.map(|(value, _)| value)
    }

    /// Reads and parses, and gives the bytes as well.
    pub async fn read_up_to(self, bytes_max: usize) -> Result<(T, Bytes), Problem> {
        expect_type(self.request.headers(), "application/json")?;
        let bytes = read_bytes(&self.request, self.payload, bytes_max).await?;
        Ok((parse(&bytes)?, bytes))
    }
}

/// Parses one JSON object; says what is wrong without repeating any of it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice::<Object<T>>(bytes).map(|object| object.0).map_err(|error| {
        let what = describe_json(&error);
        Problem::new(problem::MALFORMED_JSON, format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

/// The media type must be exactly this, in UTF-8, unencoded.
pub fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let refuse = |detail: &'static str| Err(Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, detail));
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return refuse("encoded bodies are not taken");
    }
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return refuse("the Content-Type header is missing");
    };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !essence.trim().eq_ignore_ascii_case(expected) {
        return refuse("the Content-Type is not the one this operation takes");
    }
    let parameters = parameters.trim().to_ascii_lowercase();
    match parameters.trim_start_matches("charset=").trim_matches('"') {
        "" | "utf-8" => Ok(()),
        _ => refuse("only UTF-8 is taken"),
    }
}

/// Reads a body within its bounds of size and time.
pub async fn read_bytes(request: &HttpRequest, mut payload: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(problem::BODY_TOO_LARGE, format!("the body may have at most {bytes_max} bytes"));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    let collect = async {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::new(problem::MALFORMED_REQUEST, "the body could not be read"))?;
            if first.len() + rest.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            // Nearly every body is one chunk: it is not copied.
            if first.is_empty() && rest.is_empty() {
                first = chunk;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    };
    let mut collect = std::pin::pin!(collect);
    // Nearly every body has come with its head: no timer is needed then. The connection hands it over when the handler has
    // been polled once.
    for _ in 0..2 {
        if let Poll::Ready(bytes) = futures_util::poll!(&mut collect) {
            return bytes;
        }
        tokio::task::yield_now().await;
    }
    let class = leave_place(request);
    let bytes = tokio::time::timeout(BODY_TIMEOUT, collect)
        .await
        .unwrap_or_else(|_| Err(Problem::new(problem::TOO_SLOW, "the body did not arrive in time")))?;
    take_place(request, class)?;
    Ok(bytes)
}

/// A body that trickles in keeps nobody out: its request gives up its place meanwhile.
fn leave_place(request: &HttpRequest) -> Option<Class> {
    let mut extensions = request.extensions_mut();
    let place = extensions.get_mut::<Exchange>().and_then(|exchange| exchange.place.take());
    place.map(|place| place.class())
}

fn take_place(request: &HttpRequest, class: Option<Class>) -> Result<(), Problem> {
    let Some(class) = class else { return Ok(()) };
    let place = AppState::of(request).admission.enter(class)?;
    if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
        exchange.place = Some(place);
    }
    Ok(())
}

impl AppState {
    /// The state of the worker that serves a request.
    pub fn of(request: &HttpRequest) -> Data<AppState> {
        // Unwrap safety: `http::configure` puts the state into every application.
        #[expect(clippy::unwrap_used, reason = "every application is built with its state")]
        request.app_data::<Data<AppState>>().cloned().unwrap()
    }
}
