//! What two registries on one store may say, told by a plain list of what was committed: the listing of each number at each
//! sequence. It knows neither SQL nor filters.

use std::collections::BTreeMap;

use jiff::civil::Date;
use lostcard::domain::ids::ReportId;
use lostcard::domain::report::ReportState;
use lostcard::domain::verdict::{Listing, Record};

/// On which day cards were lost, by `records::report`.
const LOST_ON: Date = Date::constant(2026, 11, 1);

/// A report as the oracle remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    pub(crate) report_id: ReportId,
    pub(crate) number: usize,
    pub(crate) state: ReportState,
    card_valid_from: Option<Date>,
    reported_on: Date,
}

/// Everything that was committed.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) filed: Vec<Filed>,
    /// The number, the new card's start, and the day of each replacement.
    replaced: Vec<(usize, Date, Date)>,
    /// By the sequence from which they hold: the listings of all numbers.
    history: BTreeMap<u64, Vec<Option<Listing>>>,
    numbers: usize,
}

impl Oracle {
    pub(crate) fn new(numbers: usize, head: u64) -> Self {
        let history = BTreeMap::from([(head, vec![None; numbers])]);
        Self { filed: Vec::new(), replaced: Vec::new(), history, numbers }
    }

    pub(crate) fn file(
        &mut self,
        report_id: ReportId,
        number: usize,
        card_valid_from: Option<Date>,
        on: Date,
        at: u64,
    ) {
        self.filed.push(Filed { report_id, number, state: ReportState::Active, card_valid_from, reported_on: on });
        self.remember(at);
    }

    pub(crate) fn withdraw(&mut self, report: usize, at: u64) {
        self.filed[report].state = ReportState::Withdrawn;
        self.remember(at);
    }

    /// Active reports of an older or unknown card end with it.
    pub(crate) fn replace(&mut self, number: usize, starts_on: Date, on: Date, at: u64) {
        for filed in &mut self.filed {
            // The day on which a card was lost is the same here for all, and before every new one.
            let is_older = filed.card_valid_from.map_or(LOST_ON <= starts_on, |lost| lost < starts_on);
            if filed.number == number && filed.state == ReportState::Active && is_older {
                filed.state = ReportState::Replaced;
            }
        }
        self.replaced.push((number, starts_on, on));
        self.remember(at);
    }

    /// The listing as it is now.
    pub(crate) fn now(&self, number: usize) -> Option<Listing> {
        self.history.values().next_back().and_then(|listings| listings[number])
    }

    /// Whether that was the listing at some sequence from `from` on.
    pub(crate) fn was_since(&self, number: usize, from: u64, listing: Option<Listing>) -> bool {
        let at_from = self.history.range(..=from).next_back();
        let since = self.history.range(from..);
        at_from.into_iter().chain(since).any(|(_, listings)| listings[number] == listing)
    }

    fn remember(&mut self, at: u64) {
        let listings = (0..self.numbers).map(|number| self.listing(number)).collect();
        self.history.insert(at, listings);
    }

    fn listing(&self, number: usize) -> Option<Listing> {
        let filed = self.filed.iter().filter(|filed| filed.number == number);
        let reports = filed.map(|filed| Record::Report {
            state: filed.state,
            card_valid_from: filed.card_valid_from,
            reported_on: filed.reported_on,
        });
        let replaced = self.replaced.iter().filter(|(of, ..)| *of == number);
        let replacements = replaced.map(|(_, card_valid_from, recorded_on)| Record::Replacement {
            card_valid_from: *card_valid_from,
            recorded_on: *recorded_on,
        });
        Listing::from_records(reports.chain(replacements))
    }
}
