//! Whether who sends a request is the holder of its token: the certificate of the connection, and the proof in the header `DPoP`
//! (RFC 8705, 3; RFC 9449, 4.3 and 7.1). What costs mathematics is `access`'s.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use super::exchange::Exchange;
use super::proxies::Peer;
use super::state::AppState;
use crate::access::certificates::PeerCertificate;
use crate::access::dpop::{DpopFault, DpopProof, Held, Request};
use crate::access::{Access, HolderError, Principal};
use crate::http::contract::problem::Problem;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

/// What the client of a request has shown in the handshake of its connection, or of its connection to a trusted proxy.
pub fn certificate(request: &HttpRequest, state: &AppState) -> Option<Arc<PeerCertificate>> {
    if !is_from_proxy(request, state) {
        return request.conn_data::<Arc<PeerCertificate>>().cloned();
    }
    let certificate = CertificateDer::from(handed_on(request.headers())?);
    let authorities = state.authorities.as_ref().map(|all| all.current());
    let read = PeerCertificate::read(&[certificate], authorities.as_deref(), state.clock.now_s());
    read.ok().map(Arc::new)
}

/// Whether a trusted proxy has written its head: what anybody else says of certificates is not read. One that sends a preface passes
/// the bytes of its clients on, their heads included.
fn is_from_proxy(request: &HttpRequest, state: &AppState) -> bool {
    request.conn_data::<Peer>().is_some_and(|peer| state.proxies.trusts_fields_of(peer.0))
}

/// The certificate that a proxy hands on (RFC 9440, 2.2): one byte sequence of RFC 8941 (3.3.5).
fn handed_on(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(CLIENT_CERT);
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let encoded = value.to_str().ok()?.trim().strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(encoded).ok()
}

/// The proof that comes with a request, whose answer then offers a nonce.
pub fn proof(request: &HttpRequest) -> Result<Option<DpopProof>, DpopFault> {
    let proof = read(request.headers()).transpose();
    if proof.is_some()
        && let Some(exchange) = request.extensions_mut().get_mut::<Exchange>()
    {
        exchange.offers_nonce = true;
    }
    proof.transpose()
}

fn read(headers: &HeaderMap) -> Result<Option<DpopProof>, DpopFault> {
    let mut all = headers.get_all(DPOP);
    let Some(one) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(DpopFault::Several);
    }
    DpopProof::read(one.to_str().map_err(|_| DpopFault::Malformed)?).map(Some)
}

/// What a proof of this request must be about, but for the token.
pub fn expected<'a>(request: &'a HttpRequest, access: &'a Access) -> Request<'a> {
    Request { method: request.method().as_str(), url: access.url(), path: request.uri().path(), held: None, now_s: 0 }
}

/// Holds certificate and proof of a request against its token. A proof that comes back is still to be verified.
pub fn check(
    principal: &Principal,
    scheme: Scheme,
    token: &str,
    request: &HttpRequest,
    state: &AppState,
) -> Result<Option<DpopProof>, Problem> {
    let access = &*state.access;
    let binding = &principal.binding;
    if binding.is_none() && access.requires_bound() {
        return Err(Problem::unauthorized("the token is bound to nobody, and this service takes only bound ones"));
    }
    if binding.certificate.is_some() && !binding.allows(certificate(request, state).as_deref()) {
        return Err(Problem::unauthorized("the token is bound to a certificate that this connection does not have"));
    }
    let Some(key) = binding.key else {
        return match scheme {
            Scheme::Bearer => Ok(None),
            Scheme::Dpop => Err(Problem::unauthorized("the token is bound to no key: send it as `Bearer`")),
        };
    };
    if scheme == Scheme::Bearer {
        let detail = "the token is bound to a key: send it as `DPoP`, with a proof";
        return Err(Problem::not_the_holder(detail, "invalid_token"));
    }
    let of_fault = |fault: DpopFault| Problem::not_the_holder(fault.as_str(), fault.error());
    let proof = proof(request).and_then(|proof| proof.ok_or(DpopFault::Missing)).map_err(of_fault)?;
    let expected = Request { held: Some(Held::of(token, key)), ..expected(request, access) };
    access.check_proof(&proof, expected).map_err(of_fault)?;
    Ok(Some(proof))
}

impl From<HolderError> for Problem {
    fn from(error: HolderError) -> Self {
        match error {
            HolderError::Dpop(fault) => Self::not_the_holder(fault.as_str(), fault.error()),
            HolderError::Limit(refused) => refused.into(),
            HolderError::Crowded(crowded) => crowded.into(),
            HolderError::Store(error) => error.into(),
        }
    }
}
