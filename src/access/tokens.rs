//! Access tokens: issued by this service (RFC 9068) or by configured outside issuers, verified strictly.
//! What is cheap is looked at before any signature mathematics; nothing of a token's content is ever logged or echoed.
//! Who the client is and whether it is still welcome is the directory's affair.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::binding::{Binding, Confirmation};
use super::jwks::{IssuerKeys, IssuerRules, PublishedKey, algorithm_name};
use super::numeric_date::{seconds, seconds_if_there};
use super::outside_claims::{OutsideClaims, read_outside};
pub use super::token_claims::{KeyName, LEEWAY_S, Organizations, TokenClaims, TokenError, fingerprint};
use super::token_claims::{LIFETIME_S_MAX, check_times};
use crate::domain::client::Scopes;
use crate::domain::ids::{ClientId, OrganizationId, PersonId};
use crate::domain::person::{Role, ShortName};

/// Longer tokens are refused unread.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// The client that a token names where its issuer names clients, which it may not be: nothing is verified.
pub fn claimed_client(token: &str, issuers: &[IssuerKeys]) -> Option<ClientId> {
    let claims = unverified::<serde_json::Map<String, serde_json::Value>>(token)?;
    let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    let name = text("iss")?;
    match &issuers.iter().find(|issuer| issuer.issuer == name)?.rules {
        None => ClientId::parse(text("client_id")?),
        Some(rules) => match &rules.persons {
            Some(persons) => Some(persons.client),
            None => rules.client_of(text(&rules.client_claim)?),
        },
    }
}

/// Some claims of a token as it came: nothing is verified.
fn unverified<T: DeserializeOwned>(token: &str) -> Option<T> {
    let claims = token.split('.').nth(1).filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    let json = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&json).ok()
}

/// The JOSE header, and nothing beside it: `crit`, `b64`, `jku`, `x5u`, `jwk` and whatever else would change the meaning of
/// the signature is refused by being unknown (RFC 7515, 4.1.11; RFC 8725, 3.10).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: String,
    /// Entra ID sends both a `kid` and a thumbprint of the same key's certificate; of outside issuers they are passed over.
    x5t: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(default, deserialize_with = "seconds_if_there")]
    nbf: Option<i64>,
    #[serde(deserialize_with = "seconds")]
    iat: i64,
    jti: String,
    client_id: ClientId,
    org: Option<OrganizationId>,
    scope: String,
    cnf: Option<Confirmation>,
    clerk: Option<String>,
    person: Option<PersonClaim>,
}

/// A person of the operator, who signed in here.
#[derive(Deserialize)]
struct PersonClaim {
    id: PersonId,
    role: String,
}

/// Verifies a token by the key that its issuer has under its name: two issuers may use one name.
pub fn verify(token: &str, issuers: &[IssuerKeys], now_s: i64) -> Result<TokenClaims, TokenError> {
    let header = read_header(token)?;
    let name = claimed_issuer(token).ok_or(TokenError::Malformed)?;
    let issuer = issuers.iter().find(|issuer| issuer.issuer == name).ok_or(TokenError::UnknownKey)?;
    if !is_kind_of(&header, issuer.rules.as_deref()) {
        return Err(TokenError::Malformed);
    }
    let key = issuer.keys.get(&header.kid).ok_or(TokenError::UnknownKey)?;
    if algorithm_name(key.algorithm) != header.alg {
        return Err(TokenError::Invalid);
    }
    let validation = strict(key.algorithm, &issuer.issuer, &issuer.audience);
    let (invalid, name) = (|_| TokenError::Invalid, KeyName { issuer: issuer.issuer.clone(), kid: header.kid });
    match &issuer.rules {
        None => {
            let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &validation).map_err(invalid)?.claims;
            read_claims(&claims, name, now_s)
        }
        Some(rules) => {
            let claims = jsonwebtoken::decode::<OutsideClaims>(token, &key.key, &validation).map_err(invalid)?.claims;
            read_outside(claims, rules, token, name, now_s)
        }
    }
}

/// Whether a header is one of the issuer's: of RFC 9068, unless its tokens are plain JWTs.
fn is_kind_of(header: &Header, rules: Option<&IssuerRules>) -> bool {
    let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    let may_be_plain = rules.is_some_and(|rules| rules.is_plain_jwt);
    let has_thumbprint = header.x5t.is_some() || header.x5t_s256.is_some();
    (typ == Some("at+jwt") || (may_be_plain && matches!(typ, None | Some("jwt"))))
        && (rules.is_some() || !has_thumbprint)
}

/// The issuer that a token names, unread otherwise: by it the key is looked for.
pub fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    unverified::<Named>(token).map(|named| named.iss)
}

fn read_claims(claims: &Claims, key: KeyName, now_s: i64) -> Result<TokenClaims, TokenError> {
    check_times(claims.iat, claims.nbf, claims.exp, LIFETIME_S_MAX, now_s)?;
    if claims.sub.is_empty() || claims.jti.is_empty() {
        return Err(TokenError::Invalid);
    }
    let of_person = |of: &PersonClaim| Role::parse(&of.role).map(|role| (of.id, role)).ok_or(TokenError::Invalid);
    Ok(TokenClaims {
        client_id: claims.client_id,
        organizations: Organizations::Claimed(claims.org),
        scopes: Scopes::parse(&claims.scope).ok_or(TokenError::Invalid)?,
        issued_s: claims.iat,
        expires_s: claims.exp,
        binding: Binding::of_claim(claims.cnf.as_ref()).ok_or(TokenError::Invalid)?,
        person: claims.clerk.as_deref().map(|name| ShortName::stored(name).ok_or(TokenError::Invalid)).transpose()?,
        role: claims.person.as_ref().map(of_person).transpose()?,
        group: None,
        key,
        fingerprint: fingerprint(&claims.iss, &claims.jti),
    })
}

/// Structure, type and key id: what costs nothing and refuses nearly every forgery.
fn read_header(token: &str) -> Result<Header, TokenError> {
    let malformed = TokenError::Malformed;
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    if token.len() > TOKEN_BYTES_MAX || claims.is_empty() || signature.is_empty() {
        return Err(malformed);
    }
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed)?;
    // Serde fills a struct from an array too; a JOSE header is an object (RFC 7515, 4).
    if json.first() != Some(&b'{') {
        return Err(malformed);
    }
    let header: Header = serde_json::from_slice(&json).map_err(|_| malformed)?;
    Ok(header)
}

/// One algorithm, one issuer, one audience, every claim required. Times are checked by [`check_times`].
pub(super) fn strict(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.leeway = 0;
    validation
}

/// This service's own published token keys, as an issuer.
pub fn own_keys(issuer: &str, published: &[crate::crypto::signing::PublicKey]) -> IssuerKeys {
    let keys = published.iter().filter_map(|public| {
        let key = DecodingKey::from_ed_components(&public.x()).ok()?;
        Some((public.kid().to_owned(), PublishedKey { algorithm: Algorithm::EdDSA, key }))
    });
    IssuerKeys {
        issuer: issuer.to_owned(),
        audience: issuer.to_owned(),
        keys: keys.collect::<HashMap<_, _>>(),
        rules: None,
    }
}
