//! Who asks: what a file of credentials holds. So far that is a client's secret; a device's key would be one more kind.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::cli::exits::usage;
use crate::config::client_credentials;
use crate::domain::ids::ClientId;
use crate::domain::redacted::SecretText;
use crate::own_files;

/// By what a token is asked for.
#[derive(Debug)]
pub(crate) enum Credentials {
    Secret { client_id: ClientId, secret: SecretText },
}

#[derive(Deserialize)]
struct Written {
    client_id: Option<ClientId>,
    client_secret: Option<SecretText>,
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
        let not_such = || usage(format!("{}: not the JSON that `client create --json` prints", path.display()));
        let written: Written = serde_json::from_slice(&text).map_err(|_| not_such())?;
        match written {
            Written { client_id: Some(client_id), client_secret: Some(secret) } => {
                Ok(Self::Secret { client_id, secret })
            }
            Written { client_id: Some(_), client_secret: None } => Err(usage(format!(
                "{}: the client has no secret but keys of its own, which this command does not take",
                path.display()
            ))),
            Written { .. } => Err(not_such()),
        }
    }
}
