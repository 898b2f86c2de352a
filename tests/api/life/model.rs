//! What the product says, written down once more as simply as it can be: lists of what happened, and verdicts worked out from
//! them again each time. Reports and replacements are here, other records in `cards` and `desks`. Names nothing of the service.

use super::cards::{Application, FoundCard};
use super::desks::{Certificate, Misuse, Watch};
use super::ops::{Kind, Op, Start};
use super::{DAYS, Outcome, PERSONS, Verdicts};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Withdrawn,
    Replaced,
    /// Its period is over.
    Gone,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Withdrawn => "withdrawn",
            Self::Replaced => "replaced",
            Self::Gone => "gone",
        }
    }
}

/// Through which organization a report was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Office(usize),
    Portal(usize),
}

pub(super) struct Report {
    pub(super) person: usize,
    /// The lost card's start; none: not known.
    pub(super) day: Option<usize>,
    pub(super) maker: Maker,
    pub(super) state: State,
    /// Its card's last day; none: not known.
    last_day: Option<usize>,
    withdrawn_on: usize,
}

impl Report {
    /// Whether that office can see it.
    fn is_of(&self, office: usize) -> bool {
        self.maker == Maker::Office(office) && self.state != State::Gone
    }

    pub(super) fn withdraw(&mut self, today: usize) -> Outcome {
        if self.state != State::Active {
            return Outcome::new(409, "report_not_active");
        }
        (self.state, self.withdrawn_on) = (State::Withdrawn, today);
        Outcome::new(200, "withdrawn")
    }
}

pub(super) struct Replacement {
    pub(super) person: usize,
    pub(super) day: usize,
}

/// Everything that happened.
#[derive(Default)]
pub(super) struct Model {
    pub(super) reports: Vec<Report>,
    pub(super) replacements: Vec<Replacement>,
    pub(super) found: Vec<FoundCard>,
    pub(super) applications: Vec<Application>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) misuses: Vec<Misuse>,
    pub(super) watches: Vec<Watch>,
    /// On which day, and what it tells.
    pub(super) alerts: Vec<(usize, String)>,
    /// Days since the beginning.
    pub(super) today: usize,
    /// What the last creating request was told.
    last_created: Option<Outcome>,
}

