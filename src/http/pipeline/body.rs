//! `JsonBody<T>`: a body, read within its bounds of size and time only after the caller is known.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::task::Poll;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::exchange::Exchange;
use super::state::AppState;
use crate::http::contract::fields::Object;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::route::Class;
use crate::service::fields::describe_json;

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
