//! A client's talk with the service over HTTP: a token, kept until it is about to end, and one request at a time, with a proof of its
//! own where the token is bound to a key. What an answer means for the request is said here, what becomes of the rows in `service`.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};
use serde::Deserialize;

use super::credentials::Credentials;
use super::holder::{Holder, Proven};
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
    /// Of a client with a secret whose tokens are bound to a key: made when the service asks for proofs.
    own_holder: Option<Holder>,
    /// The service's last one for proofs.
    nonce: Option<String>,
    clock: Clock,
    token: Option<Token>,
    /// What the token is asked for; all that the client may do, where nothing is said.
    form: &'static str,
}

struct Token {
    text: TokenText,
    is_bound: bool,
    until_ns: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: TokenText,
    token_type: String,
    expires_in: u64,
}

impl Token {
    fn read(body: &[u8], asked_ns: u64) -> anyhow::Result<Self> {
        let answer = serde_json::from_slice(body).ok();
        let TokenAnswer { access_token, token_type, expires_in } =
            answer.context("no token: the answer is not that of a token endpoint")?;
        let good_s = expires_in.saturating_sub(TOKEN_MARGIN_S).max(1);
        Ok(Self {
            text: access_token,
            is_bound: token_type.eq_ignore_ascii_case("DPoP"),
            until_ns: asked_ns.saturating_add(good_s.saturating_mul(1_000_000_000)),
        })
    }
}

/// The service wants proofs.
const PROOF_WANTED: &str = "invalid_dpop_proof";
/// It wants them with the nonce that it has just sent (RFC 9449, 8 and 9).
const NONCE_WANTED: &str = "use_dpop_nonce";
const BY_ASSERTION: &str =
    "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";

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
    /// At the token endpoint (RFC 6749, 5.2).
    error: String,
    error_description: String,
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
        if self.code.is_empty() {
            return said(&self.error, &self.error_description);
        }
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
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { client, base, credentials, own_holder: None, nonce: None, clock, token: None, form })
    }

    /// Sends checks, with a token that is good.
    pub(super) async fn check(&mut self, body: String) -> anyhow::Result<Reply> {
        self.post(routes::CHECK_BATCH, body).await
    }

    /// Sends a body.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> anyhow::Result<Reply> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Reads.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.send(Method::GET, path, None).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Reply> {
        let (mut renewed, mut has_nonce) = (0, false);
        loop {
            if self.token.as_ref().is_none_or(|token| self.clock.boot_ns() >= token.until_ns) {
                renewed += 1;
                match self.ask_for_token().await? {
                    Ok(token) => self.token = Some(token),
                    Err(reply) => return Ok(reply),
                }
            }
            let Some(token) = &self.token else { continue };
            let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let text = token.text.expose();
            let request = match self.holder().filter(|_| token.is_bound) {
                Some(holder) => {
                    let proof = self.proof(holder, &method, path, Some(text))?;
                    request.header(AUTHORIZATION, format!("DPoP {text}")).header("DPoP", proof)
                }
                None => request.header(AUTHORIZATION, format!("Bearer {text}")),
            };
            let answer = match send(request).await {
                Ok(answer) => answer,
                Err(reply) => return Ok(reply),
            };
            self.keep_nonce(&answer);
            let is_refused = answer.status().as_u16() == 401;
            if is_refused && !has_nonce && says(&answer, NONCE_WANTED) {
                has_nonce = true;
                continue;
            }
            // Revoked, or the service has new keys: another token may do. A new one of the second in which all were revoked
            // is refused as well.
            if is_refused && renewed < 2 {
                self.token = None;
                if renewed == 1 {
                    tokio::time::sleep(REVOKED_SECOND).await;
                }
                continue;
            }
            return judge(answer).await;
        }
    }

    async fn ask_for_token(&mut self) -> anyhow::Result<Result<Token, Reply>> {
        let mut has_nonce = false;
        loop {
            let request = self.token_request()?;
            let asked_ns = self.clock.boot_ns();
            let answer = match send(request).await {
                Ok(answer) => answer,
                Err(reply) => return Ok(Err(reply)),
            };
            self.keep_nonce(&answer);
            if answer.status().as_u16() == 400 {
                let body = answer.bytes().await.unwrap_or_default();
                let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
                match problem.error.as_str() {
                    NONCE_WANTED if !has_nonce => has_nonce = true,
                    PROOF_WANTED if self.holder().is_none() => self.own_holder = Some(Holder::new()?),
                    _ => bail!("no token: the service answers 400 {}", problem.said()),
                }
                continue;
            }
            return match judge(answer).await.context("no token")? {
                Reply::Body(body) => Token::read(&body, asked_ns).map(Ok),
                other => Ok(Err(other)),
            };
        }
    }

    fn token_request(&self) -> anyhow::Result<RequestBuilder> {
        let request = self.client.post(format!("{}{}", self.base, routes::TOKEN));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = match &self.credentials {
            Credentials::Secret { client_id, secret } => {
                request.basic_auth(client_id, Some(secret.expose())).body(self.form)
            }
            // For the service whose URL was given, and not for one that it names: what is signed here would work there.
            Credentials::Key { client_id, holder } => {
                let assertion = holder.assertion(*client_id, &self.base, self.clock.now_s())?;
                request.body(format!("{}{BY_ASSERTION}{assertion}", self.form))
            }
        };
        Ok(match self.holder() {
            Some(holder) => request.header("DPoP", self.proof(holder, &Method::POST, routes::TOKEN, None)?),
            None => request,
        })
    }

    /// By what requests are proven, where they are.
    fn holder(&self) -> Option<&Holder> {
        match &self.credentials {
            Credentials::Key { holder, .. } => Some(holder),
            Credentials::Secret { .. } => self.own_holder.as_ref(),
        }
    }

    fn proof(&self, holder: &Holder, method: &Method, path: &str, token: Option<&str>) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        let (nonce, now_s) = (self.nonce.as_deref(), self.clock.now_s());
        holder.proof(Proven { method: method.as_str(), url: &url, token, nonce, now_s })
    }

    fn keep_nonce(&mut self, answer: &Response) {
        let offered = answer.headers().get("DPoP-Nonce").and_then(|value| value.to_str().ok());
        if let Some(nonce) = offered {
            self.nonce = Some(nonce.to_owned());
        }
    }
}

/// Whether a refusal names this error (RFC 6750, 3.1).
fn says(answer: &Response, error: &str) -> bool {
    let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    challenge.is_some_and(|challenge| challenge.contains(error))
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
    let is_told = !problem.code.is_empty() || !problem.error.is_empty();
    let said = || if is_told { format!(" {}", problem.said()) } else { String::new() };
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
