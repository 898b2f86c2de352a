//! Counting on a worker: a sum for each outcome of each site that the worker has met today. A count that is there already costs two
//! look-ups in tables of its own and one addition: no lock, no allocation, no system call. What is new is asked of the node.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use super::sums::Usage;
use super::tally::{Admitted, ClosedSites, Tally};
use crate::clock::{beijing_date, beijing_day};
use crate::domain::ids::OrganizationId;
use crate::domain::instant::UnixMs;
use crate::domain::report::Label;
use crate::domain::usage::{NO_SITE, OTHER_SITES, Outcome, kept_site};

/// What one organization does today, on one worker.
#[derive(Debug)]
struct Own {
    unnamed: Arc<Tally>,
    sites: HashMap<Box<str>, Arc<Tally>>,
    closed: Option<(ClosedSites, Arc<Tally>)>,
}

#[derive(Debug, Default)]
struct Today {
    date: Date,
    /// In milliseconds since the Unix epoch; a count outside it begins another day.
    ms: Range<UnixMs>,
    organizations: HashMap<OrganizationId, Own>,
}

/// Counts for one worker.
#[derive(Debug)]
pub struct UsageCounter {
    usage: Arc<Usage>,
    today: RefCell<Today>,
}

impl UsageCounter {
    pub fn new(usage: Arc<Usage>) -> Self {
        Self { usage, today: RefCell::default() }
    }

    /// Counts what an organization did at this moment, without a site.
    pub fn count(&self, organization: OrganizationId, outcome: Outcome, now_ms: UnixMs) {
        self.count_at(organization, None, outcome, now_ms);
    }

    /// The same at the site that was named.
    pub fn count_at(&self, organization: OrganizationId, site: Option<&Label>, outcome: Outcome, now_ms: UnixMs) {
        let mut today = self.today.borrow_mut();
        if !today.ms.contains(&now_ms) {
            let date = beijing_date(now_ms);
            let day = beijing_day(date);
            *today = Today {
                date,
                ms: UnixMs::from_seconds(day.start)..UnixMs::from_seconds(day.end),
                organizations: HashMap::new(),
            };
        }
        let date = today.date;
        let own = today.organizations.entry(organization).or_insert_with(|| Own {
            unnamed: self.usage.follow(organization, date, NO_SITE),
            sites: HashMap::new(),
            closed: None,
        });
        match kept_site(site) {
            NO_SITE => own.unnamed.add(outcome),
            site => match own.sites.get(site) {
                Some(tally) => tally.add(outcome),
                None => self.count_new(own, organization, date, site, outcome),
            },
        }
    }

    #[cold]
    fn count_new(&self, own: &mut Own, organization: OrganizationId, day: Date, site: &str, outcome: Outcome) {
        if let Some((closed, others)) = &own.closed
            && !closed.contains(site)
        {
            return others.add(outcome);
        }
        match self.usage.admit(organization, day, site) {
            Admitted::Named(tally) => {
                tally.add(outcome);
                own.sites.insert(site.into(), tally);
            }
            Admitted::Closed(closed) => {
                let others = self.usage.follow(organization, day, OTHER_SITES);
                others.add(outcome);
                own.closed = Some((closed, others));
            }
        }
    }
}
