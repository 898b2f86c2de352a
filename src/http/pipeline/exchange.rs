//! What belongs to one request and its answer: what the layers tell each other of it.

use std::rc::Rc;

use actix_web::{HttpMessage, HttpRequest};

use super::admission::Place;
use super::budget::Hold;
use super::wire::Body;
use crate::domain::client::Actor;
use crate::domain::usage::Outcome;
use crate::http::contract::route::Route;
use crate::limits::{Asker, CallerAddress, Standing};

/// What belongs to one request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The row of its path; none where no row names it.
    pub route: Option<&'static Route>,
    /// Who asks: the address by which callers are counted, behind a proxy or not.
    pub address: CallerAddress,
    /// What paths begin with where the caller sees them.
    pub prefix: Box<str>,
    /// For problems and logs.
    pub request_id: String,
    /// What the caller has left of its limit.
    pub standing: Option<Standing>,
    /// What is left of the client's numbers, after a check.
    pub numbers: Option<Standing>,
    /// Who calls, once that is known.
    pub caller: Option<Actor>,
    /// For whom work is done, once the client is known; until then for its address.
    pub asker: Option<Asker>,
    /// Whether its answer offers a nonce for `DPoP` proofs.
    pub offers_nonce: bool,
    /// Not read by the server.
    pub body: Option<Rc<Body>>,
    /// What its head holds of the budget until it is answered.
    pub head: Option<Hold>,
    /// Its place among those that wait.
    pub place: Option<Place>,
}

impl Exchange {
    /// For whom work on a request is done.
    pub fn asker(request: &HttpRequest) -> Asker {
        let asker = request.extensions().get::<Self>().and_then(|exchange| exchange.asker);
        asker.unwrap_or_else(|| Asker::at(Self::address(request)))
    }

    /// The row of a request.
    pub fn route(request: &HttpRequest) -> Option<&'static Route> {
        request.extensions().get::<Self>().and_then(|exchange| exchange.route)
    }

    /// The address of a request's caller. There is no other: never the connection's, which may be a proxy's.
    pub fn address(request: &HttpRequest) -> CallerAddress {
        request.extensions().get::<Self>().map_or(CallerAddress::UNKNOWN, |exchange| exchange.address)
    }

    /// What paths begin with where the caller sees them.
    pub fn prefix(request: &HttpRequest) -> Box<str> {
        request.extensions().get::<Self>().map(|exchange| exchange.prefix.clone()).unwrap_or_default()
    }
}

/// Marks an error answer whose form is another standard's (RFC 6749's at the token endpoint).
#[derive(Debug, Clone, Copy)]
pub struct OwnErrorForm(pub &'static str);

/// How a check that was refused is counted.
pub fn refused_check(status: u16) -> Outcome {
    match status {
        429 => Outcome::Limited,
        500.. => Outcome::Unavailable,
        _ => Outcome::Invalid,
    }
}
