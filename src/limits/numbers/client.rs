//! The numbers of one client: what it declared, what is left of it, where its numbers are from, whether it is held. A change of
//! the client keeps all that was spent; only its release forgets it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cells::{CellSight, CellTrace, Room};
use super::holds::Hold;
use super::places::{Crowded, MANY_GUESTS, birthday_max, cell_max};
use super::seen::{Sight, Start, Trace};
use super::shared::{Numbers, NumbersRefused, Question};
use super::spent::{BURST_MIN, DAY_S, Rates, Spent, positive};
use crate::domain::client::{Actor, Rate};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::{Digests, Guests, HeldFor, Neighbourhood, NumbersMode};
use crate::limits::cell::Measure;
use crate::limits::cluster_numbers::{ClusterNumbers, Granted, Judged};
use crate::limits::standing::{LimitName, Refused, Standing, whole_seconds};

mod unseen;

/// Of the declared guests a fifth may be misread in a day.
const WRONG_SHARE: u32 = 5;
/// Watches of a client for each of its declared guests: the longest watch lasts a week.
const WATCHES_A_GUEST: u32 = 8;

/// What the store and the settings say of a client.
#[derive(Debug, Clone)]
pub struct Declaration {
    pub guests: Guests,
    pub digests: Digests,
    /// A paired device, which sends nothing but digests: they are its numbers.
    pub is_device: bool,
    /// The rate of all its calls.
    pub rate: Rate,
    pub is_held: bool,
    pub released_at_ms: Option<UnixMs>,
    /// What all nodes have in common; None without Redis.
    pub cluster: Option<Arc<ClusterNumbers>>,
}

/// The numbers of one client.
#[derive(Debug)]
pub struct ClientNumbers {
    all: Arc<Numbers>,
    client: Actor,
    declared: Declaration,
    rates: Option<Rates>,
    state: Arc<State>,
}

/// What a call may spend.
#[derive(Debug)]
pub enum Purse {
    /// What this node has.
    Here,
    Granted(Granted),
}

#[derive(Debug, Default)]
struct State {
    hold: AtomicU8,
    spent: Mutex<Spent>,
}

/// Held here, and not yet in the store.
const MARKED: u8 = 1;
const HELD: u8 = 2;

/// A number that is new in its places: what has to be counted there if it passes.
struct Newcomer {
    cell: CellTrace,
    before: usize,
    birthday: u32,
}

impl ClientNumbers {
    pub fn new(all: Arc<Numbers>, client: Actor, declared: Declaration) -> Self {
        Self::with(all, client, declared, Arc::default())
    }

    fn with(all: Arc<Numbers>, client: Actor, declared: Declaration, state: Arc<State>) -> Self {
        match (declared.is_held, state.hold.load(Ordering::Acquire)) {
            (true, _) => state.hold.store(HELD, Ordering::Release),
            (false, HELD) => state.hold.store(0, Ordering::Release),
            // A client that is held here is so before the store knows.
            (false, _) => {}
        }
        let rates = declared.guests.a_day().map(Rates::of);
        Self { all, client, declared, rates, state }
    }

    /// The numbers after a change of the client: what was spent stays spent, unless it was released meanwhile.
    #[must_use]
    pub fn again(&self, mut declared: Declaration) -> Self {
        let is_released = self.declared.released_at_ms != declared.released_at_ms;
        if !is_released && declared.cluster.is_some() {
            // With what this node has reserved of them: nobody else would give it back.
            declared.cluster.clone_from(&self.declared.cluster);
        }
        let state = if is_released { Arc::default() } else { Arc::clone(&self.state) };
        let next = Self::with(Arc::clone(&self.all), self.client, declared, state);
        if let Some(rates) = next.rates {
            // Few guests come back more slowly: one that declares more does not wait for that.
            let ([numbers, digests], now_ns) = (next.measures(&rates), next.all.clock.boot_ns());
            let mut spent = next.spent();
            spent.numbers = spent.numbers.under(&numbers, now_ns);
            spent.digests = spent.digests.under(&digests, now_ns);
        }
        next
    }

