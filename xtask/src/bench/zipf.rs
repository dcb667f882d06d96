//! Which of many tokens comes next, when a few clients make most of the requests.

/// So many draws from `0..items`, item `k` in proportion to `1/(k+1)` (Zipf's law with exponent 1). The same for the same
/// `seed`.
pub(super) fn order(items: u32, draws: usize, seed: u64) -> Vec<usize> {
    let mut total = 0.0;
    let cumulated: Vec<f64> = (1..=items)
        .map(|rank| {
            total += 1.0 / f64::from(rank);
            total
        })
        .collect();
    let last = cumulated.len().saturating_sub(1);
    let mut state = seed;
    let mut draw = || {
        let at = uniform(&mut state) * total;
        cumulated.partition_point(|sum| *sum <= at).min(last)
    };
    (0..draws).map(|_| draw()).collect()
}

/// From 0 up to, not including, 1: splitmix64 (Steele, Lea, Flood, 2014), which any seed starts well.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // 53 bits are what an f64 holds.
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_law() {
        let order = order(1000, 100_000, 1);
        let count = |item| order.iter().filter(|drawn| **drawn == item).count() as f64;
        // The sum of 1/k up to 1000 is 7.485.
        for item in [0, 1, 9] {
            let expected = 100_000.0 / 7.485 / (item as f64 + 1.0);
            assert!((count(item) / expected - 1.0).abs() < 0.1, "{item}: {} of {expected}", count(item));
        }
        assert!(order.iter().all(|item| *item < 1000));
        assert!(order.iter().any(|item| *item > 900));
    }

    #[test]
    fn a_seed_makes_one_order() {
        assert_eq!(order(50, 500, 7), order(50, 500, 7));
        assert_ne!(order(50, 500, 7), order(50, 500, 8));
        assert_eq!(order(1, 3, 0), [0, 0, 0]);
    }
}
