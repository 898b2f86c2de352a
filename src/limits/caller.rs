//! The limits of one client: its own and the one it shares with its organization. With Redis they hold for all nodes together
//! (`cluster.rs`), and these cells are what a node falls back to.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::cluster::{ClusterCell, Cost, Spent};
use super::limit::{Limit, LimitName, Refused, Standing, refused};
use crate::clock::Clock;
use crate::domain::client::Rate;

const UNIT: Cost = Cost { client: 1, organization: 1 };
const NOTHING: Cost = Cost { client: 0, organization: 0 };

/// The limits of one client.
#[derive(Debug)]
pub struct CallerLimits {
    client: Limit,
    organization: Arc<Limit>,
    wrong_numbers: Limit,
    /// What all nodes have in common; None without Redis.
    cluster: Option<Arc<ClusterCell>>,
}

impl CallerLimits {
    /// A client's own limits beside those it shares with its organization.
    pub fn new(client: Rate, organization: Arc<Limit>, clock: &Clock) -> Self {
        // Half the client's rate: a reader or a clerk misreads now and then, nobody misreads every second card.
        let half = NonZeroU32::new(client.requests.get() / 2).unwrap_or(NonZeroU32::MIN);
        let wrong = Rate { requests: half, per_seconds: client.per_seconds };
        Self {
            client: Limit::new(LimitName::Client, client, clock.clone()),
            organization,
            wrong_numbers: Limit::new(LimitName::AbnormalUse, wrong, clock.clone()),
            cluster: None,
        }
    }

    /// The same limits, shared with the other nodes.
    #[must_use]
    pub fn shared_by(self, cluster: Arc<ClusterCell>) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// The client's own rate and the one of its organization.
    pub fn rates(&self) -> [(LimitName, Rate); 2] {
        [&self.client, &*self.organization].map(|limit| (limit.name, limit.rate))
    }

    /// Spends one unit on both limits without waiting; the standing is the client's unless the organization's refused. None: it
    /// takes a question to Redis, by [`Self::spend_unit`].
    pub fn try_spend_unit(&self) -> Option<Result<Standing, Refused>> {
        self.try_spend(UNIT).map(|spent| Ok(spent?.unwrap_or_else(|| self.client.standing(0))))
    }

    /// Spends one unit on both limits.
    pub async fn spend_unit(&self) -> Result<Standing, Refused> {
        Ok(self.spend(UNIT).await?.unwrap_or_else(|| self.client.standing(0)))
    }

    /// Spends what an operation costs beyond the unit that was spent when its caller was authenticated.
    pub async fn spend_rest(&self, cost: NonZeroU32) -> Result<Option<Standing>, Refused> {
        let rest_of = |limit: &Limit| cost.min(limit.rate.requests).get() - 1;
        let rest = Cost { client: rest_of(&self.client), organization: rest_of(&self.organization) };
        if rest == NOTHING { Ok(None) } else { self.spend(rest).await }
    }

    async fn spend(&self, cost: Cost) -> Result<Option<Standing>, Refused> {
        if let Some(spent) = self.try_spend(cost) {
            return spent;
        }
        match &self.cluster {
            Some(cluster) => match cluster.ask(cost).await {
                Some(Ok(left)) => Ok(Some(self.granted(cost, left, cluster))),
                Some(Err(spent)) => Err(self.refused_by_all(cost, spent)),
                None => self.spend_here(cost, cluster.nodes()),
            },
            None => self.spend_here(cost, NonZeroU32::MIN),
        }
    }

    fn try_spend(&self, cost: Cost) -> Option<Result<Option<Standing>, Refused>> {
        let Some(cluster) = &self.cluster else { return Some(self.spend_here(cost, NonZeroU32::MIN)) };
        if let Some(left) = cluster.spend_grant(cost) {
            return Some(Ok(Some(self.granted(cost, left, cluster))));
        }
        cluster.is_out().then(|| self.spend_here(cost, cluster.nodes()))
    }

    fn spend_here(&self, cost: Cost, nodes: NonZeroU32) -> Result<Option<Standing>, Refused> {
        let spend = |limit: &Limit, cost| NonZeroU32::new(cost).map(|cost| limit.spend_share(cost, nodes)).transpose();
        let standing = spend(&self.client, cost.client)?;
        spend(&self.organization, cost.organization)?;
        Ok(standing)
    }

    /// What passed by Redis counts here too: if Redis fails, nobody finds this node's cells untouched.
    fn granted(&self, cost: Cost, left: u32, cluster: &ClusterCell) -> Standing {
        let _ = self.spend_here(cost, cluster.nodes());
        self.client.standing(left.min(self.client.rate.requests.get()))
    }

    fn refused_by_all(&self, cost: Cost, spent: Spent) -> Refused {
        let (limit, cost) = match spent.limit {
            LimitName::Organization => (&*self.organization, cost.organization),
            _ => (&self.client, cost.client),
        };
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        refused(limit.name, limit.rate, cost, NonZeroU32::MIN, spent.wait)
    }

    /// The refusal of a client whose units are all spent, for a sandbox: nothing is spent.
    pub fn as_if_spent(&self, retry_after_s: u64) -> Refused {
        Refused { standing: self.client.standing(0), retry_after_s }
    }

    /// Counts a number with a wrong check character.
    pub fn count_wrong_number(&self) -> Result<(), Refused> {
        self.wrong_numbers.spend(NonZeroU32::MIN).map(|_| ())
    }
}
