//! Callers that want the list: each pattern by which numbers can be asked for, for thirty days, at 250 declared guests.

use std::collections::HashSet;
use std::time::Duration;

use jiff::civil::Date;
use lostcard::limits::numbers::NumbersRefused;
use rand::RngExt;
use rand::rngs::StdRng;

use super::people::Person;
use super::{Catch, DAY, Desk};

pub(crate) const GUESTS: &str = "250/1d";
const A_DAY: u32 = 250;
const DAYS: u32 = 30;
const BORN: (u32, u32) = (1940, 2008);
const OTHERS: u32 = 200;
/// One that hammers still has a rate: 600 in a minute.
const AT_ONCE: Duration = Duration::from_millis(100);
/// So often it tries again where a place is spent: each attempt counts, and a month has to pass in seconds.
const HAMMERED: Duration = Duration::from_secs(10);
/// Who is refused without an end in sight tries again.
const TRY_AGAIN: Duration = Duration::from_hours(1);

/// A way to ask for the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    pub(crate) name: &'static str,
    /// What it is stopped at: numbers, of a cell, of a birthday. None: it is not stopped, and `docs/SECURITY.md` says so.
    pub(crate) stopped_at: Option<[usize; 3]>,
    run: fn(&mut StdRng) -> anyhow::Result<Caught>,
}

/// What it got in thirty days.
#[derive(Debug, Default)]
pub(crate) struct Caught {
    pub(crate) numbers: usize,
    pub(crate) in_a_cell: u32,
    pub(crate) of_a_birthday: u32,
    /// Clients that were held, and after how many days the first was.
    pub(crate) held: usize,
    pub(crate) held_after_days: Option<u64>,
}

impl Pattern {
    pub(crate) fn run(&self, rng: &mut StdRng) -> anyhow::Result<Caught> {
        (self.run)(rng)
    }
}

const GOAL: Option<[usize; 3]> = Some([1_000, 12, 50]);

pub(crate) const PATTERNS: [Pattern; 24] = [
    Pattern { name: "a cell, without a pause", stopped_at: Some([12, 12, 12]), run: |_| scan(a_cell, Pace::Hammer) },
    Pattern { name: "a cell, waiting as told", stopped_at: Some([12, 12, 12]), run: |_| scan(a_cell, Pace::AsTold) },
    Pattern { name: "a cell, one a day", stopped_at: Some([12, 12, 12]), run: |_| scan(a_cell, Pace::Drip(1)) },
    Pattern {
        name: "a cell, one of a hundred among a day's guests",
        stopped_at: Some([7_500, 12, 50]),
        run: |rng| among(rng, a_cell, 100),
    },
    Pattern {
        name: "a birthday, without a pause",
        stopped_at: Some([50, 12, 50]),
        run: |_| scan(a_birthday, Pace::Hammer),
    },
    Pattern {
        name: "a birthday, waiting as told",
        stopped_at: Some([50, 12, 50]),
        run: |_| scan(a_birthday, Pace::AsTold),
    },
    Pattern { name: "a birthday, two a day", stopped_at: Some([50, 12, 50]), run: |_| scan(a_birthday, Pace::Drip(2)) },
    Pattern {
        name: "a birthday, one of thirty among a day's guests",
        stopped_at: Some([7_500, 12, 50]),
        run: |rng| among(rng, a_birthday, 30),
    },
    Pattern { name: "birthdays of a county", stopped_at: GOAL, run: |_| scan(a_county, Pace::Hammer) },
    Pattern { name: "a list at full speed", stopped_at: GOAL, run: |rng| list(rng, Pace::Hammer) },
    Pattern { name: "a list, waiting as told", stopped_at: GOAL, run: |rng| list(rng, Pace::AsTold) },
    Pattern { name: "a list, all at once and then never refused", stopped_at: GOAL, run: careful },
    Pattern { name: "a list at twice a day's guests", stopped_at: GOAL, run: |rng| list(rng, Pace::Drip(2 * A_DAY)) },
    Pattern {
        name: "a list at four times a day's guests",
        stopped_at: GOAL,
        run: |rng| list(rng, Pace::Drip(4 * A_DAY)),
    },
    Pattern {
        name: "a list at one and a half times a day's guests",
        stopped_at: Some([1_501, 12, 50]),
        run: |rng| list(rng, Pace::Drip(A_DAY * 3 / 2)),
    },
    Pattern { name: "a list, dripped at a day's guests", stopped_at: None, run: |rng| list(rng, Pace::Drip(A_DAY)) },
    Pattern { name: "a list, two days' guests at once and then a day's", stopped_at: None, run: patient },
    Pattern {
        name: "a list, dripped at half a day's guests",
        stopped_at: None,
        run: |rng| list(rng, Pace::Drip(A_DAY / 2)),
    },
    Pattern { name: "digests at full speed", stopped_at: Some([A_DAY as usize, 12, 50]), run: digests },
    // Digests hide where a number belongs.
    Pattern {
        name: "a paired device, a list at full speed",
        stopped_at: Some([1_000, 12, 50]),
        run: |rng| device(|_| Person::anybody(rng, BORN)),
    },
    Pattern {
        name: "a paired device, a cell at full speed",
        stopped_at: Some([1_000, 1_000, 1_000]),
        // Never the same one again: those that it knows are free.
        run: |_| device(|nth| Person { sequence: nth, ..a_cell(0) }),
    },
    Pattern { name: "dates of one number", stopped_at: Some([3 * DAYS as usize, 12, 50]), run: |_| dates() },
    Pattern { name: "last characters, tried", stopped_at: Some([51, 12, 50]), run: last_characters },
    Pattern { name: "a list, by four clients of one organization", stopped_at: None, run: four_clients },
];

