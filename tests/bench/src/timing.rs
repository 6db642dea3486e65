//! Time, or allocations, of one operation.

#[cfg(not(feature = "count-allocations"))]
use std::time::{Duration, Instant};

use crate::report::Cell;

/// True in a build that counts allocations, and does not measure time: counting takes time.
pub(crate) const COUNTING: bool = cfg!(feature = "count-allocations");

/// How long to measure, on a machine that others use too.
#[derive(Debug, clap::Args)]
pub(crate) struct Rounds {
    /// Rounds for each figure: the best one counts, and the one in the middle is shown.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Time of a round, in milliseconds.
    #[arg(long, default_value_t = 10)]
    round_ms: u64,
}

/// The nanoseconds that an operation takes in the best round, and in the round in the middle.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn measure(rounds: &Rounds, mut operation: impl FnMut()) -> Vec<Cell> {
    let mut repeat = |count: u64| {
        let start = Instant::now();
        for _ in 0..count {
            operation();
        }
        start.elapsed()
    };
    // Warms up, and finds how many operations fill a round.
    let mut count = 1;
    while repeat(count) < Duration::from_millis(rounds.round_ms) {
        count *= 2;
    }
    let mut times: Vec<f64> = (0..rounds.rounds.max(1))
        .map(|_| repeat(count).as_secs_f64() * 1e9 / count as f64)
        .collect();
    times.sort_by(f64::total_cmp);
    let middle = times[times.len() / 2];
    vec![Cell::Number(times[0], 1), Cell::Number(middle, 1)]
}

/// The allocations of one operation.
#[cfg(feature = "count-allocations")]
pub(crate) fn measure(_rounds: &Rounds, mut operation: impl FnMut()) -> Vec<Cell> {
    // What is made once, as the capacity of a reused buffer, is not the operation's.
    operation();
    let counted = allocation_counter::measure(operation).count_total;
    vec![Cell::Number(counted as f64, 0)]
}
