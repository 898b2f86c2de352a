//! Outside issuers' keys: JWK Sets (RFC 7517) from files, and the public keys of clients that sign assertions.
//! Only asymmetric keys with a known algorithm are taken: a symmetric one would let a verifier also sign.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::crypto::once_each::once_each;
use crate::crypto::signing::from_base64url;
use crate::domain::client::{Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::person::Role;
use crate::own_files;

/// An outside issuer whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens carry for this service.
    pub audience: String,
    /// Its JWK Set, as a file; or:
    pub jwks_file: Option<PathBuf>,
    /// where to fetch it, by HTTPS.
    pub jwks_url: Option<String>,
    pub rules: Arc<IssuerRules>,
}

/// What an outside issuer may say, and how it says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssuerRules {
    /// It speaks for clients of these organizations alone, and grants these scopes at most.
    pub organizations: Vec<OrganizationId>,
    pub scopes: Scopes,
    /// Where it names the client, and which client its own names mean.
    pub client_claim: String,
    pub client_map: BTreeMap<String, ClientId>,
    /// Where it names what it grants, and which scope its own words mean.
    pub scope_claim: String,
    pub scope_map: BTreeMap<String, Scope>,
    /// Its tokens are plain JWTs, and not of RFC 9068.
    pub is_plain_jwt: bool,
    /// Its tokens are of persons, not of clients.
    pub persons: Option<PersonRules>,
}

impl IssuerRules {
    /// Which client a name of the issuer's means.
    pub(super) fn client_of(&self, name: &str) -> Option<ClientId> {
        self.client_map.get(name).copied().or_else(|| ClientId::parse(name))
    }
}

/// Who the persons of an issuer are, and what of administration is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRules {
    /// By whose limits they act.
    pub client: ClientId,
    pub name_claim: String,
    pub groups_claim: String,
    /// The role of each group.
    pub roles: BTreeMap<String, Role>,
}

/// One issuer with its keys by id.
#[derive(Debug, Clone)]
pub struct IssuerKeys {
    pub issuer: String,
    pub audience: String,
    pub keys: HashMap<String, PublishedKey>,
    /// None: this service itself.
    pub rules: Option<Arc<IssuerRules>>,
}

/// A key that verifies, with its one algorithm.
#[derive(Clone)]
pub struct PublishedKey {
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

impl fmt::Debug for PublishedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishedKey({:?})", self.algorithm)
    }
}

/// A JWK Set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}: not a JWK Set (RFC 7517, 5), or a member stands twice in it")]
    NotASet(String),
    #[error("{0}: holds no usable key (asymmetric, with a kid)")]
    NoKey(String),
    #[error("{url}: {source}")]
    NotFetched { url: String, source: reqwest::Error },
    #[error("{0}: larger than what an issuer publishes needs to be")]
    TooLarge(String),
    #[error("an issuer has either jwks_file or jwks_url")]
    NoSource,
    #[error("not a public JWK whose kty, crv and alg are those of EdDSA (Ed25519), ES256, ES384, RS256 or PS256")]
    UnusableKey,
    #[error("a JWK holds a private or symmetric key: send the public half alone, and make a new pair")]
    PrivateKey,
    #[error("a JWK is for another use than signatures (use, key_ops)")]
    OtherUse,
    #[error("an RSA key has fewer than 2048 bits")]
    WeakRsa,
    #[error("two keys have the same kid")]
    SameKid,
}

impl IssuerKeys {
    /// Reads or fetches an outside issuer's set.
    pub async fn load(outside: &OutsideIssuer) -> Result<Self, JwksError> {
        match (&outside.jwks_file, &outside.jwks_url) {
            (Some(file), None) => Self::of(outside, &read_set(file)?, &file.display().to_string()),
            (None, Some(url)) => Self::of(outside, &fetch_set(url).await?, url),
            _ => Err(JwksError::NoSource),
        }
    }

    fn of(outside: &OutsideIssuer, set: &JwkSet, source: &str) -> Result<Self, JwksError> {
        // Keycloak publishes what it decrypts with in the same set.
        let signs = |jwk: &&Jwk| jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let usable = set
            .keys
            .iter()
            .filter(signs)
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, PublishedKey::of(jwk).ok()?)));
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return Err(JwksError::NoKey(source.to_owned()));
        }
        let rules = Some(Arc::clone(&outside.rules));
        Ok(Self { issuer: outside.issuer.clone(), audience: outside.audience.clone(), keys, rules })
    }
}

impl PublishedKey {
    /// What `alg` may say of a signature that is verified here: RFC 7518, RFC 8037, and RFC 9864's own name of the second.
    pub const ALGORITHMS: &[&str] = &["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"];

    /// Whether an algorithm is this key's, by either of its names.
    pub(super) fn is_named(&self, alg: &str) -> bool {
        algorithm_name(self.algorithm) == alg || (self.algorithm == Algorithm::EdDSA && alg == "Ed25519")
    }

