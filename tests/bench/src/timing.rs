//! Time of one operation, on a machine that others use too.

use std::time::{Duration, Instant};

/// Time of one operation, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Of the best round: what the operation takes when nothing disturbs.
    pub(crate) best_ns: f64,
    /// Of the round in the middle.
    pub(crate) median_ns: f64,
}

/// Runs `operation` in `rounds` rounds of about `round_time` each.
pub(crate) fn measure(rounds: usize, round_time: Duration, mut operation: impl FnMut()) -> Timing {
    let mut repeat = |count: u64| {
        let start = Instant::now();
        for _ in 0..count {
            operation();
        }
        start.elapsed()
    };
    // Warms up, and finds how many operations fill a round.
    let mut count = 1;
    while repeat(count) < round_time {
        count *= 2;
    }
    let mut times: Vec<f64> = (0..rounds.max(1))
        .map(|_| repeat(count).as_secs_f64() * 1e9 / count as f64)
        .collect();
    times.sort_by(f64::total_cmp);
    Timing {
        best_ns: times[0],
        median_ns: times[times.len() / 2],
    }
}

/// Allocations of one operation, counted in a build with the feature `count-allocations`.
#[cfg(feature = "count-allocations")]
pub(crate) fn allocations(operation: impl FnMut()) -> Option<u64> {
    let mut operation = operation;
    // What is made once, as the capacity of a reused buffer, is not the operation's.
    operation();
    Some(allocation_counter::measure(operation).count_total)
}

/// Allocations of one operation, counted in a build with the feature `count-allocations`.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn allocations(_operation: impl FnMut()) -> Option<u64> {
    None
}
