//! The resolver: the only place that moves money.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use contract::booking::{HoldStatus, PaymentStatus};
use sqlx::PgConnection;
use uuid::Uuid;

use super::accepting::{take_or_leave, with_kind};
use super::backoff;
use super::decision::{Decision, HoldEffect, decide, next_poll};
use super::gathered::Keyed;
use super::provider::{CancelReason, Intent, IntentStatus, ProviderError};
use super::questions::Begun;
use super::resolution::{Answer, Resolution};
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::{Disposition, FailureReason};
use crate::store;
use crate::store::bookings::BookingRow;
use crate::store::holds::HoldRow;
use crate::store::payments::{PaymentChange, PaymentRow};
use crate::store::seats::SeatReport;
use crate::telemetry;

/// Wait before the next poll after the provider did not answer, doubled with each.
const PROVIDER_RETRY: Duration = Duration::from_secs(5);
/// Longest wait before the next poll while the provider does not answer.
const PROVIDER_RETRY_MAX: Duration = Duration::from_mins(1);

impl Core {
    /// Asks the provider about a payment and acts on the answer. Safe to call concurrently, from a
    /// confirmation, a webhook, a poll or the end of a hold.
    ///
    /// With `cancel`, an open intent is cancelled; the intent of a hold past its end is cancelled
    /// in any case.
    pub(crate) async fn resolve_payment(
        &self,
        payment_id: Uuid,
        cancel: Option<CancelReason>,
    ) -> Result<Option<Resolution>, StoreError> {
        if cancel.is_some() {
            return self.resolve_now(payment_id, cancel).await;
        }
        let ask = |_| async { Arc::new(self.resolve_now(payment_id, None).await) };
        shared(&self.questions.shared(payment_id, ask).await)
    }

