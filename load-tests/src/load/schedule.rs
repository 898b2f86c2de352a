//! When requests should start: a Poisson process whose rate follows a curve.
//! Unit-rate exponential steps are taken on the integral of the rate and
//! carried back to time, which is exact for straight pieces (no thinning).

use anyhow::ensure;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

const POINTS_MAX: usize = 64;
const REPEAT_MAX: u32 = 100;
const LEVEL_MAX: f64 = 1_000.0;

/// The shape of the load over a run; levels are relative to each other.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Curve {
    /// How often the shape is gone through during the run.
    pub(crate) repeat: u32,
    /// `[part of the period from 0 to 1, level]`, joined by straight lines.
    pub(crate) points: Vec<[f64; 2]>,
}

impl Curve {
    /// The same load all the time.
    pub(crate) fn flat() -> Self {
        Self { repeat: 1, points: vec![[0.0, 1.0], [1.0, 1.0]] }
    }

    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=REPEAT_MAX).contains(&self.repeat), "curve: repeat must be between 1 and {REPEAT_MAX}");
        ensure!((2..=POINTS_MAX).contains(&self.points.len()), "curve: 2 to {POINTS_MAX} points are needed");
        let ends = (self.points.first().map(|point| point[0]), self.points.last().map(|point| point[0]));
        ensure!(ends == (Some(0.0), Some(1.0)), "curve: the points must start at 0 and end at 1");
        ensure!(self.points.windows(2).all(|pair| pair[0][0] < pair[1][0]), "curve: the points must be in order");
        ensure!(
            self.points.iter().all(|point| (0.0..=LEVEL_MAX).contains(&point[1])),
            "curve: levels must be between 0 and {LEVEL_MAX}"
        );
        ensure!(self.mean_level() > 0.0, "curve: some level must be above 0");
        Ok(())
    }

    fn mean_level(&self) -> f64 {
        self.points.windows(2).map(|pair| (pair[1][0] - pair[0][0]) * f64::midpoint(pair[0][1], pair[1][1])).sum()
    }
}

/// A stretch of time over which the rate changes along a straight line.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start_s: f64,
    length_s: f64,
    rate_at_start: f64,
    rate_at_end: f64,
}

impl Piece {
    /// Arrivals expected within the piece.
    fn mass(&self) -> f64 {
        f64::midpoint(self.rate_at_start, self.rate_at_end) * self.length_s
    }

    /// The time at which `mass` arrivals are expected since the start of the piece.
    fn time_of(&self, mass: f64) -> f64 {
        let slope = (self.rate_at_end - self.rate_at_start) / self.length_s;
        let root = (2.0 * slope).mul_add(mass, self.rate_at_start * self.rate_at_start).max(0.0).sqrt();
        let divisor = self.rate_at_start + root;
        let within = if divisor > 0.0 { 2.0 * mass / divisor } else { 0.0 };
        self.start_s + within.clamp(0.0, self.length_s)
    }
}

/// Intended starts in nanoseconds from the start of the run, in order.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pieces: Vec<Piece>,
    piece: usize,
    mass_used: f64,
    rng: StdRng,
}

impl Arrivals {
    /// Expects a validated curve; `rate_per_s` is the mean over the run.
    pub(crate) fn new(curve: &Curve, rate_per_s: f64, seconds: u32, seed: u64) -> Self {
        let period_s = f64::from(seconds) / f64::from(curve.repeat);
        let scale = rate_per_s / curve.mean_level();
        let pieces = (0..curve.repeat)
            .flat_map(|round| {
                curve.points.windows(2).map(move |pair| Piece {
                    start_s: (f64::from(round) + pair[0][0]) * period_s,
                    length_s: (pair[1][0] - pair[0][0]) * period_s,
                    rate_at_start: pair[0][1] * scale,
                    rate_at_end: pair[1][1] * scale,
                })
            })
            .collect();
        Self { pieces, piece: 0, mass_used: 0.0, rng: StdRng::seed_from_u64(seed) }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut step = -(1.0 - self.rng.random::<f64>()).ln();
        loop {
            let piece = self.pieces.get(self.piece)?;
            let left = piece.mass() - self.mass_used;
            if step <= left {
                self.mass_used += step;
                return Some(crate::measure::seconds_to_nanoseconds(piece.time_of(self.mass_used)));
            }
            step -= left;
            self.piece += 1;
            self.mass_used = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Curve};
    use crate::measure::float;

    fn count(arrivals: &[u64], from_s: f64, to_s: f64) -> f64 {
        let inside = arrivals.iter().filter(|at| (from_s..to_s).contains(&(float(**at) / 1e9))).count();
        float(u64::try_from(inside).unwrap())
    }

    #[test]
    fn flat_schedule_is_poisson() {
        let arrivals: Vec<u64> = Arrivals::new(&Curve::flat(), 10_000.0, 10, 42).collect();
        assert!(arrivals.is_sorted());
        // 100,000 expected, standard deviation 316: five of them either way.
        assert!((98_400.0..101_600.0).contains(&count(&arrivals, 0.0, 10.0)));
        let gaps: Vec<f64> = arrivals.windows(2).map(|pair| float(pair[1] - pair[0]) / 1e9).collect();
        let number = float(u64::try_from(gaps.len()).unwrap());
        let mean = gaps.iter().sum::<f64>() / number;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / number;
        // An exponential distribution's deviation equals its mean.
        assert!((0.97..1.03).contains(&(variance.sqrt() / mean)), "{mean} {variance}");
    }

    #[test]
    fn rate_follows_the_curve_and_keeps_its_mean() {
        let curve = Curve { repeat: 2, points: vec![[0.0, 0.0], [0.5, 4.0], [1.0, 0.0]] };
        curve.validate().unwrap();
        let arrivals: Vec<u64> = Arrivals::new(&curve, 10_000.0, 20, 7).collect();
        assert!((197_700.0..202_300.0).contains(&count(&arrivals, 0.0, 20.0)));
        // A triangle over 10 s: its first quarter holds an eighth of its area.
        for (from_s, to_s, expected) in [(0.0, 2.5, 12_500.0), (2.5, 7.5, 75_000.0), (17.5, 20.0, 12_500.0)] {
            let found = count(&arrivals, from_s, to_s);
            assert!((found - expected).abs() < 5.0 * f64::sqrt(expected), "{from_s}: {found}");
        }
    }

    #[test]
    fn schedule_repeats_with_its_seed() {
        let first: Vec<u64> = Arrivals::new(&Curve::flat(), 100.0, 5, 1).collect();
        assert!(Arrivals::new(&Curve::flat(), 100.0, 5, 1).eq(first.iter().copied()));
        assert!(!Arrivals::new(&Curve::flat(), 100.0, 5, 2).eq(first.iter().copied()));
    }

    #[test]
    fn wrong_curves_are_refused() {
        let wrong: [&[[f64; 2]]; 6] = [
            &[[0.0, 1.0]],
            &[[0.0, 0.0], [1.0, 0.0]],
            &[[0.0, 1.0], [0.9, 1.0]],
            &[[0.0, 1.0], [0.5, 1.0], [0.5, 2.0], [1.0, 1.0]],
            &[[0.0, 1.0], [1.0, -1.0]],
            &[[0.0, f64::NAN], [1.0, 1.0]],
        ];
        for points in wrong {
            assert!(Curve { repeat: 1, points: points.to_vec() }.validate().is_err(), "{points:?}");
        }
    }
}
