//! `[[issuers]]`: outside issuers whose tokens are accepted, and what each may say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::value::{Entry, Parts, Wrong};
use crate::domain::client::Scope;
use crate::domain::ids::{ClientId, OrganizationId};

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
    /// It speaks for clients of these organizations alone, and grants these scopes at most.
    pub organizations: Vec<OrganizationId>,
    pub scopes: Vec<Scope>,
    /// Where its tokens name the client, and which client of this service its own names mean.
    pub client_claim: String,
    pub client_map: BTreeMap<String, ClientId>,
    /// Where its tokens name what they grant, and which scope its own words mean.
    pub scope_claim: String,
    pub scope_map: BTreeMap<String, Scope>,
    /// Whether its tokens are plain JWTs, and not of RFC 9068.
    pub is_plain_jwt: bool,
}

impl Issuer {
    pub(crate) const RIGHT_URL: &'static str = "https, without user information";
    pub(crate) const RIGHT_ON_LOOPBACK: &'static str =
        "https: any program of this machine could answer on the port with keys of its own, and sign as the issuer";
    const CLIENT_CLAIMS: &'static [&'static str] = &["client_id", "azp", "sub"];
}

impl Entry for Issuer {
    const WHAT: &'static str = "a list of issuers, each under [[issuers]]";
    const NAMES: &'static [&'static str] = &[
        "issuer",
        "audience",
        "jwks_file",
        "jwks_url",
        "organizations",
        "scopes",
        "client_claim",
        "client_map",
        "scope_claim",
        "scope_map",
        "typ",
    ];

    fn of(parts: Parts) -> Result<Self, Wrong> {
        let (jwks_file, jwks_url) = (parts.text("jwks_file")?, parts.text("jwks_url")?);
        if jwks_file.is_some() == jwks_url.is_some() {
            return Err(("jwks_url", "there, or `jwks_file`: an issuer has one of the two"));
        }
        let client_claim = parts.text("client_claim")?.unwrap_or_else(|| "client_id".to_owned());
        if !Self::CLIENT_CLAIMS.contains(&client_claim.as_str()) {
            return Err(("client_claim", "client_id, azp or sub"));
        }
        let is_plain_jwt = match parts.text("typ")?.as_deref() {
            None | Some("at+jwt") => false,
            Some("JWT") => true,
            Some(_) => return Err(("typ", "at+jwt or JWT")),
        };
        let given = |what: &'static str| move |text: Option<String>| text.ok_or((what, "given"));
        Ok(Self {
            issuer: given("issuer")(parts.text("issuer")?)?,
            audience: given("audience")(parts.text("audience")?)?,
            jwks_file: jwks_file.map(PathBuf::from),
            jwks_url,
            organizations: all(&parts.list("organizations")?, |id| id.parse().ok())
                .ok_or(("organizations", "a list of ids of organizations, one at least: it speaks for no others"))?,
            scopes: all(&parts.list("scopes")?, Scope::parse)
                .ok_or(("scopes", "a list of scopes, one at least: it grants no others"))?,
            client_map: map(parts.map("client_map")?, |id| id.parse().ok())
                .ok_or(("client_map", "a table of its names of clients, each with the id of a client"))?,
            scope_claim: parts.text("scope_claim")?.unwrap_or_else(|| "scope".to_owned()),
            scope_map: map(parts.map("scope_map")?, Scope::parse)
                .ok_or(("scope_map", "a table of its words, each with a scope"))?,
            client_claim,
            is_plain_jwt,
        })
    }
}

/// Every value of a list that must have one.
fn all<T>(texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let values: Option<Vec<_>> = texts.iter().map(|text| parse(text)).collect();
    values.filter(|values| !values.is_empty())
}

fn map<T>(texts: BTreeMap<String, String>, parse: impl Fn(&str) -> Option<T>) -> Option<BTreeMap<String, T>> {
    texts.into_iter().map(|(name, text)| Some((name, parse(&text)?))).collect()
}
