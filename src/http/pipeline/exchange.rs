//! What belongs to one request and its answer: what the layers tell each other of it.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpMessage, HttpRequest};

use super::admission::Place;
use crate::domain::ids::OrganizationId;
use crate::domain::usage::Outcome;
use crate::http::contract::route::Route;
use crate::limits::{Asker, Standing};

/// What belongs to one request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The row of its path; none where no row names it.
    pub route: Option<&'static Route>,
    /// For problems and logs.
    pub request_id: String,
    /// What the caller has left of its limit.
    pub standing: Option<Standing>,
    /// Whose client it is, once that is known.
    pub organization: Option<OrganizationId>,
    /// For whom work is done: by the address until the client is known.
    pub asker: Option<Asker>,
    /// Whether its answer offers a nonce for `DPoP` proofs.
    pub offers_nonce: bool,
    /// Its place among those that wait.
    pub place: Option<Place>,
}

impl Exchange {
    /// For whom work on a request is done.
    pub fn asker(request: &HttpRequest) -> Asker {
        let asker = request.extensions().get::<Self>().and_then(|exchange| exchange.asker);
        asker.unwrap_or(Asker::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    /// The row of a request.
    pub fn route(request: &HttpRequest) -> Option<&'static Route> {
        request.extensions().get::<Self>().and_then(|exchange| exchange.route)
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
