//! The plan: the whole file is read and judged before any of it is stored. What is wrong is counted by its reason, and what is
//! odd is noted: numbers that a spreadsheet rounded, values that are in too many rows, a file unlike the last of its source.

use std::collections::BTreeMap;

use anyhow::Context;

use super::input::{Input, Survey};
use super::judge::{Judge, Judged};
use super::known::Known;
use super::limit::{LIMITS, MaxRejects};
use super::records::Next;
use super::rejects::Rejects;
use super::repeats::{ROWS_MIN, Repeats};
use super::row::{Column, Row};
use super::stop::Stop;
use crate::cli::exits::try_again;
use crate::service::fields::{Fields, WrongMember};
use crate::wiping::spawn_wiped;

/// Lines that the summary names for each reason.
const LINES_NAMED: usize = 3;

/// How often Ctrl-C is looked for.
const ROWS_BETWEEN_LOOKS: u64 = 4096;

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) rows: u64,
    pub(super) wrong: u64,
    pub(super) reasons: BTreeMap<(&'static str, &'static str), Reason>,
    numbers: u64,
    rounded: u64,
    /// In how many rows the most frequent number and phone stand, if these are too many.
    repeated: [Option<u64>; 2],
    /// Of the valid rows, those that the source has not had yet.
    pub(super) new: u64,
    /// Rows of the source that are not in the file; for a full dump those alone that list a card still.
    pub(super) vanished: u64,
    /// Rows of the source before.
    pub(super) known: u64,
    /// The first valid rows with their lines: the reading for the store begins behind them.
    pub(super) first: Vec<(u64, Judged)>,
}

/// Why rows are wrong.
#[derive(Debug, Default)]
pub(super) struct Reason {
    pub(super) rows: u64,
    pub(super) detail: String,
    pub(super) lines: Vec<u64>,
}

/// Why a file is not stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    /// No flag but `--max-rejects` helps.
    pub(super) wrong: Vec<String>,
    /// `--yes-really` says that they are meant.
    pub(super) doubts: Vec<String>,
}

impl Plan {
    /// Reads the file. Wrong rows go to `rejects`.
    pub(super) fn of(
        input: &Input,
        judge: Judge,
        bytes: u64,
        rows_kept: usize,
        mut known: Option<&mut Known>,
        mut rejects: Option<&mut Rejects>,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        let mut records = input.records(judge)?;
        let mut fields = Fields::default();
        // Rows are seldom shorter.
        let mut repeats = [Repeats::of_rows(bytes / 64), Repeats::of_rows(bytes / 64)];
        loop {
            let next = records.next(&mut fields, |row| {
                let number = row.text(Column::IdNumber);
                plan.see_number(number);
                for (repeats, text) in repeats.iter_mut().zip([number, row.text(Column::ContactPhone)]) {
                    if let Some(text) = text {
                        repeats.see(text);
                    }
                }
            })?;
            match next {
                Next::End => break,
                Next::Valid(judged) => {
                    if let Some(known) = &mut known {
                        plan.new += u64::from(known.is_new(&judged));
                    }
                    if plan.first.len() < rows_kept {
                        plan.first.push((records.line(), judged));
                    }
                }
                Next::Wrong => {
                    plan.note(records.line(), &fields.errors);
                    if let Some(rejects) = &mut rejects {
                        rejects.write(records.line(), &fields.errors, |pointer| records.place(pointer))?;
                    }
                }
            }
            plan.rows += 1;
            if plan.rows.is_multiple_of(ROWS_BETWEEN_LOOKS) && stop.is_set() {
                return Err(try_again("stopped before anything was stored: the same command begins again"));
            }
        }
        if let Some(known) = known {
            (plan.known, plan.vanished) = (known.count(), known.count_vanished());
        }
        plan.repeated = count_repeats(input, judge, repeats)?;
        Ok(plan)
    }

    fn see_number(&mut self, number: Option<&str>) {
        let Some(number) = number else { return };
        self.numbers += 1;
        let end = number.len().checked_sub(3).and_then(|at| number.as_bytes().get(at..));
        self.rounded += u64::from(end.is_some_and(|end| matches!(end, b"000" | b"00X" | b"00x")));
    }

    fn note(&mut self, line: u64, wrong: &[WrongMember]) {
        self.wrong += 1;
        for WrongMember { pointer, code, detail } in wrong {
            let reason = self.reasons.entry((pointer, code)).or_default();
            reason.rows += 1;
            if reason.lines.is_empty() {
                reason.detail = detail.clone().into_owned();
            }
            if reason.lines.len() < LINES_NAMED {
                reason.lines.push(line);
            }
        }
    }

    /// Whether rows that are not in the file have vanished: one that is rejected may be one of them, and its report is in force.
    pub(super) fn may_withdraw(&self, yes_really: bool) -> bool {
        self.wrong == 0 || yes_really
    }

