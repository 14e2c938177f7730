//! Log levels for failures of repeated work.
//!
//! A transient failure is retried and counted in metrics. It is logged for a person only when it
//! lasts, or when it cannot pass by itself: a defect, or invalid data.

use std::time::Duration;

use contract::Timestamp;

use crate::database::StoreError;

/// How long transient failures are logged at debug level: restarts and failovers of PostgreSQL take
/// seconds.
const PASSES_WITHIN: Duration = Duration::from_secs(5);
/// How long transient failures may last before they are logged as errors.
const LASTS: Duration = Duration::from_mins(5);

/// The log level of one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// The next attempt follows at once, and most succeed.
    Debug,
    /// The work has failed for more than a few seconds.
    Warn,
    /// A person has to look.
    Error,
}

/// The failures of one kind of work. Each level is logged once per spell of failures.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    /// Start of the spell, and the highest level logged since.
    spell: Option<(Timestamp, Loudness)>,
}

impl Failing {
    /// Records a success, which ends the spell. Returns how long it lasted, if it was logged above
    /// debug level.
    pub(crate) fn works(&mut self, now: Timestamp) -> Option<Duration> {
        let (since, said) = self.spell.take()?;
        (said != Loudness::Debug).then(|| now.since(since))
    }

    /// Records the failure `error` at `now` and returns its level: debug, unless the level is
    /// higher than any logged in this spell.
    pub(crate) fn fails(&mut self, error: &StoreError, now: Timestamp) -> Loudness {
        let (since, said) = self.spell.get_or_insert((now, Loudness::Debug));
        let lasted = now.since(*since);
        let loudness = if !error.is_transient() || lasted >= LASTS {
            Loudness::Error
        } else if lasted >= PASSES_WITHIN {
            Loudness::Warn
        } else {
            Loudness::Debug
        };
        if loudness as u8 <= *said as u8 {
            return Loudness::Debug;
        }
        *said = loudness;
        loudness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    /// The levels above debug for one `error` per second, with the second of each.
    fn said(error: &StoreError, seconds: u64) -> Vec<(u64, Loudness)> {
        let mut failing = Failing::default();
        let of = |second| {
            (
                second,
                failing.fails(error, NOW.plus(Duration::from_secs(second))),
            )
        };
        let all: Vec<_> = (0..seconds).map(of).collect();
        let loud = all.into_iter().filter(|(_, said)| *said != Loudness::Debug);
        loud.collect()
    }

    #[test]
    fn a_failure_that_passes_is_no_error_and_one_that_lasts_is() {
        assert_eq!(said(&StoreError::Timeout, 4), []);
        let whole = said(&StoreError::Timeout, 3600);
        assert_eq!(whole, [(5, Loudness::Warn), (300, Loudness::Error)]);
    }

    #[test]
    fn a_defect_is_an_error_at_once_and_once() {
        let defect = StoreError::corrupt("holds", "a seat too many");
        assert_eq!(said(&defect, 3600), [(0, Loudness::Error)]);
        // A defect is logged as an error during an outage too.
        let mut failing = Failing::default();
        failing.fails(&StoreError::Timeout, NOW);
        assert_eq!(failing.fails(&defect, NOW), Loudness::Error);
    }

    #[test]
    fn work_that_works_again_may_fail_anew() {
        let mut failing = Failing::default();
        let at = |second| NOW.plus(Duration::from_secs(second));
        failing.fails(&StoreError::Timeout, at(0));
        assert_eq!(failing.works(at(1)), None, "nobody heard of it");
        failing.fails(&StoreError::Timeout, at(10));
        let late = failing.fails(&StoreError::Timeout, at(15));
        assert_eq!(late, Loudness::Warn);
        assert_eq!(failing.works(at(20)), Some(Duration::from_secs(10)));
        assert_eq!(failing.fails(&StoreError::Timeout, at(21)), Loudness::Debug);
    }
}
