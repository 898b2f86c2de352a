//! `undo`: what a client did in a time is countered, act by act, as when its secret was stolen.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::exits::{or_try_again, try_again, usage};
use super::global::Global;
use super::import::stop::Stop;
use super::import::wait_out_lease;
use super::opening;
use super::output;
use crate::clock::{Clock, Rfc3339};
use crate::domain::ids::ClientId;
use crate::domain::instant::UnixMs;
use crate::service::undoing::{Outcome, Undoing, Undone};
use crate::store::undoing::{Act, Span};

#[derive(Debug, Args)]
#[command(after_help = "\
Counters each act: what it filed is withdrawn as mistaken, what it withdrew is listed again,
replacements are taken back, corrections are corrected, found cards that it returned are held again,
certificates are revoked, applications cancelled. Each has its entry in the audit log, and those who
were told wrongly get an alert. What others did since stays, and is listed with the reason, as is
what the registry cannot take back. A second time there is nothing left. Disable the client first.
After several clients were undone, run each again: what one of them filed and another withdrew is
listed again by the undoing of the other. Needs --as and --reason. Nodes may be running. Killed at
any moment, the same command continues.

Examples:
  lostcard client disable ID
  lostcard undo --client ID --from 2026-11-28T08:00:00+08:00 --to 2026-11-28T09:30:00+08:00 \\
      --as 'Wang Fang' --reason 'ticket 7' --dry-run")]
pub(super) struct UndoArgs {
    /// The client whose acts are undone
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// The instant of the first act, with its zone
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    from: UnixMs,
    /// The instant of the last act, with its zone
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    to: UnixMs,
    /// Tell what would be undone, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `undo`
pub(super) async fn undo(global: &Global, args: UndoArgs) -> anyhow::Result<()> {
    let behind = global.behind_undoing()?;
    if args.from > args.to {
        return Err(usage("--from is after --to"));
    }
    let config = global.config()?;
    let (store, keyring) = opening::open(&config).await?;
    let client = store.find_client(args.client).await?.context("there is no such client")?;
    if client.disabled_at_ms.is_none() {
        output::error("warning: the client is not disabled, and may do the same again: lostcard client disable ID");
    }
    let stop = Stop::on_ctrl_c();
    let undoing = Undoing { store, keyring, clock: Clock::System, actor: None, behind, is_dry_run: args.dry_run };
    let span = Span { client: args.client, from_ms: args.from, to_ms: args.to };
    let done = undoing.undo(span, || stop.is_set()).await;
    undoing.store.close().await;
    let has_changed = |done: &Undone| done.acts.iter().any(|(_, outcome)| matches!(outcome, Outcome::Undone(_)));
    // One that failed may have undone something before.
    if !args.dry_run && done.as_ref().map_or(true, has_changed) {
        wait_out_lease(&config).await;
    }
    let done = done.context("the undoing stopped; the same command continues").map_err(or_try_again)?;
    output::result(args.json, &to_json(&args, &done), &to_lines(&args, &done));
    if done.is_stopped {
        return Err(try_again("stopped: the same command continues"));
    }
    Ok(())
}

fn to_json(args: &UndoArgs, done: &Undone) -> Value {
    let (mut undone, mut left, mut nothing_left) = (Vec::new(), Vec::new(), 0);
    for (act, outcome) in &done.acts {
        let mut value = Map::new();
        value.insert("seq".to_owned(), json!(act.sequence));
        value.insert("at".to_owned(), json!(Rfc3339::of(act.at_ms).as_str()));
        value.insert("action".to_owned(), json!(act.action.as_str()));
        value.insert("record_id".to_owned(), json!(act.subject));
        match outcome {
            Outcome::NothingLeft => nothing_left += 1,
            Outcome::Undone(by) => {
                value.insert("undone_by".to_owned(), json!(by.as_str()));
                undone.push(Value::Object(value));
            }
            Outcome::Left(why) => {
                value.insert("why".to_owned(), json!(why.as_str()));
                value.insert("detail".to_owned(), json!(why.text()));
                left.push(Value::Object(value));
            }
        }
    }
    let reads: Vec<_> = done.reads.iter().map(|(action, count)| json!({"action": action, "count": count})).collect();
    json!({
        "client_id": args.client, "from": Rfc3339::of(args.from).as_str(), "to": Rfc3339::of(args.to).as_str(),
        "dry_run": args.dry_run, "undone": undone, "left": left, "nothing_left": nothing_left, "reads": reads,
    })
}

fn to_lines(args: &UndoArgs, done: &Undone) -> Vec<String> {
    let line = |act: &Act, word: &str, more: &str| {
        let (at, action) = (Rfc3339::of(act.at_ms), act.action.as_str());
        format!("{word:6}  {}  {action:22}  {}{more}", at.as_str(), act.subject)
    };
    let (mut lines, mut counts) = (Vec::new(), [0; 3]);
    for (act, outcome) in &done.acts {
        match outcome {
            Outcome::Undone(_) => {
                counts[0] += 1;
                lines.push(line(act, "undone", ""));
            }
            Outcome::Left(why) => {
                counts[1] += 1;
                lines.push(line(act, "left", &format!("  {}", why.text())));
            }
            Outcome::NothingLeft => counts[2] += 1,
        }
    }
    for (action, count) in &done.reads {
        lines.push(format!("read    {action}  {count}: nobody forgets it again"));
    }
    let [undone, left, nothing_left] = counts;
    let would = if args.dry_run { "would be undone" } else { "undone" };
    lines.push(format!("{undone} {would}, {left} left as they are, of {nothing_left} nothing was left"));
    lines
}

fn parse_instant(text: &str) -> Result<UnixMs, String> {
    let instant: Timestamp = text.parse().map_err(|_| "an instant is written 2026-11-28T08:00:00+08:00".to_owned())?;
    Ok(UnixMs::new(instant.as_millisecond()))
}
