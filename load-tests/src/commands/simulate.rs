//! `lostcard-load simulate`: honest callers and scrapers against the limits of numbers, under a clock that is moved. Fails where
//! an honest caller is refused, a scraper gets further than `docs/SECURITY.md` says, or a check costs more than was allowed.

use anyhow::ensure;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::output;
use crate::simulate::cost;
use crate::simulate::honest::{TRADES, Trade};
use crate::simulate::scrapers::{AMONG_OTHERS, GUESTS, PATTERNS, Pattern};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Days that honest callers work
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Of each honest caller
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    callers: u32,
    #[arg(long)]
    seed: Option<u64>,
    /// Only these; without it all
    #[arg(long, value_enum)]
    only: Option<Who>,
    /// Fails where the limits cost a check more, in nanoseconds; of a program that was built without optimization it says nothing
    #[arg(long)]
    cost_max: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Who {
    Honest,
    Scrapers,
    Cost,
}

impl Arguments {
    fn takes(&self, who: Who) -> bool {
        self.only.is_none_or(|only| only == who)
    }
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<()> {
    let seed = super::seed_or_random(arguments.seed);
    output::line(&format!("seed {seed}"))?;
    if arguments.takes(Who::Honest) {
        for trade in &TRADES {
            for caller in 0..arguments.callers {
                work(trade, arguments.days, &mut StdRng::seed_from_u64(seed + u64::from(caller)))?;
            }
        }
    }
    if arguments.takes(Who::Scrapers) {
        for pattern in PATTERNS.iter().chain([&AMONG_OTHERS]) {
            scrape(pattern, &mut StdRng::seed_from_u64(seed))?;
        }
    }
    if arguments.takes(Who::Cost) {
        let cost = cost::measure(&mut StdRng::seed_from_u64(seed))?;
        let (mean, cost::Cost { new, known }) = (cost.mean(), cost);
        output::line(&format!("a check: {mean:.0} ns; {new:.0} ns with a new number, {known:.0} ns with a known one"))?;
        ensure!(arguments.cost_max.is_none_or(|max| mean <= max), "the limits of numbers cost more");
    }
    Ok(())
}

fn work(trade: &Trade, days: u32, rng: &mut StdRng) -> anyhow::Result<()> {
    let outcome = trade.work(days, rng)?;
    let (checks, new, refused) = (outcome.checks, outcome.new_numbers, outcome.refused);
    let Trade { name, guests, .. } = trade;
    output::line(&format!("{name} ({guests}), {days} days: {checks} checks, {new} new numbers, {refused} refused"))?;
    ensure!(refused == 0 && !outcome.is_held, "{name}: an honest caller is refused {refused} times");
    Ok(())
}

fn scrape(pattern: &Pattern, rng: &mut StdRng) -> anyhow::Result<()> {
    let caught = pattern.run(rng)?;
    let got = [caught.numbers, caught.in_a_cell as usize, caught.of_a_birthday as usize];
    let held = caught
        .held_after_days
        .map_or("never held".to_owned(), |days| format!("{} held after {days} days", caught.held));
    let [numbers, cell, birthday] = got;
    let name = pattern.name;
    output::line(&format!(
        "{name} ({GUESTS}), 30 days: {numbers} numbers, {cell} in a cell, {birthday} of a birthday; {held}"
    ))?;
    let Some(stopped_at) = pattern.stopped_at else { return Ok(()) };
    ensure!(got.iter().zip(stopped_at).all(|(got, at)| *got <= at), "{name}: more than {stopped_at:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints the seed, by which `lostcard-load simulate --seed` does the same again.
    fn seeded() -> StdRng {
        let seed = super::super::seed_or_random(None);
        output::line(&format!("seed {seed}")).unwrap();
        StdRng::seed_from_u64(seed)
    }

    /// A year of the small ones, days of the large: a whole year of all is the command's.
    #[test]
    fn honest_callers_are_never_refused() {
        for (trade, days) in TRADES.iter().zip([365, 365, 365, 90, 20, 2]) {
            work(trade, days, &mut seeded()).unwrap();
        }
    }

    #[test]
    fn no_scraper_gets_further_than_is_said() {
        for pattern in &PATTERNS {
            scrape(pattern, &mut seeded()).unwrap();
        }
    }
}
