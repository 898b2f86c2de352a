//! The model of what else is done at desks: certificates, misuse reports, portals, alerts.

use super::Outcome;
use super::model::{Maker, Model, State, at, sorted};
use super::ops::{Kind, Start};

pub(super) struct Certificate {
    person: usize,
    office: usize,
    purpose: &'static str,
    issued_on: usize,
    is_revoked: bool,
    is_gone: bool,
}

pub(super) struct Misuse {
    state: &'static str,
}

/// A watched check; it ends with a day or with its alert.
pub(super) struct Watch {
    person: usize,
    card: Option<usize>,
    is_over: bool,
}

impl Certificate {
    /// Each is made out for a day.
    fn state(&self, today: usize) -> &'static str {
        if self.is_revoked {
            "revoked"
        } else if today > self.issued_on {
            "expired"
        } else {
            "active"
        }
    }
}

impl Model {
    pub(super) fn read(&mut self, kind: Kind, nth: usize, office: usize) -> Outcome {
        let today = self.today;
        match kind {
            Kind::Certificate => match at(&mut self.certificates, nth) {
                None => Outcome::none(),
                Some(one) if one.office != office || one.is_gone => Outcome::not_found(),
                Some(one) => Outcome::new(200, one.state(today)),
            },
            Kind::Misuse => match at(&mut self.misuses, nth) {
                None => Outcome::none(),
                Some(misuse) => Outcome::new(200, misuse.state),
            },
            _ => self.read_card(kind, nth, office),
        }
    }

    pub(super) fn certify(&mut self, person: usize, office: usize, purpose: &'static str) -> Outcome {
        let issued_on = self.today;
        self.certificates.push(Certificate { person, office, purpose, issued_on, is_revoked: false, is_gone: false });
        self.created(Outcome::new(201, purpose))
    }

    pub(super) fn revoke(&mut self, nth: usize, office: usize) -> Outcome {
        let today = self.today;
        match at(&mut self.certificates, nth) {
            None => Outcome::none(),
            Some(one) if one.office != office || one.is_gone => Outcome::not_found(),
            Some(one) if one.state(today) != "active" => Outcome::wrong_state(),
            Some(one) => {
                one.is_revoked = true;
                Outcome::new(200, "revoked")
            }
        }
    }

    /// The gravest finding. Of one that is deleted no more is known than that it has expired.
    pub(super) fn verify(&mut self, nth: usize, is_stranger: bool, shown_for: &str) -> Outcome {
        let today = self.today;
        let Some(one) = at(&mut self.certificates, nth) else { return Outcome::none() };
        let fits = shown_for == one.purpose || (shown_for == "transport" && one.purpose == "air");
        let finding = match one.state(today) {
            _ if one.is_gone => "expired",
            _ if is_stranger => "another_person",
            "active" if fits => "valid",
            "active" => "another_purpose",
            over => over,
        };
        Outcome::new(200, finding)
    }

    pub(super) fn tell(&mut self, _person: usize) -> Outcome {
        self.misuses.push(Misuse { state: "open" });
        self.created(Outcome::new(201, "open"))
    }

    /// Once, by a registrar.
    pub(super) fn resolve(&mut self, nth: usize) -> Outcome {
        match at(&mut self.misuses, nth) {
            None => Outcome::none(),
            Some(misuse) if misuse.state != "open" => Outcome::wrong_state(),
            Some(misuse) => {
                misuse.state = "resolved";
                Outcome::new(200, "resolved")
            }
        }
    }

    /// A portal takes back what was made through it, for the person whom it is about.
    pub(super) fn withdraw_online(&mut self, nth: usize, portal: usize, is_stranger: bool) -> Outcome {
        let today = self.today;
        match at(&mut self.reports, nth) {
            None => Outcome::none(),
            Some(report) if is_stranger || report.state == State::Gone => Outcome::not_found(),
            Some(report) if report.maker != Maker::Portal(portal) => Outcome::wrong_state(),
            Some(report) => report.withdraw(today),
        }
    }

    /// Reports and found cards by their states, certificates by whether they are revoked.
    pub(super) fn records(&self, person: usize) -> Outcome {
        let reports = self.reports.iter().filter(|report| report.person == person && report.state != State::Gone);
        let certificates = self.certificates.iter().filter(|one| one.person == person && !one.is_gone);
        let told = [
            sorted(reports.map(|report| report.state.word())),
            sorted(self.found_states(person)),
            sorted(certificates.map(|one| one.is_revoked)),
        ];
        Outcome::new(200, told.join(", "))
    }

    pub(super) fn watch(&mut self, person: usize, start: Option<Start>) -> Outcome {
        let card = start.map(|start| self.day(start));
        // A second one of the same number and start prolongs the first, which alone is told.
        let is_again = self.watches.iter().any(|watch| watch.person == person && watch.card == card && !watch.is_over);
        self.watches.push(Watch { person, card, is_over: is_again });
        Outcome::new(200, self.verdict(person, card))
    }

    /// Something of the person was listed, which says this of a watched card.
    pub(super) fn alert(&mut self, person: usize, why: &str, says: impl Fn(Option<usize>) -> Option<&'static str>) {
        for (nth, watch) in self.watches.iter_mut().enumerate() {
            let kind = says(watch.card).filter(|_| watch.person == person && !watch.is_over);
            if let Some(kind) = kind {
                watch.is_over = true;
                self.alerts.push((self.today, format!("{nth} {kind} {why}")));
            }
        }
    }

    pub(super) fn read_alerts(&mut self) -> Outcome {
        Outcome::new(200, sorted(self.alerts.drain(..).map(|(_, told)| told)))
    }

    /// A certificate goes 30 days after its day, an alert after 90, a watch after one.
    pub(super) fn pass_desks(&mut self) {
        let today = self.today;
        for one in &mut self.certificates {
            one.is_gone |= one.issued_on + 31 <= today;
        }
        self.alerts.retain(|(on, _)| on + 90 > today);
        for watch in &mut self.watches {
            watch.is_over = true;
        }
    }
}
