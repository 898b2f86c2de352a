//! `serve --sandbox`: the first clients of a sandbox, one for each scope, and what is printed at its start.
//! docs/guides/sandbox.md says what a sandbox is and does.

use super::demo::{Credentials, client, organization};
use super::opening;
use super::output;
use crate::config::Config;
use crate::domain::client::{OrganizationKind, Scope};
use crate::domain::sandbox::MAGIC_NUMBERS;
use crate::service::sandbox::STATION;

/// Makes the first clients where there are none, if the sandbox listens on loopback only: their secrets are printed.
pub(super) async fn prepare(config: &Config) -> anyhow::Result<Vec<(Scope, Credentials)>> {
    let (store, _) = opening::open(config).await?;
    let mut made = Vec::new();
    if config.listen.is_loopback() && store.list_clients().await?.is_empty() {
        let hotel = organization(&store, "Sandbox hotel", OrganizationKind::Certifying, Scope::Checks).await?;
        let portal = organization(&store, "Sandbox portal", OrganizationKind::Portal, Scope::Citizen).await?;
        let auditor = organization(&store, "Sandbox auditor", OrganizationKind::Auditor, Scope::Audit).await?;
        let operator = organization(&store, "Sandbox operator", OrganizationKind::Operator, Scope::Admin).await?;
        let station = client(&store, STATION, Scope::Registry).await?;
        made = vec![
            (Scope::Checks, hotel),
            (Scope::Registry, station),
            (Scope::Citizen, portal),
            (Scope::Audit, auditor),
            (Scope::Admin, operator),
        ];
    }
    store.close().await;
    Ok(made)
}

/// Prints what an integrator needs to begin.
pub(super) fn print(url: &str, issuer: &str, clients: &[(Scope, Credentials)]) {
    output::line(&format!("\nThis is a SANDBOX. Its answers are about nobody. API: {url}, issuer: {issuer}"));
    if clients.is_empty() {
        output::line("No clients were made at this start. Those there are: lostcard --sandbox client list.");
    } else {
        output::line(
            "Clients made at this first start, as scope and client_id:client_secret. The secrets are shown once:\n",
        );
        for (scope, credentials) in clients {
            output::line(&format!("  {:<9} {}", scope.as_str(), credentials.to_pair()));
        }
    }
    output::line("\nMagic numbers, and what a check of them answers:\n");
    for magic in MAGIC_NUMBERS {
        output::line(&format!("  {}  {}", magic.number, magic.answer.replace('`', "")));
    }
    output::line("\nMore clients: lostcard --sandbox client create. Back to the beginning: POST /v1/sandbox/reset.");
}
