//! Whether who sends a request is the holder of its token: the certificate of the connection, and the proof in the header `DPoP`
//! (RFC 8705, 3; RFC 9449, 4.3 and 7.1). What costs mathematics is `access`'s.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::exchange::Exchange;
use super::proxies::Peer;
use super::state::AppState;
use crate::access::certificates::{PeerCertificate, Thumbprint};
use crate::access::dpop::{DpopFault, DpopProof, Held, Request};
use crate::access::{Access, HolderError, Principal};
use crate::http::contract::problem::Problem;
use crate::limits::{Crowded, Work};

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
/// Authorities between a client and the one that is trusted.
const LINKS_MAX: usize = 8;
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

/// Why who sends a request is not the holder of its token.
#[derive(Debug)]
pub struct NotHolder {
    pub problem: Problem,
    /// The rule that its proof breaks.
    pub fault: Option<DpopFault>,
}

impl NotHolder {
    /// Whether something wrong was sent: to lack a proof, or the nonce for one, is how an honest client begins.
    pub fn is_wrong(&self) -> bool {
        !matches!(self.fault, Some(DpopFault::Missing | DpopFault::Nonce))
    }
}

impl From<Problem> for NotHolder {
    fn from(problem: Problem) -> Self {
        Self { problem, fault: None }
    }
}

impl From<DpopFault> for NotHolder {
    fn from(fault: DpopFault) -> Self {
        Self { problem: Problem::not_the_holder(fault.as_str(), fault.error()), fault: Some(fault) }
    }
}

/// What the client of a request has shown in the handshake of its connection, or of its connection to a trusted proxy. What a proxy hands on
/// is read, and held against the authorities, in the workshop: that is mathematics.
pub async fn certificate(request: &HttpRequest, state: &AppState) -> Result<Option<Arc<PeerCertificate>>, Crowded> {
    if !is_from_proxy(request, state) {
        return Ok(request.conn_data::<Arc<PeerCertificate>>().cloned());
    }
    let Some(first) = handed_on(request.headers()) else { return Ok(None) };
    let chain: Vec<_> = std::iter::once(first).chain(links_of(request.headers())).map(CertificateDer::from).collect();
    let (authorities, now_s) = (state.authorities.as_ref().map(|all| all.current()), state.clock.now_s());
    let read = move || PeerCertificate::read(&chain, authorities.as_deref(), now_s).ok().map(Arc::new);
    state.workshop.run(Work::Short, Exchange::asker(request), read).await
}

/// Which certificate that was: all that a token is held against.
fn thumbprint(request: &HttpRequest, state: &AppState) -> Option<Thumbprint> {
    if !is_from_proxy(request, state) {
        return request.conn_data::<Arc<PeerCertificate>>().map(|shown| shown.thumbprint);
    }
    handed_on(request.headers()).map(|first| Sha256::digest(first).into())
}

/// Whether a trusted proxy has written its head: what anybody else says of certificates is not read. One that sends a preface passes
/// the bytes of its clients on, their heads included.
fn is_from_proxy(request: &HttpRequest, state: &AppState) -> bool {
    request.conn_data::<Peer>().is_some_and(|peer| state.proxies.trusts_fields_of(peer.0))
}

/// The certificate that a proxy hands on (RFC 9440, 2.2).
fn handed_on(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(CLIENT_CERT);
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    byte_sequence(value.to_str().ok()?)
}

/// What links it to its authority (RFC 9440, 2.3): a list. One that is malformed, or longer than any, links nothing.
fn links_of(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let lists: Option<Vec<_>> = headers.get_all(CLIENT_CERT_CHAIN).map(|value| value.to_str().ok()).collect();
    let links = lists.unwrap_or_default().into_iter().flat_map(|list| list.split(',')).take(LINKS_MAX + 1);
    let links: Option<Vec<_>> = links.map(byte_sequence).collect();
    links.filter(|links| links.len() <= LINKS_MAX).unwrap_or_default()
}

/// A byte sequence of RFC 8941 (3.3.5).
fn byte_sequence(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim().strip_prefix(':')?.strip_suffix(':')?).ok()
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
) -> Result<Option<DpopProof>, NotHolder> {
    let access = &*state.access;
    let binding = &principal.binding;
    if binding.is_none() && access.requires_bound() {
        let detail = "the token is bound to nobody, and this service takes only bound ones";
        return Err(Problem::unauthorized(detail).into());
    }
    if binding.certificate.is_some() && !binding.allows(thumbprint(request, state)) {
        let detail = "the token is bound to a certificate that this connection does not have";
        return Err(Problem::unauthorized(detail).into());
    }
    let Some(key) = binding.key else {
        return match scheme {
            Scheme::Bearer => Ok(None),
            Scheme::Dpop => Err(Problem::unauthorized("the token is bound to no key: send it as `Bearer`").into()),
        };
    };
    if scheme == Scheme::Bearer {
        let detail = "the token is bound to a key: send it as `DPoP`, with a proof";
        return Err(Problem::not_the_holder(detail, "invalid_token").into());
    }
    let proof = proof(request)?.ok_or(DpopFault::Missing)?;
    let expected = Request { held: Some(Held::of(token, key)), ..expected(request, access) };
    access.check_proof(&proof, expected)?;
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

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn links(values: &[&str]) -> Vec<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CLIENT_CERT_CHAIN, HeaderValue::from_str(value).unwrap());
        }
        links_of(&headers)
    }

    #[test]
    fn a_chain_is_one_list_of_byte_sequences_and_no_longer_than_any() {
        assert_eq!(links(&[":YQ==:, :Yg==:", ":Yw==:"]), [b"a", b"b", b"c"]);
        for none in [&[][..], &[""], &[":YQ==:, YQ=="], &[":YQ==:,"], &[":?:"]] {
            assert!(links(none).is_empty(), "{none:?}");
        }
        let list = |count: usize| vec![":YQ==:"; count].join(", ");
        assert_eq!((links(&[&list(LINKS_MAX)]).len(), links(&[&list(LINKS_MAX + 1)]).len()), (LINKS_MAX, 0));
    }
}
