//! `doctor`, and `serve --check`: whether a node is well, a line for each thing that was looked at, with what to do. Changes nothing.

use clap::Args;
use serde_json::{Value, json};

use super::global::Global;
use super::{exits, output};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::node::doctor::{Finding, State, refused};
use crate::node::{doctor as node, raise_limit};

#[derive(Debug, Args)]
#[command(after_help = "\
Each line begins with ok, note, warning or wrong, and says what to do behind an arrow. A note is right for a fresh node.
Exit code: 0 well, 1 warnings, 3 something is wrong.

Examples:
  lostcard doctor
  lostcard doctor --config /etc/lostcard/lostcard.toml --json")]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `doctor`
pub(super) async fn doctor(global: &Global, args: &DoctorArgs) -> anyhow::Result<()> {
    examine(global.settings_or_why(), args.json).await
}

/// Looks at everything, prints what was found, and ends with the exit code of the worst of it.
pub(super) async fn examine(config: Result<Config, ConfigError>, json: bool) -> anyhow::Result<()> {
    // As a node does: what it may have is what counts.
    raise_limit();
    let findings = match &config {
        Ok(config) => node::examine(config, &Clock::System).await,
        Err(error) => refused(error),
    };
    let worst = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    // A note is no state of the whole.
    let state = if worst == State::Note { State::Ok } else { worst };
    let checks: Vec<_> = findings.iter().map(value).collect();
    let mut lines: Vec<_> = findings.iter().map(line).collect();
    lines.push(summary(&findings, state));
    output::result(json, &json!({"state": state.as_str(), "checks": checks}), &lines);
    match state {
        State::Ok | State::Note => Ok(()),
        State::Warning => Err(exits::not_well(false)),
        State::Wrong => Err(exits::not_well(true)),
    }
}

fn value(finding: &Finding) -> Value {
    let to_do = finding.to_do.as_deref().unwrap_or_default();
    json!({"check": finding.check, "state": finding.state.as_str(), "found": finding.found, "do": to_do})
}

fn line(finding: &Finding) -> String {
    let Finding { check, found, .. } = finding;
    let to_do = finding.to_do.as_ref().map_or(String::new(), |to_do| format!(" -> {to_do}"));
    format!("{:7}  {check:14}  {found}{to_do}", finding.state.as_str())
}

fn summary(findings: &[Finding], state: State) -> String {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (wrong, warnings, notes) = (count(State::Wrong), count(State::Warning), count(State::Note));
    let word = match state {
        State::Ok | State::Note => "well",
        State::Warning => "look at the warnings",
        State::Wrong => "not well",
    };
    format!("{word}: {} looked at, {wrong} wrong, {warnings} warnings, {notes} notes", findings.len())
}
