//! Who asks: what a file of credentials holds. That is a client's secret, or its private key.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::holder::{Holder, PrivateJwk};
use crate::cli::exits::usage;
use crate::config::client_credentials;
use crate::domain::ids::ClientId;
use crate::domain::redacted::SecretText;
use crate::own_files;

/// By what a token is asked for.
#[derive(Debug)]
pub(crate) enum Credentials {
    Secret {
        client_id: ClientId,
        secret: SecretText,
    },
    /// Whose public half the client was created with. Tokens are bound to it.
    Key {
        client_id: ClientId,
        holder: Holder,
    },
}

#[derive(Deserialize)]
struct Written {
    client_id: Option<ClientId>,
    client_secret: Option<SecretText>,
    jwk: Option<PrivateJwk>,
}

impl Credentials {
    /// What the environment says.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let (id, secret) = client_credentials()
            .ok_or_else(|| usage("give --credentials FILE, or LOSTCARD_CLIENT_ID and LOSTCARD_CLIENT_SECRET"))?;
        let client_id = id.parse().map_err(|_| usage("LOSTCARD_CLIENT_ID is not the id of a client"))?;
        Ok(Self::Secret { client_id, secret })
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = zeroize::Zeroizing::new(own_files::read_named(path).with_context(|| path.display().to_string())?);
        let wrong = |why: &str| usage(format!("{}: {why}", path.display()));
        let not_such =
            || wrong("neither the JSON that `client create --json` prints nor one of client_id and jwk, a private key");
        let written: Written = serde_json::from_slice(&text).map_err(|_| not_such())?;
        let Some(client_id) = written.client_id else { return Err(not_such()) };
        match (written.client_secret, written.jwk) {
            (Some(secret), None) => Ok(Self::Secret { client_id, secret }),
            (None, Some(jwk)) => {
                let holder = Holder::of_jwk(&jwk)
                    .ok_or_else(|| wrong("jwk is not a private key for EdDSA (OKP, Ed25519) or ES256 (EC, P-256)"))?;
                Ok(Self::Key { client_id, holder })
            }
            (Some(_), Some(_)) => Err(wrong("it has client_secret and jwk: which of them proves the client?")),
            (None, None) => {
                Err(wrong("the client has no secret but keys of its own: add one as jwk, with its private half"))
            }
        }
    }
}
