//! The limits of one client: its own and the one it shares with its organization. With Redis they hold for all nodes together
//! (`cluster.rs`); these cells are what a node falls back to, and what counts where there is no Redis: then each node has its part.
//! They belong to the client, and outlive its secrets, its tokens and its connections.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cell::{Cell, Measure};
use super::cluster::{ClusterCell, Spent};
use super::limit::Limit;
use super::standing::{LimitName, Refused, Standing, whole_seconds};
use super::turns::{Found, GRACE_S, Turn, Turns};
use crate::clock::Clock;
use crate::domain::client::Rate;

/// The limits of one client.
#[derive(Debug)]
pub struct CallerLimits {
    client: Limit,
    organization: Arc<Limit>,
    turns: Mutex<Turns>,
    pub(super) clock: Clock,
    /// How many nodes share the rates where they do not count together.
    live_nodes: Arc<AtomicUsize>,
    /// What all nodes have in common; None without Redis.
    cluster: Option<Arc<ClusterCell>>,
}

/// A batch that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchRefused {
    /// It never will: a batch may have at most so many items. Nothing was spent.
    TooLarge {
        items_max: u32,
    },
    Spent(Refused),
}

impl CallerLimits {
    /// A client's own limits beside those it shares with its organization.
    pub fn new(client: Rate, organization: Arc<Limit>, clock: &Clock, live_nodes: Arc<AtomicUsize>) -> Self {
        Self {
            client: Limit::new(LimitName::Client, client, clock.clone()),
            organization,
            turns: Mutex::default(),
            clock: clock.clone(),
            live_nodes,
            cluster: None,
        }
    }

    /// The same limits, shared with the other nodes.
    #[must_use]
    pub fn shared_by(self, cluster: Arc<ClusterCell>) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// The limits after a change of the client or its organization. They are the same ones unless a rate has changed; what was spent
    /// stays spent.
    #[must_use]
    pub fn again(
        self: Arc<Self>,
        client: Rate,
        organization: Arc<Limit>,
        cluster: Option<Arc<ClusterCell>>,
    ) -> Arc<Self> {
        if self.client.whole.rate == client && Arc::ptr_eq(&self.organization, &organization) {
            return self;
        }
        Arc::new(Self {
            client: self.client.at_rate(client),
            organization,
            turns: Mutex::new(std::mem::take(&mut *self.turns())),
            clock: self.clock.clone(),
            live_nodes: Arc::clone(&self.live_nodes),
            cluster,
        })
    }

    /// The limit that it shares with its organization.
    pub fn organization_limit(&self) -> &Arc<Limit> {
        &self.organization
    }

    /// The client's own rate and the one of its organization.
    pub fn rates(&self) -> [(LimitName, Rate); 2] {
        [&self.client, &*self.organization].map(|limit| (limit.whole.name, limit.whole.rate))
    }

    /// Spends units on both limits without waiting; the standing is the client's unless the organization's refused. A cost above what
    /// could ever be spent at once counts as all of that. None: it takes a question to Redis, by [`Self::spend`].
    pub fn try_spend(&self, units: NonZeroU32, now_ns: u64) -> Option<Result<Standing, Refused>> {
        let units = self.capped(units);
        let Some(cluster) = &self.cluster else { return Some(self.spend_here(units.get(), now_ns)) };
        if let Some(left) = cluster.spend_grant(units.get()) {
            return Some(Ok(self.granted(units.get(), left, now_ns)));
        }
        cluster.is_out().then(|| self.spend_here(units.get(), now_ns))
    }

    /// Spends units on both limits. What was refused several units costs one, has them put aside, and passes when it waits as told.
    pub async fn spend(&self, units: NonZeroU32) -> Result<Standing, Refused> {
        if let Some(spent) = self.try_spend(units, self.clock.boot_ns()) {
            return spent;
        }
        let units = self.capped(units).get();
        match &self.cluster {
            Some(cluster) => match cluster.ask(units).await {
                Some(Ok(left)) => Ok(self.granted(units, left, self.clock.boot_ns())),
                Some(Err(spent)) => Err(self.refused_by_all(spent)),
                None => self.spend_here(units, self.clock.boot_ns()),
            },
            None => self.spend_here(units, self.clock.boot_ns()),
        }
    }

