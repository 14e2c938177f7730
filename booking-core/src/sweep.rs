//! Expires holds past their end.
//!
//! Holds are expired in batches. A hold that does not have its seats breaks an invariant, which
//! only a person can repair; it is logged, skipped for a while, and does not keep other holds from
//! expiring.

use contract::Timestamp;
use contract::invariants::ONE_SEAT;
use metric_families::breaches::breached;
use uuid::Uuid;

use crate::config::SWEEP_BATCH_MAX;
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::store;
use crate::store::seats::SeatReport;
use crate::telemetry;

impl Core {
    /// Expires holds past their end that have no open payment, and all holds past their hard
    /// deadline. Does not ask the provider. Returns how many.
    pub(crate) async fn sweep_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let but = self.set_aside.present(now);
        let given_up = self.give_up_all(&but, now).await?;
        let swept = repeat_if_contended(|| {
            store::holds::sweep(&self.pools.sweep, now, &but, SWEEP_BATCH_MAX)
        });
        let (count, reports) = match swept.await {
            Err(error) if error.is_of_the_data() => self.expire_each(&but, now).await?,
            swept => swept?,
        };
        self.catalogue.apply(&reports);
        if count > 0 {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            metrics::counter!(telemetry::HOLDS_ENDED, "reason" => "expired").increment(count);
        }
        Ok(given_up + count)
    }

    /// Gives up open payments past the hard deadline, so that a provider that hangs cannot keep
    /// seats.
    async fn give_up_all(&self, but: &[Uuid], now: Timestamp) -> Result<usize, StoreError> {
        let pool = &self.pools.sweep;
        let due = store::payments::past_patience(pool, now, but, SWEEP_BATCH_MAX).await?;
        let mut count = 0;
        for (hold_id, payment_id) in due {
            match self.give_up_if_due(payment_id, hold_id).await {
                Ok(given_up) => count += usize::from(given_up),
                Err(error) => self.set_aside_if_broken(hold_id, error, now)?,
            }
        }
        Ok(count)
    }

    /// Expires holds one by one, except those that cannot be expired.
    async fn expire_each(
        &self,
        but: &[Uuid],
        now: Timestamp,
    ) -> Result<(usize, Vec<SeatReport>), StoreError> {
        let pool = &self.pools.sweep;
        let mut count = 0;
        let mut reports = Vec::new();
        for hold_id in store::holds::due(pool, now, but, SWEEP_BATCH_MAX).await? {
            match repeat_if_contended(|| store::holds::expire(pool, hold_id, now)).await {
                Ok(freed) => {
                    count += usize::from(!freed.is_empty());
                    reports.extend(freed);
                }
                Err(error) => self.set_aside_if_broken(hold_id, error, now)?,
            }
        }
        Ok((count, reports))
    }

    fn set_aside_if_broken(
        &self,
        hold_id: Uuid,
        error: StoreError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !error.is_of_the_data() {
            return Err(error);
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            hold = %hold_id,
            "a hold cannot be expired: set aside, a person has to look"
        );
        metrics::counter!(telemetry::HOLDS_SET_ASIDE).increment(1);
        breached(ONE_SEAT.name, 1);
        self.set_aside.add(hold_id, now);
        Ok(())
    }
}
