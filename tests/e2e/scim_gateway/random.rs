//! Numbers that follow from a seed, so that a failure can be had again.

use doorward_testbed::unix_now;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Of the test named so: by `DOORWARD_SEED`, or else another one each time. It is said, for a failure.
    #[allow(clippy::print_stderr, reason = "the seed is said")]
    pub(super) fn of(name: &str) -> Self {
        let said = std::env::var("DOORWARD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = said.unwrap_or_else(unix_now);
        eprintln!("{name}: DOORWARD_SEED={seed}");
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// In so many cases of a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// Another one, for a part of the test that runs beside this one.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