    /// Takes a number, or says why not. None: it takes a question to Redis, by [`Self::take`].
    pub fn try_take(&self, question: &Question<'_>) -> Option<Result<(), NumbersRefused>> {
        let mut purse = Purse::Here;
        if self.shared().is_some() && !self.is_known(question) {
            let has_one = !self.is_digest(question) && self.shared().is_some_and(|(cluster, _)| cluster.take_ahead());
            purse = Purse::Granted(has_one.then(|| Granted { units: [1, 0], ..Granted::default() })?);
        }
        let taken = self.take_from(&mut purse, question);
        self.settle(purse);
        Some(taken)
    }

    /// Takes a number, or says why not.
    pub async fn take(&self, question: &Question<'_>) -> Result<(), NumbersRefused> {
        let mut purse = self.purse(std::slice::from_ref(question)).await;
        let taken = self.take_from(&mut purse, question);
        self.settle(purse);
        taken
    }

    /// What several questions cost that are asked one after the other, as far as it is there.
    pub async fn purse(&self, questions: &[Question<'_>]) -> Purse {
        let Some((cluster, rates)) = self.shared() else { return Purse::Here };
        // Who asks about one twice pays once.
        let mut unknown = [HashSet::new(), HashSet::new()];
        for question in questions.iter().filter(|question| !self.is_known(question)) {
            unknown[usize::from(self.is_digest(question))].insert(self.all.trace(self.client.client, question).hash);
        }
        let wanted = unknown.map(|numbers| u32::try_from(numbers.len()).unwrap_or(u32::MAX));
        match cluster.ask(wanted, [rates.numbers, rates.digests]).await {
            Some(granted) => Purse::Granted(granted),
            None => Purse::Here,
        }
    }

    /// Whether a question falls under the stricter rule for who could have sent numbers.
    fn is_digest(&self, question: &Question<'_>) -> bool {
        question.place.is_none() && !self.declared.is_device
    }

    /// What is left of a purse is for others.
    pub fn settle(&self, purse: Purse) {
        if let (Purse::Granted(granted), Some((cluster, _))) = (purse, self.shared()) {
            cluster.put_back(granted.units.iter().sum());
        }
    }

    /// Where all nodes count together, as long as they can.
    fn shared(&self) -> Option<(&Arc<ClusterNumbers>, Rates)> {
        self.declared.cluster.as_ref().filter(|cluster| !cluster.is_out()).zip(self.rates)
    }

    /// Takes a number out of a purse, or says why not.
    pub fn take_from(&self, purse: &mut Purse, question: &Question<'_>) -> Result<(), NumbersRefused> {
        let now_ns = self.all.clock.boot_ns();
        let trace = self.all.trace(self.client.client, question);
        let sight = self.all.seen.look(&trace, now_ns);
        if question.place.is_none() && self.declared.digests == Digests::Refused {
            return self.refuse(NumbersRefused::Digest);
        }
        if sight.is_known {
            self.take_known(&trace, sight, now_ns)
        } else {
            self.take_new(purse, question, &trace, now_ns)
        }
    }

    fn take_known(&self, trace: &Trace, sight: Sight, now_ns: u64) -> Result<(), NumbersRefused> {
        if let Start::Beyond { wait_ns } = sight.start {
            self.refuse(NumbersRefused::Attempts { retry_after_s: seconds(wait_ns) })?;
        }
        self.all.seen.note(trace, &sight, now_ns);
        Ok(())
    }

    fn take_new(
        &self,
        purse: &mut Purse,
        question: &Question<'_>,
        trace: &Trace,
        now_ns: u64,
    ) -> Result<(), NumbersRefused> {
        let mut spent = self.spent();
        // Another call may have brought it meanwhile.
        let sight = self.all.seen.look(trace, now_ns);
        if sight.is_known {
            drop(spent);
            return self.take_known(trace, sight, now_ns);
        }
        if self.state.hold.load(Ordering::Acquire) != 0 {
            self.refuse(NumbersRefused::Held)?;
        }
        if let Some(rates) = self.rates {
            let newcomer = match question.place {
                Some(place) => self.settle_in(&mut spent, rates.guests, place, trace, now_ns)?,
                None => None,
            };
            if let Err(refused) = self.spend(purse, &mut spent, &rates, (1, self.is_digest(question)), now_ns) {
                self.refuse(refused)?;
            }
            if let Some(Newcomer { cell, before, birthday }) = newcomer {
                if self.all.cells(rates.guests).note(&cell, before, now_ns) == Room::TurnedEarly {
                    self.all.metrics.places_forgotten_early.inc();
                }
                spent.birthdays(now_ns).add(birthday, now_ns);
            }
        }
        self.all.seen.note(trace, &sight, now_ns);
        Ok(())
    }

    /// Whether there is room for a number where it belongs. None: it was there in these thirty days.
    fn settle_in(
        &self,
        spent: &mut Spent,
        guests: NonZeroU32,
        place: Neighbourhood,
        trace: &Trace,
        now_ns: u64,
    ) -> Result<Option<Newcomer>, NumbersRefused> {
        let refuse = |Crowded { wait_ns }| {
            self.refuse(NumbersRefused::Neighbourhood { retry_after_s: seconds(wait_ns) }).map(|()| None)
        };
        let (cell, birthday) = self.all.place_keys(self.client.client, self.declared.released_at_ms, place);
        let cell = CellTrace::of(cell, trace.hash);
        let before = match self.all.cells(guests).look(&cell, cell_max(guests), now_ns) {
            CellSight::Known => return Ok(None),
            CellSight::Full(crowded) => return refuse(crowded),
            CellSight::New(before) => before,
        };
        match spent.birthdays(now_ns).admit(birthday, birthday_max(guests, self.nodes()), now_ns) {
            Ok(()) => Ok(Some(Newcomer { cell, before, birthday })),
            Err(crowded) => refuse(crowded),
        }
    }

    /// Spends numbers, and as many of the day's digests where they are some: all of them or none. Who is out of them again, or runs away,
    /// is held.
    fn spend(
        &self,
        purse: &mut Purse,
        spent: &mut Spent,
        rates: &Rates,
        (count, is_digest): (u32, bool),
        now_ns: u64,
    ) -> Result<(), NumbersRefused> {
        let (measures, of) = (self.measures(rates), usize::from(is_digest));
        let (wait_ns, judged) = match purse {
            Purse::Here => spent.judge(&measures, count, is_digest, now_ns),
            Purse::Granted(granted) => granted.spend(of, count, [rates.numbers, rates.digests][of]),
        };
        if judged == Judged::RanAway {
            self.hold(HeldFor::OutOfNumbers);
            return Err(NumbersRefused::Held);
        }
        if wait_ns > 0 {
            if spent.is_out_again(now_ns) || judged == Judged::OutAgain || is_digest {
                self.hold(HeldFor::OutOfNumbers);
            }
            let standing = self.standing_of(spent, rates, now_ns);
            let standing = Standing { remaining: standing.remaining.min(count.saturating_sub(1)), ..standing };
            return Err(NumbersRefused::Spent(Refused { standing, retry_after_s: seconds(wait_ns) }));
        }
        if matches!(purse, Purse::Granted(_)) {
            spent.forget_run();
        }
        (0..count).for_each(|_| spent.spend(&measures, is_digest, now_ns));
        Ok(())
    }

    /// Counts a number with a wrong check character.
    pub fn count_wrong_number(&self) -> Result<(), Refused> {
        let nodes = self.nodes();
        let measure = Measure::of(LimitName::AbnormalUse, self.wrong_rate()).among(nodes);
        let now_ns = self.all.clock.boot_ns();
        let mut spent = self.spent();
        match spent.wrong.wait_ns(&measure, 1, now_ns) {
            0 => {
                spent.wrong.spend(&measure, 1, now_ns);
                Ok(())
            }
            wait_ns => {
                self.hold(HeldFor::WrongNumbers);
                Err(spent.wrong.refused(&measure, wait_ns, now_ns))
            }
        }
    }

    /// A reader or a clerk misreads now and then, nobody misreads every second card.
    fn wrong_rate(&self) -> Rate {
        if let Some(rates) = self.rates.filter(|_| self.all.mode == NumbersMode::Enforce) {
            let share = (rates.guests.get() / WRONG_SHARE).max(BURST_MIN);
            return Rate { requests: positive(share), per_seconds: positive(DAY_S) };
        }
        let rate = self.declared.rate;
        Rate { requests: positive(rate.requests.get() / 2), per_seconds: rate.per_seconds }
    }

    /// How many watches may be active at a time; None: as many as it wants.
    pub fn watches_max(&self) -> Option<u32> {
        let guests = self.rates.filter(|_| self.all.mode == NumbersMode::Enforce)?.guests;
        Some(guests.get().saturating_mul(WATCHES_A_GUEST))
    }

    /// How many misuse reports it may file in a day, which others have to read; None: as many as it wants. Nobody meets a thief as often as
    /// a clerk misreads.
    pub fn misuse_reports_max(&self) -> Option<u64> {
        let is_enforced = self.all.mode == NumbersMode::Enforce;
        let guests = self.declared.guests.a_day().map_or(MANY_GUESTS, NonZeroU32::get);
        is_enforced.then(|| u64::from((guests / WRONG_SHARE).max(BURST_MIN)))
    }

    /// What is left, where it is limited.
    pub fn standing(&self, now_ns: u64) -> Option<Standing> {
        let rates = self.rates.filter(|_| self.all.mode == NumbersMode::Enforce)?;
        Some(self.standing_of(&self.spent(), &rates, now_ns))
    }

    fn standing_of(&self, spent: &Spent, rates: &Rates, now_ns: u64) -> Standing {
        match self.shared().and_then(|(cluster, _)| cluster.until_whole_ns(now_ns)) {
            Some(ns) => rates.measures[0].standing(ns),
            None => spent.numbers.standing(&self.measures(rates)[0], now_ns),
        }
    }

    /// Whether new numbers are refused until the operator releases the client.
    pub fn is_held(&self) -> bool {
        self.state.hold.load(Ordering::Acquire) != 0
    }

    fn is_known(&self, question: &Question<'_>) -> bool {
        let trace = self.all.trace(self.client.client, question);
        self.all.seen.look(&trace, self.all.clock.boot_ns()).is_known
    }

    fn hold(&self, why: HeldFor) {
        let is_enforced = self.all.mode == NumbersMode::Enforce;
        let mark = || self.state.hold.compare_exchange(0, MARKED, Ordering::AcqRel, Ordering::Acquire);
        if is_enforced && mark().is_ok() {
            self.all.metrics.holds.with_label_values(&[why.as_str()]).inc();
            self.all.holds.push(Hold { client: self.client, why });
        }
    }

    /// Counts a refusal, which is none where limits only observe. That a client may not send digests is no limit.
    fn refuse(&self, refused: NumbersRefused) -> Result<(), NumbersRefused> {
        self.all.metrics.numbers_refused.with_label_values(&[refused.as_str()]).inc();
        let is_limit = refused != NumbersRefused::Digest;
        if is_limit && self.all.mode == NumbersMode::Observe { Ok(()) } else { Err(refused) }
    }

    fn measures(&self, rates: &Rates) -> [Measure; 2] {
        let nodes = self.nodes();
        rates.measures.map(|measure| measure.among(nodes))
    }

    fn nodes(&self) -> NonZeroU32 {
        positive(u32::try_from(self.all.live_nodes.load(Ordering::Acquire)).unwrap_or(u32::MAX))
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.state.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(wait_ns: u64) -> u64 {
    whole_seconds(std::time::Duration::from_nanos(wait_ns))
}
