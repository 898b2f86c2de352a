//! Whose numbers a client may ask about: `client numbers`, `client release`. Each is a transaction with its feed row and its entry in
//! the audit log.

use anyhow::bail;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::credentials::record;
use super::global::Global;
use super::opening;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::domain::audit::Action;
use crate::domain::ids::ClientId;
use crate::domain::numbers::{Digests, Guests};
use crate::store::clients::StoredNumbers;

#[derive(Debug, Args)]
#[group(id = "declared", required = true, multiple = true, args = ["guests", "digests"])]
pub(super) struct DeclareArgs {
    client_id: ClientId,
    /// How many guests it has on a day; `none`: nobody counts
    #[arg(long, value_name = "N/1d", value_parser = parse_guests)]
    guests: Option<Guests>,
    /// Whether it may send digests, which hide where a number belongs
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(["taken", "refused"]))]
    digests: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `client numbers`
pub(super) async fn declare(global: &Global, args: DeclareArgs) -> anyhow::Result<()> {
    let DeclareArgs { client_id, guests, json, .. } = args;
    let digests = args.digests.as_deref().and_then(Digests::parse);
    let (store, _) = opening::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    let mut tx = store.begin().await?;
    if !tx.declare_numbers(client_id, guests, digests).await? {
        bail!("there is no such client");
    }
    let action = if guests == Some(Guests::Uncounted) {
        warn_of_lifted();
        Action::ClientNumbersLifted
    } else {
        Action::ClientNumbersDeclared
    };
    record(global, &mut tx, action, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    let mut value = json!({ "client_id": client_id });
    if let Some(guests) = guests {
        value["numbers"] = json!(guests.to_string());
    }
    if let Some(digests) = digests {
        value["digests"] = json!(digests.as_str());
    }
    output::result(json, &value, &["declared".to_owned()]);
    Ok(())
}

/// `client release`
pub(super) async fn release(global: &Global, client_id: ClientId, json: bool) -> anyhow::Result<()> {
    let (store, _) = opening::open(&global.config()?).await?;
    let now_ms = Clock::System.now_ms();
    match store.find_client(client_id).await? {
        None => bail!("there is no such client"),
        Some(client) if client.numbers.held.is_none() => bail!("the client is not held"),
        Some(_) => {}
    }
    let mut tx = store.begin().await?;
    tx.release_client(client_id, now_ms).await?;
    record(global, &mut tx, Action::ClientReleased, Some(client_id.into()), now_ms).await?;
    tx.commit_unlisted().await?;
    store.close().await;
    output::result(json, &json!({"client_id": client_id, "state": "active"}), &["released".to_owned()]);
    Ok(())
}

/// What `client list` says of a client's numbers.
pub(super) fn show_numbers(numbers: &StoredNumbers, value: &mut Value) {
    if let Some(guests) = numbers.guests {
        value["numbers"] = json!(guests.to_string());
    }
    value["digests"] = json!(numbers.digests.as_str());
    if let Some(held) = numbers.held {
        value["hold"] = json!({"held_at": Rfc3339::of(held.at_ms).as_str(), "held_for": held.why.as_str()});
    }
}

/// Who lifts a limit learns what it was for.
pub(super) fn warn_of_lifted() {
    output::error("nobody counts the numbers of this client: it may read the list by asking for each number");
}

pub(super) fn parse_guests(text: &str) -> Result<Guests, String> {
    Guests::parse(text).ok_or_else(|| "guests are written number/1d, up to 10000000/1d, or none: 250/1d".to_owned())
}
