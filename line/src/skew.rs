//! How far this gateway's clock is from the clock of the line's store.
//!
//! Deadlines, leases and live keys are in the time of the gateway that works, so gateways have to
//! agree on it. They all can see one clock, that of the store. A gateway that is farther from it
//! than [`SKEW_MAX`] calls nobody, and gives no live keys ahead of the store's time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{Clock, Timestamp};
use metrics::gauge;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::store::{StoreResult, StoreTime};
use crate::telemetry;

/// The largest skew with which a gateway leads.
pub const SKEW_MAX: Duration = Duration::from_secs(2);

/// Time between measurements.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Questions of one measurement. The fastest answer counts, as it leaves least room for error.
const SAMPLES: usize = 3;

/// What one measurement found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How far the gateway's clock is ahead of the store's, in milliseconds; negative when it is
    /// behind.
    pub ahead_ms: i64,
    /// How far that may be wrong: half the time that the answer took.
    pub error_ms: i64,
}

impl Measured {
    /// No skew.
    const NONE: Self = Self {
        ahead_ms: 0,
        error_ms: 0,
    };

    /// From the gateway's time when it asked, the store's answer, and how long it took.
    fn of(asked_at: Timestamp, answer: Timestamp, took: Duration) -> Self {
        let error = took / 2;
        let ahead_ms = asked_at.plus(error).as_ms().saturating_sub(answer.as_ms());
        Self {
            ahead_ms,
            error_ms: i64::try_from(error.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Whether the skew is too large, whatever the error.
    fn is_beyond(self) -> bool {
        let proven = self.ahead_ms.saturating_abs().saturating_sub(self.error_ms);
        u128::from(proven.unsigned_abs()) > SKEW_MAX.as_millis() && proven > 0
    }
}

/// The skew of this gateway, measured again and again.
pub struct Skew {
    store: Option<Arc<dyn StoreTime>>,
    clock: Arc<dyn Clock>,
    measured: Mutex<Option<Measured>>,
}

impl Skew {
    /// Not measured yet.
    pub fn new(store: Arc<dyn StoreTime>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Some(store),
            clock,
            measured: Mutex::default(),
        }
    }

    /// No skew, where gateway and store go by one clock.
    pub fn none(clock: Arc<dyn Clock>) -> Self {
        Self {
            store: None,
            clock,
            measured: Mutex::new(Some(Measured::NONE)),
        }
    }

    /// Measures until the process stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // What was measured last holds meanwhile: clocks drift by milliseconds a minute.
            match self.measure_once().await {
                Err(error) if answers => {
                    tracing::warn!(%error, "Redis does not answer; it is asked again until it does");
                    answers = false;
                }
                Err(error) => tracing::debug!(%error, "clock skew not measured"),
                Ok(()) if !answers => {
                    tracing::info!("Redis answers again");
                    answers = true;
                }
                Ok(()) => {}
            }
        }
    }

    /// Measures the skew now.
    pub async fn measure_once(&self) -> StoreResult<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut samples = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let (asked_at, began) = (self.clock.now(), Instant::now());
            let answer = store.time().await?;
            samples.push(Measured::of(asked_at, answer, began.elapsed()));
        }
        if let Some(best) = best(samples) {
            self.note(best);
        }
        Ok(())
    }

    /// Measures the skew unless it was measured before.
    pub async fn measure_first(&self) -> StoreResult<()> {
        if self.measured().is_none() {
            self.measure_once().await?;
        }
        Ok(())
    }

    /// What was measured last; `None` before the first time.
    pub fn measured(&self) -> Option<Measured> {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this gateway may lead: not before its skew is known.
    pub fn may_lead(&self) -> bool {
        self.measured()
            .is_some_and(|measured| !measured.is_beyond())
    }

    /// The time for what is written into the line. Of a clock that is too far ahead the skew is
    /// taken off; one that is behind moves neither keys nor deadlines ahead.
    pub fn sound_time(&self, now: Timestamp) -> Timestamp {
        match self.measured() {
            Some(measured) if measured.is_beyond() && measured.ahead_ms > 0 => {
                now.minus(Duration::from_millis(measured.ahead_ms.unsigned_abs()))
            }
            _ => now,
        }
    }

    /// What is wrong and what to do, for operators; `None` when nothing is.
    pub fn advice(&self) -> Option<String> {
        let measured = self.measured()?;
        measured.is_beyond().then(|| advice(measured))
    }

    fn note(&self, measured: Measured) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^52")]
        gauge!(telemetry::CLOCK_SKEW_SECONDS).set(measured.ahead_ms as f64 / 1000.0);
        let mut last = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let was_beyond = last.replace(measured).is_some_and(Measured::is_beyond);
        drop(last);
        match (was_beyond, measured.is_beyond()) {
            (false, true) => tracing::error!("{}", advice(measured)),
            (true, false) => tracing::info!(
                "this gateway's clock agrees with the line's store again; it may lead"
            ),
            _ => {}
        }
    }
}

