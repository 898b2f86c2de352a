//! What came with a request for a token, by which the token can be bound to its holder.

use super::certificates::PeerCertificate;
use super::dpop::{DpopProof, Request};

/// The certificate of the connection, and a proof that was read, with what it must be about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holder<'a> {
    pub certificate: Option<&'a PeerCertificate>,
    pub proof: Option<(&'a DpopProof, Request<'a>)>,
}
