//! `organization create|list|show|update`: each change a transaction with its feed row and its entry in the audit log.

use anyhow::{Context, bail};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::{Value, json};

use super::credentials::record;
use super::global::Global;
use super::opening;
use super::output;
use super::unrepeated::Unrepeated;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::authority::{LifeState, OfficePrefix, Offices, Setting};
use crate::domain::client::{OrganizationKind, OrganizationName, Rate, RegionCode};
use crate::domain::ids::OrganizationId;
use crate::domain::label::holds_id_number;
use crate::store::clients::Organization;

/// Rows that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum OrganizationCommand {
    /// Register an organization
    #[command(after_help = "Example:
  lostcard organization create --name 'Hotel Harbour' --kind certifying --region 110105 --rate 6000/60s --json")]
    Create(OrganizationArgs),
    /// List organizations
    #[command(after_help = "Example:
  lostcard organization list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an organization
    #[command(after_help = "Example:
  lostcard organization show 01993c5e-0000-7000-8000-000000000000 --json")]
    Show {
        organization_id: OrganizationId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change an organization; in effect within a second
    #[command(after_help = "Examples:
  lostcard organization update 01993c5e-0000-7000-8000-000000000000 --rate 6000/60s --office 110105 --json
  lostcard organization update 01993c5e-0000-7000-8000-000000000000 --state suspended --as 'Wang Fang' --reason 'ticket 7'")]
    Update(UpdateArgs),
}

#[derive(Debug, Args)]
pub(super) struct OrganizationArgs {
    /// What it is called: 1 to 100 characters
    #[arg(long)]
    name: String,
    /// What it is to the service
    #[arg(long, value_parser = PossibleValuesParser::new(["certifying", "registrar", "portal", "auditor", "operator"]))]
    kind: String,
    /// Its region: the six digits of GB/T 2260
    #[arg(long)]
    region: String,
    /// How the codes of its offices begin; repeat for several [default: its region]
    #[arg(long, value_name = "PREFIX", value_parser = Unrepeated(parse_prefix))]
    office: Vec<OfficePrefix>,
    /// Let it also withdraw reports that other organizations filed, and return their cards
    #[arg(long)]
    any_office: bool,
    /// The limit that its clients share, as requests/seconds [default: limits.organization]
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    organization_id: OrganizationId,
    #[command(flatten)]
    changes: Changes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(id = "organization_changes", required = true, multiple = true)]
struct Changes {
    /// What it is called: 1 to 100 characters
    #[arg(long, value_parser = Unrepeated(parse_name))]
    name: Option<OrganizationName>,
    /// The limit that its clients share, as requests/seconds; `default`: limits.organization
    #[arg(long, value_name = "N/Ss", value_parser = parse_rate_or_default)]
    rate: Option<Setting<Rate>>,
    /// How the codes of its offices begin from now on; repeat for several
    #[arg(long, value_name = "PREFIX", value_parser = Unrepeated(parse_prefix))]
    office: Vec<OfficePrefix>,
    /// Whether it also withdraws reports that other organizations filed, and returns their cards
    #[arg(long, value_name = "BOOL")]
    any_office: Option<bool>,
    /// Whether its clients are let in: `ended` is final
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<LifeState>,
}

/// `organization ...`
pub(super) async fn organization(global: &Global, command: OrganizationCommand) -> anyhow::Result<()> {
    match command {
        OrganizationCommand::Create(args) => create(global, args).await,
        OrganizationCommand::List { json } => list(global, json).await,
        OrganizationCommand::Show { organization_id, json } => show(global, organization_id, json).await,
        OrganizationCommand::Update(args) => update(global, args).await,
    }
}

