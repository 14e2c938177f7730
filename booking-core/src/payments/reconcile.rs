//! Compares the provider's books with ours.
//!
//! Webhooks and the poller update the payments that we know. The comparison finds the rest: money
//! captured for an intent of ours that no payment names (after a database restore, or a lost
//! answer) is given back, and missed notifications are processed. Everything that the provider
//! creates is compared once, after it had time to settle.

use std::collections::HashMap;

use contract::booking::PaymentStatus;
use contract::{BookingId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::provider::{
    Listed, ListedIntent, ProviderError, ProviderRefund, ProviderRefundStatus, RefundRequest,
};
use crate::config::{RECONCILE_BACK, RECONCILE_EVERY, RECONCILE_SETTLED_AFTER, RECONCILE_SLICE};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::store;
use crate::store::owed::FailedRefund;
use crate::telemetry;

/// Pages read per listing; a person has to compare a range with more in smaller parts.
const PAGES_MAX: usize = 1000;
/// Failed refunds in one report.
const FAILED_REFUNDS_MAX: i64 = 1000;
/// Prefix of our ids of refunds for unknown intents.
const ORPHAN: &str = "orphan_";

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileReport {
    /// Everything made from here
    pub from: Timestamp,
    /// up to here, not included, was looked at.
    pub until: Timestamp,
    /// Intents that the provider named.
    pub intent_count: u64,
    /// Refunds that the provider named.
    pub refund_count: u64,
    /// Payments and refunds of ours that were behind, and were asked about.
    pub late_count: u64,
    /// Intents of ours that took money which no payment names. The money goes back.
    pub orphaned_intents: Vec<String>,
    /// Such intents whose money the provider would not give back: a person has to look.
    pub kept_orphans: Vec<String>,
    /// Refunds under an id of ours that we do not have.
    pub unknown_refunds: Vec<String>,
    /// Bookings whose money went back at the provider, by a refund or a dispute. Their tickets are
    /// void.
    pub refunded_bookings: Vec<BookingId>,
    /// Bookings of whose money a part went back at the provider: a person has to say which
    /// tickets are meant.
    pub partly_refunded_bookings: Vec<BookingId>,
    /// Disputes about payments of ours: a person has to answer them.
    pub disputes: Vec<String>,
    /// Refunds and disputes of more than was taken: a person has to look.
    pub unexplained_returns: Vec<String>,
    /// Refunds that failed for good, however long ago, and whose money has not gone back since: a
    /// person has to refund it at the provider.
    pub failed_refunds: Vec<FailedRefund>,
    /// Intents with money, refunds and disputes that others made with the same account.
    pub foreign_count: u64,
}

impl ReconcileReport {
    fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            intent_count: 0,
            refund_count: 0,
            late_count: 0,
            orphaned_intents: Vec::new(),
            kept_orphans: Vec::new(),
            unknown_refunds: Vec::new(),
            refunded_bookings: Vec::new(),
            partly_refunded_bookings: Vec::new(),
            disputes: Vec::new(),
            unexplained_returns: Vec::new(),
            failed_refunds: Vec::new(),
            foreign_count: 0,
        }
    }
}

/// Why a comparison was aborted.
#[derive(Debug)]
pub(crate) enum ReconcileError {
    Store(StoreError),
    Provider(ProviderError),
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ProviderError> for ReconcileError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl Core {
    /// Compares what has not been compared yet, if it is due and no other process does it.
    pub(crate) async fn reconcile_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let provider = &self.config.payment.provider;
        let (next, first) = (now.plus(RECONCILE_EVERY), now.minus(RECONCILE_BACK));
        let claim = store::reconciliation::claim(pool, provider, now, next, first).await?;
        let Some(mut from) = claim else { return Ok(0) };
        let end = now.minus(RECONCILE_SETTLED_AFTER);
        while from < end && !self.shutdown.is_cancelled() {
            let until = end.min(from.plus(RECONCILE_SLICE));
            match self.reconcile(from, until).await {
                Ok(_) => store::reconciliation::advance(pool, provider, until).await?,
                Err(ReconcileError::Store(error)) => return Err(error),
                Err(ReconcileError::Provider(error)) => {
                    tracing::warn!(%error, "the provider's books could not be compared with ours");
                    return Ok(0);
                }
            }
            from = until;
        }
        Ok(0)
    }

