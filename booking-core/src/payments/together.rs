//! The ordinary end of a purchase, settled together with others that end at the same time.
//!
//! Whatever is not ordinary is settled alone, by the resolver: a second attempt, money that is late,
//! twice or not what was asked for, seats that are gone, rows that somebody else has locked. So is
//! each of a batch that failed, so that one that cannot be settled fails no other.

use contract::Timestamp;
use contract::booking::{HoldStatus, PaymentStatus};

use super::decision::{HoldEffect, decide};
use super::gathered::Keyed;
use super::provider::Intent;
use super::resolution::Resolution;
use super::resolver::count_change;
use crate::core::Core;
use crate::database::StoreError;
use crate::money::Disposition;
use crate::store::booking_batch::BookingAsk;
use crate::store::bookings::{BookingRow, NewBooking};
use crate::store::holds::HoldRow;
use crate::store::payments::PaymentRow;
use crate::store::seats::SeatReport;
use crate::telemetry;

impl Core {
    /// Ids for a booking of `hold`.
    pub(crate) fn booking_draft(&self, hold: &HoldRow, now: Timestamp) -> NewBooking {
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
        && intent.others.is_empty()
        && !payment.is_free()
        && payment.provider_open
        && payment.status != PaymentStatus::Cancelled
        && (payment.amount_minor, &payment.currency) == (hold.amount_minor, &hold.currency);
    let decision = decide(hold, payment, intent, now);
    is_only && decision.is_some_and(|decision| decision.hold == HoldEffect::Book)
}
