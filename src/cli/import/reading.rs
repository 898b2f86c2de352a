//! The valid rows of a file for the store: first those that the plan has kept, then the others, which are read again.

use super::judge::Judged;
use super::records::{Next, Records};
use crate::service::fields::Fields;

/// Valid rows in the order of the file.
pub(super) struct Reading {
    records: Records,
    kept: std::vec::IntoIter<(u64, Judged)>,
    line: u64,
    fields: Fields,
}

impl Reading {
    /// `records` are at their beginning, and `kept` are the first valid ones of them.
    pub(super) fn new(records: Records, kept: Vec<(u64, Judged)>) -> Self {
        Self { records, kept: kept.into_iter(), line: 0, fields: Fields::default() }
    }

    /// The next valid row; none at the end of the file.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Judged>> {
        if let Some((line, judged)) = self.kept.next() {
            self.line = line;
            return Ok(Some(judged));
        }
        self.records.skip_to(self.line)?;
        loop {
            let next = self.records.next(&mut self.fields, |_| {})?;
            self.line = self.records.line();
            match next {
                Next::Valid(judged) => return Ok(Some(judged)),
                Next::Wrong => {}
                Next::End => return Ok(None),
            }
        }
    }

    /// The number of the last line that was read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::super::dates::BEIJING;
    use super::super::judge::Judge;
    use super::super::lines::Lines;
    use super::*;

    const JUDGE: Judge = Judge { today: Date::constant(2026, 11, 23), zone: BEIJING };

    fn records() -> Records {
        let row = |number: &str| format!("{number},lost,holder,A,hall\n");
        let rows = ["11010519491231002X", "bad", "440524188001010014", "bad", "810000199408230021", "bad"];
        let text = format!("id_number,reason,reporter,office,channel\n\n{}\n", rows.map(row).concat());
        Records::csv(Lines::new(Box::new(std::io::Cursor::new(text.into_bytes()))), &[], JUDGE).unwrap()
    }

    #[test]
    fn rows_are_the_same_however_many_were_kept() {
        for kept in 0..=3 {
            let mut all = Vec::new();
            let mut first = records();
            while all.len() < kept {
                if let Next::Valid(judged) = first.next(&mut Fields::default(), |_| {}).unwrap() {
                    all.push((first.line(), judged));
                }
            }
            let mut reading = Reading::new(records(), all);
            let mut lines = Vec::new();
            while reading.next().unwrap().is_some() {
                lines.push(reading.line());
            }
            assert_eq!((lines, reading.line()), (vec![3, 5, 7], 9), "{kept} kept");
        }
    }
}
