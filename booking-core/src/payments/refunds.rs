//! Giving money back.

use std::time::Duration;

use super::RefundStatus;
use super::provider::{ProviderError, ProviderRefund, ProviderRefundStatus, RefundRequest};
use crate::config::{REFUND_TRIES_MAX, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::store;
use crate::store::refunds::RefundRow;
use crate::telemetry;

/// Time in which a worker that claimed a refund has to be done with it.
const CLAIM: Duration = Duration::from_mins(1);
/// Wait before a refund that the provider has is asked about again.
const PENDING_WAIT: Duration = Duration::from_secs(30);
/// Longest wait between two tries of a refused refund.
const RETRY_SECONDS_MAX: u64 = 3600;

impl Core {
    /// Works on refunds that are due. Returns how many there were.
    pub(crate) async fn refund_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let due = store::refunds::claim_due(pool, now, now.plus(CLAIM), WORK_BATCH_MAX).await?;
        for refund in &due {
            self.refund_one(refund).await?;
        }
        Ok(due.len())
    }

    async fn refund_one(&self, refund: &RefundRow) -> Result<(), StoreError> {
        let outcome = self.refund_ask(refund).await;
        let now = self.clock.now();
        let (status, id, wait) = match &outcome {
            Ok(answer) => match answer.status {
                ProviderRefundStatus::Succeeded => {
                    (RefundStatus::Succeeded, Some(&*answer.id), Duration::ZERO)
                }
                ProviderRefundStatus::Pending => {
                    (RefundStatus::Submitted, Some(&*answer.id), PENDING_WAIT)
                }
                ProviderRefundStatus::Failed => refused(refund, Some(&*answer.id)),
            },
            Err(error) => {
                tracing::warn!(%error, refund = %refund.refund_id, "refund not done yet");
                refused(refund, None)
            }
        };
        if status == RefundStatus::NeedsOps {
            tracing::error!(refund = %refund.refund_id, "refund given up: a person has to look");
        }
        metrics::counter!(telemetry::REFUNDS, "status" => status.as_str()).increment(1);
        let next = now.plus(wait);
        store::refunds::record(&self.pools.jobs, refund, status, id, next, now).await
    }

    async fn refund_ask(&self, refund: &RefundRow) -> Result<ProviderRefund, ProviderError> {
        let intent_id = refund
            .intent_id
            .as_deref()
            .ok_or_else(|| ProviderError::Unreadable("a refund without an intent".to_owned()))?;
        let ours = refund.refund_id.simple().to_string();
        // An answer may have been lost longer ago than the provider remembers keys, so a refund
        // that was tried before is looked for first.
        if refund.attempt_count > 1 || refund.provider_refund_id.is_some() {
            let made = self.provider.refunds_of(intent_id).await?;
            let found = made.into_iter().find(|made| {
                made.refund_id.as_deref() == Some(&ours)
                    && made.status != ProviderRefundStatus::Failed
            });
            if let Some(found) = found {
                return Ok(found);
            }
        }
        self.provider
            .refund(RefundRequest {
                intent_id: intent_id.to_owned(),
                amount_minor: refund.amount_minor,
                refund_id: ours,
            })
            .await
    }
}

fn refused<'a>(
    refund: &RefundRow,
    id: Option<&'a str>,
) -> (RefundStatus, Option<&'a str>, Duration) {
    if refund.attempt_count >= REFUND_TRIES_MAX {
        return (RefundStatus::NeedsOps, id, Duration::ZERO);
    }
    let shift = u32::try_from(refund.attempt_count.clamp(0, 11)).unwrap_or(11);
    let wait = Duration::from_secs(RETRY_SECONDS_MAX.min(1 << shift));
    (RefundStatus::Failed, id, wait)
}
