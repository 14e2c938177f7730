//! Handles of the metrics of one upstream.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::telemetry;

/// Request outcomes whose counter handles are kept; other counters are looked up by label.
const FREQUENT_REQUESTS: &[&str] = &["answered", "server-error", "overloaded", "resting"];
/// Body outcomes whose counter handles are kept.
const FREQUENT_BODIES: &[&str] = &["complete", "client-gone"];

/// Handles of one upstream's metrics, looked up once.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) requests: Outcomes,
    pub(super) bodies: Outcomes,
    pub(super) retries: Counter,
    pub(super) in_flight: Gauge,
    pub(super) breaker: Gauge,
    pub(super) head_seconds: Histogram,
}

/// One metric's counters, by outcome.
#[derive(Debug)]
pub(super) struct Outcomes {
    metric: &'static str,
    upstream: Arc<str>,
    known: Vec<(&'static str, Counter)>,
}

impl Figures {
    pub(super) fn of(label: &str) -> Self {
        let label: Arc<str> = label.into();
        let upstream = || Arc::clone(&label);
        Self {
            requests: Outcomes::new(telemetry::REQUESTS_TOTAL, upstream(), FREQUENT_REQUESTS),
            bodies: Outcomes::new(telemetry::BODIES_TOTAL, upstream(), FREQUENT_BODIES),
            retries: counter!(telemetry::RETRIES_TOTAL, "upstream" => upstream()),
            in_flight: gauge!(telemetry::IN_FLIGHT, "upstream" => upstream()),
            breaker: gauge!(telemetry::BREAKER_STATE, "upstream" => upstream()),
            head_seconds: histogram!(telemetry::HEAD_SECONDS, "upstream" => upstream()),
        }
    }
}

impl Outcomes {
    fn new(metric: &'static str, upstream: Arc<str>, words: &[&'static str]) -> Self {
        let mut outcomes = Self {
            metric,
            upstream,
            known: Vec::new(),
        };
        outcomes.known = words
            .iter()
            .map(|word| (*word, outcomes.look_up(word)))
            .collect();
        outcomes
    }

    pub(super) fn count(&self, outcome: &'static str) {
        let known = self.known.iter().find(|(word, _)| *word == outcome);
        match known {
            Some((_, counter)) => counter.increment(1),
            None => self.look_up(outcome).increment(1),
        }
    }

    fn look_up(&self, outcome: &'static str) -> Counter {
        let upstream = Arc::clone(&self.upstream);
        counter!(self.metric, "upstream" => upstream, "outcome" => outcome)
    }
}
