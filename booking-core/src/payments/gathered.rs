//! The ordinary end of a purchase, settled together with others that end at the same time.
//!
//! Whatever is not ordinary is settled alone, by the resolver: a second attempt, money that is late,
//! twice or not what was asked for, seats that are gone, rows that somebody else has locked. So is
//! each of a batch that failed, so that one that cannot be settled fails no other.

use contract::Timestamp;
use contract::booking::{HoldStatus, PaymentStatus};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::decision::{HoldEffect, decide};
use super::provider::Intent;
use super::resolution::Resolution;
use super::resolver::count_change;
use crate::config::{CONFIRM_BATCH_MAX, CONFIRM_BATCHES_AT_ONCE};
use crate::core::Core;
use crate::database::{StoreError, Turns, Work, repeat_if_contended};
use crate::gather::{Bounds, Gather, fail_all};
use crate::money::Disposition;
use crate::store::booking_batch::{BookedAsk, BookingAsk, book_batch};
use crate::store::bookings::{BookingRow, NewBooking};
use crate::store::confirm_read::{ConfirmAsk, ConfirmRow, confirm_read};
use crate::store::holds::HoldRow;
use crate::store::idempotency::{KeyUse, StoredAnswer};
use crate::store::payments::PaymentRow;
use crate::store::seats::SeatReport;
use crate::telemetry;

const BOUNDS: Bounds = Bounds {
    at_once: CONFIRM_BATCHES_AT_ONCE,
    size_max: CONFIRM_BATCH_MAX,
};

/// A key whose answer is stored with the booking.
#[derive(Clone, Copy)]
pub(crate) struct Keyed<'a> {
    pub(crate) key_use: &'a KeyUse,
    /// The answer, if it can be said before the booking is made.
    pub(crate) answer_of: &'a (dyn Fn(&NewBooking) -> Option<StoredAnswer> + Send + Sync),
}

/// What many confirmations read and write together.
pub(crate) struct GatheredConfirms {
    pub(crate) reads: Gather<ConfirmAsk, Option<ConfirmRow>>,
    bookings: Gather<BookingAsk, Option<BookedAsk>>,
}

impl GatheredConfirms {
    /// Confirmations over the connections of `settling`.
    pub(crate) fn new(work: &Work, settling: &Turns) -> Self {
        let (reading, booking) = (settling.clone(), settling.clone());
        Self {
            reads: Gather::new(work, BOUNDS, move |asks| {
                let settling = reading.clone();
                async move {
                    let read = async || {
                        let (mut connection, _turn) = settling.acquire().await?;
                        confirm_read(&mut connection, &asks).await
                    };
                    let found = match read().await {
                        // Many wait for it, so one connection that was lost does not decide.
                        Err(StoreError::Unavailable(_)) => read().await,
                        found => found,
                    };
                    match found {
                        Ok(found) => found.into_iter().map(Ok).collect(),
                        Err(cause) => fail_all(asks.len(), &cause),
                    }
                }
                .boxed()
            }),
            bookings: Gather::new(work, BOUNDS, move |asks| {
                book_all(booking.clone(), asks).boxed()
            }),
        }
    }
}

async fn book_all(
    settling: Turns,
    asks: Vec<BookingAsk>,
) -> Vec<Result<Option<BookedAsk>, StoreError>> {
    let began = Instant::now();
    let book = || async {
        let (mut connection, _turn) = settling.acquire().await?;
        book_batch(&mut connection, &asks).await
    };
    let booked = repeat_if_contended(book).await;
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    metrics::histogram!(telemetry::CONFIRM_BATCH_SIZE).record(asks.len() as f64);
    metrics::histogram!(telemetry::CONFIRM_BATCH_SECONDS).record(began.elapsed());
    match booked {
        Ok(booked) => booked.into_iter().map(Ok).collect(),
        Err(cause @ (StoreError::Unavailable(_) | StoreError::Timeout)) => {
            fail_all(asks.len(), &cause)
        }
        Err(cause) => {
            let cause = &cause as &dyn std::error::Error;
            tracing::warn!(cause, asks = asks.len(), "bookings are made one by one");
            asks.iter().map(|_| Ok(None)).collect()
        }
    }
}

impl Core {
    /// Ids for a booking of `hold`.
    pub(super) fn booking_draft(&self, hold: &HoldRow, now: Timestamp) -> NewBooking {
        let ticket_ids = hold.seat_nos.iter().map(|_| self.randomness.uuid(now));
        NewBooking {
            booking_id: self.randomness.uuid(now),
            code: self.randomness.booking_code(),
            ticket_ids: ticket_ids.collect(),
            now,
        }
    }

    /// Books `hold` with others, if that is all that `intent` means. `None` if it has to be settled
    /// alone.
    pub(super) async fn book_gathered(
        &self,
        hold: &HoldRow,
        payment: &PaymentRow,
        intent: &Intent,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Option<(Resolution, Vec<SeatReport>)>, StoreError> {
        let now = self.clock.now();
        if !is_ordinary(hold, payment, intent, now) {
            return Ok(None);
        }
        let booking = self.booking_draft(hold, now);
        let keyed = keyed.and_then(|keyed| {
            let answer = (keyed.answer_of)(&booking)?;
            Some((keyed.key_use.clone(), answer))
        });
        let name = keyed.as_ref().map(|(key_use, _)| key_use.name());
        let ask = BookingAsk {
            hold_id: hold.hold_id,
            payment_id: payment.payment_id,
            charge_id: intent.charge_id.clone(),
            booking: booking.clone(),
            keyed,
        };
        let Some(booked) = self.gathered.bookings.ask(ask).await? else {
            return Ok(None);
        };
        metrics::counter!(telemetry::BOOKINGS).increment(1);
        count_change(PaymentStatus::Succeeded, None);
        let hold = HoldRow {
            status: HoldStatus::Confirmed,
            payment_open: false,
            booking_id: Some(booking.booking_id),
            ..hold.clone()
        };
        let payment = PaymentRow {
            status: PaymentStatus::Succeeded,
            failure_reason: None,
            provider_open: false,
            disposition: Some(Disposition::Booked),
            email: booked.email.clone(),
            intent_id: Some(intent.id.clone()),
            charge_id: payment.charge_id.clone().or(intent.charge_id.clone()),
            poll_count: payment.poll_count + 1,
            ..payment.clone()
        };
        let show = (booked.show_id, booked.starts_at, booked.ends_at);
        let paid = (booked.email, booked.price_lines);
        let row = BookingRow::new(&booking, &hold, show, paid, booked.tickets);
        let resolution = Resolution {
            hold,
            payment,
            booking: Some(row),
            unanswered: None,
            answered: name.filter(|_| booked.is_answered),
        };
        Ok(Some((resolution, booked.reports)))
    }
}

/// Whether `intent` is the ordinary end of a purchase: the first and only payment of an open hold
/// has succeeded with what was asked for. The statement looks at the same again, under locks.
fn is_ordinary(hold: &HoldRow, payment: &PaymentRow, intent: &Intent, now: Timestamp) -> bool {
    let is_only = hold.attempt_count == 1
        && hold.coupon_use_id.is_none()
        && !payment.is_free()
        && payment.provider_open
        && payment.status != PaymentStatus::Cancelled
        && (payment.amount_minor, &payment.currency) == (hold.amount_minor, &hold.currency);
    let decision = decide(hold, payment, intent, now);
    is_only && decision.is_some_and(|decision| decision.hold == HoldEffect::Book)
}
