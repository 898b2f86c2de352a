//! By what a command asks a service for its token, where no file says so. These are no settings of a node.

use crate::domain::redacted::SecretText;

/// `LOSTCARD_CLIENT_ID` and `LOSTCARD_CLIENT_SECRET`; none where one is missing.
pub fn client_credentials() -> Option<(String, SecretText)> {
    let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    Some((read("LOSTCARD_CLIENT_ID")?, read("LOSTCARD_CLIENT_SECRET")?.into()))
}
