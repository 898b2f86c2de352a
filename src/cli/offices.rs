//! `office set|list`: what offices are called and how to reach them, which the records of a person name. The steps of the API, with its
//! entry in the audit log.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::global::Global;
use super::opening;
use super::organizations::parse_name;
use super::output;
use super::unrepeated::Unrepeated;
use crate::clock::Clock;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::OrganizationName;
use crate::domain::office::{Office, OfficeReach};
use crate::domain::report::OfficeCode;
use crate::service::writing::Writing;

/// Rows that are read at a time.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum OfficeCommand {
    /// Say what an office is called and how to reach it, in place of what was said before
    #[command(after_help = "Example:
  lostcard office set 110105-03 --name 'Harbour police station' --reach '1 Quay Road, +86 10 1234 5678' --json")]
    Set(SetArgs),
    /// List the offices that are described, in the order of their codes
    #[command(after_help = "Example:
  lostcard office list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Its code: 1 to 32 letters, digits and hyphens
    #[arg(value_parser = Unrepeated(parse_code))]
    code: OfficeCode,
    /// What people call it: 1 to 100 characters
    #[arg(long, value_parser = Unrepeated(parse_name))]
    name: OrganizationName,
    /// Where it is, its telephone, when it is open: 1 to 200 characters
    #[arg(long, value_parser = Unrepeated(parse_reach))]
    reach: OfficeReach,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `office ...`
pub(super) async fn office(global: &Global, command: OfficeCommand) -> anyhow::Result<()> {
    match command {
        OfficeCommand::Set(args) => set(global, args).await,
        OfficeCommand::List { json } => list(global, json).await,
    }
}

async fn set(global: &Global, SetArgs { code, name, reach, json }: SetArgs) -> anyhow::Result<()> {
    let (store, keyring) = opening::open(&global.config()?).await?;
    let office = Office { code, name, reach };
    let mut writing = Writing::of_command(store.begin().await?, &keyring, Clock::System.now_ms()).await?;
    writing.tx.put_office(&office).await?;
    writing.note(&Deed::of_operator(Action::OfficeDescribed, None).by(&global.behind()?)).await?;
    writing.tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &value_of(&office), &[line_of(&office)]);
    Ok(())
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.list_offices(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.code.as_str().to_owned());
        all.extend(page);
    }
    store.close().await;
    let values: Vec<_> = all.iter().map(value_of).collect();
    output::result(json, &json!({ "offices": values }), &all.iter().map(line_of).collect::<Vec<_>>());
    Ok(())
}

fn value_of(office: &Office) -> Value {
    json!({"code": office.code.as_str(), "name": office.name.as_str(), "reach": office.reach.as_str()})
}

fn line_of(office: &Office) -> String {
    format!("{:12}  {}  {}", office.code.as_str(), office.name.as_str(), office.reach.as_str())
}

fn parse_code(text: &str) -> Result<OfficeCode, String> {
    let code = OfficeCode::offered(text, Clock::System.today());
    code.ok_or_else(|| "a code has 1 to 32 letters, digits and hyphens, and is no identity number".to_owned())
}

fn parse_reach(text: &str) -> Result<OfficeReach, String> {
    let reach = OfficeReach::offered(text, Clock::System.today());
    reach.ok_or_else(|| "1 to 200 visible characters, without an identity number".to_owned())
}
