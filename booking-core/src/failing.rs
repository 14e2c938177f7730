//! How loudly work that repeats says that it fails.
//!
//! A failure that passes is tried again by itself, and counted by metrics. A person has to look
//! when it does not pass, or cannot: a defect, or data that nobody can work on.

use std::time::Duration;

use contract::Timestamp;

use crate::database::StoreError;

/// How long work may fail before an operator hears of it: restarts and failovers of PostgreSQL
/// take seconds.
const PASSES_WITHIN: Duration = Duration::from_secs(5);
/// How long it may fail before a person has to look.
const LASTS: Duration = Duration::from_mins(5);

/// How loud one failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// The next try follows at once, and most succeed.
    Debug,
    /// It does not work for now.
    Warn,
    /// A person has to look.
    Error,
}

/// How one kind of work has been failing. Each step from quiet to loud is taken once.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    /// Since when, and how loud the loudest word about it was.
    spell: Option<(Timestamp, Loudness)>,
}

impl Failing {
    /// It works: the next failure is a new one. Returns how long it had failed, if an operator was
    /// told of it.
    pub(crate) fn works(&mut self, now: Timestamp) -> Option<Duration> {
        let (since, said) = self.spell.take()?;
        (said != Loudness::Debug).then(|| now.since(since))
    }

    /// How loud the failure `error` at `now` is. What was said as loud is only whispered again.
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

    /// What is said of one `error` a second, with its time in seconds, debug left out.
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
        // In the middle of an outage too.
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
