//! Bodies of what always waits for another operator (an undoing, an export of the audit log), and what came of an undoing. Also read by
//! who approves: what was asked for is kept as it was sent.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::audit::Grounds;
use crate::domain::ids::RecordId;
use crate::http::contract::fields::{Fields, Whole, present};
use crate::http::contract::problem::Problem;
use crate::service::administration::asked::{NewExport, NewUndo};
use crate::service::administration::undo::{LeftAct, UndoTally};
use crate::store::undoing::Span;

/// Whose acts should be undone, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_id": "01a20adf-f27a-7a0e-a168-cbde71ca2ec1", "from": "2026-11-28T00:00:00Z",
    "to": "2026-11-28T01:30:00Z", "reason": "ticket 7: its secret was stolen"}))]
pub struct UndoRequest {
    /// The client that did them.
    #[schema(format = Uuid)]
    client_id: String,
    /// The instant of the first act.
    #[schema(format = DateTime)]
    from: String,
    /// The instant of the last act.
    #[schema(format = DateTime)]
    to: String,
    /// Why, in your words: the audit log keeps them with each act that is undone.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// What came of an undoing.
#[derive(Debug, Serialize, ToSchema)]
pub struct UndoneAnswer {
    /// Acts that were countered.
    #[schema(value_type = i64, minimum = 0, example = 41)]
    undone: u64,
    /// Acts that had nothing left to counter: they were undone before, or with another one.
    #[schema(value_type = i64, minimum = 0, example = 0)]
    nothing_left: u64,
    /// Acts that stay as they are.
    #[schema(value_type = i64, minimum = 0, example = 1)]
    left_count: u64,
    /// They, the newest first, at most 500: each has to be looked at by hand.
    left: Vec<LeftActAnswer>,
}

/// An act that stays as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftActAnswer {
    /// What was done, as the audit log says it: `report_filed`, `found_card_destroyed`. New words may be added.
    #[schema(example = "report_filed")]
    action: String,
    /// The record that it was done to.
    #[schema(value_type = Uuid)]
    record_id: RecordId,
    /// Why it stays: `changed_by_others`, `replaced_by_others`, `start_listed`, `ended`, `out_of_hand`, `by_hand`, `gone`. New words may be
    /// added.
    #[schema(example = "changed_by_others")]
    why: String,
}

/// An export of the audit log, and what for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"after": 47, "reason": "the auditors' yearly visit"}))]
pub struct AuditExportRequest {
    /// The last entry of the export before; the whole log if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<i64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after: Option<Whole>,
    /// What for, in your words: the audit log keeps them.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

impl UndoRequest {
    pub(super) fn read(&self, today: Date) -> Result<NewUndo, Problem> {
        let mut fields = Fields::default();
        let client = fields.id("/client_id", Some(&self.client_id));
        let from = fields.instant("/from", Some(&self.from));
        let to = fields.instant("/to", Some(&self.to));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            fields.refuse("/to", "out_of_range", "the last act is not before the first");
        }
        let reason = read_reason(&mut fields, &self.reason, today);
        let span = client.zip(from).zip(to).map(|((client, from_ms), to_ms)| Span { client, from_ms, to_ms });
        fields.finish(span.zip(reason).map(|(span, reason)| NewUndo { span, reason }))
    }
}

/// Why something is asked for.
fn read_reason(fields: &mut Fields, text: &str, today: Date) -> Option<Grounds> {
    let detail = "1 to 200 visible characters, without an identity number";
    fields.take("/reason", Grounds::parse(text, today), "malformed_text", detail)
}

impl UndoneAnswer {
    pub(super) fn of(tally: UndoTally) -> Self {
        let UndoTally { undone, nothing_left, left_count, left } = tally;
        let one = |LeftAct { action, record, why }| LeftActAnswer { action, record_id: record, why };
        Self { undone, nothing_left, left_count, left: left.into_iter().map(one).collect() }
    }
}

impl AuditExportRequest {
    pub(super) fn read(&self, today: Date) -> Result<NewExport, Problem> {
        let mut fields = Fields::default();
        let reason = read_reason(&mut fields, &self.reason, today);
        let after = self.after.map_or(Ok(0), |after| u64::try_from(after.0));
        let after =
            fields.take("/after", after.ok(), "out_of_range", "entries are counted from 1; 0 is before the first");
        fields.finish(reason.zip(after).map(|(reason, after)| NewExport { after, reason }))
    }
}
