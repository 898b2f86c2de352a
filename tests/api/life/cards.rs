//! The model of cards that are handed in, of applications for new ones and of temporary ones.

use super::Outcome;
use super::model::{Maker, Model, Replacement, Report, State, at};
use super::ops::{Kind, Start};

pub(super) struct FoundCard {
    person: usize,
    /// Its start; none: not known.
    day: Option<usize>,
    office: usize,
    state: &'static str,
    /// The report that it belongs to.
    report: Option<usize>,
    /// Replacements that were there before it.
    replacements_before: usize,
}

pub(super) struct Application {
    person: usize,
    office: usize,
    state: &'static str,
    made_on: usize,
    /// The temporary card's start and state.
    temporary: Option<(usize, &'static str)>,
}

impl FoundCard {
    fn may_be(&self, person: usize, lost: Option<usize>) -> bool {
        self.person == person && (self.day.is_none() || lost.is_none() || self.day == lost)
    }

    fn told(&self) -> String {
        self.report.map_or_else(|| self.state.to_owned(), |report| format!("{} {report}", self.state))
    }
}

/// Whether the holder has a newer card.
fn is_superseded(card: &FoundCard, reports: &[Report], replacements: &[Replacement]) -> bool {
    let succeeds = |(nth, new): (usize, &Replacement)| {
        new.person == card.person && card.day.map_or(nth >= card.replacements_before, |day| new.day > day)
    };
    let is_replaced = |report: &Report| report.state == State::Replaced && card.may_be(report.person, report.day);
    card.report.is_some_and(|nth| is_replaced(&reports[nth])) || replacements.iter().enumerate().any(succeeds)
}

impl Application {
    fn told(&self) -> String {
        self.temporary.map_or_else(|| self.state.to_owned(), |(_, state)| format!("{} {state}", self.state))
    }
}

impl Model {
    /// A card is matched to the report of this very card, or else to one that may be of it; to the latest of these.
    pub(super) fn find(&mut self, person: usize, start: Option<Start>, office: usize) -> Outcome {
        let day = start.map(|start| self.day(start));
        let replacements_before = self.replacements.len();
        let mut card = FoundCard { person, day, office, state: "held", report: None, replacements_before };
        for is_exact in [false, true] {
            for (nth, report) in self.reports.iter().enumerate().filter(|(_, report)| report.state == State::Active) {
                if card.may_be(report.person, report.day) && (!is_exact || (day.is_some() && report.day == day)) {
                    card.report = Some(nth);
                }
            }
        }
        let told = card.told();
        self.found.push(card);
        self.created(Outcome::new(201, told))
    }

    /// The report just made takes the held cards without a report in force that it may be about.
    pub(super) fn match_waiting(&mut self, person: usize, lost: Option<usize>) {
        let new = self.reports.len() - 1;
        for card in self.found.iter_mut().filter(|card| card.state == "held" && card.may_be(person, lost)) {
            if card.report.is_none_or(|report| self.reports[report].state == State::Withdrawn) {
                card.report = Some(new);
            }
        }
    }

    /// A card that has a successor is destroyed; any may be transferred.
    pub(super) fn leave(&mut self, nth: usize, office: usize, step: &str) -> Outcome {
        let Some(card) = at(&mut self.found, nth) else { return Outcome::none() };
        if card.office != office {
            return Outcome::not_found();
        }
        let (state, is_allowed) = match step {
            "destruction" => ("destroyed", is_superseded(card, &self.reports, &self.replacements)),
            _ => ("transferred", true),
        };
        if card.state != "held" || !is_allowed {
            return Outcome::wrong_state();
        }
        card.state = state;
        Outcome::new(200, card.told())
    }

    /// A card goes back by its start. It ends the report of this very card, the one that it was matched to before others, or else
    /// the latest that does not know its card; another office's is that one's to end.
    pub(super) fn hand_back(&mut self, nth: usize, office: usize, start: Option<Start>) -> Outcome {
        let (today, told) = (self.today, start.map(|start| self.day(start)));
        let Some(card) = at(&mut self.found, nth) else { return Outcome::none() };
        if card.office != office {
            return Outcome::not_found();
        }
        if card.state != "held" {
            return Outcome::wrong_state();
        }
        let day = match (card.day, told) {
            (Some(known), Some(told)) if known != told => return Outcome::new(422, "invalid_value"),
            (None, None) => return Outcome::new(422, "invalid_value"),
            (known, told) => known.or(told),
        };
        let before = std::mem::replace(&mut card.day, day);
        if is_superseded(card, &self.reports, &self.replacements) {
            card.day = before;
            return Outcome::wrong_state();
        }
        let of_card = |nth: &usize, lost: Option<usize>| {
            let report = &self.reports[*nth];
            report.person == card.person && report.state == State::Active && report.day == lost
        };
        let matched = card.report.filter(|nth| of_card(nth, day));
        let exact = (0..self.reports.len()).rfind(|nth| of_card(nth, day));
        let undated = (0..self.reports.len()).rfind(|nth| of_card(nth, None));
        let ended = matched.or(exact).or(undated);
        if ended.is_some_and(|ended| matches!(self.reports[ended].maker, Maker::Office(other) if other != office)) {
            card.day = before;
            return Outcome::new(403, "office_not_yours");
        }
        card.state = "returned";
        if let Some(ended) = ended {
            card.report = Some(ended);
            self.reports[ended].withdraw(today);
        }
        Outcome::new(200, card.told())
    }