    /// Spends what a call turned out to cost once it is done, whether it is there or will be: it is never refused for it, and the next
    /// ones wait. At most all that could ever be spent at once is owed. With Redis what is not there is put aside.
    pub async fn owe(&self, units: NonZeroU32) -> Standing {
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.is_out()) {
            return self.spend(units).await.unwrap_or_else(|refused| refused.standing);
        }
        let mut here = Here::of(self, self.clock.boot_ns());
        if here.wait(1).is_none_or(|(of, wait_ns)| wait_ns < here.measures[of].window_ns()) {
            here.spend(units.min(here.measures[0].largest()).min(here.measures[1].largest()).get());
        }
        here.standing()
    }

    /// Spends a unit for each item of a batch.
    pub async fn spend_batch(&self, items: NonZeroU32) -> Result<Standing, BatchRefused> {
        let largest = self.largest();
        if items > largest {
            return Err(BatchRefused::TooLarge { items_max: largest.get() });
        }
        self.spend(items).await.map_err(BatchRefused::Spent)
    }

    /// Whether a call whose cost is not known yet has any prospect: not while one that was refused before it waits for its turn, and
    /// not a unit is left. Spends nothing. None: by [`Self::look`].
    pub fn try_look(&self) -> Option<Result<Standing, Refused>> {
        let Some(cluster) = &self.cluster else { return Some(self.look_here()) };
        if let Some(left) = cluster.look_at_grant() {
            return Some(Ok(self.client.standing(left.min(self.client.whole.rate.requests.get()))));
        }
        cluster.is_out().then(|| self.look_here())
    }

    pub async fn look(&self) -> Result<Standing, Refused> {
        if let Some(seen) = self.try_look() {
            return seen;
        }
        match &self.cluster {
            Some(cluster) => match cluster.look().await {
                Some(Ok(left)) => Ok(self.client.standing(left.min(self.client.whole.rate.requests.get()))),
                Some(Err(spent)) => Err(self.refused_by_all(spent)),
                None => self.look_here(),
            },
            None => self.look_here(),
        }
    }

    /// The refusal of a client whose units are all spent, for a sandbox: nothing is spent.
    pub fn as_if_spent(&self, retry_after_s: u64) -> Refused {
        Refused { standing: self.client.standing(0), retry_after_s }
    }

    /// No more than could ever be spent at once. One unit can be.
    fn capped(&self, units: NonZeroU32) -> NonZeroU32 {
        if units == NonZeroU32::MIN { units } else { units.min(self.largest()) }
    }

    /// The most that can ever be spent at once.
    fn largest(&self) -> NonZeroU32 {
        let nodes = match &self.cluster {
            Some(cluster) if !cluster.is_out() => NonZeroU32::MIN,
            _ => self.nodes(),
        };
        self.client.measure(nodes).largest().min(self.organization.measure(nodes).largest())
    }

    fn nodes(&self) -> NonZeroU32 {
        let nodes = u32::try_from(self.live_nodes.load(Ordering::Acquire)).unwrap_or(u32::MAX);
        NonZeroU32::new(nodes).unwrap_or(NonZeroU32::MIN)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What passed by Redis counts here too: if Redis fails, nobody finds this node's cells untouched.
    fn granted(&self, units: u32, left: u32, now_ns: u64) -> Standing {
        let mut here = Here::of(self, now_ns);
        if here.wait(units).is_none() {
            here.spend(units);
        }
        self.client.standing(left.min(self.client.whole.rate.requests.get()))
    }

    fn refused_by_all(&self, spent: Spent) -> Refused {
        let limit = if spent.limit == LimitName::Organization { &*self.organization } else { &self.client };
        let whole_ns = u64::try_from(spent.until_whole.as_nanos()).unwrap_or(u64::MAX);
        let standing = limit.whole.standing(whole_ns);
        Refused { standing, retry_after_s: whole_seconds(spent.wait) }
    }

    fn look_here(&self) -> Result<Standing, Refused> {
        let mut turns = self.turns();
        let mut here = Here::of(self, self.clock.boot_ns());
        here.end_overdue(&mut turns);
        match turns.first(here.now_ns) {
            Some((refused_by, wait_ns)) if wait_ns > 0 && here.wait(1).is_some() => {
                Err(here.refused(refused_by, wait_ns))
            }
            _ => Ok(here.standing()),
        }
    }

    fn spend_here(&self, units: u32, now_ns: u64) -> Result<Standing, Refused> {
        let mut turns = self.turns();
        let mut here = Here::of(self, now_ns);
        let units = units.min(here.measures[0].largest().get()).min(here.measures[1].largest().get());
        here.end_overdue(&mut turns);
        if units > 1 {
            match turns.find(units, here.now_ns) {
                Found::Ready => return Ok(here.standing()),
                Found::Early { refused_by, wait_ns } => return Err(here.refused(refused_by, wait_ns)),
                Found::Nothing => {}
            }
        }
        let Some((refused_by, wait_ns)) = here.wait(units) else {
            here.spend(units);
            return Ok(here.standing());
        };
        if units == 1 {
            return Err(here.refused(refused_by, wait_ns));
        }
        if here.wait(1).is_none() {
            here.spend(1);
        }
        // The cost of the refusal makes the wait longer.
        let (refused_by, wait_ns) = here.wait(units).unwrap_or((refused_by, wait_ns));
        let refused = here.refused(refused_by, wait_ns);
        if !turns.has_room() || wait_ns > here.measures[refused_by].window_ns() {
            return Err(refused);
        }
        here.spend(units);
        turns.push(Turn {
            units,
            spent_ns: here.measures.map(|measure| measure.cost_ns(units)),
            refused_by,
            ready_ns: here.now_ns.saturating_add(wait_ns),
            ends_ns: here.now_ns.saturating_add((refused.retry_after_s + GRACE_S) * 1_000_000_000),
        });
        Err(here.refused(refused_by, wait_ns))
    }
}

