//! `person invite|list|end`: persons of the operator who sign in by passkeys (`admin.passkeys`). Who has which role is said here alone.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::config::Config;
use crate::crypto::random;
use crate::domain::audit::{Action, Deed};
use crate::domain::ids::{ClientId, PersonId};
use crate::domain::instant::UnixMs;
use crate::domain::person::{Role, ShortName};
use crate::node::options;
use crate::service::passkeys::{end, holder_of, invite};
use crate::service::writing::Writing;
use crate::store::Store;
use crate::store::passkeys::KeyHolder;

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Print a link by which a person makes a passkey for the console: good for an hour, once
    #[command(after_help = "Examples:
  lostcard person invite 'Wang Fang' --role operator --as 'Li Lei' --reason 'new colleague'
  lostcard person invite --person 01993c5e-0000-7000-8000-000000000000 --json")]
    Invite(InviteArgs),
    /// List persons with passkeys, or with a link that is still good
    #[command(after_help = "Example:
  lostcard person list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove the passkeys and the links of a person, and end their tokens; in effect within a second
    #[command(after_help = "Example:
  lostcard person end 01993c5e-0000-7000-8000-000000000000 --as 'Li Lei' --reason 'has left'")]
    End {
        person_id: PersonId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    /// What the person is called, also in the audit log: at most 64 bytes
    #[arg(required_unless_present = "again", requires = "role", value_parser = parse_short_name)]
    name: Option<ShortName>,
    /// What the person may do: look; make and change; approve what another one has asked for
    #[arg(long, value_parser = PossibleValuesParser::new(["viewer", "operator", "security"]))]
    role: Option<String>,
    /// Another passkey for a person who has one
    // `person` is who runs the command (`--as`).
    #[arg(long = "person", value_name = "PERSON_ID", conflicts_with_all = ["name", "role"])]
    again: Option<PersonId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `person ...`
pub(super) async fn person(global: &Global, command: PersonCommand) -> anyhow::Result<()> {
    match command {
        PersonCommand::Invite(args) => create(global, args).await,
        PersonCommand::List { json } => list(global, json).await,
        PersonCommand::End { person_id, json } => {
            let config = global.config()?;
            let client = client_of(&config)?;
            let (store, mut writing) = begin(&config).await?;
            if !end(&mut writing, person_id, client).await? {
                bail!("nobody with that id has a passkey or a link");
            }
            finish(global, store, writing, Action::PersonEnded, person_id).await?;
            output::result(json, &json!({"person_id": person_id, "state": "ended"}), &["ended".to_owned()]);
            Ok(())
        }
    }
}

async fn create(global: &Global, args: InviteArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    client_of(&config)?;
    let (store, mut writing) = begin(&config).await?;
    let role = args.role.as_deref().and_then(Role::parse);
    let holder = match (args.again, args.name.zip(role)) {
        (Some(id), _) => holder_of(&mut writing, id).await?.context("nobody with that id has a passkey or a link")?,
        (None, Some((name, role))) => KeyHolder { id: random::id(writing.now_ms), name, role },
        (None, None) => bail!("a person is invited by name and --role, or by --person"),
    };
    let invited = invite(&mut writing, holder).await?;
    finish(global, store, writing, Action::PersonInvited, holder.id).await?;
    let url = config.url(config.listen.first());
    let link = format!("{url}/console#invite={}", invited.code.expose());
    let expires_at = Rfc3339::of(invited.expires_at_ms);
    let value = json!({
        "person_id": holder.id, "name": holder.name.as_str(), "role": holder.role.as_str(), "link": link,
        "expires_at": expires_at.as_str(),
    });
    let lines = [
        format!("person_id  {}", holder.id),
        format!("link       {link}"),
        format!(
            "Give it to {} alone: who opens it first makes the passkey. Good once, until {}.",
            holder.name.as_str(),
            expires_at.as_str()
        ),
    ];
    output::result(args.json, &value, &lines);
    Ok(())
}

/// What a person has.
struct Listed {
    holder: KeyHolder,
    passkeys: usize,
    used_at_ms: Option<UnixMs>,
    invited_until_ms: Option<UnixMs>,
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let store = opening::look(&global.config()?).await?;
    let (passkeys, links) = (store.list_passkeys(None).await?, store.list_invitations(Clock::System.now_ms()).await?);
    store.close().await;
    let mut all: BTreeMap<PersonId, Listed> = BTreeMap::new();
    let nothing = |holder| Listed { holder, passkeys: 0, used_at_ms: None, invited_until_ms: None };
    for passkey in &passkeys {
        let of = all.entry(passkey.holder.id).or_insert_with(|| nothing(passkey.holder));
        of.passkeys += 1;
        of.used_at_ms = of.used_at_ms.max(passkey.used_at_ms);
    }
    for link in &links {
        let of = all.entry(link.holder.id).or_insert_with(|| nothing(link.holder));
        of.invited_until_ms = of.invited_until_ms.max(Some(link.expires_at_ms));
    }
    let values: Vec<_> = all.values().map(value_of).collect();
    let line = |one: &Listed| {
        let (id, role, count) = (one.holder.id, one.holder.role.as_str(), one.passkeys);
        let invited = if one.invited_until_ms.is_some() { ", and a link that is good" } else { "" };
        format!("{id}  {role:8}  {}  passkeys: {count}{invited}", one.holder.name.as_str())
    };
    output::result(json, &json!({ "persons": values }), &all.values().map(line).collect::<Vec<_>>());
    Ok(())
}

fn value_of(one: &Listed) -> Value {
    let holder = &one.holder;
    let mut value = json!({
        "person_id": holder.id, "name": holder.name.as_str(), "role": holder.role.as_str(), "passkeys": one.passkeys,
    });
    for (name, at_ms) in [("last_used_at", one.used_at_ms), ("invited_until", one.invited_until_ms)] {
        if let Some(at_ms) = at_ms {
            value[name] = json!(Rfc3339::of(at_ms).as_str());
        }
    }
    value
}

/// The client by which persons with passkeys act.
fn client_of(config: &Config) -> anyhow::Result<ClientId> {
    let of = options::passkeys(config, config.listen.first())?;
    let of =
        of.context("admin.passkeys.client is not set: no node of these settings lets persons sign in by passkeys")?;
    Ok(of.client)
}

async fn begin(config: &Config) -> anyhow::Result<(Store, Writing)> {
    let (store, keyring) = opening::open(config).await?;
    let writing = Writing::of_command(store.begin().await?, &keyring, Clock::System.now_ms()).await?;
    Ok((store, writing))
}

async fn finish(
    global: &Global,
    store: Store,
    mut writing: Writing,
    action: Action,
    id: PersonId,
) -> anyhow::Result<()> {
    writing.note(&Deed::of_operator(action, Some(id.into())).by(&global.behind()?)).await?;
    writing.tx.commit_unlisted().await?;
    store.close().await;
    Ok(())
}

fn parse_short_name(text: &str) -> Result<ShortName, String> {
    ShortName::parse(text, Clock::System.today())
        .ok_or_else(|| "a name has 1 to 64 bytes of visible text, and no identity number".to_owned())
}
