//! `[[issuers]]`: outside issuers whose tokens are accepted.

use std::path::PathBuf;

use super::value::Entry;

/// An outside issuer, with the one place where its keys are.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens carry for this service.
    pub audience: String,
    /// Its JWK Set, as a file; or:
    pub jwks_file: Option<PathBuf>,
    /// where to fetch it, by HTTPS.
    pub jwks_url: Option<String>,
}

impl Issuer {
    pub(crate) const RIGHT_URL: &'static str = "https, without user information";
}

impl Entry for Issuer {
    const WHAT: &'static str = "a list of issuers, each under [[issuers]]";
    const NAMES: &'static [&'static str] = &["issuer", "audience", "jwks_file", "jwks_url"];

    fn of(texts: Vec<Option<String>>) -> Result<Self, (&'static str, &'static str)> {
        let mut texts = texts.into_iter();
        let [issuer, audience, jwks_file, jwks_url] = std::array::from_fn(|_| texts.next().flatten());
        let required = |name, text: Option<String>| text.ok_or((name, "given"));
        if jwks_file.is_some() == jwks_url.is_some() {
            return Err(("jwks_url", "there, or `jwks_file`: an issuer has one of the two"));
        }
        Ok(Self {
            issuer: required("issuer", issuer)?,
            audience: required("audience", audience)?,
            jwks_file: jwks_file.map(PathBuf::from),
            jwks_url,
        })
    }
}
