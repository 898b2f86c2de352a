//! One message to one endpoint, signed as Standard Webhooks 1.0.0 has it, and what its receiver makes of it. What is sent, when and how
//! often is decided by those who send.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use serde_json::json;
use tokio::sync::OnceCell;

use super::address::{EndpointError, Reach};
use crate::clock::{Clock, Rfc3339};
use crate::crypto::webhook::WebhookSecret;
use crate::crypto::{Keyring, random};
use crate::domain::ids::AlertId;
use crate::service::ServiceError;
use crate::service::retry_after::retry_after;
use crate::store::webhooks::{SealedSecrets, Webhook};

const USER_AGENT: &str = concat!("lostcard/", env!("CARGO_PKG_VERSION"));
/// The type of a message that is about nothing.
const TEST_TYPE: &str = "webhook.test";

/// How webhooks are sent.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    pub poll: Duration,
    pub timeout: Duration,
    pub reach: Reach,
    /// Beside those that every endpoint may have.
    pub ports: Vec<u16>,
}

/// What became of an attempt, with the status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Delivered(u16),
    /// 410: the receiver wants no more.
    Gone,
    /// Any other status, redirects included; how long the receiver wants to be left alone.
    Refused {
        status: u16,
        after: Option<Duration>,
    },
    /// No answer in time, or none at all.
    Unreachable,
    /// The URL, or what its name means, is nothing that is sent to.
    NotPublic,
    /// The node cannot make it: a secret that does not open, no certificates to trust.
    NotSent,
}

impl Outcome {
    /// As metrics and the log have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Gone => "gone",
            Self::Refused { .. } => "refused",
            Self::Unreachable => "unreachable",
            Self::NotPublic => "not_public",
            Self::NotSent => "not_sent",
        }
    }

    /// The status of the answer, where there was one.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Delivered(status) | Self::Refused { status, .. } => Some(status),
            Self::Gone => Some(410),
            Self::Unreachable | Self::NotPublic | Self::NotSent => None,
        }
    }
}

/// For people.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(status) => write!(f, "it was taken with {status}"),
            Self::Gone => f.write_str("its receiver answers 410 and wants no more"),
            Self::Refused { status, .. } => write!(f, "its receiver answers {status}, and only 2xx takes a message"),
            Self::Unreachable => f.write_str("nobody answers there in time, or not by a TLS that can be trusted"),
            Self::NotPublic => f.write_str("its URL, or what its name means, is no public address by https"),
            Self::NotSent => {
                f.write_str("this machine cannot make the message: its secret does not open by these keys")
            }
        }
    }
}

/// Sends, and keeps what sending needs.
#[derive(Debug)]
pub struct Sender {
    options: WebhookOptions,
    clock: Clock,
    keyring: Arc<Keyring>,
    /// Made when it is needed first: a node without endpoints needs no authorities to trust.
    client: OnceCell<reqwest::Client>,
}

impl Sender {
    pub fn new(options: WebhookOptions, clock: Clock, keyring: Arc<Keyring>) -> Self {
        Self { options, clock, keyring, client: OnceCell::new() }
    }

    /// One attempt.
    pub async fn send(&self, webhook: &Webhook, secrets: &SealedSecrets, id: &str, body: String) -> Outcome {
        // Judged again: the rules may be stricter than when the endpoint was added.
        let Ok(url) = self.options.reach.parse(&webhook.url, &self.options.ports) else {
            return Outcome::NotPublic;
        };
        let timestamp_s = self.clock.now_s();
        let (Ok(signatures), Ok(client)) =
            (self.signatures(webhook, secrets, id, timestamp_s, body.as_bytes()), self.client().await)
        else {
            return Outcome::NotSent;
        };
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signatures)
            .body(body);
        self.outcome(request.send().await)
    }

    /// A message that is about nothing, signed as every other one.
    pub async fn send_test(&self, webhook: &Webhook, secrets: &SealedSecrets) -> Outcome {
        let now_ms = self.clock.now_ms();
        let id: AlertId = random::id(now_ms);
        let timestamp = Rfc3339::of(now_ms);
        let data = json!({"webhook_id": webhook.webhook_id});
        let body = json!({"type": TEST_TYPE, "timestamp": timestamp.as_str(), "data": data}).to_string();
        self.send(webhook, secrets, &id.to_string(), body).await
    }

    /// Asks the endpoint without a message (RFC 9110, 9.3.2): every answer but 410 says that somebody is there.
    pub async fn knock(&self, webhook: &Webhook) -> Result<(), Outcome> {
        let Ok(url) = self.options.reach.parse(&webhook.url, &self.options.ports) else {
            return Err(Outcome::NotPublic);
        };
        let client = self.client().await.map_err(|_| Outcome::NotSent)?;
        match self.outcome(client.head(url).send().await) {
            Outcome::Delivered(_) | Outcome::Refused { .. } => Ok(()),
            other => Err(other),
        }
    }

    /// The body of the answer is not read: its connection ends with it.
    fn outcome(&self, answer: reqwest::Result<reqwest::Response>) -> Outcome {
        match answer {
            Ok(answer) if answer.status().is_success() => Outcome::Delivered(answer.status().as_u16()),
            Ok(answer) if answer.status().as_u16() == 410 => Outcome::Gone,
            Ok(answer) => {
                let told = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = told.and_then(|text| retry_after(text, self.clock.now_ms()));
                Outcome::Refused { status: answer.status().as_u16(), after }
            }
            Err(error) if is_not_public(&error) => Outcome::NotPublic,
            Err(_) => Outcome::Unreachable,
        }
    }

    /// One signature, or two for a day after a rotation.
    fn signatures(
        &self,
        webhook: &Webhook,
        secrets: &SealedSecrets,
        id: &str,
        timestamp_s: i64,
        body: &[u8],
    ) -> Result<String, ServiceError> {
        let sealer = self.keyring.sealer();
        let sign = |sealed: &[u8]| {
            let secret = WebhookSecret::open(sealer, webhook.webhook_id.as_bytes(), sealed)?;
            Ok::<_, ServiceError>(secret.sign(id, timestamp_s, body))
        };
        let mut signatures = sign(&secrets.current)?;
        if let Some((old, until_ms)) = &secrets.old
            && self.clock.now_ms() < *until_ms
        {
            signatures = format!("{signatures} {}", sign(old)?);
        }
        Ok(signatures)
    }

    async fn client(&self) -> reqwest::Result<&reqwest::Client> {
        let build = async || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .timeout(self.options.timeout)
                .redirect(Policy::none())
                .no_proxy()
                // No connection outlives its delivery: the next one looks the name up again.
                .pool_max_idle_per_host(0)
                .dns_resolver(self.options.reach)
                .build()
        };
        self.client.get_or_try_init(build).await
    }
}

fn is_not_public(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<EndpointError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