    /// Compares everything that the provider created from `from` up to `until`, and acts on it.
    pub(crate) async fn reconcile(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<ReconcileReport, ReconcileError> {
        let mut report = ReconcileReport::new(from, until);
        let mut listed = Listed::new(from, until);
        let mut pages = 0..PAGES_MAX;
        loop {
            next_page(&mut pages)?;
            let page = self.provider.intents(listed.clone()).await?;
            listed.after = page.items.last().map(|listed| listed.intent.id.clone());
            self.reconcile_intents(page.items, &mut report).await?;
            if !page.has_more || listed.after.is_none() {
                break;
            }
        }
        let mut listed = Listed::new(from, until);
        let mut pages = 0..PAGES_MAX;
        loop {
            next_page(&mut pages)?;
            let page = self.provider.refunds(listed.clone()).await?;
            listed.after = page.items.last().map(|refund| refund.id.clone());
            for refund in page.items {
                self.reconcile_refund(&refund, &mut report).await?;
            }
            if !page.has_more || listed.after.is_none() {
                break;
            }
        }
        let mut listed = Listed::new(from, until);
        let mut pages = 0..PAGES_MAX;
        loop {
            next_page(&mut pages)?;
            let page = self.provider.disputes(listed.clone()).await?;
            listed.after = page.items.last().map(|dispute| dispute.id.clone());
            for dispute in page.items {
                if self
                    .reconcile_returned(dispute.intent_id.as_deref(), &mut report)
                    .await?
                {
                    report.disputes.push(dispute.id);
                }
            }
            if !page.has_more || listed.after.is_none() {
                break;
            }
        }
        let pool = &self.pools.jobs;
        report.failed_refunds = store::owed::failed_refunds(pool, FAILED_REFUNDS_MAX).await?;
        count("late", report.late_count);
        count("foreign", report.foreign_count);
        Ok(report)
    }

    async fn reconcile_intents(
        &self,
        listed: Vec<ListedIntent>,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        report.intent_count += u64::try_from(listed.len()).unwrap_or(u64::MAX);
        let paid: Vec<ListedIntent> = listed
            .into_iter()
            .filter(|listed| listed.intent.received_minor > 0)
            .collect();
        let ids: Vec<String> = paid.iter().map(|listed| listed.intent.id.clone()).collect();
        let provider = &self.config.payment.provider;
        let known = store::reconciliation::known(&self.pools.jobs, provider, &ids).await?;
        let known: HashMap<&str, (Uuid, PaymentStatus)> = known
            .iter()
            .map(|(intent, payment_id, status)| (intent.as_str(), (*payment_id, *status)))
            .collect();
        for listed in &paid {
            match known.get(listed.intent.id.as_str()) {
                Some((_, PaymentStatus::Succeeded)) => {}
                Some((payment_id, _)) => self.catch_up(*payment_id, report).await?,
                None => self.reconcile_unknown(listed, report).await?,
            }
        }
        Ok(())
    }

    async fn catch_up(
        &self,
        payment_id: Uuid,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        tracing::warn!(payment = %payment_id, "the provider has money that we had not heard of");
        report.late_count += 1;
        let resolved = match self.resolve_payment(payment_id, None).await {
            Err(error) if error.is_of_the_data() => {
                is_broken(&error, payment_id);
                return Ok(());
            }
            resolved => resolved?,
        };
        match resolved.and_then(|resolved| resolved.unanswered) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Handles captured money of an intent that no payment names.
    async fn reconcile_unknown(
        &self,
        listed: &ListedIntent,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        // Other shops may use the same account; their intents are ignored.
        let ours = format!("{}/holds/", self.config.public_url);
        if !listed
            .return_url
            .as_deref()
            .is_some_and(|url| url.starts_with(&ours))
        {
            report.foreign_count += 1;
            return Ok(());
        }
        // The answer with the intent's id may have been lost while its attempt is still open.
        if let Some((hold_id, attempt_no)) = listed.attempt {
            let pool = &self.pools.jobs;
            let payment_id = store::payments::by_attempt(pool, hold_id, attempt_no).await?;
            if let Some(payment_id) = payment_id
                && let Some(payment) = store::payments::find(pool, payment_id).await?
                && payment.intent_id.is_none()
                && payment.provider_open
            {
                return self.catch_up(payment_id, report).await;
            }
        }
        let intent = &listed.intent;
        tracing::error!(
            intent = intent.id,
            amount_minor = intent.received_minor,
            currency = intent.currency,
            "money was taken for an intent of ours that no payment names: it goes back"
        );
        let id = format!("{ORPHAN}{}", intent.id);
        let made = self.provider.refunds_of(&intent.id).await?;
        let ours = |refund: &&ProviderRefund| refund.refund_id.as_deref() == Some(id.as_str());
        if (made.iter().filter(ours)).any(|made| made.status != ProviderRefundStatus::Failed) {
            // The refund was requested by an earlier comparison.
            return Ok(());
        }
        // The provider repeats its first answer to a key for a day, failures included, so the key
        // changes every hour. Refunds that exist were found above, so a new key cannot refund
        // twice.
        let hour = self.clock.now().as_unix_seconds() / 3600;
        let refund = self.provider.refund(RefundRequest {
            intent_id: intent.id.clone(),
            amount_minor: intent.received_minor,
            currency: intent.currency.clone(),
            idempotency_key: format!("{id}_{hour}"),
            refund_id: id,
        });
        match refund.await {
            Ok(_) => {
                count("orphan", 1);
                report.orphaned_intents.push(intent.id.clone());
                Ok(())
            }
            Err(ProviderError::Refused { message, .. }) => {
                count("orphan-kept", 1);
                report.kept_orphans.push(intent.id.clone());
                tracing::error!(
                    intent = intent.id,
                    message,
                    "orphaned money was not given back: a person has to look"
                );
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn reconcile_refund(
        &self,
        made: &ProviderRefund,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        report.refund_count += 1;
        let ours = made.refund_id.as_deref();
        if ours.is_some_and(|id| id.starts_with(ORPHAN)) {
            if made.status == ProviderRefundStatus::Failed {
                count("orphan-kept", 1);
                tracing::error!(
                    refund = made.id,
                    "a refund of orphaned money failed: a person has to look"
                );
            }
            return Ok(());
        }
        let refund_id = ours.and_then(|id| id.parse::<Uuid>().ok());
        let pool = &self.pools.jobs;
        match store::refunds::by_provider(pool, &made.id, refund_id).await? {
            None if refund_id.is_none() => {
                self.reconcile_returned(made.intent_id.as_deref(), report)
                    .await?;
            }
            None => {
                tracing::error!(refund = made.id, "a refund under an id that we do not have");
                count("unknown-refund", 1);
                report.unknown_refunds.push(made.id.clone());
            }
            Some(refund)
                if refund.status == RefundStatus::Succeeded
                    && made.status == ProviderRefundStatus::Succeeded => {}
            Some(refund) => {
                report.late_count += 1;
                match self.refund_look(&refund).await {
                    Err(error) if error.is_of_the_data() => is_broken(&error, refund.refund_id),
                    looked => looked??,
                }
            }
        }
        Ok(())
    }
}

impl Core {
    /// Handles money of an intent that was given back outside the shop. False if the intent is not
    /// ours.
    async fn reconcile_returned(
        &self,
        intent_id: Option<&str>,
        report: &mut ReconcileReport,
    ) -> Result<bool, ReconcileError> {
        let (pool, provider) = (&self.pools.jobs, &self.config.payment.provider);
        let payment_id = match intent_id {
            Some(intent_id) => store::payments::by_intent(pool, provider, intent_id).await?,
            None => None,
        };
        let Some(payment_id) = payment_id else {
            report.foreign_count += 1;
            return Ok(false);
        };
        let look = match self.returns_look(payment_id).await {
            Err(error) if error.is_of_the_data() => {
                is_broken(&error, payment_id);
                return Ok(true);
            }
            looked => looked??,
        };
        if let Some(booking) = look.booking.filter(|_| look.any) {
            let list = if look.whole {
                &mut report.refunded_bookings
            } else {
                &mut report.partly_refunded_bookings
            };
            if !list.contains(&booking) {
                list.push(booking);
            }
        }
        for id in look.unexplained {
            if !report.unexplained_returns.contains(&id) {
                report.unexplained_returns.push(id);
            }
        }
        Ok(true)
    }
}

/// Counts one page of a listing; fails at the limit.
fn next_page(pages: &mut std::ops::Range<usize>) -> Result<(), ProviderError> {
    let too_many = || ProviderError::Unreadable(format!("more than {PAGES_MAX} pages"));
    pages.next().map(drop).ok_or_else(too_many)
}

/// Logs a row that cannot be processed; the comparison of the others goes on.
fn is_broken(error: &StoreError, id: Uuid) {
    count("broken", 1);
    tracing::error!(
        error = error as &dyn std::error::Error,
        id = %id,
        "a late payment or refund cannot be worked on: a person has to look"
    );
}

fn count(outcome: &'static str, times: u64) {
    if times > 0 {
        metrics::counter!(telemetry::RECONCILED, "outcome" => outcome).increment(times);
    }
}
