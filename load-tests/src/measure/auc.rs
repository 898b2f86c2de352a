//! How well one observation tells two kinds of answers apart: the area under
//! the curve of the receiver, which is the probability that an observation of
//! the one kind is longer than one of the other (Mann and Whitney). 0.5 is
//! chance, 1 is certainty.

/// At least 0.5, whichever kind is the slower one; 0.5 where a kind has none.
pub(crate) fn auc(one: &[u64], other: &[u64]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.5;
    }
    let (one, other) = (sorted(one), sorted(other));
    let (mut below, mut up_to, mut sum) = (0, 0, 0_u64);
    for value in &one {
        while other.get(below).is_some_and(|other| other < value) {
            below += 1;
        }
        while other.get(up_to).is_some_and(|other| other <= value) {
            up_to += 1;
        }
        // Twice the count, so that a tie is one half.
        sum += (below + up_to) as u64;
    }
    let area = super::float(sum) / 2.0 / super::float(one.len() as u64) / super::float(other.len() as u64);
    area.max(1.0 - area)
}

fn sorted(values: &[u64]) -> Vec<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::auc;

    #[test]
    fn chance_certainty_and_what_is_between() {
        let close = |left: f64, right: f64| (left - right).abs() < 1e-9;
        assert!(close(auc(&[1, 2, 3], &[4, 5, 6]), 1.0) && close(auc(&[4, 5, 6], &[1, 2, 3]), 1.0));
        assert!(close(auc(&[1, 2, 3, 4], &[4, 3, 2, 1]), 0.5) && close(auc(&[7; 9], &[7; 4]), 0.5));
        assert!(close(auc(&[1, 3], &[2, 4]), 0.75) && close(auc(&[], &[1]), 0.5));
    }
}
