//! How much is measured.

/// Sizes of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Names the file of tokens.
    pub(super) name: &'static str,
    /// Rounds that count; one more warms up.
    pub(super) rounds: usize,
    /// Requests in a round to a listener.
    pub(super) requests: usize,
    /// Distinct tokens in zipf order.
    pub(super) distinct: u32,
    /// Tokens never seen before, in a round.
    pub(super) new: usize,
    /// Tokens of 1 KB that are cached for the memory's sake.
    pub(super) large: usize,
    /// Longest time for a round of a listener, in seconds.
    pub(super) seconds: u32,
    /// Requests a second where latency is measured.
    pub(super) rate: u32,
    /// For so many seconds.
    pub(super) rate_seconds: u32,
    /// Starts of Envoy, with and without the filter.
    pub(super) starts: usize,
}

impl Plan {
    pub(super) const FULL: Self = Self {
        name: "full",
        // Short rounds, so that all listeners of a round see the same machine.
        rounds: 15,
        requests: 8_000,
        distinct: 10_000,
        new: 2_000,
        large: 10_000,
        seconds: 2,
        rate: 1_000,
        rate_seconds: 2,
        starts: 5,
    };

    pub(super) const QUICK: Self = Self {
        name: "quick",
        rounds: 1,
        requests: 2_000,
        distinct: 200,
        new: 300,
        large: 1_000,
        seconds: 2,
        rate: 1_000,
        rate_seconds: 1,
        starts: 1,
    };
}
