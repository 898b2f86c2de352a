//! Whose numbers a caller asks about: between a check that was read and its answer, for the short way and the long way alike.

use crate::access::Principal;
use crate::http::contract::problem::Problem;
use crate::limits::numbers::Question;
use crate::service::alerts::Watcher;
use crate::service::breathe;
use crate::service::checks::Check;

/// Lets a check pass whose number its client may ask about.
pub async fn take(principal: &Principal, check: &Check) -> Result<(), Problem> {
    let (numbers, question) = (&principal.client.numbers, question(check));
    let taken = match numbers.try_take(&question) {
        Some(taken) => taken,
        None => Box::pin(numbers.take(&question)).await,
    };
    taken.map_err(Problem::from)
}

/// The same for the items of a batch, each for itself. Where none passes that is well-formed, the whole is refused.
pub async fn take_all(principal: &Principal, checks: &mut [Result<Check, Problem>]) -> Result<(), Problem> {
    let numbers = &principal.client.numbers;
    let mut purse = {
        let questions: Vec<_> = checks.iter().flatten().map(question).collect();
        numbers.purse(&questions).await
    };
    let (mut refused, mut first) = (0, None);
    let good = checks.iter().flatten().count();
    for (index, item) in checks.iter_mut().enumerate() {
        breathe(index).await;
        let taken = item.as_ref().map(|check| numbers.take_from(&mut purse, &question(check)));
        if let Ok(Err(refusal)) = taken {
            let problem = Problem::from(refusal);
            refused += 1;
            first.get_or_insert_with(|| problem.clone());
            *item = Err(problem);
        }
    }
    numbers.settle(purse);
    first.filter(|_| refused == good).map_or(Ok(()), Err)
}

/// In whose name a caller watches cards.
pub fn watcher(principal: &Principal) -> Watcher {
    Watcher { actor: principal.actor(), active_max: principal.client.numbers.watches_max() }
}

fn question(check: &Check) -> Question<'_> {
    Question { digest: &check.digest, place: check.place, start: check.card_valid_from }
}