async fn create(global: &Global, args: OrganizationArgs) -> anyhow::Result<()> {
    let now_ms = Clock::System.now_ms();
    let name = parse_name(&args.name).map_err(anyhow::Error::msg)?;
    let kind = OrganizationKind::parse(&args.kind).context("unknown kind")?;
    let region = RegionCode::parse(&args.region).context("a region is six digits with a known province")?;
    let offices = Offices::new(args.office, args.any_office).context("an organization has at most 100 prefixes")?;
    let new = Organization::new(random::id(now_ms), name, kind, region, now_ms);
    let new = Organization { rate: args.rate, offices, ..new };
    let (store, _) = opening::open(&global.config()?).await?;
    let mut tx = store.begin().await?;
    tx.insert_organization(&new).await?;
    record(global, &mut tx, Action::OrganizationCreated, Some(new.organization_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let lines = [format!("organization_id  {}", new.organization_id)];
    output::result(args.json, &json!({"organization_id": new.organization_id}), &lines);
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_organizations(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.organization_id);
        all.extend(page);
    }
    store.close().await;
    let values: Vec<_> = all.iter().map(value_of).collect();
    let line = |one: &Organization| {
        let (id, kind, state) = (one.organization_id, one.kind.as_str(), one.state().as_str());
        let rate = one.rate.map_or_else(|| "default rate".to_owned(), |rate| rate.to_string());
        format!("{id}  {kind:10}  {state:9}  {rate:12}  {}", one.name.as_str())
    };
    output::result(json, &json!({ "organizations": values }), &all.iter().map(line).collect::<Vec<_>>());
    Ok(())
}

async fn show(global: &Global, id: OrganizationId, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let one = store.find_organization(id).await?.context("there is no such organization")?;
    store.close().await;
    tell(&one, json);
    Ok(())
}

async fn update(global: &Global, args: UpdateArgs) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    let mut one = tx.read_organization(args.organization_id).await?.context("there is no such organization")?;
    let before = one.state();
    if before == LifeState::Ended {
        bail!("the organization is ended, which is final");
    }
    let Changes { name, rate, office, any_office, state } = args.changes;
    let is_changed = name.is_some() || rate.is_some() || !office.is_empty() || any_office.is_some();
    one.name = name.unwrap_or(one.name);
    one.rate = rate.unwrap_or_default().over(one.rate);
    one.offices.ends_others = any_office.unwrap_or(one.offices.ends_others);
    if !office.is_empty() {
        let offices = Offices::new(office, one.offices.ends_others);
        one.offices = offices.context("an organization has at most 100 prefixes")?;
    }
    let changed = match state.filter(|state| *state != before) {
        None => None,
        Some(LifeState::Active) => {
            one.suspended_at_ms = None;
            Some(Action::OrganizationResumed)
        }
        Some(LifeState::Suspended) => {
            one.suspended_at_ms = Some(now_ms);
            Some(Action::OrganizationSuspended)
        }
        Some(LifeState::Ended) => {
            one.ended_at_ms = Some(now_ms);
            Some(Action::OrganizationEnded)
        }
    };
    tx.update_organization(&one).await?;
    for action in is_changed.then_some(Action::OrganizationUpdated).into_iter().chain(changed) {
        record(global, &mut tx, action, Some(one.organization_id.into()), now_ms).await?;
    }
    tx.commit_unlisted().await?;
    store.close().await;
    tell(&one, args.json);
    Ok(())
}

fn tell(one: &Organization, json: bool) {
    let value = value_of(one);
    output::result(json, &value, &lines_of(&value));
}

fn value_of(one: &Organization) -> Value {
    let offices: Vec<_> = one.offices.prefixes().iter().map(OfficePrefix::as_str).collect();
    let mut value = json!({
        "organization_id": one.organization_id, "name": one.name.as_str(), "kind": one.kind.as_str(),
        "region": one.region.as_str(), "state": one.state().as_str(), "offices": offices,
        "any_office": one.offices.ends_others, "created_at": Rfc3339::of(one.created_at_ms).as_str(),
    });
    if let Some(rate) = one.rate {
        value["rate"] = json!(rate.to_string());
    }
    value
}

/// Names and values for people, one a line.
pub(super) fn lines_of(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    value.as_object().into_iter().flatten().map(|(name, value)| format!("{name:17}  {}", text(value))).collect()
}

fn parse_prefix(text: &str) -> Result<OfficePrefix, String> {
    let prefix = OfficePrefix::parse(text).filter(|_| !holds_id_number(text, Clock::System.today()));
    prefix.ok_or_else(|| "a prefix has 1 to 32 letters, digits and hyphens, and is no identity number".to_owned())
}

pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    Rate::parse(text).ok_or_else(|| "a rate is written requests/seconds: 600/60s".to_owned())
}

pub(super) fn parse_rate_or_default(text: &str) -> Result<Setting<Rate>, String> {
    Setting::parse(text, Rate::parse)
        .ok_or_else(|| "a rate is written requests/seconds: 600/60s, or default".to_owned())
}

pub(super) fn parse_name(text: &str) -> Result<OrganizationName, String> {
    let name = OrganizationName::parse(text).filter(|_| !holds_id_number(text, Clock::System.today()));
    name.ok_or_else(|| "a name is 1 to 100 visible characters, without an identity number".to_owned())
}

pub(super) fn parse_state(text: &str) -> Result<LifeState, String> {
    LifeState::parse(text).ok_or_else(|| "expected active, suspended or ended".to_owned())
}