    pub(super) fn apply_for_card(&mut self, person: usize, office: usize, has_record: bool) -> Outcome {
        let state = if has_record { "refused" } else { "accepted" };
        self.applications.push(Application { person, office, state, made_on: self.today, temporary: None });
        self.created(Outcome::new(201, state))
    }

    /// The new card starts on or after the day of its application and after the temporary one, and replaces as any new card.
    pub(super) fn issue(&mut self, nth: usize, office: usize, start: Start) -> Outcome {
        let (day, today, passed) = (self.day(start), self.day(Start::Today), self.today);
        let person = match self.accepted(nth, office) {
            Err(refused) => return refused,
            Ok(application) if day < today - (passed - application.made_on) => {
                return Outcome::new(422, "invalid_value");
            }
            Ok(application) if application.temporary.is_some_and(|(temporary, _)| day <= temporary) => {
                return Outcome::wrong_state();
            }
            Ok(application) => application.person,
        };
        if let Err(refused) = self.replace(person, day) {
            return refused;
        }
        if let Ok(application) = self.accepted(nth, office) {
            application.state = "issued";
        }
        Outcome::new(200, self.told_of(nth))
    }

    pub(super) fn cancel(&mut self, nth: usize, office: usize) -> Outcome {
        match self.accepted(nth, office) {
            Err(refused) => refused,
            Ok(application) => {
                application.state = "cancelled";
                Outcome::new(200, application.told())
            }
        }
    }

    /// One an application, until the third day after it, from a day of that time.
    pub(super) fn lend(&mut self, nth: usize, office: usize, start: Option<Start>) -> Outcome {
        let (today, day) = (self.today, self.day(start.unwrap_or(Start::Today)));
        let days_back = self.day(Start::Today) - day;
        match self.accepted(nth, office) {
            Err(refused) => refused,
            Ok(application) => {
                let days = today - application.made_on;
                if application.temporary.is_some() || days > 3 || days_back > days {
                    return Outcome::wrong_state();
                }
                application.temporary = Some((day, "outstanding"));
                self.created(Outcome::new(201, "outstanding"))
            }
        }
    }

    pub(super) fn take_back(&mut self, nth: usize, office: usize) -> Outcome {
        match at(&mut self.applications, nth) {
            None => Outcome::none(),
            Some(application) if application.office != office => Outcome::not_found(),
            Some(application) => match &mut application.temporary {
                None => Outcome::not_found(),
                Some((_, state)) if *state == "returned" => Outcome::wrong_state(),
                Some((_, state)) => {
                    *state = "returned";
                    Outcome::new(200, "returned")
                }
            },
        }
    }

    /// A report that names the start of a temporary card that is out, of whichever office.
    pub(super) fn lose_temporary(&mut self, person: usize, lost: Option<usize>) {
        let of_person = self.applications.iter_mut().filter(|application| application.person == person);
        for (day, state) in of_person.filter_map(|application| application.temporary.as_mut()) {
            if Some(*day) == lost && *state == "outstanding" {
                *state = "lost";
            }
        }
    }

    pub(super) fn read_card(&mut self, kind: Kind, nth: usize, office: usize) -> Outcome {
        let found = match kind {
            Kind::Found => at(&mut self.found, nth).map(|card| (card.office, card.told())),
            _ => at(&mut self.applications, nth).map(|application| (application.office, application.told())),
        };
        match found {
            None => Outcome::none(),
            Some((own, told)) if own == office => Outcome::new(200, told),
            Some(_) => Outcome::not_found(),
        }
    }

    /// The cards that were handed in, as their holder sees them.
    pub(super) fn found_states(&self, person: usize) -> impl Iterator<Item = &'static str> {
        self.found.iter().filter(move |card| card.person == person).map(|card| card.state)
    }

    /// Cards forget the reports that went.
    pub(super) fn pass_cards(&mut self) {
        for card in &mut self.found {
            card.report = card.report.filter(|report| self.reports[*report].state != State::Gone);
        }
    }

    fn accepted(&mut self, nth: usize, office: usize) -> Result<&mut Application, Outcome> {
        match at(&mut self.applications, nth) {
            None => Err(Outcome::none()),
            Some(application) if application.office != office => Err(Outcome::not_found()),
            Some(application) if application.state != "accepted" => Err(Outcome::wrong_state()),
            Some(application) => Ok(application),
        }
    }

    fn told_of(&mut self, nth: usize) -> String {
        at(&mut self.applications, nth).map_or_else(String::new, |application| application.told())
    }
}