    /// Whether this key made the signature of a JWS in compact form, whose header names this algorithm.
    pub fn made(&self, jws: &str, alg: &str) -> bool {
        let Some((message, signature)) = jws.rsplit_once('.') else { return false };
        self.is_named(alg)
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm).unwrap_or(false)
    }

    /// The key of a JWK, with the algorithm that it names or that its type implies.
    pub fn of(jwk: &Jwk) -> Result<Self, JwksError> {
        let implied = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => Algorithm::ES384,
            AlgorithmParameters::RSA(_) => match jwk.common.key_algorithm {
                Some(KeyAlgorithm::PS256) => Algorithm::PS256,
                Some(KeyAlgorithm::RS256) | None => Algorithm::RS256,
                _ => return Err(JwksError::UnusableKey),
            },
            _ => return Err(JwksError::UnusableKey),
        };
        let key = DecodingKey::from_jwk(jwk).map_err(|_| JwksError::UnusableKey)?;
        Ok(Self { algorithm: implied, key })
    }

    /// From the text of one JWK.
    pub fn parse(jwk: &str) -> Result<Self, JwksError> {
        Self::of(&serde_json::from_str(jwk).map_err(|_| JwksError::UnusableKey)?)
    }
}

/// As `alg` names it.
pub(super) fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EdDSA => "EdDSA",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        _ => "",
    }
}

/// The keys of a client's set, each as text: none that cannot be used, and none that should not have been shown.
pub fn read_client_keys(path: &Path) -> Result<Vec<String>, JwksError> {
    let text = own_files::read_named(path).map_err(|source| JwksError::File { path: path.to_owned(), source })?;
    let not_a_set = || JwksError::NotASet(path.display().to_string());
    let text = std::str::from_utf8(&text).map_err(|_| not_a_set())?;
    let set = once_each(text).map_err(|_| not_a_set())?;
    check_client_keys(set["keys"].as_array().ok_or_else(not_a_set)?)
}

/// The same of keys that are at hand.
pub fn check_client_keys(keys: &[serde_json::Value]) -> Result<Vec<String>, JwksError> {
    let mut kids = HashSet::new();
    for key in keys {
        check_client_key(key)?;
        if key["kid"].as_str().is_some_and(|kid| !kids.insert(kid)) {
            return Err(JwksError::SameKid);
        }
    }
    Ok(keys.iter().map(ToString::to_string).collect())
}

/// What a key is known by (RFC 7638).
pub(super) fn thumbprint_of(jwk: &Jwk) -> Option<[u8; 32]> {
    from_base64url(&jwk.thumbprint(ThumbprintHash::SHA256).ok()?)?.try_into().ok()
}

/// Whether a JWK holds a member of a private or symmetric key (RFC 7518, 6.2.2, 6.3.2, 6.4.1; RFC 8037, 2).
pub(super) fn is_private(key: &serde_json::Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|private| key.get(private).is_some())
}

fn check_client_key(key: &serde_json::Value) -> Result<(), JwksError> {
    if is_private(key) {
        return Err(JwksError::PrivateKey);
    }
    let is_for = |member: &serde_json::Value, word: &str| match member {
        serde_json::Value::Null => true,
        serde_json::Value::Array(words) => words.iter().any(|one| one == word),
        one => one == word,
    };
    if !is_for(&key["use"], "sig") || !is_for(&key["key_ops"], "verify") {
        return Err(JwksError::OtherUse);
    }
    if key["kty"] == "RSA" && key["n"].as_str().and_then(from_base64url).is_some_and(|n| bits(&n) < RSA_BITS_MIN) {
        return Err(JwksError::WeakRsa);
    }
    let published = PublishedKey::parse(&key.to_string())?;
    let names_other = key.get("alg").is_some_and(|alg| !alg.as_str().is_some_and(|alg| published.is_named(alg)));
    if names_other { Err(JwksError::UnusableKey) } else { Ok(()) }
}

/// NIST SP 800-131A, 3.
const RSA_BITS_MIN: usize = 2048;

/// The length of a number in big-endian bytes.
fn bits(number: &[u8]) -> usize {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - leading) * 8 - first
}

/// Reads a JWK Set from a file.
pub fn read_set(path: &Path) -> Result<JwkSet, JwksError> {
    let text = own_files::read_named(path).map_err(|source| JwksError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|_| JwksError::NotASet(path.display().to_string()))
}

/// A set of a few keys has some 2 kB.
const SET_BYTES_MAX: usize = 64 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a URL may be fetched from: HTTPS without user information; for tests also plain HTTP to this very machine, where other
/// things listen that an operator's typing error must not reach.
pub fn is_fetchable(url: &str, loopback_for_tests: bool) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let is_safe = parsed.scheme() == "https" || (loopback_for_tests && is_on_loopback(url));
    is_safe && parsed.username().is_empty() && parsed.password().is_none()
}

/// Whether a URL is plain HTTP to this very machine.
pub fn is_on_loopback(url: &str) -> bool {
    let is_here = |url: &reqwest::Url| matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http" && is_here(&url))
}

async fn fetch_set(url: &str) -> Result<JwkSet, JwksError> {
    serde_json::from_slice(&fetch(url).await?).map_err(|_| JwksError::NotASet(url.to_owned()))
}

/// Fetches what an issuer publishes: no redirects, a bound on time and size.
pub(super) async fn fetch(url: &str) -> Result<Vec<u8>, JwksError> {
    let failed = |source| JwksError::NotFetched { url: url.to_owned(), source };
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(FETCH_TIMEOUT);
    let client = client.no_proxy().build().map_err(failed)?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if text.len() + chunk.len() > SET_BYTES_MAX {
            return Err(JwksError::TooLarge(url.to_owned()));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
/// A claim of several words: one text, or a list.
pub(super) fn words_of(claim: Option<&serde_json::Value>) -> Vec<&str> {
    match claim {
        Some(serde_json::Value::String(list)) => list.split_ascii_whitespace().collect(),
        Some(serde_json::Value::Array(list)) => list.iter().filter_map(serde_json::Value::as_str).collect(),
        _ => Vec::new(),
    }
}