/// Thirty million questions: for the command alone.
pub(crate) const AMONG_OTHERS: Pattern = Pattern {
    name: "a cell, one a day among a million of other clients",
    stopped_at: Some([12, 12, 12]),
    run: among_others,
};

#[derive(Debug, Clone, Copy)]
enum Pace {
    Hammer,
    AsTold,
    /// So many a day.
    Drip(u32),
}

impl Pace {
    fn after(self, answer: Result<(), NumbersRefused>) -> Duration {
        match (self, answer) {
            (Self::Drip(a_day), _) => DAY / a_day,
            (Self::AsTold, Err(refused)) => told(refused),
            (Self::Hammer | Self::AsTold, Ok(())) => AT_ONCE,
            (Self::Hammer, Err(NumbersRefused::Neighbourhood { .. })) => HAMMERED,
            (Self::Hammer, Err(_)) => Duration::from_mins(1),
        }
    }
}

fn told(refused: NumbersRefused) -> Duration {
    match refused {
        NumbersRefused::Spent(refused) => Duration::from_secs(refused.retry_after_s),
        NumbersRefused::Neighbourhood { retry_after_s } | NumbersRefused::Attempts { retry_after_s } => {
            Duration::from_secs(retry_after_s)
        }
        NumbersRefused::Held | NumbersRefused::Digest => TRY_AGAIN,
    }
}

fn a_cell(nth: u32) -> Person {
    Person { county: 110_105, born: 19_491_231, sequence: nth % 1_000 }
}

fn a_birthday(nth: u32) -> Person {
    Person { county: nth % 2_850, born: 19_491_231, sequence: nth / 2_850 }
}

fn a_county(nth: u32) -> Person {
    let (day, sequence) = (nth % 20_000, nth / 20_000);
    let born = (1950 + day / 336) * 10_000 + (1 + day / 28 % 12) * 100 + 1 + day % 28;
    Person { county: 110_105, born, sequence }
}

/// Asks about one after the other; one that is refused is asked about again at the end of all.
fn scan(person: fn(u32) -> Person, pace: Pace) -> anyhow::Result<Caught> {
    let mut nth = 0;
    pursue(pace, || {
        nth += 1;
        person(nth)
    })
}

fn list(rng: &mut StdRng, pace: Pace) -> anyhow::Result<Caught> {
    pursue(pace, || Person::anybody(rng, BORN))
}

/// One of a place, and then some of anybody, who look like a day's guests.
fn among(rng: &mut StdRng, person: fn(u32) -> Person, every: u32) -> anyhow::Result<Caught> {
    let mut nth = 0;
    pursue(Pace::Drip(A_DAY), || {
        nth += 1;
        if nth % every == 0 { person(nth / every) } else { Person::anybody(rng, BORN) }
    })
}

/// It knows what is left, and asks only for that.
fn careful(rng: &mut StdRng) -> anyhow::Result<Caught> {
    at_once_and_then(3 * A_DAY, A_DAY, rng)
}

/// It knows when a client is held, too, and stays below.
fn patient(rng: &mut StdRng) -> anyhow::Result<Caught> {
    at_once_and_then(2 * A_DAY - 10, A_DAY, rng)
}

fn at_once_and_then(at_once: u32, a_day: u32, rng: &mut StdRng) -> anyhow::Result<Caught> {
    let mut asked = 0;
    pursue_at(|| {
        asked += 1;
        (Person::anybody(rng, BORN), if asked < at_once { Pace::Hammer } else { Pace::Drip(a_day) })
    })
}

fn pursue(pace: Pace, mut next: impl FnMut() -> Person) -> anyhow::Result<Caught> {
    pursue_at(|| (next(), pace))
}

fn pursue_at(mut next: impl FnMut() -> (Person, Pace)) -> anyhow::Result<Caught> {
    let desk = Desk::new(GUESTS)?;
    let (begun, mut catch, mut caught) = (desk.now(), Catch::default(), Caught::default());
    while desk.since(begun) < DAY * DAYS {
        let (person, pace) = next();
        let answer = desk.ask(&person, None);
        if answer.is_ok() {
            catch.add(person);
        }
        caught.note(&desk, begun);
        desk.wait(pace.after(answer));
    }
    Ok(caught.of(&catch))
}

