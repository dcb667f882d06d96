//! Numbers from a few rounds.

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let upper = sorted.len() / 2;
    let lower = sorted.len().saturating_sub(1) / 2;
    match (sorted.get(lower), sorted.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// The least and the greatest value; NaN of nothing.
pub(super) fn range(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let ends = sorted.first().zip(sorted.last());
    ends.map_or((f64::NAN, f64::NAN), |(least, greatest)| (*least, *greatest))
}

/// The value that so many of a hundred do not exceed, by nearest rank; NaN of nothing.
pub(super) fn percentile(values: &[f64], hundredths: usize) -> f64 {
    let rank = (values.len() * hundredths).div_ceil(100);
    sorted(values).get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Each value of one series by that of the other in the same round.
pub(super) fn ratios(values: &[f64], by: &[f64]) -> Vec<f64> {
    values.iter().zip(by).map(|(value, by)| value / by).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_in_the_middle() {
        let cases: [(&[f64], f64); 3] =
            [(&[7.0], 7.0), (&[9.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 2.0, 9.0], 3.0)];
        for (values, expected) in cases {
            assert!((median(values) - expected).abs() < f64::EPSILON, "{values:?}");
        }
        assert!(median(&[]).is_nan() && range(&[]).0.is_nan() && percentile(&[], 50).is_nan());
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = [50, 99, 100].map(|hundredths| percentile(&hundred, hundredths));
        assert_eq!(found.map(|value| value.to_string()), ["50", "99", "100"]);
        assert_eq!(percentile(&[3.0, 8.0], 50).to_string(), "3");
        assert_eq!(range(&hundred), (1.0, 100.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        assert_eq!(ratios(&[1.0, 9.0], &[2.0, 3.0]), [0.5, 3.0]);
    }
}
