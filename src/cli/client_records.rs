//! `client list|show|update`: what is known of clients, and what changes of them.

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::client_numbers::{show_numbers, warn_of_lifted};
use super::credentials::record;
use super::global::Global;
use super::opening;
use super::organizations::{lines_of, parse_name, parse_rate_or_default, parse_state};
use super::output;
use super::unrepeated::Unrepeated;
use crate::clock::{Clock, Rfc3339};
use crate::domain::audit::Action;
use crate::domain::authority::{LifeState, Setting};
use crate::domain::client::{Bound, OrganizationName, Rate, Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::store::Store;
use crate::store::administration::ListedClient;
use crate::store::clients::Client;

pub(super) const SCOPES: [&str; 6] = ["checks", "registry", "citizen", "audit", "admin", "blind"];
/// Rows that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    client_id: ClientId,
    #[command(flatten)]
    changes: Changes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(id = "client_changes", required = true, multiple = true)]
struct Changes {
    /// What it is called: 1 to 100 characters
    #[arg(long, value_parser = Unrepeated(parse_name))]
    name: Option<OrganizationName>,
    /// What it may do from now on, and nothing else; repeat for several
    #[arg(long, value_parser = PossibleValuesParser::new(SCOPES))]
    scope: Vec<String>,
    /// Its limit, as requests/seconds; `default`: limits.client
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate_or_default)]
    rate: Option<Setting<Rate>>,
    /// How many guests it has on a day; `none`: nobody counts; `default`: limits.numbers
    #[arg(long, value_name = "N/1d", value_parser = parse_guests_or_default)]
    numbers: Option<Setting<Guests>>,
    /// What its tokens are bound to from now on, so that they work for their holder alone
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["none", "mtls", "dpop"]))]
    bound: Option<String>,
    /// Whether it is let in: `ended` is final
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<LifeState>,
}

/// `client update`
pub(super) async fn update(global: &Global, args: UpdateArgs) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let mut tx = store.begin().await?;
    let mut client = tx.read_client(args.client_id).await?.context("there is no such client")?.client;
    let before = client.state();
    if before == LifeState::Ended {
        bail!("the client is ended, which is final");
    }
    let Changes { name, scope, rate, numbers, bound, state } = args.changes;
    if !scope.is_empty() {
        client.scopes = scope.iter().filter_map(|word| Scope::parse(word)).collect();
    }
    expect_allowed(&store, client.organization_id, client.scopes).await?;
    let now_ms = Clock::System.now_ms();
    let mut actions = vec![Action::ClientUpdated];
    client.name = name.or(client.name);
    client.rate = rate.unwrap_or_default().over(client.rate);
    client.bound = bound.as_deref().and_then(Bound::parse).unwrap_or(client.bound);
    if let Some(numbers) = numbers {
        client.numbers.guests = numbers.over(client.numbers.guests);
        let is_lifted = client.numbers.guests == Some(Guests::Uncounted);
        actions.push(if is_lifted { Action::ClientNumbersLifted } else { Action::ClientNumbersDeclared });
        if is_lifted {
            warn_of_lifted();
        }
    }
    actions.extend(state.filter(|state| *state != before).map(|state| enter(&mut client, state, now_ms)));
    tx.update_client(&client).await?;
    for action in actions {
        record(global, &mut tx, action, Some(client.client_id.into()), now_ms).await?;
    }
    tx.commit_unlisted().await?;
    let listed = store.find_listed_client(client.client_id).await?.context("there is no such client")?;
    store.close().await;
    let value = value_of(&listed);
    output::result(args.json, &value, &lines_of(&value));
    Ok(())
}

/// Clients of an organization have the scopes of its kind.
pub(super) async fn expect_allowed(store: &Store, organization: OrganizationId, scopes: Scopes) -> anyhow::Result<()> {
    let organization = store.find_organization(organization).await?.context("there is no such organization")?;
    let forbidden = organization.kind.forbidden(scopes);
    if !forbidden.is_empty() {
        let (kind, allowed) = (organization.kind.as_str(), organization.kind.scopes());
        bail!("a client of an organization of the kind {kind} may have the scope {allowed}, not {forbidden}");
    }
    Ok(())
}

fn enter(client: &mut Client, state: LifeState, now_ms: UnixMs) -> Action {
    match state {
        LifeState::Active => {
            client.suspended_at_ms = None;
            Action::ClientResumed
        }
        LifeState::Suspended => {
            client.suspended_at_ms = Some(now_ms);
            Action::ClientSuspended
        }
        LifeState::Ended => {
            client.disabled_at_ms = Some(now_ms);
            Action::ClientDisabled
        }
    }
}

/// `client show`
pub(super) async fn show(global: &Global, id: ClientId, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let listed = store.find_listed_client(id).await?.context("there is no such client")?;
    store.close().await;
    let value = value_of(&listed);
    output::result(json, &value, &lines_of(&value));
    Ok(())
}

/// `client list`
pub(super) async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_clients_page(None, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.client.client_id);
        all.extend(page);
    }
    store.close().await;
    let line = |one: &ListedClient| {
        let client = &one.client;
        let (id, organization, state) = (client.client_id, client.organization_id, state_of(client));
        let rate = client.rate.map_or_else(|| "default rate".to_owned(), |rate| rate.to_string());
        format!("{id}  {organization}  {state:9}  {rate:12}  {}  {}", used(one.last_used_at_ms), client.scopes)
    };
    let values: Vec<_> = all.iter().map(value_of).collect();
    output::result(json, &json!({ "clients": values }), &all.iter().map(line).collect::<Vec<_>>());
    Ok(())
}

/// For a line: one that is let in and held is told to be so.
fn state_of(client: &Client) -> &'static str {
    match client.state() {
        LifeState::Active if client.numbers.held.is_some() => "held",
        state => state.as_str(),
    }
}

/// When a token was last met, for a line: as wide whatever it says.
pub(super) fn used(last_ms: Option<UnixMs>) -> String {
    last_ms.map_or_else(|| format!("{:24}", "never used"), |at_ms| Rfc3339::of(at_ms).as_str().to_owned())
}

fn value_of(listed: &ListedClient) -> Value {
    let client = &listed.client;
    let scopes: Vec<_> = client.scopes.iter().map(Scope::as_str).collect();
    let mut value = json!({
        "client_id": client.client_id, "organization_id": client.organization_id,
        "organization_name": listed.organization_name.as_str(), "scope": client.scopes.to_string(), "scopes": scopes,
        "state": client.state().as_str(), "bound": client.bound.as_str(),
        "created_at": Rfc3339::of(client.created_at_ms).as_str(), "refused": listed.refused,
    });
    if let Some(name) = &client.name {
        value["name"] = json!(name.as_str());
    }
    if let Some(rate) = client.rate {
        value["rate"] = json!(rate.to_string());
    }
    if let Some(at_ms) = listed.last_used_at_ms {
        value["last_used_at"] = json!(Rfc3339::of(at_ms).as_str());
    }
    show_numbers(&client.numbers, &mut value);
    value
}

fn parse_guests_or_default(text: &str) -> Result<Setting<Guests>, String> {
    let right = || "guests are written number/1d, up to 10000000/1d, none, or default: 250/1d".to_owned();
    Setting::parse(text, Guests::parse).ok_or_else(right)
}
