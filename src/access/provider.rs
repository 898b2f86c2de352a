//! What the console must know to let persons sign in at their provider: found by its discovery document, kept, and no
//! secret in it. Tokens are verified elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use serde::Deserialize;

use super::jwks::{JwksError, fetch, is_fetchable};
use crate::crypto::passkey::RelyingParty;
use crate::domain::ids::ClientId;

/// No page asks the provider again more often than this, in seconds.
const ASKED_EVERY_S: i64 = 10;

/// How the console lets persons sign in.
#[derive(Debug, Clone)]
pub struct SignInOptions {
    pub issuer: String,
    /// The console's own client there, which has no secret.
    pub client_id: String,
    pub scope: String,
    /// Asked for by RFC 8707, where the provider needs it.
    pub resource: Option<String>,
    /// The ID token is what the service takes, not the access token.
    pub is_id_token: bool,
    pub name_claim: String,
    pub loopback_for_tests: bool,
}

/// How persons sign in by passkeys.
#[derive(Debug, Clone)]
pub struct PasskeyOptions {
    pub party: RelyingParty,
    /// By which they act: an operator's.
    pub client: ClientId,
}

/// Where the provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Endpoints {
    issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub revocation_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    /// Absent: it does not say (RFC 8414, 2).
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// The provider cannot be used to sign in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error(transparent)]
    NotFetched(#[from] JwksError),
    #[error("{0}: not the metadata of this issuer (OpenID Connect Discovery 1.0, 4.3)")]
    NotOfIssuer(String),
    #[error("{0}: it does not take S256 challenges (RFC 7636)")]
    WithoutChallenge(String),
}

/// The provider, and what is known of it.
#[derive(Debug)]
pub struct SignIn {
    pub options: SignInOptions,
    found: ArcSwapOption<Endpoints>,
    asked_s: AtomicI64,
}

impl SignIn {
    pub fn new(options: SignInOptions) -> Self {
        Self { options, found: ArcSwapOption::empty(), asked_s: AtomicI64::new(i64::MIN) }
    }

    /// Where it is asked, as last found.
    pub fn endpoints(&self) -> Option<Arc<Endpoints>> {
        self.found.load_full()
    }

    /// The same; one that was not found yet is sought now.
    pub async fn seek(&self, now_s: i64) -> Option<Arc<Endpoints>> {
        if self.found.load().is_none() && self.may_ask(now_s) {
            self.load(now_s).await;
        }
        self.endpoints()
    }

    /// Finds it again. What was found before stays where that fails.
    pub(super) async fn load(&self, now_s: i64) {
        self.asked_s.store(now_s, Ordering::Release);
        match self.discover().await {
            Ok(found) => self.found.store(Some(found.into())),
            Err(error) => tracing::error!(error = %error, "the provider of persons could not be found"),
        }
    }

    async fn discover(&self) -> Result<Endpoints, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", self.options.issuer.trim_end_matches('/'));
        let found = serde_json::from_slice(&fetch(&url).await?);
        self.options.judge(found.ok(), url)
    }

    fn may_ask(&self, now_s: i64) -> bool {
        let asked_s = self.asked_s.load(Ordering::Acquire);
        let is_due = now_s.saturating_sub(asked_s) >= ASKED_EVERY_S;
        is_due && self.asked_s.compare_exchange(asked_s, now_s, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl SignInOptions {
    /// What is found must be the issuer's own, and its addresses such as a browser may be sent to.
    fn judge(&self, found: Option<Endpoints>, url: String) -> Result<Endpoints, ProviderError> {
        // It becomes part of a policy, whose words end at spaces, commas and semicolons.
        let is_plain = |url: &str| !url.contains([';', ',', ' ', '\'', '"']);
        let is_safe = |url: &String| is_plain(url) && is_fetchable(url, self.loopback_for_tests);
        let own = found.filter(|found| {
            let needed = [Some(&found.authorization_endpoint), Some(&found.token_endpoint)];
            let others = [found.revocation_endpoint.as_ref(), found.end_session_endpoint.as_ref()];
            found.issuer == self.issuer && needed.into_iter().chain(others).flatten().all(is_safe)
        });
        let own = own.ok_or_else(|| ProviderError::NotOfIssuer(url.clone()))?;
        let methods = own.code_challenge_methods_supported.as_deref();
        let takes_challenge = methods.is_none_or(|methods| methods.iter().any(|method| method == "S256"));
        if takes_challenge { Ok(own) } else { Err(ProviderError::WithoutChallenge(url)) }
    }
}

impl Endpoints {
    /// The origins that the page calls itself.
    pub fn called(&self) -> Vec<String> {
        let called = [Some(&self.token_endpoint), self.revocation_endpoint.as_ref()].into_iter().flatten();
        let mut origins: Vec<_> =
            called.filter_map(|url| Some(reqwest::Url::parse(url).ok()?.origin().ascii_serialization())).collect();
        origins.dedup();
        origins
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(change: impl FnOnce(&mut Value)) -> Result<Endpoints, ProviderError> {
        let options = SignInOptions {
            issuer: "https://login.example".to_owned(),
            client_id: "console".to_owned(),
            scope: "openid".to_owned(),
            resource: None,
            is_id_token: false,
            name_claim: "preferred_username".to_owned(),
            loopback_for_tests: false,
        };
        let mut told = json!({
            "issuer": "https://login.example", "authorization_endpoint": "https://login.example/authorize",
            "token_endpoint": "https://tokens.login.example:8443/token", "jwks_uri": "https://login.example/jwks",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        change(&mut told);
        options.judge(serde_json::from_value(told).ok(), "https://login.example/.well-known".to_owned())
    }

    #[test]
    fn only_the_metadata_of_the_issuer_itself_is_taken() {
        assert_eq!(judged(|_| {}).unwrap().called(), ["https://tokens.login.example:8443"]);
        let silent = judged(|told| told["code_challenge_methods_supported"] = Value::Null);
        assert!(silent.is_ok(), "{silent:?}");
        for (member, value) in [
            ("issuer", json!("https://login.example/")),
            ("issuer", json!("https://other.example")),
            ("token_endpoint", json!("http://login.example/token")),
            ("token_endpoint", Value::Null),
            ("token_endpoint", json!("https://login.example;script-src/token")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("authorization_endpoint", json!("https://login:secret@login.example/authorize")),
            ("end_session_endpoint", json!("data:text/html,x")),
            ("revocation_endpoint", json!("http://127.0.0.1/revoke")),
            ("code_challenge_methods_supported", json!(["plain"])),
        ] {
            let refused = judged(|told| told[member] = value.clone());
            assert!(refused.is_err(), "{member} {value}");
        }
    }
}
