//! How many different numbers of one county and birth date each client has asked about in thirty days, for all clients together that
//! share a table: a block of marks holds a cell's numbers, and one mark more for each of them, the first, the second and so on. Where marks
//! overlap a cell seems to have one number more or less; for twelve to be so takes a filter that is full. So a table that gets full is
//! followed by a larger one, beside which it is read until its month is over; the largest ends a part early instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::blocks::{self, Block, Blocks, full, holds, mixed, sparse};
use super::places::{Crowded, PART_NS, PARTS};

/// Of 64 bytes: 8 MiB a part. The system gives pages as they are written to.
const BITS_MIN: u32 = 17;
/// 64 MiB a part.
const BITS_MAX: u32 = 20;
/// One table after the other is so many bits larger.
const BITS_STEP: u32 = 2;
/// Beyond so many numbers a block, half of its bits are set: four million in the smallest table, 31 million in the largest.
const NUMBERS_A_BLOCK: u64 = 30;

#[derive(Debug)]
pub(super) struct Cells {
    /// The newest first, which is written to; those before are only read.
    tables: ArcSwap<Vec<Table>>,
    bits_max: u32,
    /// Of the newest table: which part was counted last, and its numbers.
    counted: [AtomicU64; 2],
    growing: Mutex<()>,
}

/// Marks of three parts of a month. Which part is the newest follows from the time.
#[derive(Debug, Clone)]
struct Table {
    blocks: Arc<Blocks<PARTS>>,
    age: u64,
    begun_ns: u64,
    /// When nothing of it is remembered any more, since nothing is written to it.
    ends_ns: u64,
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

/// Whether a number found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    There,
    /// At the cost of what was remembered longest.
    TurnedEarly,
}

impl CellTrace {
    pub(super) fn of(cell: u64, number: u64) -> Self {
        Self { cell, number: full(mixed(number)) }
    }

    fn nth(&self, nth: usize) -> Block {
        sparse(mixed(self.cell ^ nth as u64))
    }
}

impl Table {
    fn new(bits: u32, now_ns: u64) -> Self {
        // Ages begin where none of the parts before is below zero.
        Self { blocks: Arc::new(Blocks::new(bits)), age: PARTS as u64, begun_ns: now_ns, ends_ns: u64::MAX }
    }

    /// The newest part: its age, and when it began.
    fn part(&self, now_ns: u64) -> (u64, u64) {
        let turns = now_ns.saturating_sub(self.begun_ns) / PART_NS;
        (self.age + turns, self.begun_ns + turns * PART_NS)
    }

    /// What it holds of a cell, the newest part first, and when each is forgotten.
    fn parts(&self, trace: &CellTrace, now_ns: u64) -> [(u64, Block); PARTS] {
        let ((age, begun_ns), at) = (self.part(now_ns), self.blocks.place(trace.cell));
        std::array::from_fn(|back| {
            let ends_ns = begun_ns + (PARTS - back) as u64 * PART_NS;
            (ends_ns, self.blocks.read(at, age - back as u64))
        })
    }

    fn numbers_max(&self) -> u64 {
        NUMBERS_A_BLOCK << self.blocks.bits()
    }
}

impl Cells {
    pub(super) fn new(now_ns: u64) -> Self {
        Self::of(BITS_MIN, BITS_MAX, now_ns)
    }

    fn of(bits: u32, bits_max: u32, now_ns: u64) -> Self {
        Self {
            tables: ArcSwap::from_pointee(vec![Table::new(bits, now_ns)]),
            bits_max,
            counted: [AtomicU64::new(0), AtomicU64::new(0)],
            growing: Mutex::default(),
        }
    }

    pub(super) fn look(&self, trace: &CellTrace, max: usize, now_ns: u64) -> CellSight {
        let tables = self.tables.load();
        let [newest] = tables.as_slice() else {
            let mut parts: Vec<_> = tables.iter().flat_map(|table| table.parts(trace, now_ns)).collect();
            // Parts of two tables may be of one time.
            parts.sort_by_key(|(ends_ns, _)| std::cmp::Reverse(*ends_ns));
            return Self::judge(&parts, trace, max, now_ns);
        };
        Self::judge(&newest.parts(trace, now_ns), trace, max, now_ns)
    }

    /// By the parts that hold something of a cell, those that are remembered longest first.
    fn judge(parts: &[(u64, Block)], trace: &CellTrace, max: usize, now_ns: u64) -> CellSight {
        if parts.iter().any(|(_, block)| holds(block, &trace.number)) {
            return CellSight::Known;
        }
        let mut kept = parts.len();
        let mut before = 0;
        // Which of the newest parts, taken alone, leave room: that tells how long a full cell is full.
        while kept > 0 {
            let mark_is_there = |mark: &Block| parts[..kept].iter().any(|(_, block)| holds(block, mark));
            match (before..max).find(|nth| !mark_is_there(&trace.nth(*nth))) {
                Some(nth) if kept == parts.len() => return CellSight::New(nth),
                Some(_) => break,
                None => (kept, before) = (kept - 1, 0),
            }
        }
        let ends_ns = parts.get(kept).map_or(now_ns, |(ends_ns, _)| *ends_ns);
        CellSight::Full(Crowded { wait_ns: ends_ns.saturating_sub(now_ns) })
    }

