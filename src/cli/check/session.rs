//! A client's talk with the service over HTTP: a token, kept until it is about to end, and one request at a time. What an answer
//! means for the request is said here, what becomes of the rows in `service`.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use serde::Deserialize;

use super::credentials::Credentials;
use crate::cli::exits::usage;
use crate::clock::Clock;
use crate::domain::redacted::TokenText;
use crate::http::routes;
use crate::service::retry_after::retry_after;

const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A token is not used in its last seconds: it would end on its way.
const TOKEN_MARGIN_S: u64 = 10;
/// Tokens that were issued in the second of a revocation end with those before.
const REVOKED_SECOND: Duration = Duration::from_millis(1100);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Body(Vec<u8>),
    /// Not now: the limit is spent.
    Later(Option<Duration>),
    /// No answer, or one that says that there is none now; why.
    Unavailable(Option<Duration>, String),
    /// Whose numbers these are: no wait within this run helps.
    Refused(String),
    /// The client has no new number left today.
    NumbersSpent(String),
    /// Fewer at once; so many, where the service says.
    TooLarge(Option<usize>),
    /// There is no such thing.
    Missing,
}

impl Reply {
    /// Why there is no body.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Unavailable(_, why) | Self::Refused(why) | Self::NumbersSpent(why) => why.clone(),
            Self::Later(_) => "the client's limit is spent".to_owned(),
            Self::Missing => "the service has no such thing".to_owned(),
            Self::TooLarge(_) | Self::Body(_) => "the answer is not one".to_owned(),
        }
    }
}

/// What is asked, of whom, by whom.
pub(crate) struct Session {
    client: Client,
    base: String,
    credentials: Credentials,
    clock: Clock,
    token: Option<Token>,
    /// What the token is asked for; all that the client may do, where nothing is said.
    form: &'static str,
}

struct Token {
    text: TokenText,
    until_ns: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: TokenText,
    expires_in: u64,
}

/// What is read of a problem (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: String,
    detail: String,
    title: String,
    errors: Vec<MemberProblem>,
    /// Of a batch that is too large for the client's limit: how many items fit.
    items_max: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct MemberProblem {
    code: String,
    detail: String,
}

impl Problem {
    /// A limit that holds for this number, for days, and not for others.
    pub(super) fn is_for_its_number(&self) -> bool {
        matches!(self.code.as_str(), "neighbourhood_spent" | "attempts_spent")
    }

    /// Code and sentence; those of the members where there are any.
    pub(super) fn said(&self) -> String {
        let said = |code: &str, detail: &str| format!("{code}: {detail}");
        if self.errors.is_empty() {
            let detail = if self.detail.is_empty() { &self.title } else { &self.detail };
            return said(&self.code, detail);
        }
        self.errors.iter().map(|wrong| said(&wrong.code, &wrong.detail)).collect::<Vec<_>>().join("; ")
    }
}

impl Session {
    /// For checks.
    pub(super) fn new(url: &str, credentials: Credentials, clock: Clock) -> anyhow::Result<Self> {
        Self::of_form(url, credentials, clock, "grant_type=client_credentials&scope=checks")
    }

    /// For all that the client may do.
    pub(crate) fn of_any_scope(url: &str, credentials: Credentials, clock: Clock) -> anyhow::Result<Self> {
        Self::of_form(url, credentials, clock, "grant_type=client_credentials")
    }

