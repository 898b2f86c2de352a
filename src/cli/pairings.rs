//! `pairing create|list|release|end`: devices of desks and stations. Each change goes the steps of the API, with its feed row and its
//! entry in the audit log.

use anyhow::Context;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::{Value, json};

use super::client_numbers::parse_guests;
use super::client_records::used;
use super::global::Global;
use super::opening;
use super::organizations::parse_name;
use super::output;
use super::unrepeated::Unrepeated;
use crate::clock::{Clock, Rfc3339};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::{OrganizationName, Scope, Scopes};
use crate::domain::ids::{OrganizationId, PairingId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::domain::report::Label;
use crate::service::pairings::{NewPairing, PairingChange, apply, open, release};
use crate::service::writing::Writing;
use crate::store::Store;
use crate::store::pairings::ListedPairing;

/// Rows that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum PairingCommand {
    /// Make a code by which a page becomes a device: good for ten minutes, once, and for five tries
    #[command(after_help = "Examples:
  lostcard pairing create --organization ID --scope checks --site harbour-1 --name 'front desk' --numbers 250/1d --json
  lostcard pairing create --organization ID --scope registry --scope checks --site 110105-03")]
    Create(PairingArgs),
    /// List pairings, with the state and the last use of their devices
    #[command(after_help = "Example:
  lostcard pairing list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Release a device that is locked, for its PIN was missed five times
    #[command(after_help = "Example:
  lostcard pairing release 01993c5e-0000-7000-8000-000000000000")]
    Release {
        pairing_id: PairingId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a device, or a code that nobody has used; in effect within a second
    #[command(after_help = "Example:
  lostcard pairing end 01993c5e-0000-7000-8000-000000000000 --as 'Wang Fang' --reason 'stolen tablet'")]
    End {
        pairing_id: PairingId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct PairingArgs {
    /// The organization whose device it is
    #[arg(long)]
    organization: OrganizationId,
    /// What it may do; repeat for several
    #[arg(long, required = true, value_parser = PossibleValuesParser::new(["checks", "registry", "blind"]))]
    scope: Vec<String>,
    /// Its place: 1 to 64 characters of A-Z a-z 0-9 . _ : -
    #[arg(long, value_parser = Unrepeated(parse_site))]
    site: Label,
    /// What it is called: 1 to 100 characters
    #[arg(long, value_parser = Unrepeated(parse_name))]
    name: Option<OrganizationName>,
    /// How many guests it has on a day. `none`: nobody counts [default: 250/1d]
    #[arg(long, value_name = "N/1d", value_parser = parse_guests)]
    numbers: Option<Guests>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `pairing ...`
pub(super) async fn pairing(global: &Global, command: PairingCommand) -> anyhow::Result<()> {
    match command {
        PairingCommand::Create(args) => create(global, args).await,
        PairingCommand::List { json } => list(global, json).await,
        PairingCommand::Release { pairing_id, json } => {
            let (store, mut writing) = begin(global).await?;
            let released = release(&mut writing, pairing_id).await?.context("there is no such pairing")?;
            end_with(global, store, writing, Action::DeviceReleased, pairing_id).await?;
            tell(&released, json);
            Ok(())
        }
        PairingCommand::End { pairing_id, json } => {
            let (store, mut writing) = begin(global).await?;
            let change = PairingChange { ends: true, ..PairingChange::default() };
            let (ended, _) = apply(&mut writing, pairing_id, change).await?.context("there is no such pairing")?;
            end_with(global, store, writing, Action::PairingEnded, pairing_id).await?;
            tell(&ended, json);
            Ok(())
        }
    }
}

async fn create(global: &Global, args: PairingArgs) -> anyhow::Result<()> {
    let scopes: Scopes = args.scope.iter().filter_map(|word| Scope::parse(word)).collect();
    let PairingArgs { organization, site, name, numbers, .. } = args;
    let (store, mut writing) = begin(global).await?;
    let opened = open(&mut writing, NewPairing { organization, scopes, site, name, numbers }).await?;
    end_with(global, store, writing, Action::PairingCreated, opened.pairing_id).await?;
    let (code, expires_at) = (opened.code.to_text(), Rfc3339::of(opened.expires_at_ms));
    let value = json!({"pairing_id": opened.pairing_id, "code": code.expose(), "expires_at": expires_at.as_str()});
    let lines = [
        format!("pairing_id  {}", opened.pairing_id),
        format!("code        {}", code.expose()),
        format!("Open /desk or /station on the device and enter the code, until {}.", expires_at.as_str()),
    ];
    output::result(args.json, &value, &lines);
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_pairings(None, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.pairing.pairing_id);
        all.extend(page);
    }
    store.close().await;
    let now_ms = Clock::System.now_ms();
    let values: Vec<_> = all.iter().map(|one| value_of(one, now_ms)).collect();
    let line = |one: &ListedPairing| {
        let (pairing, house) = (&one.pairing, one.organization_name.as_str());
        let state = pairing.state(now_ms).as_str();
        let (id, site, used) = (pairing.pairing_id, pairing.site.as_str(), used(one.last_used_at_ms));
        format!("{id}  {state:8}  {used}  {site:20}  {}  {house}", pairing.scopes)
    };
    output::result(json, &json!({ "pairings": values }), &all.iter().map(line).collect::<Vec<_>>());
    Ok(())
}

async fn begin(global: &Global) -> anyhow::Result<(Store, Writing)> {
    let (store, keyring) = opening::open(&global.config()?).await?;
    let writing = Writing::of_command(store.begin().await?, &keyring, Clock::System.now_ms()).await?;
    Ok((store, writing))
}

async fn end_with(
    global: &Global,
    store: Store,
    mut writing: Writing,
    action: Action,
    id: PairingId,
) -> anyhow::Result<()> {
    writing.note(&Deed::of_operator(action, Some(id.into())).by(&global.behind()?)).await?;
    writing.tx.commit_unlisted().await?;
    store.close().await;
    Ok(())
}

fn tell(one: &ListedPairing, json: bool) {
    let state = one.pairing.state(Clock::System.now_ms()).as_str();
    output::result(json, &json!({"pairing_id": one.pairing.pairing_id, "state": state}), &[state.to_owned()]);
}

fn value_of(one: &ListedPairing, now_ms: UnixMs) -> Value {
    let pairing = &one.pairing;
    let scopes: Vec<_> = pairing.scopes.iter().map(Scope::as_str).collect();
    let mut value = json!({
        "pairing_id": pairing.pairing_id, "organization_id": pairing.organization_id,
        "organization_name": one.organization_name.as_str(), "scopes": scopes, "site": pairing.site.as_str(),
        "state": pairing.state(now_ms).as_str(), "created_at": Rfc3339::of(pairing.created_at_ms).as_str(),
        "expires_at": Rfc3339::of(pairing.expires_at_ms).as_str(),
    });
    if let Some(name) = &pairing.name {
        value["name"] = json!(name.as_str());
    }
    if let Some(numbers) = pairing.numbers {
        value["numbers"] = json!(numbers.to_string());
    }
    if let Some(device) = &pairing.device {
        value["client_id"] = json!(device.client);
    }
    let times = [
        ("paired_at", pairing.device.as_ref().map(|device| device.paired_at_ms)),
        ("last_used_at", one.last_used_at_ms),
        ("locked_at", pairing.locked_at_ms),
        ("ended_at", pairing.ended_at_ms),
    ];
    for (name, at_ms) in times {
        if let Some(at_ms) = at_ms {
            value[name] = json!(Rfc3339::of(at_ms).as_str());
        }
    }
    value
}

fn parse_site(text: &str) -> Result<Label, String> {
    Label::offered(text, Clock::System.today())
        .ok_or_else(|| "a site has 1 to 64 characters of A-Z a-z 0-9 . _ : -, and no identity number".to_owned())
}
