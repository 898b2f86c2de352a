//! `audit who`: who looked at the records of a person, for the operator who has the number. It comes by standard input: others can
//! read a command line.

use clap::Args;
use serde_json::{Map, Value, json};

use super::global::Global;
use super::number_input::read_digest;
use super::opening;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::service::accesses;
use crate::store::accesses::Access;

#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn who(global: &Global, args: &WhoArgs) -> anyhow::Result<()> {
    let digest = read_digest()?;
    let (store, keyring) = opening::open_what_is_there(&global.config()?).await?;
    let found = accesses::who(&store, &keyring, &digest, &global.behind()?, Clock::System.now_ms()).await?;
    store.close().await;
    let value = json!({ "accesses": found.iter().map(to_json).collect::<Vec<_>>() });
    let mut lines: Vec<_> = found.iter().map(to_line).collect();
    if lines.is_empty() {
        lines.push("nobody".to_owned());
    }
    output::result(args.json, &value, &lines);
    Ok(())
}

pub(super) fn to_json(access: &Access) -> Value {
    let organization = access.organization.as_ref();
    let members = [
        ("seq", Some(json!(access.sequence))),
        ("at", Some(json!(Rfc3339::of(access.at_ms).as_str()))),
        ("action", Some(json!(access.action))),
        ("organization_id", organization.map(|organization| json!(organization.id))),
        ("organization_name", organization.and_then(|organization| Some(json!(organization.name.as_ref()?)))),
        ("client_id", access.client.map(|client| json!(client))),
        ("person", access.person.as_ref().map(|person| json!(person))),
        ("os_user", access.os_user.as_ref().map(|user| json!(user))),
        ("reason", access.reason.as_ref().map(|reason| json!(reason))),
        ("origin", access.origin.as_ref().map(|origin| json!(origin))),
        ("subject", access.subject.map(|subject| json!(subject))),
    ];
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

fn to_line(access: &Access) -> String {
    let by = match &access.organization {
        None => "the operator".to_owned(),
        Some(organization) => {
            let id = organization.id.to_string();
            organization.name.as_ref().map_or(id.clone(), |name| format!("{name} ({id})"))
        }
    };
    let client = access.client.map(|client| format!("client {client}"));
    let person = access.person.as_ref().map(|person| format!("person {person}"));
    let os_user = access.os_user.as_ref().map(|user| format!("user {user}"));
    let parts = [Some(by), client, person, os_user, access.reason.clone()];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{}  {:22}  {}", Rfc3339::of(access.at_ms).as_str(), access.action, parts.join(", "))
}
