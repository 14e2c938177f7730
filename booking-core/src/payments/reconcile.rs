//! Compares the provider's books with ours.
//!
//! Webhooks and the poller update the payments that we know. The comparison finds the rest: money
//! captured for an intent of ours that no payment names (after a database restore, or a lost
//! answer) is given back, and missed notifications are processed. Everything that the provider
//! creates is compared once, after it had time to settle, and again for weeks: see [`look_again`].
//!
//! [`look_again`]: super::look_again

use std::collections::HashMap;

use contract::Timestamp;
use contract::booking::PaymentStatus;
use uuid::Uuid;

use super::lane::Lane;
use super::provider::{
    Charge, Listed, ListedIntent, Origin, PaymentProvider, ProviderError, ProviderRefund,
    ProviderRefundStatus, RefundRequest,
};
use super::putting_off::{
    PASSES_BEFORE_PUT_OFF, count, is_broken, told_unless_stopped, unless_put_off, unless_refused,
};
use super::reconcile_report::{ReconcileError, ReconcileReport, Unconfigured};
use crate::config::{RECONCILE_BACK, RECONCILE_EVERY, RECONCILE_SETTLED_AFTER, RECONCILE_SLICE};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::store;
use crate::store::reconciliation::{Claim, Listing};
use crate::telemetry;

/// Pages read per listing; a person has to compare a range with more in smaller parts.
const PAGES_MAX: usize = 1000;
/// Failed refunds in one report.
const FAILED_REFUNDS_MAX: i64 = 1000;
/// Prefix of our ids of refunds for unknown intents.
const ORPHAN: &str = "orphan_";

impl Core {
    /// Compares what has not been compared yet with the books of each provider, if it is due and no
    /// other process does it.
    pub(crate) async fn reconcile_once(&self) -> Result<usize, StoreError> {
        let mut failed = None;
        for lane in self.providers.iter() {
            // The books of the others are compared all the same.
            if let Err(error) = self.reconcile_due(lane).await {
                failed.get_or_insert(error);
            }
        }
        self.unconfigured().await?;
        failed.map_or(Ok(0), Err)
    }