/// The sample that leaves least room for error.
fn best(samples: impl IntoIterator<Item = Measured>) -> Option<Measured> {
    let samples = samples.into_iter();
    samples.min_by_key(|sample| sample.error_ms)
}

fn advice(measured: Measured) -> String {
    let seconds = measured.ahead_ms.saturating_abs() / 1000;
    let direction = if measured.ahead_ms > 0 {
        "ahead of"
    } else {
        "behind"
    };
    format!(
        "this gateway's clock is {seconds} seconds {direction} the clock of Redis, so it calls \
         nobody; synchronise the clocks of both machines, for example by NTP"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::ManualClock;

    /// A store whose clock is behind the gateway's, and that answers at once.
    struct Behind(ManualClock, Duration);

    #[async_trait]
    impl StoreTime for Behind {
        async fn time(&self) -> StoreResult<Timestamp> {
            Ok(self.0.now().minus(self.1))
        }
    }

    async fn behind(span: Duration) -> Skew {
        let clock = ManualClock::default();
        clock.advance(Duration::from_hours(24));
        let skew = Skew::new(
            Arc::new(Behind(clock.clone(), span)),
            Arc::new(clock.clone()),
        );
        assert!(!skew.may_lead(), "before it was measured");
        skew.measure_once().await.unwrap();
        skew
    }

    fn sample(ahead_ms: i64, took_ms: u64) -> Measured {
        let asked_at = Timestamp::from_ms(1_790_000_000_000);
        // All of the way is the way there: the worst for the measurement.
        let answered_at = asked_at.plus(Duration::from_millis(took_ms));
        let answer = Timestamp::from_ms(answered_at.as_ms() - ahead_ms);
        Measured::of(asked_at, answer, Duration::from_millis(took_ms))
    }

    #[test]
    fn the_fastest_answer_tells_the_skew() {
        let samples = [sample(1_500, 400), sample(1_500, 20), sample(1_500, 300)];
        let found = best(samples).unwrap();
        // Wrong by no more than half the round trip.
        assert_eq!((found.ahead_ms, found.error_ms), (1_490, 10));
        assert!(!found.is_beyond());
    }

    #[test]
    fn slow_answers_are_no_proof_of_a_skew() {
        let slow = sample(2_600, 1_400);
        assert_eq!((slow.ahead_ms, slow.error_ms), (1_900, 700));
        assert!(!slow.is_beyond());
        assert!(!sample(-1_400, 1_300).is_beyond());
        assert!(sample(2_600, 100).is_beyond());
        assert!(sample(-2_600, 100).is_beyond());
        assert!(!sample(2_000, 0).is_beyond());
    }

    #[tokio::test]
    async fn a_clock_that_is_too_far_ahead_does_not_tell_the_time_for_keys() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let skew = behind(Duration::from_hours(1)).await;
        assert!(!skew.may_lead());
        assert_eq!(skew.sound_time(now), now.minus(Duration::from_hours(1)));
        assert!(skew.advice().unwrap().contains("3600 seconds ahead of"));
        let skew = behind(Duration::from_secs(1)).await;
        assert!(skew.may_lead() && skew.advice().is_none());
        assert_eq!(skew.sound_time(now), now);
    }

    #[test]
    fn a_clock_that_is_behind_does_not_lead_and_moves_no_keys() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let skew = Skew::none(Arc::new(ManualClock::default()));
        assert!(skew.may_lead());
        skew.note(sample(-2_100, 0));
        assert!(!skew.may_lead());
        assert_eq!(skew.sound_time(now), now);
        assert!(skew.advice().unwrap().contains("2 seconds behind"));
    }
}