fn digests(rng: &mut StdRng) -> anyhow::Result<Caught> {
    Ok(by_digest(&Desk::new(GUESTS)?, |_| Person::anybody(rng, BORN)))
}

fn device(person: impl FnMut(u32) -> Person) -> anyhow::Result<Caught> {
    Ok(by_digest(&Desk::device(GUESTS)?, person))
}

/// One a day of a cell, while the other clients of its node have a million new numbers a day.
fn among_others(rng: &mut StdRng) -> anyhow::Result<Caught> {
    let desk = Desk::new(GUESTS)?;
    let others = (0..OTHERS).map(|_| desk.sister("5000/1d")).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut catch, mut caught, begun) = (Catch::default(), Caught::default(), desk.now());
    for nth in 0..DAYS {
        let person = a_cell(nth);
        if desk.ask(&person, None).is_ok() {
            catch.add(person);
        }
        caught.note(&desk, begun);
        for (other, _) in others.iter().flat_map(|other| (0..5_000).map(move |guest| (other, guest))) {
            // Whether it passes is no matter here.
            let _ = other.ask(&Person::anybody(rng, BORN), None);
        }
        desk.wait(DAY);
    }
    Ok(caught.of(&catch))
}

fn by_digest(desk: &Desk, mut person: impl FnMut(u32) -> Person) -> Caught {
    let mut nth = 0;
    let (begun, mut catch, mut caught) = (desk.now(), Catch::default(), Caught::default());
    while desk.since(begun) < DAY * DAYS {
        nth += 1;
        let person = person(nth);
        let answer = desk.ask_by_digest(&person);
        if answer.is_ok() {
            catch.add(person);
        }
        caught.note(desk, begun);
        desk.wait(Pace::Hammer.after(answer));
    }
    caught.of(&catch)
}

/// Which start is the lost card's? Its numbers are the starts that were answered.
fn dates() -> anyhow::Result<Caught> {
    let desk = Desk::new(GUESTS)?;
    let (begun, person) = (desk.now(), a_cell(1));
    let (mut caught, mut answered) = (Caught::default(), HashSet::new());
    let (mut start, mut first) = (Date::constant(2006, 1, 1), Date::constant(2006, 1, 1));
    while desk.since(begun) < DAY * DAYS {
        if desk.ask(&person, Some(start)).is_ok() {
            answered.insert(start);
            first = start.tomorrow()?;
            start = first;
            desk.wait(AT_ONCE);
        } else {
            // Another one, and in an hour from the first again.
            start = start.tomorrow()?;
            desk.wait(AT_ONCE * 10);
            if (start - first).get_days() > 100 {
                start = first;
                desk.wait(TRY_AGAIN);
            }
        }
        caught.note(&desk, begun);
    }
    caught.numbers = answered.len();
    Ok(caught)
}

/// Seventeen characters are known, of many people; the last is tried. One in eleven is right.
fn last_characters(rng: &mut StdRng) -> anyhow::Result<Caught> {
    let desk = Desk::new(GUESTS)?;
    let (begun, mut catch, mut caught) = (desk.now(), Catch::default(), Caught::default());
    while desk.since(begun) < DAY * DAYS {
        let person = Person::anybody(rng, BORN);
        let is_right = rng.random_ratio(1, 11);
        if is_right && desk.ask(&person, None).is_ok() {
            catch.add(person);
        } else if !is_right {
            desk.misread();
        }
        caught.note(&desk, begun);
        desk.wait(if desk.is_held() { Duration::from_mins(1) } else { AT_ONCE });
    }
    Ok(caught.of(&catch))
}

fn four_clients(rng: &mut StdRng) -> anyhow::Result<Caught> {
    let first = Desk::new(GUESTS)?;
    let mut desks = Vec::new();
    for _ in 0..3 {
        desks.push(first.sister(GUESTS)?);
    }
    desks.push(first);
    let [.., clock] = desks.as_slice() else { return Ok(Caught::default()) };
    let (begun, mut catch, mut caught) = (clock.now(), Catch::default(), Caught::default());
    while clock.since(begun) < DAY * DAYS {
        for desk in &desks {
            let person = Person::anybody(rng, BORN);
            if desk.ask(&person, None).is_ok() {
                catch.add(person);
            }
            caught.note(desk, begun);
        }
        let held = desks.iter().filter(|desk| desk.is_held()).count();
        clock.wait(if held == 4 { TRY_AGAIN } else { AT_ONCE * 10 });
        caught.held = held;
    }
    Ok(caught.of(&catch))
}

impl Caught {
    fn note(&mut self, desk: &Desk, begun: Duration) {
        if self.held_after_days.is_none() && desk.is_held() {
            self.held = 1;
            self.held_after_days = Some(desk.since(begun).as_secs() / DAY.as_secs());
        }
    }

    fn of(self, catch: &Catch) -> Self {
        let (in_a_cell, of_a_birthday) = (catch.in_a_cell(), catch.of_a_birthday());
        Self { numbers: catch.numbers(), in_a_cell, of_a_birthday, ..self }
    }
}
