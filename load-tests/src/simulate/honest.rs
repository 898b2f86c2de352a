//! Callers that ask about those who stand before them: each by its usual day, its best days, and its groups.

use std::collections::VecDeque;

use rand::RngExt;
use rand::rngs::StdRng;

use super::people::Person;
use super::{DAY, Desk};

/// Who works: its declared guests are what its operator knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trade {
    pub(crate) name: &'static str,
    pub(crate) guests: &'static str,
    /// New people on a usual day.
    a_day: u32,
    /// So many percent on days of the week, from Monday on.
    week: [u32; 7],
    /// So many percent on the 21 days of the three long holidays.
    holiday: u32,
    /// So many percent are of so many counties around.
    local: (u32, u32),
    born: (u32, u32),
    /// People of one county who come together, every so many days, and the years in which they were born.
    group: Option<(u32, u32, (u32, u32))>,
    /// Once a year, on three days: as many more, born within these years.
    rush: Option<(u32, (u32, u32))>,
    /// So many percent come again, within days.
    again: u32,
}

pub(crate) const TRADES: [Trade; 6] = [
    Trade {
        name: "hotel of 120 rooms",
        guests: "250/1d",
        a_day: 100,
        week: [80, 85, 90, 100, 130, 140, 90],
        holiday: 200,
        local: (10, 3),
        born: (1950, 2008),
        group: Some((45, 7, (1955, 1970))),
        rush: None,
        again: 40,
    },
    Trade {
        name: "hotel that takes school trips",
        guests: "250/1d",
        a_day: 80,
        week: [100; 7],
        holiday: 150,
        local: (10, 3),
        born: (1950, 2008),
        group: Some((90, 10, (2012, 2013))),
        rush: None,
        again: 30,
    },
    Trade {
        name: "guest house of 8 rooms",
        guests: "20/1d",
        a_day: 8,
        week: [70, 70, 80, 100, 150, 160, 80],
        holiday: 180,
        local: (20, 2),
        born: (1950, 2008),
        group: Some((24, 60, (1950, 2008))),
        rush: None,
        again: 40,
    },
    Trade {
        name: "branch of a bank",
        guests: "1000/1d",
        a_day: 450,
        week: [120, 110, 100, 100, 120, 70, 0],
        holiday: 30,
        local: (80, 3),
        born: (1940, 2008),
        group: Some((150, 30, (1960, 2005))),
        rush: Some((700, (2006, 2007))),
        again: 20,
    },
    Trade {
        name: "station of a railway",
        guests: "5000/1d",
        a_day: 3_300,
        week: [100, 90, 90, 95, 120, 110, 120],
        holiday: 145,
        local: (60, 20),
        born: (1940, 2015),
        group: Some((200, 5, (2008, 2010))),
        rush: None,
        again: 50,
    },
    Trade {
        name: "railway of a province",
        guests: "50000/1d",
        a_day: 33_000,
        week: [100, 90, 90, 95, 120, 110, 120],
        holiday: 145,
        local: (60, 90),
        born: (1940, 2015),
        group: Some((400, 1, (2008, 2010))),
        rush: None,
        again: 50,
    },
];

/// What became of a trade's questions.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) checks: u64,
    pub(crate) new_numbers: u64,
    pub(crate) refused: u64,
    pub(crate) is_held: bool,
}

impl Trade {
    /// So many days of it.
    pub(crate) fn work(&self, days: u32, rng: &mut StdRng) -> anyhow::Result<Outcome> {
        let desk = Desk::new(self.guests)?;
        let mut outcome = Outcome::default();
        // Who was here lately, and may come again.
        let mut lately = VecDeque::new();
        for day in 0..days {
            let mut coming = self.new_people(day, rng);
            outcome.new_numbers += coming.len() as u64;
            let again = coming.len() * self.again as usize / 100;
            coming.extend((0..again.min(lately.len())).map(|_| lately[rng.random_range(0..lately.len())]));
            Self::serve(&desk, &coming, &mut outcome, rng);
            lately.extend(coming);
            lately.drain(..lately.len().saturating_sub(3 * self.a_day as usize));
        }
        outcome.is_held = desk.is_held();
        Ok(outcome)
    }

    fn serve(desk: &Desk, coming: &[Person], outcome: &mut Outcome, rng: &mut StdRng) {
        let pause = DAY / u32::try_from(coming.len().max(1)).unwrap_or(u32::MAX);
        for person in coming {
            // Clerks misread, and then read again.
            if rng.random_ratio(1, 200) {
                outcome.refused += u64::from(!desk.misread());
            }
            let start = rng.random_ratio(9, 10).then(|| person.start(rng));
            outcome.checks += 1;
            outcome.refused += u64::from(desk.ask(person, start).is_err());
            desk.wait(pause);
        }
        if coming.is_empty() {
            desk.wait(DAY);
        }
    }

    fn new_people(&self, day: u32, rng: &mut StdRng) -> Vec<Person> {
        let (weekday, year_day) = ((day % 7) as usize, day % 365);
        let is_holiday = [40, 120, 270].iter().any(|first| (*first..first + 7).contains(&year_day));
        let percent = if is_holiday { self.holiday } else { self.week[weekday] };
        // Days differ by a few percent more.
        let count = self.a_day * percent / 100 * rng.random_range(90..=110) / 100;
        let mut people: Vec<_> = (0..count).map(|_| self.person(rng)).collect();
        if let Some((size, every, born)) = self.group
            && day % every == every / 2
        {
            let county = Person::anybody(rng, born).county;
            people.extend((0..size).map(|_| Person { county, ..Person::anybody(rng, born) }));
        }
        if let Some((more, born)) = self.rush
            && (245..248).contains(&year_day)
        {
            people.extend((0..more).map(|_| Person::anybody(rng, born)));
        }
        people
    }

    fn person(&self, rng: &mut StdRng) -> Person {
        let (percent, counties) = self.local;
        if rng.random_range(0..100) < percent {
            Person::local(rng, counties, self.born)
        } else {
            Person::anybody(rng, self.born)
        }
    }
}