    /// Like [`Core::resolve_payment`], for a hold and payment that were just read. The answer of
    /// `keyed` is stored if the booking is made now.
    pub(crate) async fn resolve_read(
        &self,
        hold: HoldRow,
        payment: PaymentRow,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Option<Resolution>, StoreError> {
        let payment_id = payment.payment_id;
        let ask = |begun| async move {
            let resolved = match begun {
                Begun::Alone => self
                    .resolve_from(hold, payment, None, keyed)
                    .await
                    .map(Some),
                Begun::AmongOthers => self.resolve_now(payment_id, None).await,
            };
            Arc::new(resolved)
        };
        shared(&self.questions.shared(payment_id, ask).await)
    }

    async fn resolve_now(
        &self,
        payment_id: Uuid,
        cancel: Option<CancelReason>,
    ) -> Result<Option<Resolution>, StoreError> {
        let (mut connection, turn) = self.settling.acquire().await?;
        let Some(payment) = store::payments::find(&mut *connection, payment_id).await? else {
            return Ok(None);
        };
        let hold = store::holds::find(&mut *connection, payment.hold_id).await?;
        let Some(hold) = hold else {
            return Ok(None);
        };
        let booking = find_booking(&mut connection, &hold).await?;
        drop((connection, turn));
        if payment.is_settled() {
            return Ok(Some(Resolution {
                hold,
                payment,
                booking,
                unanswered: None,
                answered: None,
            }));
        }
        self.resolve_from(hold, payment, cancel, None)
            .await
            .map(Some)
    }

    async fn resolve_from(
        &self,
        hold: HoldRow,
        payment: PaymentRow,
        cancel: Option<CancelReason>,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Resolution, StoreError> {
        let payment_id = payment.payment_id;
        // Before the provider is asked, which may take minutes: a provider that hangs must not keep
        // seats.
        if hold.is_open() && hold.hard_deadline <= self.clock.now() {
            self.give_up_if_due(payment_id, payment.hold_id).await?;
        }
        let closing = cancel.is_some();
        let answer = self.ask_and_note(&hold, &payment, cancel).await?;
        let resolution = match answer {
            Ok(intent) => match self.book_gathered(&hold, &payment, &intent, keyed).await? {
                Some(booked) => booked,
                None => {
                    repeat_if_contended(|| self.settle(payment_id, payment.hold_id, &intent))
                        .await?
                }
            },
            Err(error) => {
                tracing::warn!(%error, payment = %payment_id, "payment could not be resolved");
                let hold_id = payment.hold_id;
                repeat_if_contended(|| self.settle_unknown(payment_id, hold_id, &error, closing))
                    .await?
            }
        };
        self.catalogue.apply(&resolution.1);
        Ok(resolution.0)
    }

    /// Frees the seats of a hold past its hard deadline while `payment_id` may still be paid. Does
    /// not ask the provider. True if it freed them.
    pub(crate) async fn give_up_if_due(
        &self,
        payment_id: Uuid,
        hold_id: Uuid,
    ) -> Result<bool, StoreError> {
        let reports = repeat_if_contended(|| self.try_give_up(payment_id, hold_id)).await?;
        self.catalogue.apply(&reports);
        Ok(!reports.is_empty())
    }

    async fn try_give_up(
        &self,
        payment_id: Uuid,
        hold_id: Uuid,
    ) -> Result<Vec<SeatReport>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.sweep.begin().await?;
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        if !is_past_patience(&hold, &payment, now) {
            return Ok(Vec::new());
        }
        let reports = give_up(&mut tx, &hold, &payment, now).await?;
        tx.commit().await?;
        Ok(reports)
    }

    /// Fetches the intent, and cancels it first if it has to be closed.
    pub(crate) async fn ask_provider(
        &self,
        hold: &HoldRow,
        payment: &PaymentRow,
        cancel: Option<CancelReason>,
    ) -> Result<Intent, ProviderError> {
        let over = !hold.is_open() || hold.expires_at <= self.clock.now();
        let reason = cancel.or(over.then_some(CancelReason::Abandoned));
        if reason.is_some() && payment.was_never_made() {
            // Nothing is made only to be cancelled.
            return Err(ProviderError::NotSent(
                "there is nothing to close".to_owned(),
            ));
        }
        if payment.is_free() {
            return Ok(super::free::intent(payment, cancel));
        }
        let made = match self.ensure_intent(payment, false).await {
            Ok(made) => made?,
            Err(cause) => return Err(ProviderError::Unavailable(cause.to_string())),
        };
        let provider = self.providers.named(&payment.provider)?;
        let provider = provider.about(payment.hold_id);
        let intent_id = made.intent_id.unwrap_or_default();
        let intent = provider.fetch_intent(&intent_id).await?;
        if intent.status == IntentStatus::Authorized {
            return take_or_leave(provider, payment, intent, reason).await;
        }
        let closed = matches!(
            intent.status,
            IntentStatus::Succeeded | IntentStatus::Cancelled(_)
        );
        let intent = match reason {
            Some(reason) if !closed => {
                match provider.cancel_intent(&intent_id, reason).await {
                    Ok(intent) => intent,
                    // The intent changed between the two calls, or the bank is processing it and it
                    // cannot be cancelled.
                    Err(ProviderError::Refused { .. } | ProviderError::Busy) => {
                        provider.fetch_intent(&intent_id).await?
                    }
                    Err(error) => return Err(error),
                }
            }
            _ => intent,
        };
        with_kind(provider, payment, intent).await
    }

    async fn settle(
        &self,
        payment_id: Uuid,
        hold_id: Uuid,
        intent: &Intent,
    ) -> Result<(Resolution, Vec<SeatReport>), StoreError> {
        let (mut tx, _turn) = self.settling.begin().await?;
        let now = self.clock.now();
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        if let Some(charge) = intent
            .charge_id
            .as_deref()
            .filter(|_| payment.charge_id.is_none())
        {
            store::payments::set_charge(&mut tx, payment_id, charge).await?;
        }
        let mut reports = Vec::new();
        if let Some(decision) = decide(&hold, &payment, intent, now) {
            reports = self
                .carry_out(&mut tx, &hold, &payment, decision, now)
                .await?;
        }
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        self.charges_note(&mut tx, &payment, &intent.others, now)
            .await?;
        // Past the hard deadline, a payment that is still open must not keep seats.
        if is_past_patience(&hold, &payment, now) {
            reports.extend(give_up(&mut tx, &hold, &payment, now).await?);
        }
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        let booking = find_booking(&mut tx, &hold).await?;
        tx.commit().await?;
        let resolution = Resolution {
            hold,
            payment,
            booking,
            unanswered: None,
            answered: None,
        };
        Ok((resolution, reports))
    }

    /// Records that the provider could not be asked: only the next poll changes, until the hard
    /// deadline.
    async fn settle_unknown(
        &self,
        payment_id: Uuid,
        hold_id: Uuid,
        error: &ProviderError,
        closing: bool,
    ) -> Result<(Resolution, Vec<SeatReport>), StoreError> {
        let (mut tx, _turn) = self.settling.begin().await?;
        let now = self.clock.now();
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        let mut reports = Vec::new();
        if payment.status != PaymentStatus::Succeeded {
            let over = closing || !hold.is_open() || hold.expires_at <= now;
            if let Some(reason) = never_payable(&payment, error, over) {
                let change = refused(reason, now);
                store::payments::update(&mut tx, payment_id, &change, now).await?;
                store::holds::refresh_payment_open(&mut tx, hold_id).await?;
                metrics::counter!(telemetry::PAYMENT_FAILURES, "reason" => reason.as_str())
                    .increment(1);
            } else if is_past_patience(&hold, &payment, now) {
                reports = give_up(&mut tx, &hold, &payment, now).await?;
            } else {
                let change = PaymentChange {
                    status: payment.status,
                    failure_reason: payment.failure_reason,
                    provider_open: payment.provider_open,
                    captured_minor: 0,
                    captured_currency: None,
                    disposition: None,
                    next_poll_at: next_poll(&hold, now, self.retry_wait(&payment, error).as_secs()),
                };
                store::payments::update(&mut tx, payment_id, &change, now).await?;
            }
        }
        let (hold, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        let booking = find_booking(&mut tx, &hold).await?;
        tx.commit().await?;
        let resolution = Resolution {
            hold,
            payment,
            booking,
            unanswered: Some(error.clone()),
            answered: None,
        };
        Ok((resolution, reports))
    }

    /// How long to wait before the provider is asked again.
    fn retry_wait(&self, payment: &PaymentRow, error: &ProviderError) -> Duration {
        // The first polls of a payment come quickly, because its customer is waiting.
        let failures = u32::try_from(payment.poll_count / 4).unwrap_or(0);
        let chance = u64::from_be_bytes(self.randomness.bytes());
        let (first, longest) = (PROVIDER_RETRY, PROVIDER_RETRY_MAX);
        backoff::wait(failures, first, longest, error.retry_after(), chance)
    }

    /// Writes a decision. Locks follow the order in [`store`].
    async fn carry_out(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        payment: &PaymentRow,
        mut decision: Decision,
        now: Timestamp,
    ) -> Result<Vec<SeatReport>, StoreError> {
        let mut reports = Vec::new();
        let mut refund = None;
        let mut book = false;
        match decision.hold {
            HoldEffect::Paying => {
                store::holds::set_status(tx, hold.hold_id, HoldStatus::Paying, now).await?;
            }
            HoldEffect::Active if hold.status == HoldStatus::Paying => {
                store::holds::set_status(tx, hold.hold_id, HoldStatus::Active, now).await?;
            }
            HoldEffect::Keep | HoldEffect::Active => {}
            HoldEffect::End(status) => {
                reports = store::holds::close(tx, hold, status, now).await?;
                count_ended(status);
            }
            HoldEffect::Refund(reason) => {
                if hold.is_open() {
                    reports = store::holds::close(tx, hold, HoldStatus::Released, now).await?;
                    count_ended(HoldStatus::Released);
                }
                refund = Some(reason);
            }
            HoldEffect::Return(reason) => {
                // The customer may pay anew, unless another attempt is under way.
                if hold.status == HoldStatus::Paying && payment.attempt_no == hold.attempt_count {
                    store::holds::set_status(tx, hold.hold_id, HoldStatus::Active, now).await?;
                }
                refund = Some(reason);
            }
            HoldEffect::Book => book = true,
            HoldEffect::Retake => {
                let limit = store::holds::ticket_limit(tx, hold.show_no).await?;
                book = store::seats::take_again(tx, &hold.returned(), limit).await?;
                if !book {
                    decision.change.disposition = Some(Disposition::AutoRefund);
                    refund = Some("seats-gone");
                } else if let Some(use_id) = hold.coupon_use_id
                    && !store::coupons::take_again(tx, use_id).await?
                {
                    // The seats were taken above.
                    reports = store::seats::give_back(tx, &[hold.returned()]).await?;
                    book = false;
                    decision.change.disposition = Some(Disposition::AutoRefund);
                    refund = Some("coupon-gone");
                }
            }
        }
        if let Some(until) = decision.extend_to {
            store::holds::extend(tx, hold.hold_id, until, now).await?;
        }
        store::payments::update(tx, payment.payment_id, &decision.change, now).await?;
        if payment.status != decision.change.status {
            count_change(decision.change.status, decision.change.failure_reason);
        }
        if book {
            reports.extend(self.book(tx, hold, payment, now).await?);
            if let Some(use_id) = hold.coupon_use_id {
                store::coupons::booked(tx, use_id, &hold.currency, now).await?;
            }
        }
        if decision.change.status == PaymentStatus::Succeeded {
            let account = if book { "bookings" } else { "refunds" };
            let currency = decision.change.captured_currency.as_deref();
            store::payments::ledger(
                tx,
                payment.payment_id,
                decision.change.captured_minor,
                currency.unwrap_or(&payment.currency),
                account,
                now,
            )
            .await?;
        }
        if let Some(reason) = refund.filter(|_| decision.change.captured_minor > 0) {
            let refund_id = self.randomness.uuid(now);
            store::refunds::request_all(tx, refund_id, payment.payment_id, reason, now).await?;
            tracing::warn!(payment = %payment.payment_id, reason, "money goes back");
            metrics::counter!(telemetry::REFUNDS, "status" => "REQUESTED").increment(1);
        }
        store::holds::refresh_payment_open(tx, hold.hold_id).await?;
        Ok(reports)
    }

    async fn book(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        payment: &PaymentRow,
        now: Timestamp,
    ) -> Result<Vec<SeatReport>, StoreError> {
        let booking = self.booking_draft(hold, now);
        let reports = store::seats::book(tx, &hold.returned(), booking.booking_id).await?;
        store::holds::set_status(tx, hold.hold_id, HoldStatus::Confirmed, now).await?;
        store::bookings::insert(tx, &booking, hold, &payment.email).await?;
        metrics::counter!(telemetry::BOOKINGS).increment(1);
        Ok(reports)
    }
}

/// The shared result, copied for one caller.
fn shared(answer: &Answer) -> Result<Option<Resolution>, StoreError> {
    match &**answer {
        Ok(resolution) => Ok(resolution.clone()),
        Err(error) => Err(error.for_another()),
    }
}

/// The booking of `hold`.
pub(crate) async fn find_booking(
    connection: &mut PgConnection,
    hold: &HoldRow,
) -> Result<Option<BookingRow>, StoreError> {
    match hold.booking_id {
        None => Ok(None),
        Some(booking_id) => store::bookings::find(connection, booking_id).await,
    }
}

pub(super) async fn lock_both(
    tx: &mut PgConnection,
    hold_id: Uuid,
    payment_id: Uuid,
) -> Result<(HoldRow, PaymentRow), StoreError> {
    let hold = store::holds::lock(tx, hold_id)
        .await?
        .ok_or_else(|| StoreError::corrupt("holds", "a payment's hold is gone"))?;
    let payment = store::payments::lock(tx, payment_id)
        .await?
        .ok_or_else(|| StoreError::corrupt("payments", "a payment is gone"))?;
    Ok((hold, payment))
}

/// Whether `hold` is past its hard deadline and still waits for an open payment.
fn is_past_patience(hold: &HoldRow, payment: &PaymentRow, now: Timestamp) -> bool {
    hold.is_open() && hold.hard_deadline <= now && payment.provider_open
}

/// Frees the seats while the outcome of the payment is unknown. Money that arrives later takes the
/// seats again or is given back.
async fn give_up(
    tx: &mut PgConnection,
    hold: &HoldRow,
    payment: &PaymentRow,
    now: Timestamp,
) -> Result<Vec<SeatReport>, StoreError> {
    tracing::error!(
        hold = %hold.hold_id, payment = %payment.payment_id,
        "hard deadline reached with an unknown payment: the seats are given back"
    );
    metrics::counter!(telemetry::PAYMENTS_UNKNOWN).increment(1);
    let change = PaymentChange {
        status: PaymentStatus::Unknown,
        failure_reason: Some(FailureReason::NetworkTimeout),
        provider_open: true,
        captured_minor: 0,
        captured_currency: None,
        disposition: None,
        next_poll_at: now.plus(PROVIDER_RETRY),
    };
    if payment.is_live() {
        store::payments::update(tx, payment.payment_id, &change, now).await?;
    }
    let reports = store::holds::close(tx, hold, HoldStatus::Expired, now).await?;
    count_ended(HoldStatus::Expired);
    Ok(reports)
}

/// Why nobody can ever pay for an attempt without an intent: the provider refused to create it, or
/// it was never made and is not wanted any more.
fn never_payable(
    payment: &PaymentRow,
    error: &ProviderError,
    is_over: bool,
) -> Option<FailureReason> {
    match error {
        _ if payment.intent_id.is_some() => None,
        ProviderError::Refused { reason, .. } => Some(*reason),
        _ if is_over && payment.was_never_made() && payment.provider_open => {
            Some(FailureReason::GatewayDown)
        }
        _ => None,
    }
}

/// An attempt that can never be paid.
pub(super) fn refused(reason: FailureReason, now: Timestamp) -> PaymentChange {
    PaymentChange {
        status: PaymentStatus::Failed,
        failure_reason: Some(reason),
        provider_open: false,
        captured_minor: 0,
        captured_currency: None,
        disposition: None,
        next_poll_at: now,
    }
}

pub(super) fn count_change(status: PaymentStatus, reason: Option<FailureReason>) {
    let status = serde_json::to_value(status)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default();
    metrics::counter!(telemetry::PAYMENTS, "status" => status).increment(1);
    if let Some(reason) = reason {
        metrics::counter!(telemetry::PAYMENT_FAILURES, "reason" => reason.as_str()).increment(1);
    }
}

fn count_ended(status: HoldStatus) {
    let reason = match status {
        HoldStatus::Expired => "expired",
        HoldStatus::Released => "released",
        HoldStatus::Active | HoldStatus::Paying | HoldStatus::Confirmed => "other",
    };
    metrics::counter!(telemetry::HOLDS_ENDED, "reason" => reason).increment(1);
}
