//! How often a caller may ask: one cell per client, per organization and per source address. A client's cell is one record shared
//! by all workers, or the limit would multiply by their number. Invariant: no request is refused without a limit's name and a time
//! to wait. Says nothing of headers or status codes.

pub mod address;
pub mod caller;
pub mod cluster;
pub mod fair_queue;
pub mod limit;
pub mod workshop;

pub use address::AddressLimits;
pub use caller::CallerLimits;
pub use limit::{Limit, LimitName, Refused, Standing};
pub use workshop::{Asker, Crowded, Work, Workshop, WorkshopOptions};

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;
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

    #[test]
    fn a_spent_limit_refuses_until_it_says() {
        let clock = Clock::fixed_now();
        let limit = Limit::new(LimitName::Client, rate("3/60s"), clock.clone());
        let remaining: Vec<_> = (0..3).map(|_| limit.spend(units(1)).unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limit.spend(units(1)).unwrap_err();
        assert_eq!((refused.retry_after_s, refused.standing.remaining, refused.standing.reset_s), (20, 0, 60));
        clock.advance(Duration::from_secs(refused.retry_after_s));
        assert_eq!(limit.spend(units(1)).unwrap().remaining, 0);
    }

    #[test]
    fn a_batch_costs_what_it_holds_and_one_above_the_limit_costs_all_of_it() {
        let limit = Limit::new(LimitName::Client, rate("600/60s"), Clock::fixed_now());
        assert_eq!(limit.spend(units(100)).unwrap().remaining, 500);
        let refused = limit.spend(units(1000)).unwrap_err();
        let told = (refused.standing.remaining, refused.standing.reset_s, refused.retry_after_s);
        assert_eq!(told, (500, 10, 10), "what is left is there for others");
        let fresh = Limit::new(LimitName::Client, rate("600/60s"), Clock::fixed_now());
        assert_eq!(fresh.spend(units(1000)).unwrap().remaining, 0);
    }

    #[test]
    fn clients_of_one_organization_share_its_limit() {
        let clock = Clock::fixed_now();
        let organization = Arc::new(Limit::new(LimitName::Organization, rate("3/60s"), clock.clone()));
        let one = CallerLimits::new(rate("600/60s"), Arc::clone(&organization), &clock);
        let two = CallerLimits::new(rate("600/60s"), organization, &clock);
        for client in [&one, &one, &two] {
            assert!(client.try_spend_unit().unwrap().is_ok());
        }
        assert_eq!(two.try_spend_unit().unwrap().unwrap_err().standing.limit, LimitName::Organization);
    }

    #[test]
    fn nodes_that_share_a_rate_let_no_more_pass_together() {
        for (requests, nodes, each) in [(600, 1, 600), (600, 2, 300), (5, 2, 2), (3, 5, 1)] {
            let limit = Limit::new(LimitName::Client, rate(&format!("{requests}/60s")), Clock::fixed_now());
            let passed = (0..requests).filter(|_| limit.spend_share(units(1), units(nodes)).is_ok()).count();
            assert_eq!(passed, each, "{requests} among {nodes}");
        }
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
                if let Ok(standing) = limit.spend(units(cost)) {
                    passed += u64::from(cost);
                    prop_assert!(standing.remaining <= requests - cost);
                }
                prop_assert!(passed <= u64::from(requests) + elapsed_ms * u64::from(requests) / (u64::from(seconds) * 1000) + 1);
            }
        }
    }
}