/// Both limits of a client on this node, for as long as one call looks at them.
struct Here<'a> {
    cells: [MutexGuard<'a, Cell>; 2],
    measures: [Measure; 2],
    now_ns: u64,
}

impl<'a> Here<'a> {
    /// The client's cell is always locked before the organization's.
    fn of(limits: &'a CallerLimits, now_ns: u64) -> Self {
        let nodes = limits.nodes();
        Self {
            cells: [limits.client.cell(), limits.organization.cell()],
            measures: [limits.client.measure(nodes), limits.organization.measure(nodes)],
            now_ns,
        }
    }

    fn end_overdue(&mut self, turns: &mut Turns) {
        while let Some(turn) = turns.take_overdue(self.now_ns) {
            for (cell, ns) in self.cells.iter_mut().zip(turn.spent_ns) {
                cell.give_back(ns);
            }
        }
    }

    /// Which limit is the last to have so many units, and how long that takes. None: both have them.
    fn wait(&self, units: u32) -> Option<(usize, u64)> {
        let wait = |at: usize| self.cells[at].wait_ns(&self.measures[at], units, self.now_ns);
        let (client, organization) = (wait(0), wait(1));
        let last = if organization > client { (1, organization) } else { (0, client) };
        (last.1 > 0).then_some(last)
    }

    fn spend(&mut self, units: u32) {
        for (cell, measure) in self.cells.iter_mut().zip(&self.measures) {
            cell.spend(measure, units, self.now_ns);
        }
    }

    fn standing(&self) -> Standing {
        self.cells[0].standing(&self.measures[0], self.now_ns)
    }

    fn refused(&self, by: usize, wait_ns: u64) -> Refused {
        self.cells[by].refused(&self.measures[by], wait_ns, self.now_ns)
    }
}
