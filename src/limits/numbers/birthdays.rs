//! How many different numbers of one birth date a client has asked about in thirty days. Only the frequent ones are kept
//! (Space-Saving: Metwally, Agrawal, El Abbadi 2005), with what they had for certain. One that has many stays until its month is over.

use super::places::{Crowded, PART_NS, PARTS};

/// Birth dates that are kept. One that is asked about evenly for a month among a month's other guests is lost only where
/// it has fewer than one of so many.
const KEPT: usize = 192;
/// One with so many numbers makes no room for another.
const STAYS: u32 = 20;
/// Of `order`: it stays. Above each count.
const STAYING: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Birthdays {
    keys: [u32; KEPT],
    /// Who goes first: what was counted with what may have been others', and whether it stays.
    order: [u32; KEPT],
    /// What was counted for certain, the newest part first.
    certain: [[u16; KEPT]; PARTS],
    part: u64,
}

impl Birthdays {
    pub(super) fn new(now_ns: u64) -> Self {
        Self { keys: [0; KEPT], order: [0; KEPT], certain: [[0; KEPT]; PARTS], part: now_ns / PART_NS }
    }

    /// Whether one more may be asked about.
    pub(super) fn admit(&mut self, key: u32, max: u16, now_ns: u64) -> Result<(), Crowded> {
        self.turn(now_ns / PART_NS);
        let Some(at) = self.find(key) else { return Ok(()) };
        let is_room = |parts: usize| self.sum(at, parts) < u32::from(max);
        let Some(kept) = (0..=PARTS).rev().find(|parts| is_room(*parts)) else { return Ok(()) };
        if kept == PARTS {
            return Ok(());
        }
        let left_ns = PART_NS - now_ns % PART_NS;
        Err(Crowded { wait_ns: left_ns + (PARTS - kept - 1) as u64 * PART_NS })
    }

    /// Counts a number that was asked about.
    pub(super) fn add(&mut self, key: u32, now_ns: u64) {
        self.turn(now_ns / PART_NS);
        let at = self.find(key).unwrap_or_else(|| self.make_room(key));
        self.certain[0][at] = self.certain[0][at].saturating_add(1);
        let count = (self.order[at] & !STAYING).saturating_add(1).min(STAYING - 1);
        let stays = self.sum(at, PARTS) >= STAYS;
        self.order[at] = if stays { count | STAYING } else { count };
    }

    /// In place of the one with the least, whose count is the new one's at most.
    fn make_room(&mut self, key: u32) -> usize {
        let least = self.order.iter().copied().fold(u32::MAX, u32::min);
        let at = self.order.iter().position(|order| *order == least).unwrap_or(0);
        self.keys[at] = key;
        self.order[at] &= !STAYING;
        for part in &mut self.certain {
            part[at] = 0;
        }
        at
    }

    fn find(&self, key: u32) -> Option<usize> {
        self.keys.iter().position(|kept| *kept == key)
    }

    fn sum(&self, at: usize, parts: usize) -> u32 {
        self.certain[..parts].iter().map(|part| u32::from(part[at])).sum()
    }

    fn turn(&mut self, part: u64) {
        let turns = part.saturating_sub(self.part);
        if turns == 0 {
            return;
        }
        self.part = part;
        for _ in 0..turns.min(PARTS as u64) {
            self.certain.rotate_right(1);
            self.certain[0] = [0; KEPT];
        }
        for at in 0..KEPT {
            match self.sum(at, PARTS) {
                0 => self.order[at] = 0,
                1..STAYS => self.order[at] &= !STAYING,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::DAY_NS;
    use super::*;

    fn ask(birthdays: &mut Birthdays, key: u32, now_ns: u64) -> Result<(), Crowded> {
        birthdays.admit(key, 50, now_ns)?;
        birthdays.add(key, now_ns);
        Ok(())
    }

    #[test]
    fn fifty_pass_in_thirty_days_however_they_are_spread() {
        for every in [0, DAY_NS / 4, DAY_NS / 2] {
            let mut birthdays = Birthdays::new(0);
            let times = (0..120).map(|nth| nth * every).filter(|at| *at < 30 * DAY_NS);
            let passed = times.filter(|at| ask(&mut birthdays, 1, *at).is_ok()).count();
            assert_eq!(passed, 50, "{every}");
            assert!(ask(&mut birthdays, 2, 0).is_ok(), "that one only");
        }
    }

    #[test]
    fn fifty_pass_among_a_months_guests_too() {
        let (mut birthdays, mut passed, mut other) = (Birthdays::new(0), 0, 10);
        for day in 0..30 {
            for _ in 0..8 {
                passed += u32::from(ask(&mut birthdays, 1, day * DAY_NS).is_ok());
                for _ in 0..31 {
                    other += 1;
                    assert!(ask(&mut birthdays, other, day * DAY_NS).is_ok());
                }
            }
        }
        assert_eq!(passed, 50);
    }

    #[test]
    fn the_wait_that_is_told_is_enough_and_needed() {
        for asked in [0, 3 * DAY_NS, 40 * DAY_NS] {
            let mut birthdays = Birthdays::new(0);
            for _ in 0..50 {
                ask(&mut birthdays, 1, asked).unwrap();
            }
            let Crowded { wait_ns } = ask(&mut birthdays, 1, asked).unwrap_err();
            assert!((30 * DAY_NS..=45 * DAY_NS).contains(&wait_ns));
            assert!(ask(&mut birthdays, 1, asked + wait_ns - 1).is_err());
            assert!(ask(&mut birthdays, 1, asked + wait_ns).is_ok());
        }
    }

    #[test]
    fn what_stays_goes_when_its_month_is_over() {
        let mut birthdays = Birthdays::new(0);
        for key in 0..2 * u32::try_from(KEPT).unwrap() {
            for _ in 0..STAYS {
                ask(&mut birthdays, 1_000 + key, 0).unwrap();
            }
        }
        assert!(birthdays.order.iter().all(|order| *order & STAYING != 0));
        ask(&mut birthdays, 1, 46 * DAY_NS).unwrap();
        assert_eq!(birthdays.order.iter().filter(|order| **order > 0).count(), 1);
    }
}
