//! A queue that is fair by asker: who waits gets turns in rotation, however much another one has brought, and nobody has more than
//! half of the places at a time. Pure: no threads, no time; those are `workshop`'s.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How much is worked on, and how much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub places: usize,
    pub waiting_max: usize,
}

/// Names what waits, so that it can be taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Line<J> {
    waiting: VecDeque<(Ticket, J)>,
    running: usize,
}

/// What waits for a place, by asker. An asker is in `turns` as long as it has something that waits.
#[derive(Debug)]
pub struct FairQueue<A, J> {
    bounds: Bounds,
    lines: HashMap<A, Line<J>>,
    turns: VecDeque<A>,
    waiting: usize,
    running: usize,
    tickets: u64,
}

impl<A: Copy + Eq + Hash, J> FairQueue<A, J> {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, lines: HashMap::new(), turns: VecDeque::new(), waiting: 0, running: 0, tickets: 0 }
    }

    /// Puts a job at the end of its asker's line. None where no more may wait: room is made only by whom has the most waiting, so
    /// that a crowd of one asker's jobs keeps nobody else out.
    pub fn push(&mut self, asker: A, job: J) -> Option<Ticket> {
        if self.waiting >= self.bounds.waiting_max && !self.make_room_for(asker) {
            return None;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let line = self.lines.entry(asker).or_insert_with(|| Line { waiting: VecDeque::new(), running: 0 });
        if line.waiting.is_empty() {
            self.turns.push_back(asker);
        }
        line.waiting.push_back((ticket, job));
        self.waiting += 1;
        Some(ticket)
    }

    /// The next job, which has a place until [`Self::done`].
    pub fn take_next(&mut self) -> Option<(A, J)> {
        if self.running >= self.bounds.places {
            return None;
        }
        let share = (self.bounds.places / 2).max(1);
        let at = self.turns.iter().position(|asker| self.lines.get(asker).is_some_and(|line| line.running < share))?;
        let asker = self.turns.remove(at)?;
        let line = self.lines.get_mut(&asker)?;
        let (_, job) = line.waiting.pop_front()?;
        line.running += 1;
        if !line.waiting.is_empty() {
            self.turns.push_back(asker);
        }
        self.waiting -= 1;
        self.running += 1;
        Some((asker, job))
    }

    /// A job of this asker has left its place.
    pub fn done(&mut self, asker: A) {
        if let Some(line) = self.lines.get_mut(&asker).filter(|line| line.running > 0) {
            line.running -= 1;
            self.running -= 1;
        }
        self.forget_idle(asker);
    }

    /// Takes a job out that has not begun. False where it has.
    pub fn withdraw(&mut self, asker: A, ticket: Ticket) -> bool {
        let Some(line) = self.lines.get_mut(&asker) else { return false };
        let Some(at) = line.waiting.iter().position(|(of, _)| *of == ticket) else { return false };
        line.waiting.remove(at);
        self.left_line(asker);
        true
    }

    /// Jobs that wait, and jobs that are worked on.
    pub fn counts(&self) -> (usize, usize) {
        (self.waiting, self.running)
    }

    /// Drops the last job of the longest line, unless that is the asker's own.
    fn make_room_for(&mut self, asker: A) -> bool {
        let own = self.lines.get(&asker).map_or(0, |line| line.waiting.len());
        let longest = self.turns.iter().max_by_key(|other| self.lines.get(other).map_or(0, |line| line.waiting.len()));
        let Some(longest) = longest.copied() else { return false };
        let Some(line) = self.lines.get_mut(&longest).filter(|line| line.waiting.len() > own + 1) else { return false };
        line.waiting.pop_back();
        self.left_line(longest);
        true
    }

    fn left_line(&mut self, asker: A) {
        self.waiting -= 1;
        if self.lines.get(&asker).is_some_and(|line| line.waiting.is_empty()) {
            self.turns.retain(|other| *other != asker);
        }
        self.forget_idle(asker);
    }

    fn forget_idle(&mut self, asker: A) {
        if self.lines.get(&asker).is_some_and(|line| line.running == 0 && line.waiting.is_empty()) {
            self.lines.remove(&asker);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(places: usize, waiting_max: usize) -> FairQueue<u16, u32> {
        FairQueue::new(Bounds { places, waiting_max })
    }

    #[test]
    fn one_asker_has_at_most_half_of_the_places_and_another_comes_next() {
        let mut queue = queue(4, 100);
        for job in 0..90 {
            queue.push(1, job).unwrap();
        }
        assert_eq!([queue.take_next(), queue.take_next(), queue.take_next()], [Some((1, 0)), Some((1, 1)), None]);
        queue.push(2, 1000).unwrap();
        assert_eq!(queue.take_next(), Some((2, 1000)), "however many wait before it");
        queue.done(1);
        assert_eq!(queue.take_next(), Some((1, 2)));
        assert_eq!(queue.take_next(), None);
    }

    #[test]
    fn a_single_place_is_shared_in_turns() {
        let mut queue = queue(1, 100);
        for job in 0..3 {
            queue.push(1, job).unwrap();
            queue.push(2, 10 + job).unwrap();
        }
        let mut order = Vec::new();
        while let Some((asker, job)) = queue.take_next() {
            order.push(job);
            queue.done(asker);
        }
        assert_eq!(order, [0, 10, 1, 11, 2, 12]);
    }

    #[test]
    fn a_full_queue_has_room_for_who_has_less_in_it() {
        let mut queue = queue(2, 3);
        let tickets: Vec<_> = (0..3).map(|job| queue.push(1, job).unwrap()).collect();
        assert!(queue.push(1, 3).is_none(), "its own crowd is no reason to drop another's");
        assert!(queue.push(2, 10).is_some());
        assert!(!queue.withdraw(1, tickets[2]), "the last of the longest line made room");
        assert!(queue.withdraw(1, tickets[0]));
        assert_eq!(queue.take_next(), Some((1, 1)));
        assert_eq!(queue.take_next(), Some((2, 10)));
        assert!(!queue.withdraw(1, tickets[1]), "it has begun");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u16),
        Next,
        Done(usize),
        Withdraw(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0_u16..4).prop_map(Step::Push),
            3 => Just(Step::Next),
            2 => (0_usize..8).prop_map(Step::Done),
            1 => (0_usize..8).prop_map(Step::Withdraw),
        ]
    }

    proptest! {
        /// Bounds hold, counts agree, no place stays empty that somebody may have, and the asker of the shortest line is never refused
        /// where another has more than one job more.
        #[test]
        fn bounds_hold_whatever_happens(
            places in 1_usize..6, waiting_max in 1_usize..10, steps in proptest::collection::vec(step(), 1..200),
        ) {
            let mut queue = queue(places, waiting_max);
            let (mut running, mut tickets) = (Vec::<u16>::new(), Vec::new());
            let share = (places / 2).max(1);
            for step in steps {
                match step {
                    Step::Push(asker) => {
                        if let Some(ticket) = queue.push(asker, 0) {
                            tickets.push((asker, ticket));
                        } else {
                            let own = queue.lines.get(&asker).map_or(0, |line| line.waiting.len());
                            prop_assert_eq!(queue.waiting, waiting_max);
                            prop_assert!(queue.lines.values().all(|line| line.waiting.len() <= own + 1));
                        }
                    }
                    Step::Next => {
                        if let Some((asker, _)) = queue.take_next() {
                            running.push(asker);
                        } else {
                            let may = |asker: &u16| running.iter().filter(|one| *one == asker).count() < share;
                            let waits = queue.lines.iter().any(|(asker, line)| !line.waiting.is_empty() && may(asker));
                            prop_assert!(running.len() == places || !waits);
                        }
                    }
                    Step::Done(at) if at < running.len() => queue.done(running.remove(at)),
                    Step::Withdraw(at) if at < tickets.len() => {
                        let (asker, ticket) = tickets.remove(at);
                        queue.withdraw(asker, ticket);
                    }
                    _ => {}
                }
                let waiting: usize = queue.lines.values().map(|line| line.waiting.len()).sum();
                prop_assert_eq!(queue.counts(), (waiting, running.len()));
                prop_assert!(waiting <= waiting_max && running.len() <= places);
                for asker in 0..4 {
                    prop_assert!(running.iter().filter(|one| **one == asker).count() <= share);
                }
                prop_assert_eq!(queue.turns.len(), queue.lines.values().filter(|line| !line.waiting.is_empty()).count());
            }
        }

        /// Who asks for one thing waits for at most one turn of each other asker.
        #[test]
        fn nobody_waits_longer_than_a_round(others in 1_u16..20, each in 1_u32..10) {
            let mut queue = queue(1, 1000);
            for asker in 0..others {
                for job in 0..each {
                    queue.push(asker, job).unwrap();
                }
            }
            queue.push(others, 0).unwrap();
            let mut turns = 0;
            while let Some((asker, _)) = queue.take_next() {
                queue.done(asker);
                if asker == others {
                    break;
                }
                turns += 1;
            }
            prop_assert!(turns <= usize::from(others));
        }
    }
}
