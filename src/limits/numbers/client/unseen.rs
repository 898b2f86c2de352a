//! Numbers that are taken without being known, as blind checks do: each costs as a new one does, and those for which nothing was answered
//! are given back.

use super::{ClientNumbers, NumbersRefused, Purse};
use crate::limits::numbers::spent::TakenUnseen;

impl ClientNumbers {
    /// Takes so many numbers, new ones or not, which nobody here can know: each costs as a new one does. All of them or none.
    pub async fn take_unseen(&self, count: u32) -> Result<TakenUnseen, NumbersRefused> {
        let mut purse = Purse::Here;
        if let Some((cluster, rates)) = self.shared() {
            let granted = cluster.ask([count, 0], [rates.numbers, rates.digests]).await;
            purse = granted.map_or(Purse::Here, Purse::Granted);
        }
        let taken = self.take_unseen_from(&mut purse, count);
        self.settle(purse);
        taken
    }

    fn take_unseen_from(&self, purse: &mut Purse, count: u32) -> Result<TakenUnseen, NumbersRefused> {
        let nothing = TakenUnseen { count: 0, here_ns: 0, is_granted: false };
        if self.is_held() {
            self.refuse(NumbersRefused::Held)?;
        }
        let Some(rates) = self.rates else { return Ok(nothing) };
        let (now_ns, mut spent) = (self.all.clock.boot_ns(), self.spent());
        let before = spent.numbers;
        if let Err(refused) = self.spend(purse, &mut spent, &rates, (count, false), now_ns) {
            return self.refuse(refused).map(|()| nothing);
        }
        let here_ns = spent.numbers.spent_since(before, now_ns);
        Ok(TakenUnseen { count, here_ns, is_granted: matches!(purse, Purse::Granted(_)) })
    }

    /// Gives numbers back for which nothing was answered.
    pub fn give_back(&self, taken: &TakenUnseen) {
        self.spent().give_back(taken.count, taken.here_ns);
        if let Some((cluster, _)) = self.shared().filter(|_| taken.is_granted) {
            cluster.give_back(taken.count);
        }
    }
}
