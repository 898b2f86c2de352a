//! `keys rotate --pepper`: the order of the steps, and what the operator reads about them. The steps are in `service::rotation`.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::opening;
use super::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::service::rotation::Rotation;
use crate::store::Store;

/// How often nodes are looked at that lack the new pepper.
const NODES_EVERY: Duration = Duration::from_millis(250);
const LINE_EVERY_NS: u64 = 5_000_000_000;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct PepperArgs {
    /// The pepper of lookup keys
    #[arg(long)]
    pub(super) pepper: bool,
    /// Make the new pepper's file and stop
    #[arg(long, requires = "pepper")]
    prepare: bool,
    /// Key rows by their old keys, not by their sealed digests, when those are lost. You still need the old pepper
    #[arg(long, requires = "pepper")]
    nested: bool,
    /// How long to wait for nodes that do not hold the new pepper yet
    #[arg(long, requires = "pepper", value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=3600))]
    wait: u64,
    /// Do not wait for nodes: one without the new pepper answers 503 until it has it
    #[arg(long, requires = "pepper")]
    force: bool,
}

/// Rotates, or continues a rotation; the result as JSON and as lines.
pub(super) async fn rotate(config: &Config, args: &PepperArgs) -> anyhow::Result<(Value, Vec<String>)> {
    let (store, keyring) = opening::open(config).await?;
    let rotation = Rotation::prepare(&store, &keyring, args.nested).await?;
    let (from, to) = (rotation.from, rotation.to);
    if args.prepare {
        let state = if rotation.is_under_way { "under_way" } else { "prepared" };
        let line =
            format!("pepper {to}: copy pepper-{to}.key to the key folder of every node, then rotate without --prepare");
        store.close().await;
        return Ok((json!({"purpose": "pepper", "version": to, "state": state}), vec![line]));
    }
    if rotation.is_under_way {
        output::error(&format!("the rotation from pepper {from} to pepper {to} continues"));
    } else {
        if !rotation.is_nested() {
            let mut progress = Progress::new("digests opened", &store, from).await;
            rotation.verify(|rows| progress.show(rows)).await?;
            progress.finish();
        }
        rotation.announce().await?;
        switch(&rotation, args).await?;
    }
    let mut progress = Progress::new("rows looked at", &store, from).await;
    let rows = rotation.rekey(|rows| progress.show(rows)).await?;
    progress.finish();
    store.close().await;
    let retired: Vec<_> = rotation.retired().iter().map(|version| format!("pepper-{version}.key")).collect();
    let mut lines = vec![format!("pepper {to}: {rows} rows were re-keyed")];
    if rotation.is_nested() {
        lines.push(format!("pepper-{from}.key stays needed: pepper {to} is nested in it"));
    }
    if !retired.is_empty() {
        lines.push(format!(
            "no row needs {} any more: in seven days, when earlier watches have ended, remove from every key folder. Earlier backups of \
             the database always need it",
            retired.join(", ")
        ));
    }
    let value =
        json!({"purpose": "pepper", "version": to, "state": "done", "from": from, "rows": rows, "retired": retired});
    Ok((value, lines))
}

async fn switch(rotation: &Rotation<'_>, args: &PepperArgs) -> anyhow::Result<()> {
    let clock = Clock::System;
    let until_ns = clock.boot_ns().saturating_add(args.wait * 1_000_000_000);
    loop {
        let lacking = rotation.switch(args.force).await?;
        if lacking.is_empty() {
            return Ok(());
        }
        if clock.boot_ns() >= until_ns {
            let nodes: Vec<_> = lacking.iter().map(ToString::to_string).collect();
            bail!(
                "nothing was changed: these nodes do not hold pepper {to} yet: {}. Copy pepper-{to}.key to their key folders (they \
                 take it up within seconds), then run this again. For a node that is gone for good: --force",
                nodes.join(", "),
                to = rotation.to,
            );
        }
        tokio::time::sleep(NODES_EVERY).await;
    }
}

/// A bar at a terminal, else a line every few seconds. Standard error only.
struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    clock: Clock,
    shown_ns: u64,
}

impl Progress {
    async fn new(what: &'static str, store: &Store, version: u32) -> Self {
        let clock = Clock::System;
        let bar = if std::io::stderr().is_terminal() {
            // A store too large to be counted in time is shown without its total.
            let total = store.count_keyed(version).await.ok();
            let form = "{wide_bar} {human_pos} of {human_len} {msg}, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            Some(bar.with_style(style).with_message(what))
        } else {
            None
        };
        Self { what, bar, shown_ns: clock.boot_ns(), clock }
    }

    fn show(&mut self, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(rows);
            return;
        }
        let now_ns = self.clock.boot_ns();
        if now_ns.saturating_sub(self.shown_ns) >= LINE_EVERY_NS {
            self.shown_ns = now_ns;
            output::error(&format!("{rows} {}", self.what));
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
