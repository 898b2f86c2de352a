//! Who calls: `Caller` in a handler's signature authenticates, authorizes by the scopes of the route's row and spends the limit, so
//! that none of the three can be forgotten; `Anyone` spends the address's limit of public questions.

use std::future::{Ready, ready};
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::body::enter;
use super::broken_rules::{Offered, note_broken_rule};
use super::exchange::Exchange;
use super::holder::{self, NotHolder, Scheme};
use super::state::AppState;
use crate::access::dpop::DpopFault;
use crate::access::{AccessError, HolderError, Principal};
use crate::domain::client::{Actor, Scope};
use crate::domain::ids::OrganizationId;
use crate::domain::report::OfficeCode;
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::{Class, Route};
use crate::limits::{Asker, Refused, Standing, Work};
use crate::service::withdrawals::Ender;

/// Rows of a page that cost a unit.
const ROWS_OF_A_UNIT: usize = 10;

/// An authenticated client with a scope of the route, whose limit has been spent by one unit.
#[derive(Debug)]
pub struct Caller {
    pub principal: Principal,
    request: HttpRequest,
    route: &'static Route,
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Admission;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = AppState::of(request);
        let (scheme, token) = match credentials(request.headers()) {
            Ok(sent) => sent,
            Err(detail) => {
                let refused =
                    failed_authentication(&state, request).err().unwrap_or_else(|| Problem::unauthorized(detail));
                return Either::Left(ready(Err(refused)));
            }
        };
        if let Some(principal) = state.access.recall(token, state.clock.now_s()) {
            return Self::admit_holder(principal, scheme, token, request, &state);
        }
        // Until it is verified it is its address's. One that was is its client's: others change clients at any time.
        let known = state.access.known_client(token);
        let asker = known.map_or_else(|| Asker::at(Exchange::address(request)), Asker::Client);
        if let Err(refused) = place_for(request, asker) {
            return Either::Left(ready(Err(refused)));
        }
        let (request, token) = (request.clone(), token.to_owned());
        Either::Right(Box::pin(async move {
            match state.read_in_time(Self::verify(&token, &request, &state)).await?? {
                Ok(principal) => Self::admit_holder(principal, scheme, &token, &request, &state).await,
                Err(error @ AccessError::Token(_)) => {
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
type Admission = Either<Ready<Result<Caller, Problem>>, LocalBoxFuture<'static, Result<Caller, Problem>>>;

impl Caller {
    /// Every caller comes by here: with a token that is bound, only its holder continues.
    fn admit_holder(
        principal: Principal,
        scheme: Scheme,
        token: &str,
        request: &HttpRequest,
        state: &Data<AppState>,
    ) -> Admission {
        if scheme == Scheme::Bearer && state.access.is_anybodys(&principal) {
            return Self::admit(principal, request);
        }
        let held = holder::check(&principal, scheme, token, request, state);
        let (request, state) = (request.clone(), Data::clone(state));
        Either::Right(Box::pin(async move {
            let (address, client) = (Exchange::address(&request), principal.actor());
            // A token that is known is never refused because of its address. What was wrong with it is counted there, what it lacks is not.
            let refuse = |refused: NotHolder| {
                state.metrics.tokens_refused.inc();
                if let Some(fault) = refused.fault.filter(|fault| *fault != DpopFault::Nonce) {
                    note_broken_rule(&state, Offered::Proof, fault.as_str(), Some(client));
                }
                if refused.is_wrong() {
                    let _spent = state.addresses.spend(address);
                }
                refused.problem
            };
            if let Some(proof) = held.map_err(refuse)? {
                note_caller(&principal, &request);
                let costs_first = state.addresses.check(address).is_err();
                let proven = state.access.prove(&proof, &principal.client, costs_first);
                match state.read_in_time(proven).await? {
                    Err(HolderError::Dpop(fault)) => return Err(refuse(fault.into())),
                    proven => proven?,
                }
            }
            Self::admit(principal, &request).await
        }))
    }

    /// Who a token is that is not remembered as it is. A known signature is not verified again, whatever the address has spent. Another
    /// costs eight checks: an address that has failed too often does not get one verified, but for a client with units of its own.
    async fn verify(
        token: &str,
        request: &HttpRequest,
        state: &AppState,
    ) -> Result<Result<Principal, AccessError>, Refused> {
        match state.access.renew(token).await {
            Ok(None) => {}
            Ok(Some(principal)) => return Ok(Ok(principal)),
            Err(error) => return Ok(Err(error)),
        }
        let address = Exchange::address(request);
        if let Err(refused) = state.addresses.check(address)
            && !state.addresses.spend_reserve(state.access.claimed_client(token), address)
        {
            return Err(refused);
        }
        let verified = state.access.verify(token, Exchange::asker(request)).await;
        if let Ok(principal) = &verified {
            state.addresses.note_proven(principal.client.client_id);
        }
        Ok(verified)
    }

    fn admit(principal: Principal, request: &HttpRequest) -> Admission {
        let Some(route) = Exchange::route(request) else {
            return Either::Left(ready(Err(Problem::new(problem::INTERNAL, "the request could not be handled"))));
        };
        note_caller(&principal, request);
        if !route.scopes.iter().any(|scope| principal.scopes.contains(*scope)) {
            let names: Vec<_> = route.scopes.iter().map(|scope| scope.as_str()).collect();
            return Either::Left(ready(Err(Problem::insufficient_scope(&names.join(" ")))));
        }
        let needed = route.role();
        if principal.role.is_some_and(|(_, role)| role < needed) {
            return Either::Left(ready(Err(Problem::insufficient_role(needed))));
        }
        if let Err(refused) = place_for(request, Asker::Client(principal.client.client_id)) {
            return Either::Left(ready(Err(refused)));
        }
        let caller = Self { principal, request: request.clone(), route };
        let (limits, now_ns) = (&caller.principal.client.limits, AppState::of(request).clock.boot_ns());
        // What costs by its body is let in to say so, if it has any prospect.
        let asked = route.cost.map_or_else(|| limits.try_look(), |units| limits.try_spend(units, now_ns));
        match asked {
            Some(answer) => Either::Left(ready(caller.admitted(answer))),
            None => Either::Right(Box::pin(async move {
                let limits = Arc::clone(&caller.principal.client.limits);
                let answer = match route.cost {
                    Some(units) => limits.spend(units).await,
                    None => limits.look().await,
                };
                caller.admitted(answer)
            })),
        }
    }

    fn admitted(self, spent: Result<Standing, Refused>) -> Result<Self, Problem> {
        if let Some(exchange) = self.request.extensions_mut().get_mut::<Exchange>() {
            exchange.asker = Some(Asker::Client(self.principal.client.client_id));
            exchange.standing = spent.ok();
        }
        spent?;
        Ok(self)
    }

    /// Spends what an operation costs where that shows only in its body; one that could not be read costs a unit.
    pub async fn charge<T>(&self, body: Result<T, Problem>, cost: impl FnOnce(&T) -> NonZeroU32) -> Result<T, Problem> {
        let units = body.as_ref().map_or(NonZeroU32::MIN, cost);
        let spent = self.principal.client.limits.spend(units).await;
        self.note_spent(body, spent.map_err(Problem::from))
    }

    /// The same for a batch, which costs its items and is refused where no wait would help.
    pub async fn charge_batch<T>(
        &self,
        body: Result<T, Problem>,
        items: impl FnOnce(&T) -> NonZeroU32,
    ) -> Result<T, Problem> {
        let units = body.as_ref().map_or(NonZeroU32::MIN, items);
        let spent = self.principal.client.limits.spend_batch(units).await;
        self.note_spent(body, spent.map_err(Problem::from))
    }

    /// A page of records costs its rows: the audit log keeps an entry and whom it concerns for each. How many there are shows only
    /// when they have been read, so that they are owed.
    pub async fn owe_for_rows(&self, rows: usize) {
        if let Some(units) = u32::try_from(rows / ROWS_OF_A_UNIT).ok().and_then(NonZeroU32::new) {
            self.note(self.principal.client.limits.owe(units).await);
        }
    }

    fn note_spent<T>(&self, body: Result<T, Problem>, spent: Result<Standing, Problem>) -> Result<T, Problem> {
        match spent {
            Ok(standing) => self.note(standing),
            // A body that could not be read is told so, whatever it could not be charged.
            Err(refused) => return body.and(Err(refused)),
        }
        body
    }

    fn note(&self, standing: Standing) {
        if let Some(exchange) = self.request.extensions_mut().get_mut::<Exchange>() {
            exchange.standing = Some(standing);
        }
    }

    /// Does work that would keep the event loop from others, in the caller's turn.
    pub async fn work<T: Send + 'static>(
        &self,
        work: Work,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(AppState::of(&self.request).workshop.run(work, self.asker(), job).await?)
    }

    /// Takes a place among those that wait for the store, where the row's class did not.
    pub fn enter(&self, class: Class) -> Result<(), Problem> {
        enter(&self.request, class)
    }

    /// For whom its work is done.
    pub fn asker(&self) -> Asker {
        Asker::Client(self.principal.client.client_id)
    }

    /// What is left of the client's numbers is told with the answer.
    pub fn note_numbers(&self) {
        let standing = self.principal.client.numbers.standing(AppState::of(&self.request).clock.boot_ns());
        if let Some(exchange) = self.request.extensions_mut().get_mut::<Exchange>() {
            exchange.numbers = standing;
        }
    }

    /// What the caller has left of its limit.
    pub fn standing(&self) -> Option<Standing> {
        self.request.extensions().get::<Exchange>().and_then(|exchange| exchange.standing)
    }

    /// The row of the operation that is called.
    pub fn route(&self) -> &'static Route {
        self.route
    }

    /// The organization that the client belongs to.
    pub fn organization_id(&self) -> OrganizationId {
        self.principal.client.organization_id
    }

    /// Who calls, for services and the audit log.
    pub fn actor(&self) -> Actor {
        Actor { origin: Exchange::address(&self.request).origin(), ..self.principal.actor() }
    }

    /// Whether the token carries a scope, where an operation takes one of several.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.principal.scopes.contains(scope)
    }

    /// Whether the organization may act for an office: every act that carries one asks.
    pub fn act_for(&self, office: &OfficeCode) -> Result<(), Problem> {
        if self.principal.client.acts_for(office) {
            return Ok(());
        }
        Err(Problem::new(problem::OFFICE_NOT_YOURS, "the office is not one of the organization's"))
    }

    /// Who ends reports, and whether of others too.
    pub fn ender(&self) -> Ender {
        Ender { actor: self.actor(), ends_others: self.principal.client.offices.ends_others }
    }

    /// The id of the request, for problems inside a batch.
    pub fn request_id(&self) -> String {
        self.request.extensions().get::<Exchange>().map_or_else(String::new, |exchange| exchange.request_id.clone())
    }

    /// What paths begin with where the caller sees them.
    pub fn prefix(&self) -> Box<str> {
        Exchange::prefix(&self.request)
    }

    /// The value built from members, or the problem with them. A number with a wrong check character is counted against the client.
    pub fn finish<T>(&self, fields: Fields, value: Option<T>) -> Result<T, Problem> {
        if fields.guessed {
            self.principal.client.numbers.count_wrong_number()?;
        }
        fields.finish(value)
    }
}

/// Whom the place of a request counts towards, where it has one.
fn place_for(request: &HttpRequest, asker: Asker) -> Result<(), Problem> {
    let mut extensions = request.extensions_mut();
    let place = extensions.get_mut::<Exchange>().and_then(|exchange| exchange.place.as_mut());
    place.map_or(Ok(()), |place| place.assign(asker))
}

fn note_caller(principal: &Principal, request: &HttpRequest) {
    if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
        exchange.caller = Some(principal.actor());
    }
}

fn failed_authentication(state: &AppState, request: &HttpRequest) -> Result<(), Problem> {
    state.addresses.spend(Exchange::address(request))?;
    Ok(())
}

/// The token of an `Authorization` header, `Bearer` (RFC 6750, 2.1) or `DPoP` (RFC 9449, 7.1): one header, spaces, one token.
fn credentials(headers: &HeaderMap) -> Result<(Scheme, &str), &'static str> {
    let mut all = headers.get_all(header::AUTHORIZATION);
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err("send one Authorization header with a bearer token");
    };
    let value = value.as_bytes();
    let sent = token_of(value).map(|token| (Scheme::Bearer, token));
    let sent = sent.or_else(|| token_after(b"dpop ", value).map(|token| (Scheme::Dpop, token)));
    sent.ok_or("the Authorization header is neither `Bearer <token>` nor `DPoP <token>`")
}

/// The token in the value of the header.
pub(super) fn token_of(value: &[u8]) -> Option<&str> {
    token_after(b"bearer ", value)
}

/// By bytes: this runs for every check, over some 600 characters.
fn token_after<'a>(word: &[u8], value: &'a [u8]) -> Option<&'a str> {
    let (scheme, token) = value.split_at_checked(word.len())?;
    let token = scheme.eq_ignore_ascii_case(word).then(|| token.trim_ascii_start())?;
    let is_one = !token.is_empty() && !token.contains(&b' ');
    std::str::from_utf8(token).ok().filter(|_| is_one)
}

/// A caller without a token: its address's limit of public questions has been spent by one unit. Token requests and failed
/// authentications have one of their own, so that neither locks the other out.
#[derive(Debug)]
pub struct Anyone;

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let spent = AppState::of(request).public_addresses.spend(Exchange::address(request));
        if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
            exchange.standing = spent.ok();
        }
        ready(spent.map(|_| Self).map_err(Into::into))
    }
}