    async fn reconcile_due(&self, lane: &Lane) -> Result<(), StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let provider = lane.name();
        let (next, first) = (now.plus(RECONCILE_EVERY), now.minus(RECONCILE_BACK));
        let claim = store::reconciliation::claim(pool, provider, now, next, first).await?;
        let Some(mut claim) = claim else {
            return Ok(());
        };
        let end = now.minus(RECONCILE_SETTLED_AFTER);
        while claim.from < end && !self.shutdown.is_cancelled() {
            let until = end.min(claim.from.plus(RECONCILE_SLICE));
            let mut report = ReconcileReport::new(claim.from, until);
            report.passes_over = claim.failures >= PASSES_BEFORE_PUT_OFF;
            let compared = self.reconcile_with(lane, &mut report).await;
            if !told_unless_stopped(provider, None, compared)? {
                store::reconciliation::failed(pool, provider).await?;
                break;
            }
            store::reconciliation::advance(pool, provider, until).await?;
            claim = Claim {
                from: until,
                failures: 0,
            };
        }
        // Also when the first look was stopped: one thing of one listing may be all that fails.
        self.look_again(lane).await
    }

    /// Providers that are not configured and still have payments of ours.
    async fn unconfigured(&self) -> Result<Vec<Unconfigured>, StoreError> {
        let names = self.providers.names();
        let found = store::payments::of_other_providers(&self.pools.jobs, &names).await?;
        for (provider, open_payments) in &found {
            tracing::error!(
                provider,
                open_payments,
                "payments are open at a provider that is not configured: configure it again"
            );
        }
        let stranded: i64 = found.iter().map(|(_, count)| count).sum();
        let stranded = u32::try_from(stranded).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::PAYMENTS_STRANDED).set(f64::from(stranded));
        let found = found.into_iter();
        Ok(found
            .map(|(provider, open_payments)| Unconfigured {
                provider,
                open_payments,
            })
            .collect())
    }

    /// Compares everything that the providers created from `from` up to `until`, and acts on it.
    /// What one of them does not tell is an error only after the others were compared.
    pub(crate) async fn reconcile(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<ReconcileReport, ReconcileError> {
        let mut report = ReconcileReport::new(from, until);
        // The operator reads of what fails.
        report.passes_over = true;
        let mut silent = None;
        for lane in self.providers.iter() {
            match self.reconcile_with(lane, &mut report).await {
                Err(ReconcileError::Provider(error)) => {
                    tracing::warn!(%error, provider = lane.name(), "not compared");
                    silent.get_or_insert(error);
                }
                compared => compared?,
            }
        }
        if let Some(error) = silent {
            return Err(error.into());
        }
        let pool = &self.pools.jobs;
        report.failed_refunds = store::owed::failed_refunds(pool, FAILED_REFUNDS_MAX).await?;
        report.unconfigured_providers = self.unconfigured().await?;
        Ok(report)
    }

    /// Compares what one provider created within the range of `report`, and adds to it.
    async fn reconcile_with(
        &self,
        lane: &Lane,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        let (late_before, foreign_before) = (report.late_count, report.foreign_count);
        let mut stopped = None;
        for listing in Listing::ALL {
            // What one listing does not tell keeps nobody from the others.
            if let Err(error) = self.reconcile_listing(lane, listing, report).await {
                stopped.get_or_insert(error);
            }
        }
        count("late", report.late_count - late_before);
        count("foreign", report.foreign_count - foreign_before);
        stopped.map_or(Ok(()), Err)
    }

    async fn reconcile_listing(
        &self,
        lane: &Lane,
        listing: Listing,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        let mut listed = Listed::new(report.from, report.until);
        for _ in 0..PAGES_MAX {
            listed.after = match listing {
                Listing::Intents => {
                    let page = lane.intents(listed.clone()).await?;
                    self.reconcile_intents(lane, page.items, report).await?;
                    page.next
                }
                Listing::Refunds => {
                    let page = lane.refunds(listed.clone()).await?;
                    for refund in page.items {
                        let looked = self.reconcile_refund(lane, &refund, report).await;
                        unless_put_off(report, &refund.id, looked)?;
                    }
                    page.next
                }
                Listing::Disputes => {
                    let page = lane.disputes(listed.clone()).await?;
                    for dispute in page.items {
                        let of = dispute.intent_id.as_deref();
                        let looked = self.reconcile_returned(lane, of, report).await;
                        if unless_put_off(report, &dispute.id, looked)? == Some(true) {
                            report.disputes.push(dispute.id);
                        }
                    }
                    page.next
                }
            };
            if listed.after.is_none() {
                return Ok(());
            }
        }
        let too_many = format!("more than {PAGES_MAX} pages");
        Err(ProviderError::Unreadable(too_many).into())
    }

    pub(super) async fn reconcile_intents(
        &self,
        lane: &Lane,
        listed: Vec<ListedIntent>,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        report.intent_count += u64::try_from(listed.len()).unwrap_or(u64::MAX);
        let paid: Vec<ListedIntent> = listed
            .into_iter()
            .filter(|listed| listed.intent.received_minor > 0)
            .collect();
        let ids: Vec<String> = paid
            .iter()
            .flat_map(|listed| {
                [
                    Some(listed.intent.id.clone()),
                    listed.intent.charge_id.clone(),
                ]
            })
            .flatten()
            .collect();
        let known = store::reconciliation::known(&self.pools.jobs, lane.name(), &ids).await?;
        let known: HashMap<&str, (Uuid, PaymentStatus)> = known
            .iter()
            .map(|(intent, payment_id, status)| (intent.as_str(), (*payment_id, *status)))
            .collect();
        for listed in &paid {
            let looked = self.reconcile_intent(lane, listed, &known, report).await;
            unless_put_off(report, &listed.charge().id, looked)?;
        }
        Ok(())
    }

    async fn reconcile_intent(
        &self,
        lane: &Lane,
        listed: &ListedIntent,
        known: &HashMap<&str, (Uuid, PaymentStatus)>,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        let charge = listed.charge();
        let of_charge = known.get(charge.id.as_str());
        match of_charge.or(known.get(listed.intent.id.as_str())) {
            Some((payment_id, status)) => {
                let is_known = of_charge.is_some();
                if *status != PaymentStatus::Succeeded {
                    self.catch_up(*payment_id, report).await?;
                }
                if !is_known {
                    self.reconcile_second(*payment_id, &charge, report).await?;
                }
                Ok(())
            }
            None => self.reconcile_unknown(lane, listed, report).await,
        }
    }

    /// Asks about a payment that is behind. False if it was left as it is, for a person to look.
    async fn catch_up(
        &self,
        payment_id: Uuid,
        report: &mut ReconcileReport,
    ) -> Result<bool, ReconcileError> {
        tracing::warn!(payment = %payment_id, "the provider has money that we had not heard of");
        report.late_count += 1;
        let resolved = match self.resolve_payment(payment_id, None).await {
            Err(error) if error.is_of_the_data() => {
                is_broken(&error, payment_id);
                return Ok(false);
            }
            resolved => resolved?,
        };
        let unanswered = resolved.and_then(|resolved| resolved.unanswered);
        let told = unless_refused(unanswered.map_or(Ok(()), Err), payment_id)?;
        Ok(told.is_some())
    }

    /// Handles captured money of an intent whose payment has succeeded with other money. True if it
    /// was new.
    async fn reconcile_second(
        &self,
        payment_id: Uuid,
        charge: &Charge,
        report: &mut ReconcileReport,
    ) -> Result<bool, ReconcileError> {
        let is_new = match self.charge_again(payment_id, charge).await {
            Err(error) if error.is_of_the_data() => {
                is_broken(&error, payment_id);
                return Ok(true);
            }
            entered => entered?,
        };
        if is_new {
            count("second", 1);
            report.second_payments.push(charge.id.clone());
        }
        Ok(is_new)
    }

    /// Handles captured money of an intent that no payment names.
    async fn reconcile_unknown(
        &self,
        lane: &Lane,
        listed: &ListedIntent,
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        let intent = &listed.intent;
        let origin = match &listed.origin {
            Some(origin) => origin.clone(),
            None => match lane.origin_of(&intent.id).await {
                // Nothing of ours is unknown to the provider.
                Err(ProviderError::Refused { .. }) => Origin::default(),
                told => told?,
            },
        };
        let (pool, provider) = (&self.pools.jobs, lane.name());
        let mut found = None;
        let mut has_hold = false;
        if let Some((hold_id, attempt_no)) = origin.attempt {
            found = store::payments::by_attempt(pool, provider, hold_id, attempt_no).await?;
            has_hold = found.is_some() || store::holds::find(pool, hold_id).await?.is_some();
        }
        // Other shops may use the same account; their intents are ignored. The address of this one
        // may have changed since.
        let ours = format!("{}/holds/", self.config.public_url);
        let return_url = origin.return_url.as_deref();
        if !has_hold && !return_url.is_some_and(|url| url.starts_with(&ours)) {
            report.foreign_count += 1;
            return Ok(());
        }
        // The answer with the intent's id may have been lost while its attempt is still open.
        if let Some(payment_id) = found
            && let Some(payment) = store::payments::find(pool, payment_id).await?
            && payment.status != PaymentStatus::Succeeded
            && (payment.intent_id.is_some() || payment.provider_open)
        {
            if !self.catch_up(payment_id, report).await? {
                return Ok(());
            }
            // The money may be of a page whose payment names the page.
            let now_known = store::payments::by_intent(pool, provider, &intent.id).await?;
            if now_known == Some(payment_id) || payment.intent_id.is_none() {
                return Ok(());
            }
        }
        if let Some(payment_id) = found
            && self
                .reconcile_second(payment_id, &listed.charge(), report)
                .await?
        {
            return Ok(());
        }
        // It may have been booked since the page was compared, by a poll or a confirmation.
        let charge = intent.charge_id.as_ref().unwrap_or(&intent.id);
        for id in [&intent.id, charge] {
            if (store::payments::by_intent(pool, provider, id).await?).is_some() {
                return Ok(());
            }
        }
        tracing::error!(
            intent = intent.id,
            amount_minor = intent.received_minor,
            currency = intent.currency,
            "money was taken for an intent of ours that no payment names: it goes back"
        );
        let id = format!("{ORPHAN}{charge}");
        let Some(made) = unless_refused(lane.refunds_of(charge).await, charge)? else {
            count("orphan-kept", 1);
            report.kept_orphans.push(intent.id.clone());
            return Ok(());
        };
        let ours = |refund: &&ProviderRefund| refund.refund_id.as_deref() == Some(id.as_str());
        if (made.iter().filter(ours)).any(|made| made.status != ProviderRefundStatus::Failed) {
            // The refund was requested by an earlier comparison.
            return Ok(());
        }
        // The provider repeats its first answer to a key for a day, failures included, so the key
        // changes every hour. Refunds that exist were found above, so a new key cannot refund
        // twice.
        let hour = self.clock.now().as_unix_seconds() / 3600;
        let refund = lane.refund(RefundRequest {
            intent_id: charge.clone(),
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

    pub(super) async fn reconcile_refund(
        &self,
        lane: &Lane,
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
                self.reconcile_returned(lane, made.intent_id.as_deref(), report)
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
                    looked => {
                        unless_refused(looked?, refund.refund_id)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Core {
    /// Handles money of an intent that was given back outside the shop. False if the intent is not
    /// ours.
    pub(super) async fn reconcile_returned(
        &self,
        lane: &Lane,
        intent_id: Option<&str>,
        report: &mut ReconcileReport,
    ) -> Result<bool, ReconcileError> {
        let (pool, provider) = (&self.pools.jobs, lane.name());
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
            looked => looked?,
        };
        let Some(look) = unless_refused(look, payment_id)? else {
            return Ok(true);
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