    /// Remembers a new number. It is not marked again when it comes again: it goes when what it counts for goes.
    pub(super) fn note(&self, trace: &CellTrace, before: usize, now_ns: u64) -> Room {
        let room = self.make_room(now_ns);
        let tables = self.tables.load();
        if let Some(newest) = tables.first() {
            let mut marks = trace.number;
            blocks::add(&mut marks, &trace.nth(before));
            newest.blocks.write(newest.blocks.place(trace.cell), newest.part(now_ns).0, &marks);
        }
        room
    }

    /// Counts a number. Where the newest table has no room for it, there is a larger one from now on, or a new part.
    fn make_room(&self, now_ns: u64) -> Room {
        let tables = self.tables.load();
        let Some(newest) = tables.first() else { return Room::There };
        let [counted_age, numbers] = &self.counted;
        let age = newest.part(now_ns).0;
        // Two that count at once may lose a number: it is an estimate.
        if counted_age.swap(age, Ordering::Relaxed) != age {
            numbers.store(0, Ordering::Relaxed);
        }
        let is_over = tables.last().is_some_and(|last| last.ends_ns <= now_ns);
        let is_full = numbers.fetch_add(1, Ordering::Relaxed) >= newest.numbers_max();
        if is_full || is_over { self.grow(now_ns) } else { Room::There }
    }

    #[cold]
    fn grow(&self, now_ns: u64) -> Room {
        let growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = self.tables.load_full();
        let mut next: Vec<_> = tables.iter().filter(|table| now_ns < table.ends_ns).cloned().collect();
        let numbers = &self.counted[1];
        let mut room = Room::There;
        if let Some(newest) = next.first_mut()
            // Another one may have done it meanwhile.
            && numbers.load(Ordering::Relaxed) > newest.numbers_max()
        {
            let ((age, begun_ns), bits) = (newest.part(now_ns), newest.blocks.bits());
            if bits < self.bits_max {
                newest.ends_ns = begun_ns + PARTS as u64 * PART_NS;
                next.insert(0, Table::new((bits + BITS_STEP).min(self.bits_max), now_ns));
            } else {
                (newest.age, newest.begun_ns, room) = (age + 1, now_ns, Room::TurnedEarly);
            }
            numbers.store(0, Ordering::Relaxed);
        }
        self.tables.store(Arc::new(next));
        drop(growing);
        // To give so much memory back takes milliseconds, for which no event loop has to wait.
        let _ = std::thread::Builder::new().name("places".into()).spawn(move || drop(tables));
        room
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

    /// New numbers of others, from one instant to another; how often something was forgotten for them.
    fn others(cells: &Cells, count: u64, from_ns: u64, to_ns: u64) -> usize {
        let mut turned = 0;
        for nth in 0..count {
            let now_ns = from_ns + (to_ns - from_ns) / count * nth;
            let of = from_ns ^ nth << 20;
            let trace = CellTrace::of(mixed(of), mixed(of + 1));
            if let CellSight::New(before) = cells.look(&trace, 12, now_ns) {
                turned += usize::from(cells.note(&trace, before, now_ns) == Room::TurnedEarly);
            }
        }
        turned
    }

    #[test]
    fn a_table_that_is_full_is_followed_by_a_larger_one_and_nothing_is_forgotten() {
        // As many for each block as a million numbers a day are for those of a node.
        let cells = Cells::of(7, 10, 0);
        assert_eq!(passes(&cells, 1, 0..12, 0), 12);
        let a_day = 1_000_000 >> (BITS_MIN - 7);
        let mut passed = 0;
        for day in 0..30 {
            assert_eq!(others(&cells, a_day, day * DAY_NS, (day + 1) * DAY_NS), 0, "{day}");
            passed += passes(&cells, 1, 100 + day * 10..110 + day * 10, day * DAY_NS);
            assert_eq!(ask(&cells, 1, 3, day * DAY_NS), CellSight::Known);
        }
        assert!(passed < 20, "{passed} of 300 are taken for known");
        let CellSight::Full(Crowded { wait_ns }) = ask(&cells, 1, 1_000, 30 * DAY_NS) else { panic!("it is full") };
        assert_eq!(wait_ns, 15 * DAY_NS, "as if it were one table");
        assert!(cells.tables.load().len() > 1);
        assert!(matches!(ask(&cells, 1, 1_000, 45 * DAY_NS), CellSight::New(_)));
        assert_eq!(cells.tables.load().len(), 1, "what is over is not read any more");
    }

    #[test]
    fn the_largest_table_ends_a_part_early_and_says_so() {
        let cells = Cells::of(7, 7, 0);
        assert_eq!(passes(&cells, 1, 0..12, 0), 12);
        assert_eq!(others(&cells, (NUMBERS_A_BLOCK << 7) * 7 / 2, 0, DAY_NS), 3);
        assert!(passes(&cells, 1, 100..110, DAY_NS) > 5, "and then forgets what it must not");
    }
}
