//! Access tokens: issued by this service (RFC 9068) or by configured outside issuers, verified strictly.
//! What is cheap is looked at before any signature mathematics; nothing of a token's content is ever logged or echoed.
//! Who the client is and whether it is still welcome is the directory's affair.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};

use super::binding::{Binding, Confirmation};
use super::jwks::{IssuerKeys, IssuerRules, PersonRules, PublishedKey, algorithm_name, words_of};
use crate::clock::beijing_date;
use crate::domain::client::{Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::person::{Role, ShortName};

/// Longer tokens are refused unread.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// How far clocks may differ, in seconds.
pub const LEEWAY_S: i64 = 5;
/// No token may live longer, whatever its issuer says, in seconds.
const LIFETIME_S_MAX: i64 = 24 * 3600;

/// Why a token is refused. One word for the client; it learns no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed or its kind is not accepted")]
    Malformed,
    #[error("the token is signed by no accepted key")]
    UnknownKey,
    #[error("the signature does not match or a claim is missing or wrong")]
    Invalid,
    #[error("the token has expired or is not valid yet")]
    Expired,
    #[error("the token or its client has been revoked")]
    Revoked,
}

/// Whose clients a token may be.
#[derive(Debug, Clone)]
pub enum Organizations {
    /// Its own claim (`org`), or anybody's where it has none.
    Claimed(Option<OrganizationId>),
    /// Those that its issuer is bound to.
    Bound(Arc<IssuerRules>),
}

impl Organizations {
    pub fn contain(&self, organization: OrganizationId) -> bool {
        match self {
            Self::Claimed(claimed) => claimed.is_none_or(|claimed| claimed == organization),
            Self::Bound(rules) => rules.organizations.contains(&organization),
        }
    }
}

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct TokenClaims {
    pub client_id: ClientId,
    pub organizations: Organizations,
    pub scopes: Scopes,
    pub issued_s: i64,
    pub expires_s: i64,
    pub binding: Binding,
    /// Who is behind the client.
    pub person: Option<ShortName>,
    /// Who that is and what is theirs, where an issuer of persons vouches for it.
    pub role: Option<(PersonId, Role)>,
    /// The group that gave the role; none where this service itself vouches for the person.
    pub group: Option<Arc<str>>,
    /// The key that signed it.
    pub key: KeyName,
    /// Known to the list of revoked tokens.
    pub fingerprint: [u8; 32],
}

/// A key, as its issuer calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    issuer: String,
    kid: String,
}

impl KeyName {
    /// Whether the key is still accepted.
    pub fn is_among(&self, issuers: &[IssuerKeys]) -> bool {
        issuers.iter().any(|issuer| issuer.issuer == self.issuer && issuer.keys.contains_key(&self.kid))
    }
}

/// The client that a token names, which it may not be: nothing is verified.
pub fn claimed_client(token: &str) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct Named {
        client_id: ClientId,
    }
    unverified::<Named>(token).map(|named| named.client_id)
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
    exp: i64,
    nbf: Option<i64>,
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

/// An outside issuer's claims: who the client is and what is granted stands where its rules say.
#[derive(Deserialize)]
struct OutsideClaims {
    iss: String,
    exp: i64,
    nbf: Option<i64>,
    iat: i64,
    jti: Option<String>,
    /// Entra ID's name for `jti`.
    uti: Option<String>,
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

fn read_outside(
    claims: OutsideClaims,
    rules: &Arc<IssuerRules>,
    token: &str,
    key: KeyName,
    now_s: i64,
) -> Result<TokenClaims, TokenError> {
    check_times(claims.iat, claims.nbf, claims.exp, LIFETIME_S_MAX, now_s)?;
    if let Some(persons) = &rules.persons {
        return read_person(claims, persons, token, key, beijing_date(UnixMs::from_seconds(now_s)));
    }
    let client = claims.others.get(&rules.client_claim).and_then(serde_json::Value::as_str);
    let client_id = client.and_then(|name| rules.client_map.get(name).copied().or_else(|| ClientId::parse(name)));
    let words = words_of(claims.others.get(&rules.scope_claim));
    // Its other words are about other services.
    let scope = |word: &&str| {
        if rules.scope_map.is_empty() { Scope::parse(word) } else { rules.scope_map.get(*word).copied() }
    };
    let scopes = words.iter().filter_map(scope).filter(|scope| rules.scopes.contains(*scope)).collect();
    let id = claims.jti.or(claims.uti).filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| hex::encode(Sha256::digest(token)));
    Ok(TokenClaims {
        client_id: client_id.ok_or(TokenError::Invalid)?,
        organizations: Organizations::Bound(Arc::clone(rules)),
        scopes,
        issued_s: claims.iat,
        expires_s: claims.exp,
        binding: Binding::of_claim(claims.cnf.as_ref()).ok_or(TokenError::Invalid)?,
        person: None,
        role: None,
        group: None,
        key,
        fingerprint: fingerprint(&claims.iss, &id),
    })
}

/// A person whom the issuer knows: with the highest role of their groups, and none without one.
fn read_person(
    claims: OutsideClaims,
    rules: &PersonRules,
    token: &str,
    key: KeyName,
    today: Date,
) -> Result<TokenClaims, TokenError> {
    let text = |name: &str| claims.others.get(name).and_then(serde_json::Value::as_str);
    let subject = text("sub").filter(|subject| !subject.is_empty()).ok_or(TokenError::Invalid)?;
    let groups = words_of(claims.others.get(&rules.groups_claim));
    let of_group = |group: &&str| rules.roles.get(*group).map(|role| (*role, Arc::from(*group)));
    let (role, group) = groups.iter().filter_map(of_group).max().ok_or(TokenError::Invalid)?;
    let mut id = [0; 16];
    id.copy_from_slice(&fingerprint(&claims.iss, subject)[..16]);
    // Some providers name people by their identity number, which no log may hold.
    let mut named = [text(&rules.name_claim), Some(subject)].into_iter().flatten();
    let name = named.find_map(|name| ShortName::parse(name, today));
    let name = name.or_else(|| ShortName::stored(&hex::encode(id)));
    let token_id = claims.jti.or(claims.uti).filter(|id| !id.is_empty());
    let token_id = token_id.unwrap_or_else(|| hex::encode(Sha256::digest(token)));
    Ok(TokenClaims {
        client_id: rules.client,
        organizations: Organizations::Claimed(None),
        scopes: std::iter::once(Scope::Admin).collect(),
        issued_s: claims.iat,
        expires_s: claims.exp,
        binding: Binding::of_claim(claims.cnf.as_ref()).ok_or(TokenError::Invalid)?,
        person: Some(name.ok_or(TokenError::Invalid)?),
        role: Some((PersonId::from_bytes(id), role)),
        group: Some(group),
        key,
        fingerprint: fingerprint(&claims.iss, &token_id),
    })
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

/// Every time claim is checked here, against the service's clock, with all comparisons in one place.
pub(super) fn check_times(
    iat: i64,
    nbf: Option<i64>,
    exp: i64,
    lifetime_s_max: i64,
    now_s: i64,
) -> Result<(), TokenError> {
    let starts = nbf.unwrap_or(iat).max(iat);
    if exp.saturating_sub(iat) > lifetime_s_max || exp <= iat {
        return Err(TokenError::Invalid);
    }
    if now_s >= exp.saturating_add(LEEWAY_S) || now_s < starts.saturating_sub(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// What the list of revoked tokens holds.
pub fn fingerprint(issuer: &str, token_id: &str) -> [u8; 32] {
    Sha256::new().chain_update(issuer).chain_update([0]).chain_update(token_id).finalize().into()
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
