//! Latencies and refusals of a run, by step of a fan's way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones.
const LATENCY_MAX: Duration = Duration::from_hours(1);
/// Digits that a histogram keeps.
const PRECISION_DIGITS: u8 = 3;
/// Different codes kept per run. More would be a server that invents codes.
const CODES_MAX: usize = 256;

/// A step of a fan's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// From the intended arrival to the place.
    Join,
    /// From the place to the first status.
    FirstStatus,
    /// A status read by a fan who polls.
    Poll,
    /// From the time a frame's numbers were taken to its arrival.
    PushDelay,
    /// From the decision to claim to the pass.
    Claim,
    /// A read of the seat map.
    SeatMap,
    /// From the decision to hold to the answer.
    Hold,
    /// From the decision to pay to the payment.
    Payment,
    /// The payment provider's answer to the card.
    Card,
    /// From the paid card to the booking.
    Confirm,
    /// A read of the finished booking.
    Booking,
    /// Cancelling tickets.
    Cancel,
    /// Leaving, releasing, ending a session.
    Leave,
    /// Waiting for one of this process's own connections. When it is long, this process, not
    /// the server, is what is measured.
    OwnQueue,
}

impl Step {
    const ALL: [Self; 14] = [
        Self::Join,
        Self::FirstStatus,
        Self::Poll,
        Self::PushDelay,
        Self::Claim,
        Self::SeatMap,
        Self::Hold,
        Self::Payment,
        Self::Card,
        Self::Confirm,
        Self::Booking,
        Self::Cancel,
        Self::Leave,
        Self::OwnQueue,
    ];

    /// What people read.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::FirstStatus => "first status",
            Self::Poll => "poll",
            Self::PushDelay => "push delay",
            Self::Claim => "claim",
            Self::SeatMap => "seat map",
            Self::Hold => "hold",
            Self::Payment => "payment",
            Self::Card => "card",
            Self::Confirm => "confirm",
            Self::Booking => "booking",
            Self::Cancel => "cancel",
            Self::Leave => "leave",
            Self::OwnQueue => "own queue",
        }
    }
}

/// What was measured so far. Shared by all fans.
pub(crate) struct Measurements {
    latencies: Vec<Mutex<Histogram<u64>>>,
    codes: Mutex<BTreeMap<(Step, String), u64>>,
}

/// Quantiles of one step, in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quantiles {
    pub step: Step,
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// How often a step ended with a code that is not success.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodeCount {
    pub step: Step,
    pub code: String,
    pub count: u64,
}

impl Measurements {
    /// Nothing measured yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let latencies = Step::ALL
            .iter()
            .map(|_| {
                Ok(Mutex::new(Histogram::new_with_max(
                    micros(LATENCY_MAX),
                    PRECISION_DIGITS,
                )?))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            latencies,
            codes: Mutex::default(),
        })
    }

    /// Adds a latency.
    pub(crate) fn latency(&self, step: Step, span: Duration) {
        if let Some(histogram) = self.latencies.get(step as usize) {
            guard(histogram).saturating_record(micros(span));
        }
    }

    /// Adds a code other than success.
    pub(crate) fn code(&self, step: Step, code: &str) {
        let mut codes = guard(&self.codes);
        let key = (step, code.to_owned());
        if codes.len() < CODES_MAX || codes.contains_key(&key) {
            *codes.entry(key).or_default() += 1;
        }
    }

    /// The quantiles of every step that was taken.
    pub(crate) fn quantiles(&self) -> Vec<Quantiles> {
        let steps = Step::ALL.iter().zip(&self.latencies);
        steps
            .filter_map(|(step, histogram)| {
                let histogram = guard(histogram);
                let at = |quantile| millis(histogram.value_at_quantile(quantile));
                (!histogram.is_empty()).then(|| Quantiles {
                    step: *step,
                    count: histogram.len(),
                    p50_ms: at(0.5),
                    p90_ms: at(0.9),
                    p99_ms: at(0.99),
                    p999_ms: at(0.999),
                    max_ms: millis(histogram.max()),
                })
            })
            .collect()
    }

    /// The codes, by step.
    pub(crate) fn codes(&self) -> Vec<CodeCount> {
        guard(&self.codes)
            .iter()
            .map(|((step, code), count)| CodeCount {
                step: *step,
                code: code.clone(),
                count: *count,
            })
            .collect()
    }
}

/// A histogram or a count is whole after every single update, so a panic elsewhere spoils none.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_precision() {
        let measured = Measurements::new().unwrap();
        for ms in 1..=1000 {
            measured.latency(Step::Join, Duration::from_millis(ms));
        }
        let all = measured.quantiles();
        assert_eq!(all.len(), 1);
        assert!((all[0].p50_ms - 500.0).abs() < 1.0);
        assert!((all[0].p99_ms - 990.0).abs() < 1.0);
        assert!((all[0].max_ms - 1000.0).abs() < 1.0);
    }

    #[test]
    fn every_step_has_a_histogram_of_its_own() {
        let measured = Measurements::new().unwrap();
        for step in Step::ALL {
            measured.latency(step, Duration::from_millis(1));
        }
        assert_eq!(measured.quantiles().len(), Step::ALL.len());
    }

    #[test]
    fn codes_are_counted_by_step_and_limited() {
        let measured = Measurements::new().unwrap();
        measured.code(Step::Hold, "seats-unavailable");
        measured.code(Step::Hold, "seats-unavailable");
        for code in 0..CODES_MAX * 2 {
            measured.code(Step::Join, &code.to_string());
        }
        let codes = measured.codes();
        assert_eq!(codes.len(), CODES_MAX);
        let hold = codes.iter().find(|it| it.step == Step::Hold).unwrap();
        assert_eq!(hold.count, 2);
    }
}