    fn of_form(url: &str, credentials: Credentials, clock: Clock, form: &'static str) -> anyhow::Result<Self> {
        let parsed =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
        if parsed.is_none() {
            return Err(usage("--url is the service's own URL: https://lostcard.example"));
        }
        let client = Client::builder()
            .user_agent(concat!("lostcard/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected POST would hand numbers to another server.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { client, base: url.trim_end_matches('/').to_owned(), credentials, clock, token: None, form })
    }

    /// Sends checks, with a token that is good.
    pub(super) async fn check(&mut self, body: String) -> anyhow::Result<Reply> {
        self.post(routes::CHECK_BATCH, body).await
    }

    /// Sends a body.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> anyhow::Result<Reply> {
        let request = self.client.post(format!("{}{path}", self.base));
        self.send(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Reads.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    async fn send(&mut self, wanted: RequestBuilder) -> anyhow::Result<Reply> {
        let mut renewed = 0;
        loop {
            if self.token.as_ref().is_none_or(|token| self.clock.boot_ns() >= token.until_ns) {
                renewed += 1;
                match self.ask_for_token().await? {
                    Ok(token) => self.token = Some(token),
                    Err(reply) => return Ok(reply),
                }
            }
            let Some(token) = &self.token else { continue };
            let request = wanted.try_clone().context("the request cannot be repeated")?;
            let request = request.header(AUTHORIZATION, format!("Bearer {}", token.text.expose()));
            let answer = match send(request).await {
                Ok(answer) => answer,
                Err(reply) => return Ok(reply),
            };
            // Revoked, or the service has new keys: another token may do. A new one of the second in which all were revoked
            // is refused as well.
            if answer.status().as_u16() == 401 && renewed < 2 {
                self.token = None;
                if renewed == 1 {
                    tokio::time::sleep(REVOKED_SECOND).await;
                }
                continue;
            }
            return judge(answer).await;
        }
    }

    async fn ask_for_token(&self) -> anyhow::Result<Result<Token, Reply>> {
        let Credentials::Secret { client_id, secret } = &self.credentials;
        let request = self
            .client
            .post(format!("{}{}", self.base, routes::TOKEN))
            .basic_auth(client_id, Some(secret.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form);
        let asked_ns = self.clock.boot_ns();
        let answer = match send(request).await {
            Ok(answer) => answer,
            Err(reply) => return Ok(Err(reply)),
        };
        match judge(answer).await.context("no token")? {
            Reply::Body(body) => {
                let TokenAnswer { access_token, expires_in } = serde_json::from_slice(&body)
                    .ok()
                    .context("no token: the answer is not that of a token endpoint")?;
                let good_s = expires_in.saturating_sub(TOKEN_MARGIN_S).max(1);
                Ok(Ok(Token {
                    text: access_token,
                    until_ns: asked_ns.saturating_add(good_s.saturating_mul(1_000_000_000)),
                }))
            }
            other => Ok(Err(other)),
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Reply> {
    request.send().await.map_err(|error| {
        // Without its URL, and without what may be in the cause of it.
        let why = if error.is_connect() {
            "no connection"
        } else if error.is_timeout() {
            "no answer in time"
        } else {
            "no answer"
        };
        Reply::Unavailable(None, why.to_owned())
    })
}

/// What an answer is for the one who asked; an error where asking again does not help.
async fn judge(answer: Response) -> anyhow::Result<Reply> {
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|text| retry_after(text, Clock::System.now_ms()));
    let Ok(body) = answer.bytes().await else {
        return Ok(Reply::Unavailable(None, "the answer broke off".to_owned()));
    };
    if status.is_success() {
        return Ok(Reply::Body(body.to_vec()));
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let said = || if problem.code.is_empty() { String::new() } else { format!(" {}", problem.said()) };
    match status.as_u16() {
        429 if problem.is_for_its_number() => Ok(Reply::Refused(problem.said())),
        429 if problem.code == "numbers_spent" => Ok(Reply::NumbersSpent(problem.said())),
        429 => Ok(Reply::Later(wait)),
        404 => Ok(Reply::Missing),
        413 => Ok(Reply::TooLarge(None)),
        422 if problem.code == "batch_too_large_for_limit" => Ok(Reply::TooLarge(problem.items_max)),
        408 | 500..=599 => Ok(Reply::Unavailable(wait, format!("the service answers {}{}", status.as_u16(), said()))),
        _ => bail!("the service answers {}{}", status.as_u16(), said()),
    }
}
