//! The access token of a run, by RFC 6749 client credentials with HTTP basic
//! authentication. The secret is neither printed nor written anywhere.

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Deserialize;

use super::exchange::post;
use super::target::Target;

#[derive(Clone, Args)]
pub(crate) struct Credentials {
    /// Client id; without it no token is fetched (enough for `bare`)
    #[arg(long, env = "LOSTCARD_CLIENT_ID", requires = "client_secret")]
    pub(crate) client_id: Option<String>,
    /// Client secret; better given by the environment than on the command line
    #[arg(long, env = "LOSTCARD_CLIENT_SECRET", hide_env_values = true, requires = "client_id")]
    pub(crate) client_secret: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
}

/// A token, or `None` where no credentials were given.
pub(crate) fn access_token(target: &Target, credentials: &Credentials) -> anyhow::Result<Option<String>> {
    let (Some(id), Some(secret)) = (&credentials.client_id, &credentials.client_secret) else {
        return Ok(None);
    };
    // RFC 6749, 2.3.1 would form-encode other characters; the server makes none.
    for text in [id, secret] {
        ensure!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)),
            "client id and secret must consist of letters, digits and -_.~"
        );
    }
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    let body = "grant_type=client_credentials";
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        target.authority(),
        body.len(),
    );
    let (status, answer) = post(target, request.as_bytes()).context("no token")?;
    if status != 200 {
        bail!("no token: the server answered {status}");
    }
    let answer: TokenAnswer = serde_json::from_slice(&answer).context("no token: not the JSON of RFC 6749, 5.1")?;
    ensure!(!answer.access_token.contains(['\r', '\n']), "no token: line break inside");
    Ok(Some(answer.access_token))
}