    /// Why the file is not stored, if it is not. An import that was begun was a dump of its source already then.
    pub(super) fn refusals(&self, limit: Option<MaxRejects>, is_full: bool, is_begun: bool) -> Refusals {
        let mut refusals = Refusals::default();
        let Self { rows, wrong, numbers, rounded, new, known, vanished, .. } = *self;
        if rows == 0 {
            refusals.wrong.push("the file has no rows".to_owned());
            return refusals;
        }
        let is_within = match limit {
            Some(limit) => limit.allows(wrong, rows),
            None => LIMITS.into_iter().all(|limit| limit.allows(wrong, rows)),
        };
        if !is_within {
            let limit = match limit {
                None => "the limit is 1 % or 100, whichever comes first",
                Some(_) => "more than --max-rejects allows",
            };
            refusals.wrong.push(format!("{wrong} of {rows} rows are wrong: {limit}"));
        } else if wrong == rows {
            refusals.wrong.push(format!("all {rows} rows are wrong"));
        }
        if rounded >= 3 && rounded * 50 > numbers {
            refusals.doubts.push(format!(
                "{rounded} of {numbers} numbers end in 000 or 00X: a spreadsheet has rounded them, and some may be \
                 numbers of strangers; take the file from its source again and save the column id_number as text"
            ));
        }
        for (name, times) in ["id_number", "contact_phone"].into_iter().zip(self.repeated) {
            if let Some(times) = times {
                refusals
                    .doubts
                    .push(format!("one {name} is in {times} rows; from {ROWS_MIN} on that is more likely a mistake"));
            }
        }
        if !is_begun && known > 0 && new * 5 > rows {
            refusals
                .doubts
                .push(format!("this file lists {new} people that the last one of this source did not, of {rows} rows"));
        }
        if is_full && (vanished > 100 || vanished * 100 > known) {
            refusals
                .doubts
                .push(format!("{vanished} of {known} rows of this source are not in this file and would be withdrawn"));
        }
        refusals
    }
}

/// Counts exactly what seemed to be in too many rows.
fn count_repeats(input: &Input, judge: Judge, mut repeats: [Repeats; 2]) -> anyhow::Result<[Option<u64>; 2]> {
    if repeats.iter().any(Repeats::has_suspects) {
        let mut records = input.records(judge)?;
        let mut fields = Fields::default();
        let [numbers, phones] = &mut repeats;
        let mut see = |row: &Row<'_>| {
            for (repeats, column) in [(&mut *numbers, Column::IdNumber), (&mut *phones, Column::ContactPhone)] {
                if let Some(text) = row.text(column) {
                    repeats.see_again(text);
                }
            }
        };
        while !matches!(records.next(&mut fields, &mut see)?, Next::End) {}
    }
    Ok(repeats.map(|repeats| repeats.most()))
}

/// Surveys and plans side by side: each reads the file for itself.
pub(super) async fn survey_and_plan<P: Send + 'static>(
    input: &Input,
    plan: impl FnOnce(&Input, u64) -> anyhow::Result<P> + Send + 'static,
) -> anyhow::Result<(Survey, anyhow::Result<P>)> {
    let (surveyed, planned) = (input.clone(), input.clone());
    let bytes = input.bytes()?;
    let survey = spawn_wiped(move || surveyed.survey());
    let plan = spawn_wiped(move || plan(&planned, bytes));
    let survey = survey.await.context("the survey of the file")??;
    Ok((survey, plan.await.context("the plan of the import")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(plan: &Plan, limit: Option<&str>) -> (usize, usize) {
        let refusals = plan.refusals(limit.map(|limit| MaxRejects::parse(limit).unwrap()), true, false);
        (refusals.wrong.len(), refusals.doubts.len())
    }

    #[test]
    fn one_percent_or_a_hundred_rejects_are_taken_whichever_comes_first() {
        for (rows, wrong, limit, refused) in [
            (0, 0, None, 1),
            (1, 0, None, 0),
            (99, 1, None, 1),
            (100, 1, None, 0),
            (199, 2, None, 1),
            (200, 2, None, 0),
            (10_000, 100, None, 0),
            (10_000, 101, None, 1),
            (1_000_000, 101, None, 1),
            (1_000_000, 101, Some("101"), 0),
            (10, 5, Some("50%"), 0),
            (10, 6, Some("50%"), 1),
            (10, 10, Some("100%"), 1),
            (10, 1, Some("0"), 1),
        ] {
            let plan = Plan { rows, wrong, ..Plan::default() };
            assert_eq!(refusals(&plan, limit).0, refused, "{wrong} of {rows}, {limit:?}");
        }
    }

    #[test]
    fn odd_files_are_in_doubt() {
        let usual = || Plan { rows: 1000, numbers: 1000, ..Plan::default() };
        for (plan, doubts) in [
            (usual(), 0),
            (Plan { rounded: 20, ..usual() }, 0),
            (Plan { rounded: 21, ..usual() }, 1),
            (Plan { rounded: 2, rows: 2, numbers: 2, ..Plan::default() }, 0),
            (Plan { rounded: 3, rows: 3, numbers: 3, ..Plan::default() }, 1),
            (Plan { repeated: [Some(20), None], ..usual() }, 1),
            (Plan { repeated: [Some(20), Some(30)], ..usual() }, 2),
            (Plan { new: 1000, ..usual() }, 0),
            (Plan { new: 200, known: 5, ..usual() }, 0),
            (Plan { new: 201, known: 5, ..usual() }, 1),
            (Plan { known: 1000, vanished: 10, ..usual() }, 0),
            (Plan { known: 1000, vanished: 11, ..usual() }, 1),
            (Plan { known: 100_000, vanished: 101, ..usual() }, 1),
        ] {
            assert_eq!(refusals(&plan, None), (0, doubts), "{plan:?}");
        }
    }

    #[test]
    fn an_import_that_was_begun_is_not_in_doubt_for_what_is_left_of_it() {
        let plan = Plan { rows: 1000, numbers: 1000, new: 900, known: 100, ..Plan::default() };
        assert_eq!(plan.refusals(None, false, false).doubts.len(), 1);
        assert_eq!(plan.refusals(None, false, true), Refusals::default());
    }

    #[test]
    fn numbers_that_a_spreadsheet_rounded_are_counted() {
        let mut plan = Plan::default();
        for number in ["119999200207144000", "11999920020714400X", "11999920020714400x", "119999200207144001", "00", ""]
        {
            plan.see_number(Some(number));
        }
        plan.see_number(None);
        assert_eq!((plan.numbers, plan.rounded), (6, 3));
    }
}
