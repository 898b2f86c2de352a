//! The summary at the end of an import: lines for people, JSON for scripts. Never a value of the file.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::plan::Plan;
use crate::cli::output;
use crate::domain::ids::ImportId;

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    /// `--dry-run`
    Planned,
    Refused,
}

/// The figures of an import.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) import_id: Option<ImportId>,
    pub(super) encoding: &'static str,
    pub(super) rows: u64,
    pub(super) wrong: u64,
    pub(super) stored: u64,
    pub(super) already_stored: u64,
    /// With `--full`: rows of the source that are no longer listed.
    pub(super) withdrawn: Option<u64>,
    /// The same of a dry run.
    pub(super) would_withdraw: Option<u64>,
    pub(super) rejects: Option<PathBuf>,
    pub(super) ns: u64,
}

impl Summary {
    /// Prints the figures, and of what was not stored the reasons.
    pub(super) fn print(&self, plan: &Plan, outcome: Outcome, json: bool) {
        let mut lines = match outcome {
            Outcome::Stored => self.stored_lines(),
            Outcome::Planned | Outcome::Refused => {
                vec![format!("rows            {}", self.rows), format!("valid           {}", self.rows - self.wrong)]
            }
        };
        if outcome != Outcome::Stored {
            lines.push(format!("wrong           {}", self.wrong));
            lines.extend(reason_lines(plan));
        }
        lines.extend(self.would_withdraw.map(|count| format!("would withdraw  {count}")));
        // The last line: who reads only one reads this one.
        lines.extend(self.last_line(outcome));
        output::result(json, &self.json(plan, outcome), &lines);
    }

    fn stored_lines(&self) -> Vec<String> {
        let ms = self.ms();
        let mut lines = vec![
            format!("import          {}", self.import_id.unwrap_or(ImportId::nil())),
            format!("stored          {}", self.stored),
            format!("rejected        {}", self.wrong),
            format!("already stored  {}", self.already_stored),
        ];
        lines.extend(self.withdrawn.map(|count| format!("withdrawn       {count}")));
        lines.push(format!("seconds         {}.{:03}", ms / 1000, ms % 1000));
        lines.push(format!("reports/s       {}", self.stored * 1000 / ms));
        lines
    }

    fn last_line(&self, outcome: Outcome) -> Option<String> {
        if let Some(path) = &self.rejects {
            return Some(format!("{} of {} rows were rejected: see {}", self.wrong, self.rows, path.display()));
        }
        let planned =
            || format!("{} rows would be stored or are known, {} rejected", self.rows - self.wrong, self.wrong);
        (outcome == Outcome::Planned).then(planned)
    }

    fn json(&self, plan: &Plan, outcome: Outcome) -> serde_json::Value {
        let ms = self.ms();
        let reasons: Vec<_> = plan
            .reasons
            .iter()
            .map(|((pointer, code), reason)| {
                json!({
                    "pointer": pointer, "code": code, "detail": reason.detail, "rows": reason.rows,
                    "lines": reason.lines,
                })
            })
            .collect();
        let outcome = match outcome {
            Outcome::Stored => "stored",
            Outcome::Planned => "planned",
            Outcome::Refused => "refused",
        };
        let mut value = json!({
            "outcome": outcome, "rows": self.rows, "stored": self.stored, "rejected": self.wrong,
            "already_stored": self.already_stored, "encoding": self.encoding, "reasons": reasons,
        });
        if let Some(import_id) = self.import_id {
            value["import_id"] = json!(import_id);
            value["seconds"] = json!(Duration::from_millis(ms).as_secs_f64());
            value["reports_per_second"] = json!(self.stored * 1000 / ms);
        }
        if let Some(withdrawn) = self.withdrawn {
            value["withdrawn"] = json!(withdrawn);
        }
        if let Some(would_withdraw) = self.would_withdraw {
            value["would_withdraw"] = json!(would_withdraw);
        }
        if let Some(path) = &self.rejects {
            value["rejects_file"] = json!(path.display().to_string());
        }
        value
    }

    fn ms(&self) -> u64 {
        (self.ns / 1_000_000).max(1)
    }
}

/// A line for each reason: how many rows, where the first ones stand, and what is wrong.
fn reason_lines(plan: &Plan) -> Vec<String> {
    let mut reasons: Vec<_> = plan.reasons.iter().collect();
    reasons.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.rows));
    let line = |((pointer, code), reason): (&(&str, &str), &super::plan::Reason)| {
        let lines: Vec<String> = reason.lines.iter().map(u64::to_string).collect();
        let more = if reason.rows > reason.lines.len() as u64 { ", ..." } else { "" };
        let of = if pointer.is_empty() { String::new() } else { format!("{} ", &pointer[1..]) };
        format!("  {:>8}  {of}{code}, line {}{more}: {}", reason.rows, lines.join(", "), reason.detail)
    };
    reasons.into_iter().map(line).collect()
}
