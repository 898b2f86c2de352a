//! Quartiles over slices: what repeats, and how far single slices lie from it.

use serde::Serialize;

/// The middle of a row of figures and how far its middle half reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Quartiles {
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Quartiles {
    /// Linear between neighbours; zeros without values.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let last = values.len().checked_sub(1)?;
            let (whole, part) = (last * quarters / 4, last * quarters % 4);
            let (below, above) = (values[whole], values[(whole + 1).min(last)]);
            Some(below + (above - below) * [0.0, 0.25, 0.5, 0.75][part])
        };
        Self { q1: at(1).unwrap_or(0.0), median: at(2).unwrap_or(0.0), q3: at(3).unwrap_or(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::Quartiles;

    #[test]
    fn quartiles_lie_between_neighbours() {
        assert_eq!(Quartiles::of(Vec::new()), Quartiles::default());
        assert_eq!(Quartiles::of(vec![3.0]), Quartiles { q1: 3.0, median: 3.0, q3: 3.0 });
        assert_eq!(Quartiles::of(vec![4.0, 1.0, 3.0, 2.0]), Quartiles { q1: 1.75, median: 2.5, q3: 3.25 });
    }
}