impl Model {
    pub(super) fn apply(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Report { person, start, office, days_left } => {
                let last_day = days_left.map(|days| self.today + usize::from(days));
                self.report(person, start, Maker::Office(office), last_day)
            }
            Op::ReportOnline { person, start, portal } => self.report(person, start, Maker::Portal(portal), None),
            Op::Withdraw { nth, office } => self.withdraw(nth, office),
            Op::Replace { person, start, .. } => match self.replace(person, self.day(start)) {
                Ok(replaced) => self.created(Outcome::new(201, replaced.to_string())),
                Err(refused) => refused,
            },
            Op::Read { kind: Kind::Report, nth, office } => match at(&mut self.reports, nth) {
                None => Outcome::none(),
                Some(report) if report.is_of(office) => Outcome::new(200, report.state.word()),
                Some(_) => Outcome::not_found(),
            },
            Op::Read { kind, nth, office } => self.read(kind, nth, office),
            Op::Search { person, office } => {
                let own = self.reports.iter().filter(|report| report.person == person && report.is_of(office));
                Outcome::new(200, sorted(own.map(|report| report.state.word())))
            }
            Op::Find { person, start, office } => self.find(person, start, office),
            Op::Leave { nth, office, step: "return", start } => self.hand_back(nth, office, start),
            Op::Leave { nth, office, step, .. } => self.leave(nth, office, step),
            Op::Apply { person, office, has_record } => self.apply_for_card(person, office, has_record),
            Op::Issue { nth, office, start } => self.issue(nth, office, start),
            Op::Cancel { nth, office } => self.cancel(nth, office),
            Op::Lend { nth, office, start } => self.lend(nth, office, start),
            Op::TakeBack { nth, office } => self.take_back(nth, office),
            Op::Certify { person, office, purpose } => self.certify(person, office, purpose),
            Op::Revoke { nth, office } => self.revoke(nth, office),
            Op::Verify { nth, is_stranger, shown_for } => self.verify(nth, is_stranger, shown_for),
            Op::Tell { person } => self.tell(person),
            Op::Resolve { nth, .. } => self.resolve(nth),
            Op::WithdrawOnline { nth, portal, is_stranger } => self.withdraw_online(nth, portal, is_stranger),
            Op::Records { person, .. } => self.records(person),
            Op::Watch { person, start } => self.watch(person, start),
            Op::Alerts => self.read_alerts(),
            Op::Pass { days } => {
                self.pass(days.into());
                Outcome::none()
            }
            Op::Repeat => self.last_created.clone().unwrap_or_else(Outcome::none),
        }
    }

    /// Days in order: the old ones, the day before the first of the sequence, the first.
    pub(super) fn day(&self, start: Start) -> usize {
        match start {
            Start::Old(day) => day,
            Start::Yesterday => DAYS + self.today,
            Start::Today => DAYS + self.today + 1,
            Start::Tomorrow => DAYS + self.today + 2,
        }
    }

    /// A report takes the cards that wait for it, loses the temporary ones that it names, is told to who watches.
    fn report(&mut self, person: usize, start: Option<Start>, maker: Maker, last_day: Option<usize>) -> Outcome {
        let day = start.map(|start| self.day(start));
        self.reports.push(Report { person, day, maker, state: State::Active, last_day, withdrawn_on: 0 });
        self.match_waiting(person, day);
        self.lose_temporary(person, day);
        self.alert(person, "reported", |watched| match (watched, day) {
            (Some(watched), Some(lost)) if watched <= lost => Some("card_listed"),
            (Some(_), Some(_)) => None,
            _ => Some("number_listed"),
        });
        self.created(Outcome::new(201, "active"))
    }

    pub(super) fn created(&mut self, outcome: Outcome) -> Outcome {
        self.last_created = Some(outcome.clone());
        outcome
    }

    fn withdraw(&mut self, nth: usize, office: usize) -> Outcome {
        let today = self.today;
        match at(&mut self.reports, nth) {
            None => Outcome::none(),
            Some(report) if !report.is_of(office) => Outcome::not_found(),
            Some(report) => report.withdraw(today),
        }
    }

    /// A new card ends the reports of cards before it, no matter who filed them; returns how many. It is none where it would be listed.
    /// Where nobody knows which card is lost, one of more than a year before the report may be that very card; the old days are.
    pub(super) fn replace(&mut self, person: usize, day: usize) -> Result<usize, Outcome> {
        if self.verdict(person, Some(day)) == "card_listed" {
            return Err(Outcome::new(409, "start_not_after_listed"));
        }
        self.replacements.push(Replacement { person, day });
        let mut replaced = 0;
        for report in self.reports.iter_mut().filter(|report| report.person == person) {
            if report.state == State::Active && report.day.map_or(day >= DAYS, |lost| lost < day) {
                report.state = State::Replaced;
                replaced += 1;
            }
        }
        self.alert(person, "superseded", |watched| match watched {
            Some(watched) if watched < day => Some("card_listed"),
            Some(_) => None,
            None => Some("number_listed"),
        });
        Ok(replaced)
    }

    /// A listing goes after its card's last day, a withdrawn report 30 days after its withdrawal, a key after a day.
    fn pass(&mut self, days: usize) {
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
        self.pass_cards();
        self.pass_desks();
    }

    pub(super) fn verdicts(&self) -> Verdicts {
        let old = (0..DAYS).map(Some);
        let recent = [DAYS + 1, self.day(Start::Yesterday), self.day(Start::Today)].map(Some);
        let cards: Vec<_> = [None].into_iter().chain(old).chain(recent).collect();
        let of = |person| std::array::from_fn(|column| self.verdict(person, cards[column]).to_owned());
        (0..PERSONS).map(of).collect()
    }

    /// The table of the product.
    pub(super) fn verdict(&self, person: usize, presented: Option<usize>) -> &'static str {
        let is_in_force = |report: &&Report| matches!(report.state, State::Active | State::Replaced);
        let in_force = self.reports.iter().filter(|report| report.person == person).filter(is_in_force);
        let reports: Vec<_> = in_force.collect();
        let replacements: Vec<_> = self.replacements.iter().filter(|new| new.person == person).collect();
        if reports.is_empty() && replacements.is_empty() {
            return "not_listed";
        }
        let Some(presented) = presented else { return "number_listed" };
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

/// One of them, counted round.
pub(super) fn at<T>(records: &mut [T], nth: usize) -> Option<&mut T> {
    let count = records.len();
    records.get_mut(nth.checked_rem(count)?)
}

/// The words in order, in one line.
pub(super) fn sorted(words: impl Iterator<Item = impl ToString>) -> String {
    let mut words: Vec<_> = words.map(|word| word.to_string()).collect();
    words.sort_unstable();
    words.join(" ")
}
