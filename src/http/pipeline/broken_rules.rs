//! Which rule an assertion or a proof broke, for the operator: with client and organization where they are known, and no more lines than
//! of other refusals. What was sent is never part of it.

use super::state::AppState;
use crate::domain::client::Actor;

/// What a client offers beside a secret or a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    Assertion,
    Proof,
}

impl Offered {
    /// By what its lines are counted.
    const fn line(self) -> &'static str {
        match self {
            Self::Assertion => "assertion_refused",
            Self::Proof => "proof_refused",
        }
    }
}

pub fn note_broken_rule(state: &AppState, offered: Offered, rule: &'static str, client: Option<Actor>) {
    if !state.refusal_log.admits(offered.line(), client, state.clock.boot_ns()) {
        return;
    }
    let organization = client.map(|client| tracing::field::display(client.organization));
    let client = client.map(|client| tracing::field::display(client.client));
    match offered {
        Offered::Assertion => tracing::info!(client, organization, rule, "an assertion was refused"),
        Offered::Proof => tracing::info!(client, organization, rule, "a DPoP proof was refused"),
    }
}
