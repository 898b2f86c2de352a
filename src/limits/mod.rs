//! How often a caller may ask: one cell per client, per organization and per source address. A client's cell is one record shared
//! by all workers, or the limit would multiply by their number. Invariant: no request is refused without a limit's name and a time
//! to wait. Says nothing of headers or status codes.

pub mod address;
pub mod caller;
mod caller_address;
mod cell;
pub mod cluster;
pub mod cluster_numbers;
pub mod fair_gate;
pub mod fair_queue;
pub mod limit;
pub mod numbers;
mod reserve;
pub mod standing;
mod turns;
pub mod workshop;

pub use address::AddressLimits;
pub use caller::{BatchRefused, CallerLimits};
pub use caller_address::CallerAddress;
pub use limit::Limit;
pub use numbers::{ClientNumbers, Numbers, NumbersRefused};
pub use standing::{LimitName, Refused, Standing};
pub use workshop::{Asker, Crowded, Work, Workshop, WorkshopOptions};

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;
    use crate::domain::client::Rate;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn units(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    const ALONE: NonZeroU32 = NonZeroU32::MIN;

    fn alone() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(1))
    }

    fn caller(client: &str, organization: &str, clock: &Clock) -> CallerLimits {
        let organization = Arc::new(Limit::new(LimitName::Organization, rate(organization), clock.clone()));
        CallerLimits::new(rate(client), organization, clock, alone())
    }

    fn spend(limits: &CallerLimits, n: u32) -> Result<Standing, Refused> {
        limits.try_spend(units(n), limits.clock.boot_ns()).unwrap()
    }

    #[test]
    fn a_spent_limit_refuses_until_it_says() {
        let clock = Clock::fixed_now();
        let limit = Limit::new(LimitName::Client, rate("3/60s"), clock.clone());
        let remaining: Vec<_> = (0..3).map(|_| limit.spend(units(1), ALONE).unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limit.spend(units(1), ALONE).unwrap_err();
        assert_eq!((refused.retry_after_s, refused.standing.remaining, refused.standing.reset_s), (20, 0, 60));
        clock.advance(Duration::from_secs(refused.retry_after_s));
        assert_eq!(limit.spend(units(1), ALONE).unwrap().remaining, 0);
    }

    #[test]
    fn clients_of_one_organization_share_its_limit() {
        let clock = Clock::fixed_now();
        let organization = Arc::new(Limit::new(LimitName::Organization, rate("3/60s"), clock.clone()));
        let one = CallerLimits::new(rate("600/60s"), Arc::clone(&organization), &clock, alone());
        let two = CallerLimits::new(rate("600/60s"), organization, &clock, alone());
        for client in [&one, &one, &two] {
            assert!(spend(client, 1).is_ok());
        }
        assert_eq!(spend(&two, 1).unwrap_err().standing.limit, LimitName::Organization);
        assert!(two.try_look().unwrap().is_ok(), "a batch may say how large it is, and wait for its turn");
    }

    #[test]
    fn nodes_that_share_a_rate_let_no_more_pass_together() {
        for (requests, nodes, each) in [(600, 1, 600), (600, 2, 300), (5, 2, 2), (3, 5, 1)] {
            let limit = Limit::new(LimitName::Client, rate(&format!("{requests}/60s")), Clock::fixed_now());
            let passed = (0..requests).filter(|_| limit.spend(units(1), units(nodes)).is_ok()).count();
            assert_eq!(passed, each, "{requests} among {nodes}");
        }
    }

    #[tokio::test]
    async fn a_batch_larger_than_could_ever_pass_costs_nothing_and_says_what_could() {
        let clock = Clock::fixed_now();
        for (client, organization, nodes, items_max) in
            [("600/60s", "60000/60s", 1, 600), ("600/60s", "500/60s", 1, 500), ("600/60s", "60000/60s", 3, 200)]
        {
            let organization = Arc::new(Limit::new(LimitName::Organization, rate(organization), clock.clone()));
            let limits = CallerLimits::new(rate(client), organization, &clock, Arc::new(AtomicUsize::new(nodes)));
            let refused = limits.spend_batch(units(items_max + 1)).await.unwrap_err();
            assert_eq!(refused, BatchRefused::TooLarge { items_max });
            assert!(limits.spend_batch(units(items_max)).await.is_ok(), "the largest passes: nothing was spent");
        }
    }

    #[test]
    fn a_refused_batch_has_its_turn_however_many_small_calls_come() {
        for (client, organization, by) in
            [("60/60s", "6000/60s", LimitName::Client), ("6000/60s", "60/60s", LimitName::Organization)]
        {
            let clock = Clock::fixed_now();
            let limits = caller(client, organization, &clock);
            assert!(spend(&limits, 30).is_ok());
            let refused = spend(&limits, 40).unwrap_err();
            // 29 are left after the one that it costs.
            assert_eq!((refused.standing.limit, refused.standing.remaining, refused.retry_after_s), (by, 0, 11));
            for _ in 0..10 {
                assert!(spend(&limits, 1).is_err());
                assert_eq!(limits.try_look().unwrap().unwrap_err().standing.limit, by);
                clock.advance(Duration::from_secs(1));
            }
            let early = spend(&limits, 40).unwrap_err();
            assert_eq!(early.retry_after_s, 1, "the same units: it does not wait longer");
            clock.advance(Duration::from_secs(1));
            assert!(limits.try_look().unwrap().is_ok(), "its body may be read");
            assert!(spend(&limits, 1).is_err());
            assert!(spend(&limits, 40).is_ok());
            assert!(spend(&limits, 40).is_err(), "once");
        }
    }

    #[test]
    fn units_that_nobody_comes_for_are_there_again() {
        let clock = Clock::fixed_now();
        let limits = caller("60/60s", "6000/60s", &clock);
        assert!(spend(&limits, 30).is_ok());
        assert_eq!(spend(&limits, 40).unwrap_err().retry_after_s, 11);
        clock.advance(Duration::from_secs(11));
        assert!(spend(&limits, 1).is_err(), "they wait until two seconds after its time");
        clock.advance(Duration::from_secs(2) + Duration::from_nanos(1));
        assert_eq!(spend(&limits, 1).unwrap().remaining, 29 + 13 - 1);
    }

    #[test]
    fn each_of_several_refused_batches_passes_when_it_waits_as_told() {
        let clock = Clock::fixed_now();
        let limits = caller("60/60s", "6000/60s", &clock);
        assert!(spend(&limits, 60).is_ok());
        let waits: Vec<_> = [20, 30, 10].map(|n| (n, spend(&limits, n).unwrap_err().retry_after_s)).into();
        assert_eq!(waits, [(20, 20), (30, 50), (10, 60)]);
        let mut now = 0;
        for (n, at) in waits {
            clock.advance(Duration::from_secs(at - now));
            now = at;
            assert!(spend(&limits, n).is_ok(), "{n}");
        }
    }

    #[test]
    fn limits_under_another_rate_have_not_forgotten_what_was_spent() {
        let clock = Clock::fixed_now();
        let limits = Arc::new(caller("60/60s", "600/60s", &clock));
        assert!(spend(&limits, 60).is_ok());
        let (_, organization) = (limits.rates(), Arc::clone(limits.organization_limit()));
        let same = Arc::clone(&limits).again(rate("60/60s"), Arc::clone(&organization), None);
        assert!(Arc::ptr_eq(&same, &limits));
        let slower = Arc::clone(&limits).again(rate("1/3600s"), Arc::clone(&organization).again(rate("30/60s")), None);
        assert!(spend(&slower, 1).is_err());
        let faster = limits.again(rate("600/60s"), organization, None);
        assert!(spend(&faster, 1).is_err());
        clock.advance(Duration::from_secs(1));
        assert!(spend(&faster, 10).is_ok());
    }

    proptest! {
        /// Within any window no more passes than the burst and what flowed in since.
        #[test]
        fn never_more_than_the_rate(
            requests in 1_u32..50, seconds in 1_u32..120,
            steps in proptest::collection::vec((0_u64..5_000, 1_u32..20), 1..200),
        ) {
            let clock = Clock::fixed_now();
            let limit = Limit::new(LimitName::Client, Rate { requests: units(requests), per_seconds: units(seconds) }, clock.clone());
            let (mut passed, mut elapsed_ms) = (0_u64, 0_u64);
            for (wait_ms, cost) in steps {
                clock.advance(Duration::from_millis(wait_ms));
                elapsed_ms += wait_ms;
                let cost = cost.min(requests);
                if let Ok(standing) = limit.spend(units(cost), ALONE) {
                    passed += u64::from(cost);
                    prop_assert!(standing.remaining <= requests - cost);
                }
                prop_assert!(passed <= u64::from(requests) + elapsed_ms * u64::from(requests) / (u64::from(seconds) * 1000) + 1);
            }
        }

        /// Whatever one client asks for, no more passes than its rate; a batch that comes back as told passes, whatever else came.
        #[test]
        fn a_wait_that_was_told_is_enough(
            requests in 2_u32..40, seconds in 1_u32..100,
            steps in proptest::collection::vec((0_u64..3_000, 1_u32..40), 1..150),
        ) {
            let clock = Clock::fixed_now();
            let limits = caller(&format!("{requests}/{seconds}s"), "100000/60s", &clock);
            let (mut passed, mut elapsed_ms) = (0_u64, 0_u64);
            let mut told: Option<(u32, u64)> = None;
            for (wait_ms, cost) in steps {
                let mut cost = cost.min(requests);
                let mut step_ms = wait_ms;
                if let Some((units, at_ms)) = told && elapsed_ms + wait_ms >= at_ms {
                    // Its time has come.
                    step_ms = at_ms.saturating_sub(elapsed_ms);
                    cost = units;
                } else if told.is_some() {
                    cost = 1;
                }
                clock.advance(Duration::from_millis(step_ms));
                elapsed_ms += step_ms;
                match spend(&limits, cost) {
                    Ok(standing) => {
                        passed += u64::from(cost);
                        prop_assert!(standing.remaining <= requests);
                        if told.is_some_and(|(units, _)| units == cost) { told = None; }
                    }
                    Err(refused) => {
                        prop_assert!(told.is_none_or(|(units, _)| units != cost), "refused although it waited");
                        if cost > 1 { told = Some((cost, elapsed_ms + refused.retry_after_s * 1000)); }
                    }
                }
                prop_assert!(passed <= u64::from(requests) + elapsed_ms * u64::from(requests) / (u64::from(seconds) * 1000) + 1);
            }
        }
    }
}
