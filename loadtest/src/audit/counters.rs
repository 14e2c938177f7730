//! Counters of the room's figures. They start again when the store loses its memory.

use contract::room::RoomStats;

/// How far `counter` rose over `samples`; a step back is a counter that started again.
pub(super) fn risen(samples: &[RoomStats], counter: impl Fn(&RoomStats) -> u64) -> u64 {
    let step = |pair: &[RoomStats]| match pair {
        [one, next] => counter(next).saturating_sub(counter(one)),
        _ => 0,
    };
    samples.windows(2).map(step).sum()
}

#[cfg(test)]
mod tests {
    use super::super::sample::stats;
    use super::*;

    #[test]
    fn a_counter_that_starts_again_still_counts() {
        let counts = [5, 8, 0, 2, 2, 6];
        let samples: Vec<RoomStats> = (0u64..)
            .zip(counts)
            .map(|(second, claims_total)| RoomStats {
                claims_total,
                ..stats(second)
            })
            .collect();
        assert_eq!(risen(&samples, |sample| sample.claims_total), 3 + 2 + 4);
        assert_eq!(risen(&samples[..1], |sample| sample.claims_total), 0);
    }
}
