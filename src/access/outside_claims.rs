//! What the tokens of outside issuers say, read by the rules of their issuer: of clients, and of the operator's persons. Verified before.

use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::binding::{Binding, Confirmation};
use super::jwks::{IssuerRules, PersonRules, words_of};
use super::numeric_date::{seconds, seconds_if_there};
use super::token_claims::{KeyName, LIFETIME_S_MAX, Organizations, TokenClaims, TokenError, check_times, fingerprint};
use crate::clock::beijing_date;
use crate::domain::client::Scope;
use crate::domain::ids::PersonId;
use crate::domain::instant::UnixMs;
use crate::domain::person::ShortName;

/// An outside issuer's claims: who the client is and what is granted stands where its rules say.
#[derive(Deserialize)]
pub(super) struct OutsideClaims {
    iss: String,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(default, deserialize_with = "seconds_if_there")]
    nbf: Option<i64>,
    #[serde(deserialize_with = "seconds")]
    iat: i64,
    jti: Option<String>,
    /// Entra ID's name for `jti`.
    uti: Option<String>,
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

pub(super) fn read_outside(
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
    let client_id = client.and_then(|name| rules.client_of(name));
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
