//! `JsonBody<T>`: a body, read within its bounds of size and time only after the caller is known.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::exchange::Exchange;
use super::media::{Media, expect_type};
use super::state::AppState;
use super::wire::Faults;
use crate::http::contract::fields::read_object;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Class;
use crate::limits::Work;

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

/// Larger bodies are parsed in the workshop: that would keep the other requests of the worker waiting.
const PARSED_HERE_MAX: usize = 16 * 1024;

impl<T: DeserializeOwned + Send + 'static> JsonBody<T> {
    /// Reads and parses a small body.
    pub async fn read(self) -> Result<T, Problem> {
        self.read_up_to(SINGLE_BYTES_MAX).await.map(|(value, _)| value)
    }

    /// Reads and parses, and gives the bytes as well.
    pub async fn read_up_to(self, bytes_max: usize) -> Result<(T, Bytes), Problem> {
        expect_type(self.request.headers(), Media::Json)?;
        let bytes = read_bytes(&self.request, self.payload, bytes_max).await?;
        if bytes.len() <= PARSED_HERE_MAX {
            return Ok((parse(&bytes)?, bytes));
        }
        let parsing = {
            let bytes = bytes.clone();
            move || parse(&bytes)
        };
        let asker = Exchange::asker(&self.request);
        let parsed = AppState::of(&self.request).workshop.run(Work::Short, asker, parsing).await?;
        Ok((parsed?, bytes))
    }
}

/// Parses one JSON object; says what is wrong without repeating any of it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    read_object(bytes).map_err(Problem::malformed_json)
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
    let collect = async {
        let bytes = collect.await?;
        // The connection has closed the body in due form where its client has not.
        if request.conn_data::<Rc<Faults>>().is_some_and(|faults| faults.has_broken_body()) {
            return Err(Problem::new(problem::MALFORMED_REQUEST, "the chunks of the body are malformed"));
        }
        Ok(bytes)
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
    class.map_or(Ok(()), |class| enter(request, class))?;
    Ok(bytes)
}

/// A body that trickles in keeps nobody out: its request gives up its place meanwhile.
fn leave_place(request: &HttpRequest) -> Option<Class> {
    let mut extensions = request.extensions_mut();
    let place = extensions.get_mut::<Exchange>().and_then(|exchange| exchange.place.take());
    place.map(|place| place.class())
}

/// Takes a place for what a request still has to do, until its answer is gone.
pub fn enter(request: &HttpRequest, class: Class) -> Result<(), Problem> {
    let place = AppState::of(request).admission.enter(class)?;
    if let Some(exchange) = request.extensions_mut().get_mut::<Exchange>() {
        exchange.place = Some(place);
    }
    Ok(())
}
