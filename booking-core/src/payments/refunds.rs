//! Giving money back.
//!
//! One refund row is one debt, with any number of refunds at the provider: when one fails, even
//! after its success was reported, another is created under a new key. Only refusals count towards
//! giving up; while the provider does not answer, the request is repeated without limit.

use std::time::Duration;

use contract::Timestamp;
use futures_util::StreamExt;
use futures_util::stream;

use super::provider::{ProviderError, ProviderRefund, ProviderRefundStatus, RefundRequest};
use crate::config::{REFUND_REFUSALS_MAX, WORK_AT_ONCE, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::{FailureReason, RefundStatus};
use crate::store;
use crate::store::refunds::{RefundChange, RefundRow};
use crate::telemetry;

/// How long a worker's claim on a refund lasts.
const CLAIM: Duration = Duration::from_mins(1);
/// Interval before the first poll of a refund that the provider has accepted. It doubles with each:
/// a bank may take days, and a webhook tells of the end.
const PENDING_WAIT: Duration = Duration::from_secs(30);
/// Longest interval between attempts at a refund.
const RETRY_MAX: Duration = Duration::from_hours(1);

impl Core {
    /// Processes refunds that are due. Returns how many there were.
    pub(crate) async fn refund_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let due = store::refunds::claim_due(pool, now, now.plus(CLAIM), WORK_BATCH_MAX).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(WORK_AT_ONCE, async |refund| {
                if let Err(error) = self.refund_one(&refund).await {
                    let passes = error.is_transient();
                    let (error, refund) = (&error as &dyn std::error::Error, refund.refund_id);
                    if passes {
                        tracing::warn!(error, %refund, "refund not worked on yet");
                    } else {
                        tracing::error!(error, %refund, "refund not worked on");
                    }
                }
            })
            .await;
        Ok(count)
    }

    async fn refund_one(&self, refund: &RefundRow) -> Result<(), StoreError> {
        let outcome = match self.refund_ask(refund).await {
            Ok(made) => Outcome::of(made),
            Err(ProviderError::Refused { reason, message }) => {
                tracing::warn!(message, refund = %refund.refund_id, "refund refused");
                Outcome {
                    // A server error that the provider stored under the key only calls for another
                    // key; it does not say that the refund was refused.
                    wears_out: reason != FailureReason::GatewayDown,
                    ..Outcome::failed(None)
                }
            }
            Err(error) => {
                tracing::warn!(%error, refund = %refund.refund_id, "refund not done yet");
                let now = self.clock.now();
                let next = now.plus(wait_unanswered(refund, &error, now));
                let pool = &self.pools.jobs;
                return store::refunds::put_off(pool, refund.refund_id, next).await;
            }
        };
        self.refund_record(refund, outcome).await
    }

    /// Updates our books from the provider for a refund that a notification named, in any state: a
    /// refund may fail after its success, or succeed after we gave it up. Creates no refund. An
    /// inner error means that the provider could not be asked.
    pub(crate) async fn refund_look(
        &self,
        refund: &RefundRow,
    ) -> Result<Result<(), ProviderError>, StoreError> {
        match self.refund_find(refund).await {
            Ok(Some(made)) => self.refund_record(refund, Outcome::of(made)).await.map(Ok),
            Ok(None) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn refund_record(&self, refund: &RefundRow, outcome: Outcome) -> Result<(), StoreError> {
        let now = self.clock.now();
        let change = change(refund, outcome, now);
        if !store::refunds::record(&self.pools.jobs, refund, &change, now).await? {
            return Ok(());
        }
        if change.status == RefundStatus::NeedsOps {
            tracing::error!(refund = %refund.refund_id, "refund given up: a person has to look");
        }
        if refund.status == RefundStatus::Succeeded && change.status != RefundStatus::Succeeded {
            tracing::error!(refund = %refund.refund_id, "a refund failed after its success");
        }
        metrics::counter!(telemetry::REFUNDS, "status" => change.status.as_str()).increment(1);
        Ok(())
    }

    async fn refund_ask(&self, refund: &RefundRow) -> Result<ProviderRefund, ProviderError> {
        // The answer to an earlier attempt may have been lost, longer ago than the provider keeps
        // keys, so the provider's existing refunds are searched before another is created.
        if (refund.attempt_count > 1 || refund.provider_refund_id.is_some())
            && let Some(made) = self.refund_find(refund).await?
        {
            return Ok(made);
        }
        self.providers
            .named(&refund.provider)?
            .about(refund.hold_id)
            .refund(RefundRequest {
                intent_id: intent_of(refund)?.to_owned(),
                amount_minor: refund.amount_minor,
                currency: refund.currency.clone(),
                refund_id: refund.refund_id.simple().to_string(),
                idempotency_key: key(refund),
            })
            .await
    }

    /// The provider's refund for this row, if its state is new to us.
    async fn refund_find(
        &self,
        refund: &RefundRow,
    ) -> Result<Option<ProviderRefund>, ProviderError> {
        let provider = self.providers.named(&refund.provider)?;
        let provider = provider.about(refund.hold_id);
        let made = provider.refunds_of(intent_of(refund)?).await?;
        Ok(news(refund, made))
    }
}

fn intent_of(refund: &RefundRow) -> Result<&str, ProviderError> {
    refund
        .intent_id
        .as_deref()
        .ok_or_else(|| ProviderError::Unreadable("a refund without an intent".to_owned()))
}

/// The key of the next attempt. The provider always repeats its first answer to a key, so each
/// refusal is followed by a new key.
fn key(refund: &RefundRow) -> String {
    let id = refund.refund_id.simple();
    match refund.refusal_count {
        0 => format!("refund_{id}"),
        refusals => format!("refund_{id}_{refusals}"),
    }
}

/// Which of the provider's refunds, newest first, determines the state of ours: one that has not
/// failed, otherwise the newest failure that is not counted yet.
fn news(refund: &RefundRow, made: Vec<ProviderRefund>) -> Option<ProviderRefund> {
    let ours = refund.refund_id.simple().to_string();
    let mut newest_failure = None;
    for made in made {
        // A refund that somebody made at the provider to pay this debt has our id only in our
        // books.
        let known = refund.provider_refund_id.as_deref() == Some(made.id.as_str());
        if made.refund_id.as_deref() != Some(&ours) && !known {
            continue;
        }
        if made.status != ProviderRefundStatus::Failed {
            return Some(made);
        }
        newest_failure.get_or_insert(made);
    }
    let counted = matches!(refund.status, RefundStatus::Failed | RefundStatus::NeedsOps);
    newest_failure
        .filter(|made| !counted || refund.provider_refund_id.as_deref() != Some(made.id.as_str()))
}

/// The result of an attempt.
#[derive(Clone, Debug)]
struct Outcome {
    status: ProviderRefundStatus,
    provider_refund_id: Option<String>,
    /// Whether a failure may be the last one, after which a person has to look; not one that the
    /// provider stored under the key because of its own error.
    wears_out: bool,
}

impl Outcome {
    fn of(made: ProviderRefund) -> Self {
        Self {
            status: made.status,
            provider_refund_id: Some(made.id),
            wears_out: true,
        }
    }

    fn failed(provider_refund_id: Option<String>) -> Self {
        Self {
            status: ProviderRefundStatus::Failed,
            provider_refund_id,
            wears_out: true,
        }
    }
}

fn change(refund: &RefundRow, outcome: Outcome, now: Timestamp) -> RefundChange {
    let refusal_count = match outcome.status {
        ProviderRefundStatus::Failed => refund.refusal_count + 1,
        ProviderRefundStatus::Pending | ProviderRefundStatus::Succeeded => refund.refusal_count,
    };
    let (status, wait) = match outcome.status {
        ProviderRefundStatus::Succeeded => (RefundStatus::Succeeded, Duration::ZERO),
        ProviderRefundStatus::Pending => (RefundStatus::Submitted, wait_pending(refund)),
        ProviderRefundStatus::Failed
            if outcome.wears_out && refusal_count >= REFUND_REFUSALS_MAX =>
        {
            (RefundStatus::NeedsOps, Duration::ZERO)
        }
        ProviderRefundStatus::Failed => {
            let shift = u32::try_from(refusal_count.clamp(0, 12)).unwrap_or(12);
            (
                RefundStatus::Failed,
                RETRY_MAX.min(Duration::from_secs(1 << shift)),
            )
        }
    };
    RefundChange {
        status,
        refusal_count,
        provider_refund_id: outcome.provider_refund_id,
        next_attempt_at: now.plus(wait),
    }
}

/// The wait grows with the number of attempts, within limits.
fn wait_pending(refund: &RefundRow) -> Duration {
    let doublings = u32::try_from(refund.attempt_count.saturating_sub(1).clamp(0, 7)).unwrap_or(7);
    RETRY_MAX.min(PENDING_WAIT * (1 << doublings))
}

/// The wait grows with the time since the provider last answered, within limits.
fn wait_unanswered(refund: &RefundRow, error: &ProviderError, now: Timestamp) -> Duration {
    let silence = now.since(refund.updated_at);
    let asked_for = error.retry_after().unwrap_or_default();
    silence
        .clamp(Duration::from_secs(1), RETRY_MAX)
        .max(asked_for)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn refund(status: RefundStatus, refusal_count: i32) -> RefundRow {
        RefundRow {
            refund_id: Uuid::from_u128(7),
            payment_id: Uuid::from_u128(8),
            hold_id: Uuid::from_u128(8),
            provider: "simulator".to_owned(),
            intent_id: Some("pi_1".to_owned()),
            amount_minor: 500,
            currency: "INR".to_owned(),
            provider_refund_id: Some("re_1".to_owned()),
            status,
            attempt_count: 3,
            refusal_count,
            updated_at: NOW,
        }
    }

    fn made(id: &str, status: ProviderRefundStatus) -> ProviderRefund {
        ProviderRefund {
            id: id.to_owned(),
            status,
            refund_id: Some(Uuid::from_u128(7).simple().to_string()),
            intent_id: Some("pi_1".to_owned()),
            amount_minor: 500,
            currency: "INR".to_owned(),
        }
    }

    #[test]
    fn each_failure_is_counted_once() {
        use ProviderRefundStatus::{Failed, Pending};
        for (status, made, found) in [
            (
                RefundStatus::Submitted,
                vec![made("re_1", Failed)],
                Some("re_1"),
            ),
            (
                RefundStatus::Succeeded,
                vec![made("re_1", Failed)],
                Some("re_1"),
            ),
            (RefundStatus::Failed, vec![made("re_1", Failed)], None),
            (RefundStatus::NeedsOps, vec![made("re_1", Failed)], None),
            (
                RefundStatus::Failed,
                vec![made("re_2", Failed), made("re_1", Failed)],
                Some("re_2"),
            ),
            (
                RefundStatus::Failed,
                vec![made("re_2", Failed), made("re_1", Pending)],
                Some("re_1"),
            ),
            (RefundStatus::Submitted, vec![], None),
        ] {
            let news = news(&refund(status, 1), made.clone());
            assert_eq!(
                news.as_ref().map(|made| made.id.as_str()),
                found,
                "{status:?} {made:?}"
            );
        }
        let other = ProviderRefund {
            refund_id: None,
            ..made("re_9", Pending)
        };
        assert!(news(&refund(RefundStatus::Submitted, 0), vec![other]).is_none());
    }

    #[test]
    fn only_refusals_wear_a_refund_out() {
        let nearly = refund(RefundStatus::Failed, REFUND_REFUSALS_MAX - 1);
        let pending = Outcome::of(made("re_1", ProviderRefundStatus::Pending));
        let still = change(&nearly, pending, NOW);
        assert_eq!(still.status, RefundStatus::Submitted);
        assert_eq!(still.refusal_count, REFUND_REFUSALS_MAX - 1);
        let refused = change(&nearly, Outcome::failed(None), NOW);
        assert_eq!(refused.status, RefundStatus::NeedsOps);
    }

    #[test]
    fn a_refund_that_stays_pending_is_asked_about_less_and_less() {
        for (attempts, seconds) in [(1, 30), (2, 60), (5, 480), (8, 3600), (900, 3600)] {
            let mut pending = refund(RefundStatus::Submitted, 0);
            pending.attempt_count = attempts;
            let outcome = Outcome::of(made("re_1", ProviderRefundStatus::Pending));
            let found = change(&pending, outcome, NOW).next_attempt_at;
            assert_eq!(found, NOW.plus(Duration::from_secs(seconds)), "{attempts}");
        }
    }

    #[test]
    fn silence_doubles_the_wait_within_bounds() {
        let down = ProviderError::Unavailable("down".to_owned());
        let after = |seconds| NOW.plus(Duration::from_secs(seconds));
        let refund = refund(RefundStatus::Submitted, 0);
        for (silent, wait) in [(0, 1), (1, 1), (40, 40), (100_000, 3600)] {
            let found = wait_unanswered(&refund, &down, after(silent));
            assert_eq!(found, Duration::from_secs(wait), "{silent}");
        }
        let fewer = ProviderError::RateLimited {
            retry_after: Duration::from_secs(9),
        };
        assert_eq!(
            wait_unanswered(&refund, &fewer, NOW),
            Duration::from_secs(9)
        );
    }
}
