//! What the product says, written down once more as simply as it can be: lists of what happened, and verdicts worked out from
//! them anew each time. Names nothing of the service.

use super::{DAYS, Op, Outcome, PERSONS, Verdicts};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Withdrawn,
    Replaced,
    /// It has outlived its time.
    Gone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Withdrawn => "withdrawn",
            Self::Replaced => "replaced",
            Self::Gone => "gone",
        }
    }
}

struct Report {
    person: usize,
    /// The lost card's start; none: not known.
    day: Option<usize>,
    office: usize,
    state: State,
    /// Its card's last day; none: not known.
    last_day: Option<u32>,
    withdrawn_on: u32,
}

impl Report {
    /// Whether that office can see it.
    fn is_of(&self, office: usize) -> bool {
        self.office == office && self.state != State::Gone
    }
}

struct Replacement {
    person: usize,
    day: usize,
}

/// Everything that happened.
#[derive(Default)]
pub(super) struct Model {
    reports: Vec<Report>,
    replacements: Vec<Replacement>,
    /// Days since the beginning.
    today: u32,
    /// What the last creating request was told.
    last_created: Option<Outcome>,
}

impl Model {
    pub(super) fn apply(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Report { person, day, office, days_left } => {
                let last_day = days_left.map(|days| self.today + u32::from(days));
                let report = Report { person, day, office, state: State::Active, last_day, withdrawn_on: 0 };
                self.reports.push(report);
                self.created(Outcome::new(201, "active"))
            }
            Op::Withdraw { nth, office } => self.withdraw(nth, office),
            Op::Replace { person, day, .. } => {
                let replaced = self.replace(person, day);
                self.created(Outcome::new(201, replaced.to_string()))
            }
            Op::Read { nth, office } => match self.nth(nth) {
                None => Outcome::none(),
                Some(report) if report.is_of(office) => Outcome::new(200, report.state.word()),
                Some(_) => Outcome::new(404, "not_found"),
            },
            Op::Search { person, office } => {
                let own = self.reports.iter().filter(|report| report.person == person && report.is_of(office));
                let mut states: Vec<_> = own.map(|report| report.state.word()).collect();
                states.sort_unstable();
                Outcome::new(200, states.join(" "))
            }
            Op::Pass { days } => {
                self.pass(days.into());
                Outcome::none()
            }
            Op::Repeat => self.last_created.clone().unwrap_or_else(Outcome::none),
        }
    }

    fn created(&mut self, outcome: Outcome) -> Outcome {
        self.last_created = Some(outcome.clone());
        outcome
    }

    fn nth(&mut self, nth: usize) -> Option<&mut Report> {
        let count = self.reports.len();
        self.reports.get_mut(nth.checked_rem(count)?)
    }

    fn withdraw(&mut self, nth: usize, office: usize) -> Outcome {
        let today = self.today;
        match self.nth(nth) {
            None => Outcome::none(),
            Some(report) if !report.is_of(office) => Outcome::new(404, "not_found"),
            Some(report) if report.state != State::Active => Outcome::new(409, "report_not_active"),
            Some(report) => {
                (report.state, report.withdrawn_on) = (State::Withdrawn, today);
                Outcome::new(200, "withdrawn")
            }
        }
    }

    /// A new card ends the reports of cards before it, whoever filed them; returns how many.
    fn replace(&mut self, person: usize, day: usize) -> usize {
        self.replacements.push(Replacement { person, day });
        let mut replaced = 0;
        for report in self.reports.iter_mut().filter(|report| report.person == person) {
            if report.state == State::Active && report.day.is_none_or(|lost| lost < day) {
                report.state = State::Replaced;
                replaced += 1;
            }
        }
        replaced
    }

    /// A listing goes after its card's last day, a withdrawn report 30 days after its withdrawal, a key after a day.
    fn pass(&mut self, days: u32) {
        self.today += days;
        self.last_created = None;
        for report in &mut self.reports {
            let is_over = match report.state {
                State::Active | State::Replaced => report.last_day.is_some_and(|last| last < self.today),
                State::Withdrawn => report.withdrawn_on + 30 <= self.today,
                State::Gone => false,
            };
            if is_over {
                report.state = State::Gone;
            }
        }
    }

    pub(super) fn verdicts(&self) -> Verdicts {
        let of = |person| std::array::from_fn(|column| self.verdict(person, column.checked_sub(1)).to_owned());
        (0..PERSONS).map(of).collect()
    }

    /// The table of the product.
    fn verdict(&self, person: usize, presented: Option<usize>) -> &'static str {
        let is_in_force = |report: &&Report| matches!(report.state, State::Active | State::Replaced);
        let in_force = self.reports.iter().filter(|report| report.person == person).filter(is_in_force);
        let reports: Vec<_> = in_force.collect();
        let replacements: Vec<_> = self.replacements.iter().filter(|new| new.person == person).collect();
        if reports.is_empty() && replacements.is_empty() {
            return "not_listed";
        }
        let Some(presented) = presented else { return "number_listed" };
        assert!(presented < DAYS);
        // Listed is what starts on or before a lost card, and what starts before a new one.
        let is_lost = reports.iter().any(|report| report.day.is_some_and(|lost| presented <= lost));
        let is_older = replacements.iter().any(|new| presented < new.day);
        // A report that does not know its card may mean any, until a new card settles which it was.
        let may_be_meant = reports.iter().any(|report| report.day.is_none() && report.state == State::Active);
        if is_lost || is_older {
            "card_listed"
        } else if may_be_meant {
            "number_listed"
        } else {
            "other_card_listed"
        }
    }
}
