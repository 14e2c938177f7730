//! How customers hold seats: how soon after they saw them, and whether they repeat themselves.
//!
//! In memory of one process, and bounded. A customer who is served by several processes is seen by
//! each in part, which makes nobody suspicious.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::Timestamp;
use moka::sync::Cache;

use super::settings::FraudSettings;
use super::signal::{Signal, SignalKind};

/// Customers that are remembered, about 200 bytes each.
const CUSTOMERS_MAX: u64 = 100_000;
/// How long an idle customer is remembered.
const IDLE_MAX: Duration = Duration::from_mins(15);
/// Requests within this span count as repeats of one another.
const REPEATS_WITHIN: Duration = Duration::from_secs(10);
/// How long nothing is held against a customer who has solved a challenge.
const CLEARED_FOR: Duration = Duration::from_mins(10);

/// What is known of one customer.
#[derive(Debug, Default)]
struct Seen {
    /// When the seats were shown, until the first request to hold some.
    shown_at: Option<Timestamp>,
    /// Whether seats were held sooner than a person chooses.
    is_fast: bool,
    /// The last request, and since when it is the same.
    last: Option<([u8; 32], Timestamp)>,
    /// How often it was repeated.
    repeats: u32,
    /// The most repeats of any request.
    repeats_max: u32,
    cleared_until: Option<Timestamp>,
}

/// The memory of one process.
pub(crate) struct Behaviour(Cache<String, Arc<Mutex<Seen>>>);

impl Behaviour {
    /// Without any customer.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(CUSTOMERS_MAX)
            .time_to_idle(IDLE_MAX);
        Self(cache.build())
    }

    /// A customer is shown seats to choose from.
    pub(crate) fn shown(&self, customer: &str, now: Timestamp) {
        let seen = self.0.get_with_by_ref(customer, Arc::default);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A page that is loaded again shows nothing new.
        seen.shown_at.get_or_insert(now);
    }

    /// A customer asks to hold seats; `request` is a digest of what is asked.
    pub(crate) fn asked(
        &self,
        customer: &str,
        request: [u8; 32],
        settings: &FraudSettings,
        now: Timestamp,
    ) {
        let seen = self.0.get_with_by_ref(customer, Arc::default);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown_at) = seen.shown_at.take() {
            let limit = Duration::from_millis(u64::from(settings.limits.fast_choice_ms));
            seen.is_fast |= now.since(shown_at) < limit;
        }
        match seen.last {
            Some((last, since)) if last == request && now.since(since) < REPEATS_WITHIN => {
                seen.repeats = seen.repeats.saturating_add(1);
            }
            _ => {
                seen.last = Some((request, now));
                seen.repeats = 0;
            }
        }
        seen.repeats_max = seen.repeats_max.max(seen.repeats);
    }

    /// A customer has solved a challenge: what was seen before counts no more.
    pub(crate) fn clear(&self, customer: &str, now: Timestamp) {
        let seen = self.0.get_with_by_ref(customer, Arc::default);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen {
            cleared_until: Some(now.plus(CLEARED_FOR)),
            ..Seen::default()
        };
    }

    /// What is suspicious of a customer.
    pub(crate) fn signals(
        &self,
        customer: &str,
        settings: &FraudSettings,
        now: Timestamp,
    ) -> Vec<Signal> {
        let Some(seen) = self.0.get(customer) else {
            return Vec::new();
        };
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.cleared_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let of = |kind, amount| Signal::new(kind, amount, settings);
        vec![
            of(SignalKind::FastChoice, u32::from(seen.is_fast)),
            of(SignalKind::RepeatedRequests, seen.repeats_max),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::signal::{counted, score};

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn after_ms(ms: u64) -> Timestamp {
        NOW.plus(Duration::from_millis(ms))
    }

    fn score_of(behaviour: &Behaviour, now: Timestamp) -> u32 {
        let settings = FraudSettings::default();
        score(&counted(behaviour.signals("c", &settings, now)))
    }

    #[test]
    fn only_a_choice_that_nobody_makes_so_soon_is_fast() {
        let settings = FraudSettings::default();
        for (ms, points) in [(0, 15), (699, 15), (700, 0), (60_000, 0)] {
            let behaviour = Behaviour::new();
            behaviour.shown("c", NOW);
            behaviour.asked("c", [1; 32], &settings, after_ms(ms));
            assert_eq!(score_of(&behaviour, after_ms(ms)), points, "{ms}");
        }
        // Whose page another process showed is not known to be fast.
        let unseen = Behaviour::new();
        unseen.asked("c", [1; 32], &settings, NOW);
        assert_eq!(score_of(&unseen, NOW), 0);
    }

    #[test]
    fn the_same_request_over_and_over_is_noticed_and_others_are_not() {
        let settings = FraudSettings::default();
        let hammered = Behaviour::new();
        for n in 0..26 {
            hammered.asked("c", [1; 32], &settings, after_ms(n * 100));
        }
        assert_eq!(score_of(&hammered, NOW), 30);
        let patient = Behaviour::new();
        for n in 0..26 {
            patient.asked("c", [1; 32], &settings, after_ms(n * 11_000));
        }
        assert_eq!(score_of(&patient, NOW), 0);
        let searching = Behaviour::new();
        for n in 0..26 {
            searching.asked("c", [n; 32], &settings, NOW);
        }
        assert_eq!(score_of(&searching, NOW), 0);
        assert_eq!(score_of(&Behaviour::new(), NOW), 0);
    }

    #[test]
    fn a_solved_challenge_clears_for_a_while() {
        let settings = FraudSettings::default();
        let behaviour = Behaviour::new();
        let hammer = |from: Timestamp| {
            for n in 0..26 {
                let at = from.plus(Duration::from_millis(n));
                behaviour.asked("c", [1; 32], &settings, at);
            }
        };
        hammer(NOW);
        behaviour.clear("c", NOW);
        assert_eq!(score_of(&behaviour, NOW), 0);
        hammer(NOW);
        assert_eq!(score_of(&behaviour, NOW), 0);
        assert_eq!(score_of(&behaviour, NOW.plus(CLEARED_FOR)), 30);
    }
}
