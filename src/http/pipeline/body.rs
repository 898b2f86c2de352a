//! `JsonBody<T>`: a body, read within its bounds of size, time and budget only after the caller is known. Bodies do not come through
//! the server: `wire` keeps them (decision 040).

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::de::DeserializeOwned;

use super::exchange::Exchange;
use super::media::{Media, expect_type};
use super::state::AppState;
use super::wire::{BODY_TIMEOUT, BodyFault};
use crate::http::contract::fields::read_object;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Class;
use crate::limits::{Asker, Work};

/// The bytes of a body: wiped when dropped.
pub type BodyBytes = Vec<u8>;

/// A body, not read yet.
pub struct JsonBody<T> {
    request: HttpRequest,
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

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), shape: PhantomData }))
    }
}

/// A single check, report or other small object: room for a 100 kB string that is refused as a value, not as a body.
pub const SINGLE_BYTES_MAX: usize = 256 * 1024;
/// A batch of 1,000 checks.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Larger bodies are parsed in the workshop: that would keep the other requests of the worker waiting.
const PARSED_HERE_MAX: usize = 16 * 1024;

impl<T: DeserializeOwned + Send + 'static> JsonBody<T> {
    /// Reads and parses a small body.
    pub async fn read(self) -> Result<T, Problem> {
        self.read_up_to(SINGLE_BYTES_MAX).await.map(|(value, _)| value)
    }

    /// Reads and parses what is to change of an object, and gives the bytes as well.
    pub async fn read_patch(self) -> Result<(T, BodyBytes), Problem> {
        self.read_as(Media::MergePatch, SINGLE_BYTES_MAX).await
    }

    /// Reads and parses, and gives the bytes as well.
    pub async fn read_up_to(self, bytes_max: usize) -> Result<(T, BodyBytes), Problem> {
        self.read_as(Media::Json, bytes_max).await
    }

    async fn read_as(self, media: Media, bytes_max: usize) -> Result<(T, BodyBytes), Problem> {
        expect_type(self.request.headers(), media)?;
        let bytes = read_bytes(&self.request, bytes_max).await?;
        if bytes.len() <= PARSED_HERE_MAX {
            return Ok((parse(&bytes)?, bytes));
        }
        let parsing = move || (parse(&bytes), bytes);
        let asker = Exchange::asker(&self.request);
        let (parsed, bytes) = AppState::of(&self.request).workshop.run(Work::Short, asker, parsing).await?;
        Ok((parsed?, bytes))
    }
}

/// Parses one JSON object; says what is wrong without repeating any of it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    read_object(bytes).map_err(Problem::malformed_json)
}

/// Reads a body within its bounds of size and time. A client's request keeps its place meanwhile, and the body what it has of the
/// budget: who lets bodies trickle in holds its share and no more.
pub async fn read_bytes(request: &HttpRequest, bytes_max: usize) -> Result<BodyBytes, Problem> {
    read_bytes_within(request, bytes_max, BODY_TIMEOUT).await
}

/// The same, within a shorter time.
pub async fn read_bytes_within(request: &HttpRequest, bytes_max: usize, time: Duration) -> Result<BodyBytes, Problem> {
    let (body, caller) = {
        let extensions = request.extensions();
        let exchange = extensions.get::<Exchange>();
        (exchange.and_then(|exchange| exchange.body.clone()), exchange.and_then(|exchange| exchange.caller))
    };
    let Some(body) = body else { return enter_late(request).map(|()| BodyBytes::default()) };
    let refuse = |fault| refusal(fault, bytes_max, caller.is_some());
    if body.announced().is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(refuse(BodyFault::TooLarge));
    }
    // Nearly every body has come with its head: no timer is needed then.
    if let Some(whole) = body.take_whole(bytes_max) {
        let whole = whole.map_err(refuse)?;
        return enter_late(request).map(|()| whole);
    }
    // Of a stranger the address counts: a connection may be a proxy's.
    let sender = caller.map_or_else(|| Asker::at(Exchange::address(request)), |caller| Asker::Client(caller.client));
    body.charge(sender).map_err(refuse)?;
    let whole = std::future::poll_fn(|cx| body.poll_whole(bytes_max, cx));
    let whole = tokio::time::timeout(time, whole).await;
    let whole =
        whole.map_err(|_| Problem::new(problem::TOO_SLOW, "the body did not arrive in time"))?.map_err(refuse)?;
    enter_late(request).map(|()| whole)
}

/// The place of a stranger's request, once its body has come: what trickles in without a token keeps no place from others.
fn enter_late(request: &HttpRequest) -> Result<(), Problem> {
    let late = request
        .extensions()
        .get::<Exchange>()
        .filter(|exchange| exchange.place.is_none())
        .and_then(|exchange| exchange.route.filter(|route| route.enters_late()).and_then(|route| route.class));
    late.map_or(Ok(()), |class| enter(request, class))
}

/// Takes a place for what a request still has to do, until its answer is gone.
pub fn enter(request: &HttpRequest, class: Class) -> Result<(), Problem> {
    let place = AppState::of(request).admission.enter(class, Some(Exchange::asker(request)))?;
    if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
        exchange.place = Some(place);
    }
    Ok(())
}

fn refusal(fault: BodyFault, bytes_max: usize, is_known: bool) -> Problem {
    match fault {
        BodyFault::Malformed => Problem::new(problem::MALFORMED_REQUEST, "the chunks of the body are malformed"),
        BodyFault::CutOff => Problem::new(problem::MALFORMED_REQUEST, "the body could not be read"),
        BodyFault::TooLarge => {
            Problem::new(problem::BODY_TOO_LARGE, format!("the body may have at most {bytes_max} bytes"))
        }
        BodyFault::Full(full) => full.problem(is_known),
    }
}
