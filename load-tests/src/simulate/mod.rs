//! Honest callers and scrapers against the limits of numbers, which are the server's own code under a clock that is moved: a year
//! passes in seconds, without a server. `honest` is who must never be refused, `scrapers` who must not get far, `cost` what it costs.

pub(crate) mod cost;
pub(crate) mod honest;
pub(crate) mod people;
pub(crate) mod scrapers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context;
use jiff::civil::Date;
use lostcard::clock::Clock;
use lostcard::crypto::random;
use lostcard::domain::client::{Actor, Rate};
use lostcard::domain::numbers::{Digests, Guests, NumbersMode};
use lostcard::limits::numbers::{ClientNumbers, Declaration, Numbers, NumbersRefused, Question};
use lostcard::telemetry::Metrics;

use self::people::Person;

pub(crate) const DAY: Duration = Duration::from_hours(24);
/// What an operator gives a client that asks for nothing.
const RATE: &str = "600/60s";

/// One client on a node that enforces, and the clock of both.
pub(crate) struct Desk {
    client: ClientNumbers,
    all: Arc<Numbers>,
    clock: Clock,
}

impl Desk {
    pub(crate) fn new(guests: &str) -> anyhow::Result<Self> {
        let (clock, metrics) = (Clock::fixed_now(), Arc::new(Metrics::new()?));
        let all = Numbers::new(NumbersMode::Enforce, clock.clone(), Arc::new(AtomicUsize::new(1)), metrics);
        Self::of(all, clock, guests)
    }

    /// A paired device, which sends nothing but digests.
    pub(crate) fn device(guests: &str) -> anyhow::Result<Self> {
        let (clock, metrics) = (Clock::fixed_now(), Arc::new(Metrics::new()?));
        let all = Numbers::new(NumbersMode::Enforce, clock.clone(), Arc::new(AtomicUsize::new(1)), metrics);
        Self::with(all, clock, guests, true)
    }

    /// Another client on the same node.
    pub(crate) fn sister(&self, guests: &str) -> anyhow::Result<Self> {
        Self::of(Arc::clone(&self.all), self.clock.clone(), guests)
    }

    fn of(all: Arc<Numbers>, clock: Clock, guests: &str) -> anyhow::Result<Self> {
        Self::with(all, clock, guests, false)
    }

    fn with(all: Arc<Numbers>, clock: Clock, guests: &str, is_device: bool) -> anyhow::Result<Self> {
        let now_ms = clock.now_ms();
        let actor = Actor::new(random::id(now_ms), random::id(now_ms));
        let declared = Declaration {
            guests: Guests::parse(guests).context("guests are written 250/1d")?,
            digests: Digests::Taken,
            is_device,
            rate: Rate::parse(RATE).context("a rate")?,
            is_held: false,
            released_at_ms: None,
            cluster: None,
        };
        Ok(Self { client: ClientNumbers::new(Arc::clone(&all), actor, declared), all, clock })
    }

    pub(crate) fn ask(&self, person: &Person, start: Option<Date>) -> Result<(), NumbersRefused> {
        self.put(&Question { digest: &person.digest(), place: Some(person.place()), start })
    }

    pub(crate) fn ask_by_digest(&self, person: &Person) -> Result<(), NumbersRefused> {
        self.put(&Question { digest: &person.digest(), place: None, start: None })
    }

    /// A number whose check character is wrong; whether it was only told so.
    pub(crate) fn misread(&self) -> bool {
        self.client.count_wrong_number().is_ok()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.client.is_held()
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.boot_ns())
    }

    pub(crate) fn since(&self, begun: Duration) -> Duration {
        self.now().saturating_sub(begun)
    }

    fn put(&self, question: &Question<'_>) -> Result<(), NumbersRefused> {
        // Without Redis no question has to wait for another's answer.
        self.client.try_take(question).unwrap_or(Err(NumbersRefused::Held))
    }
}

/// The different numbers that were answered, and where they belong.
#[derive(Debug, Default)]
pub(crate) struct Catch {
    people: HashSet<Person>,
    cells: HashMap<(u32, u32), u32>,
    birthdays: HashMap<u32, u32>,
}

impl Catch {
    pub(crate) fn add(&mut self, person: Person) {
        if self.people.insert(person) {
            *self.cells.entry((person.county, person.born)).or_default() += 1;
            *self.birthdays.entry(person.born).or_default() += 1;
        }
    }

    pub(crate) fn numbers(&self) -> usize {
        self.people.len()
    }

    pub(crate) fn in_a_cell(&self) -> u32 {
        self.cells.values().copied().max().unwrap_or(0)
    }

    pub(crate) fn of_a_birthday(&self) -> u32 {
        self.birthdays.values().copied().max().unwrap_or(0)
    }
}
