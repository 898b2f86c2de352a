//! Which numbers a client has asked about lately, and with how many starts of validity: marks in two generations, keyed by a secret
//! of the process. A block holds all that is kept of a number, so that a look costs two lines of memory. What is
//! wrongly seen is harmless: at 5 million numbers a day 1 of 1,000, at 10 million 1 of 70. No number can be read out of it.

use super::blocks::{self, Block, Blocks, SALTS, full, holds, mixed, sparse};

/// A generation's life. A number is remembered for at least so long, and at most twice.
pub(super) const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;
/// Of 64 bytes: 16 MiB a generation.
const BLOCKS_BITS: u32 = 18;
/// Different starts of one number that pass.
const STARTS_MAX: usize = 3;

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) is_known: bool,
    pub(super) start: Start,
    /// Whether anything has to be written.
    is_noted: bool,
}

/// What the start of validity is that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// None came, or one that came before.
    Known,
    /// The first of its number, or one more of those that pass: the mark to be set.
    Another(Option<usize>),
    /// One too many; how long until it would pass.
    Beyond { wait_ns: u64 },
}

#[derive(Debug)]
pub(super) struct Seen {
    blocks: Blocks<2>,
}

/// Where a number is, and what its marks are made of: most are needed for few questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    /// Of client and number, under the secret of the process.
    pub(super) hash: u64,
    start: Option<u64>,
}

impl Trace {
    /// Of a keyed hash of client and number.
    pub(super) fn of(hash: u64, start: Option<u64>) -> Self {
        Self { hash, start }
    }

    fn number(&self) -> Block {
        full(self.hash)
    }

    fn start(&self) -> Option<Block> {
        self.start.map(|start| self.mark(start.wrapping_add(16).wrapping_mul(SALTS[0])))
    }

    /// It was first asked about without a start.
    fn without_start(&self) -> Block {
        self.mark(1)
    }

    /// One for each start beyond the first.
    fn more(&self) -> [Block; STARTS_MAX] {
        [self.mark(2), self.mark(3), self.mark(4)]
    }

    fn mark(&self, of: u64) -> Block {
        sparse(mixed(self.hash ^ of))
    }
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { blocks: Blocks::new(BLOCKS_BITS) }
    }

    pub(super) fn look(&self, trace: &Trace, now_ns: u64) -> Sight {
        let (at, day) = (self.blocks.place(trace.hash), now_ns / DAY_NS);
        let (new, old) = (self.blocks.read(at, day), self.blocks.read(at, day.wrapping_sub(1)));
        let either = |mark: &Block| holds(&new, mark) || holds(&old, mark);
        let (number, own_start) = (trace.number(), trace.start());
        let is_known = either(&number);
        let is_start_known = own_start.as_ref().is_none_or(either);
        let start = match own_start {
            Some(_) if is_known && !is_start_known => {
                // One that came without a start first has used up none.
                let skipped = usize::from(!either(&trace.without_start()));
                let all = trace.more();
                let more = &all[..STARTS_MAX - skipped];
                if let Some(at) = more.iter().position(|mark| !either(mark)) {
                    Start::Another(Some(at))
                } else {
                    let is_new = more.iter().any(|mark| holds(&new, mark));
                    let left_ns = DAY_NS - now_ns % DAY_NS;
                    Start::Beyond { wait_ns: if is_new { left_ns + DAY_NS } else { left_ns } }
                }
            }
            Some(_) if !is_known => Start::Another(None),
            _ => Start::Known,
        };
        let is_noted = holds(&new, &number) && own_start.as_ref().is_none_or(|mark| holds(&new, mark));
        Sight { is_known, start, is_noted }
    }

    /// Remembers a question, by what was known before it.
    pub(super) fn note(&self, trace: &Trace, sight: &Sight, now_ns: u64) {
        if sight.is_noted {
            return;
        }
        let mut marks = trace.number();
        let mut add = |mark: &Block| blocks::add(&mut marks, mark);
        match (trace.start(), sight.start) {
            (Some(start), Start::Another(Some(at))) => {
                add(&start);
                add(&trace.more()[at]);
            }
            (Some(start), _) => add(&start),
            (None, _) if !sight.is_known => add(&trace.without_start()),
            (None, _) => {}
        }
        // Where two write at once a mark may be lost: that number is new again, and no more.
        self.blocks.write(self.blocks.place(trace.hash), now_ns / DAY_NS, &marks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks about a number; whether it was known, and what became of its start.
    fn ask(seen: &Seen, number: u64, start: Option<u64>, now_ns: u64) -> (bool, bool) {
        let trace = Trace::of(mixed(number), start);
        let sight = seen.look(&trace, now_ns);
        let is_beyond = matches!(sight.start, Start::Beyond { .. });
        if !is_beyond {
            seen.note(&trace, &sight, now_ns);
        }
        (sight.is_known, is_beyond)
    }

    #[test]
    fn a_number_is_known_for_a_day_and_forgotten_after_two() {
        let seen = Seen::new();
        let asked = DAY_NS * 7 + DAY_NS / 2;
        assert_eq!(ask(&seen, 1, None, asked), (false, false));
        let known = |at| seen.look(&Trace::of(mixed(1), None), at).is_known;
        assert!(known(asked + DAY_NS) && !known(asked + 2 * DAY_NS));
        assert_eq!(ask(&seen, 1, None, asked + DAY_NS), (true, false));
        assert!(known(asked + 2 * DAY_NS), "who comes every day stays known");
        assert!(!known(asked + 4 * DAY_NS) && !known(asked + DAY_NS * 509));
    }

    #[test]
    fn three_starts_of_a_number_pass_and_the_fourth_does_not() {
        for first in [Some(9), None] {
            let seen = Seen::new();
            ask(&seen, 1, first, 0);
            let beyond: Vec<_> = (9..14).map(|start| ask(&seen, 1, Some(start), 0).1).collect();
            assert_eq!(beyond, [false, false, false, true, true], "{first:?}");
            assert!((9..12).all(|start| !ask(&seen, 1, Some(start), DAY_NS).1), "what passed passes again");
            assert!(ask(&seen, 1, Some(14), DAY_NS).1 && !ask(&seen, 1, None, DAY_NS).1);
            assert!(!ask(&seen, 1, Some(14), 2 * DAY_NS).1, "as it was told");
            assert_eq!(ask(&seen, 2, Some(14), 0), (false, false), "another number has its own");
        }
    }

    #[test]
    fn hardly_any_number_is_seen_that_was_not_asked_about() {
        let seen = Seen::new();
        for number in 0..1_000_000 {
            ask(&seen, number, Some(number % 7000), DAY_NS - 1);
        }
        let wrong =
            (1_000_000..2_000_000).filter(|number| seen.look(&Trace::of(mixed(*number), None), DAY_NS - 1).is_known);
        let wrong = wrong.count();
        assert!(wrong < 50, "{wrong} of a million");
    }
}
