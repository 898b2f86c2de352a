//! How many different numbers of one county and birth date each client has asked about in thirty days, for all clients of the node
//! together: a block of marks holds a cell's numbers, and one mark more for each of them, the first, the second and so on. Where
//! marks overlap a cell seems to have one number more or less; for twelve to be so takes a filter that is full, which is why
//! a part ends early where very many numbers come.

use std::sync::{Mutex, PoisonError};

use super::blocks::{self, Block, Blocks, full, holds, mixed, sparse};
use super::places::{Crowded, PART_NS, PARTS};

/// Of 64 bytes: 8 MiB a part.
const BLOCKS_BITS: u32 = 17;
/// Beyond so many numbers half of the bits are set.
const NUMBERS_MAX: u32 = 4_000_000;

#[derive(Debug)]
pub(super) struct Cells {
    blocks: Blocks<PARTS>,
    part: Mutex<Part>,
}

/// The part that is written now.
#[derive(Debug, Clone, Copy)]
struct Part {
    age: u64,
    begun_ns: u64,
    numbers: u32,
}

/// A number in its cell: hashes of client and place, and of client and number, under the secret of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct CellTrace {
    cell: u64,
    number: Block,
}

/// What is known of a number in its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellSight {
    /// It was asked about in these thirty days.
    Known,
    /// It is a new one: how many were there before.
    New(usize),
    Full(Crowded),
}

impl CellTrace {
    pub(super) fn of(cell: u64, number: u64) -> Self {
        Self { cell, number: full(mixed(number)) }
    }

    fn nth(&self, nth: usize) -> Block {
        sparse(mixed(self.cell ^ nth as u64))
    }
}

impl Cells {
    pub(super) fn new(now_ns: u64) -> Self {
        // Ages begin where none of the parts before is below zero.
        let part = Part { age: PARTS as u64, begun_ns: now_ns, numbers: 0 };
        Self { blocks: Blocks::new(BLOCKS_BITS), part: Mutex::new(part) }
    }

    pub(super) fn look(&self, trace: &CellTrace, max: usize, now_ns: u64) -> CellSight {
        let (part, at) = (self.part(now_ns, 0), self.blocks.place(trace.cell));
        let parts: [Block; PARTS] = std::array::from_fn(|back| self.blocks.read(at, part.age - back as u64));
        if parts.iter().any(|block| holds(block, &trace.number)) {
            return CellSight::Known;
        }
        let mut kept = PARTS;
        let mut before = 0;
        // Which of the newest parts, taken alone, leave room: that tells how long a full cell is full.
        while kept > 0 {
            let mark_is_there = |mark: &Block| parts[..kept].iter().any(|block| holds(block, mark));
            match (before..max).find(|nth| !mark_is_there(&trace.nth(*nth))) {
                Some(nth) if kept == PARTS => return CellSight::New(nth),
                Some(_) => break,
                None => (kept, before) = (kept - 1, 0),
            }
        }
        let turns = (PARTS - kept) as u64;
        let left_ns = (part.begun_ns + PART_NS).saturating_sub(now_ns);
        CellSight::Full(Crowded { wait_ns: left_ns + (turns - 1) * PART_NS })
    }

    /// Remembers a new number. It is not marked again when it comes again: it goes when what it counts for goes.
    pub(super) fn note(&self, trace: &CellTrace, before: usize, now_ns: u64) {
        let mut marks = trace.number;
        blocks::add(&mut marks, &trace.nth(before));
        self.blocks.write(self.blocks.place(trace.cell), self.part(now_ns, 1).age, &marks);
    }

    fn part(&self, now_ns: u64, numbers: u32) -> Part {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = now_ns.saturating_sub(part.begun_ns) / PART_NS;
        if turns > 0 {
            *part = Part { age: part.age + turns, begun_ns: part.begun_ns + turns * PART_NS, numbers: 0 };
        } else if part.numbers >= NUMBERS_MAX {
            *part = Part { age: part.age + 1, begun_ns: now_ns, numbers: 0 };
        }
        part.numbers += numbers;
        *part
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::DAY_NS;
    use super::*;

    fn ask(cells: &Cells, cell: u64, number: u64, now_ns: u64) -> CellSight {
        let trace = CellTrace::of(mixed(cell), mixed(number));
        let sight = cells.look(&trace, 12, now_ns);
        if let CellSight::New(before) = sight {
            cells.note(&trace, before, now_ns);
        }
        sight
    }

    fn passes(cells: &Cells, cell: u64, numbers: std::ops::Range<u64>, now_ns: u64) -> usize {
        numbers.filter(|number| !matches!(ask(cells, cell, *number, now_ns), CellSight::Full(_))).count()
    }

    #[test]
    fn twelve_different_numbers_pass_in_thirty_days_however_they_are_spread() {
        for every in [0, DAY_NS / 2, DAY_NS] {
            let cells = Cells::new(0);
            let passed: Vec<_> =
                (0..30).filter(|nth| !matches!(ask(&cells, 1, *nth, nth * every), CellSight::Full(_))).collect();
            assert_eq!(passed, (0..12).collect::<Vec<_>>(), "{every}");
            assert_eq!(ask(&cells, 1, 3, 29 * every), CellSight::Known);
        }
    }

    #[test]
    fn who_comes_again_is_counted_once() {
        let cells = Cells::new(0);
        for day in 0..29 {
            assert!(!matches!(ask(&cells, 1, 7, day * DAY_NS), CellSight::Full(_)));
        }
        assert_eq!(passes(&cells, 1, 8..100, 29 * DAY_NS), 11);
    }

    #[test]
    fn the_wait_that_is_told_is_enough_and_needed() {
        for asked in [0, 3 * DAY_NS, 40 * DAY_NS] {
            let cells = Cells::new(0);
            assert_eq!(passes(&cells, 1, 0..12, asked), 12);
            let CellSight::Full(Crowded { wait_ns }) = ask(&cells, 1, 12, asked) else { panic!("it is full") };
            assert!((30 * DAY_NS..=45 * DAY_NS).contains(&wait_ns));
            assert!(matches!(ask(&cells, 1, 12, asked + wait_ns - 1), CellSight::Full(_)));
            assert_eq!(ask(&cells, 1, 12, asked + wait_ns), CellSight::New(0));
        }
    }

    #[test]
    fn a_month_of_others_closes_no_cell_and_opens_none() {
        let cells = Cells::new(0);
        assert_eq!(passes(&cells, 1, 0..12, 0), 12);
        for nth in 0..2_000_000 {
            let sight = ask(&cells, 1_000 + nth / 2, 1_000 + nth, DAY_NS);
            assert!(!matches!(sight, CellSight::Full(_)), "{nth}");
        }
        assert_eq!(passes(&cells, 1, 100..200, 2 * DAY_NS), 0);
    }

    #[test]
    fn a_part_that_is_full_ends_early() {
        let cells = Cells::new(0);
        cells.part(0, NUMBERS_MAX);
        assert_eq!(passes(&cells, 1, 0..20, 1), 12);
        assert_eq!((cells.part(1, 0).age, cells.part(PART_NS, 0).age), (PARTS as u64 + 1, PARTS as u64 + 1));
    }
}
