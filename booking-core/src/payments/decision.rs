//! What an intent's status means for the hold and the payment. Pure.

use std::time::Duration;

use contract::Timestamp;
use contract::booking::{HoldStatus, PaymentStatus};

use super::provider::{Intent, IntentStatus};
use crate::config::HOLD_EXTENSION;
use crate::money::payment_kind::is_accepted;
use crate::money::{Disposition, FailureReason};
use crate::store::holds::HoldRow;
use crate::store::payments::{PaymentChange, PaymentRow};

/// Longest interval between polls of a payment that is under way.
const POLL_SECONDS_MAX: u64 = 30;
/// Interval between polls of a payment on which nothing is known to happen.
const POLL_SECONDS_IDLE: u64 = 15;
/// Interval between attempts to close an intent whose hold has ended.
const POLL_SECONDS_ENDED: u64 = 60;

/// The effect on the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldEffect {
    /// No change.
    Keep,
    /// The hold becomes `PAYING`.
    Paying,
    /// The hold becomes `ACTIVE` again, so that the customer may pay anew.
    Active,
    /// The hold becomes a booking with the seats that it has.
    Book,
    /// The hold becomes a booking if all of its seats are still free; otherwise the money is given
    /// back.
    Retake,
    /// The money is given back, for this reason, and a hold that is open is released.
    Refund(&'static str),
    /// The money is given back, for this reason, and the hold stays as it is.
    Return(&'static str),
    /// The hold ends in this state and its seats are freed.
    End(HoldStatus),
}

/// The effect of an intent on payment and hold.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) change: PaymentChange,
    pub(crate) hold: HoldEffect,
    /// The new end of the hold, if it is extended.
    pub(crate) extend_to: Option<Timestamp>,
}

/// Decides what `intent` means. `None` when the payment needs no further change.
pub(crate) fn decide(
    hold: &HoldRow,
    payment: &PaymentRow,
    intent: &Intent,
    now: Timestamp,
) -> Option<Decision> {
    if payment.status == PaymentStatus::Succeeded {
        return None;
    }
    // The intent is known to be closed, and this answer may be older than that knowledge. Only
    // captured money can change the payment now.
    if !payment.provider_open && intent.status != IntentStatus::Succeeded {
        return None;
    }
    // Nobody takes money for nothing after it was closed.
    if !payment.provider_open && payment.is_free() {
        return None;
    }
    let decision = match &intent.status {
        IntentStatus::Succeeded => succeeded(hold, payment, intent, now),
        IntentStatus::Cancelled(reason) => cancelled(hold, payment, *reason, now),
        IntentStatus::Unpaid(Some(reason)) => failed(hold, payment, *reason, now),
        IntentStatus::Unpaid(None) => under_way(hold, payment, PaymentStatus::Created, now),
        IntentStatus::RequiresAction => Decision {
            extend_to: extension(hold, now),
            ..under_way(hold, payment, PaymentStatus::RequiresAction, now)
        },
        IntentStatus::Processing => under_way(hold, payment, PaymentStatus::Processing, now),
        // It is captured or left before a decision: it may be so only if that failed.
        IntentStatus::Authorized => Decision {
            extend_to: extension(hold, now),
            ..under_way(hold, payment, PaymentStatus::Processing, now)
        },
    };
    Some(only_latest(decision, hold, payment))
}

/// An attempt that was followed by another has no effect on the hold, unless money was captured.
fn only_latest(decision: Decision, hold: &HoldRow, payment: &PaymentRow) -> Decision {
    let latest = payment.attempt_no == hold.attempt_count;
    if latest || decision.change.status == PaymentStatus::Succeeded {
        return decision;
    }
    Decision {
        hold: HoldEffect::Keep,
        extend_to: None,
        ..decision
    }
}

fn succeeded(hold: &HoldRow, payment: &PaymentRow, intent: &Intent, now: Timestamp) -> Decision {
    let exact =
        intent.received_minor == payment.amount_minor && intent.currency == payment.currency;
    // The lines of the hold sum to its amount: what was captured has to be what they ask for.
    let is_price = payment.amount_minor == hold.amount_minor && payment.currency == hold.currency;
    let effect = if !exact {
        HoldEffect::Refund("amount-mismatch")
    } else if !is_price {
        // An attempt at another price, with or without a coupon, that was given up.
        HoldEffect::Return("price-changed")
    } else if hold.status == HoldStatus::Confirmed {
        HoldEffect::Refund("double-charge")
    } else if !is_accepted(&payment.accepts, intent.kind.as_ref()) {
        // Its price is for other kinds of payments.
        HoldEffect::Return(FailureReason::CouponPayment.as_str())
    } else if hold.is_open() {
        HoldEffect::Book
    } else {
        HoldEffect::Retake
    };
    Decision {
        change: PaymentChange {
            status: PaymentStatus::Succeeded,
            failure_reason: match effect {
                _ if !exact => Some(FailureReason::AmountMismatch),
                HoldEffect::Return(reason) if reason == FailureReason::CouponPayment.as_str() => {
                    Some(FailureReason::CouponPayment)
                }
                _ => None,
            },
            provider_open: false,
            captured_minor: intent.received_minor,
            captured_currency: Some(intent.currency.clone()),
            disposition: Some(match effect {
                HoldEffect::Refund(_) | HoldEffect::Return(_) => Disposition::AutoRefund,
                _ => Disposition::Booked,
            }),
            next_poll_at: now,
        },
        hold: effect,
        extend_to: None,
    }
}

fn cancelled(
    hold: &HoldRow,
    payment: &PaymentRow,
    reason: FailureReason,
    now: Timestamp,
) -> Decision {
    let reason = match payment.failure_reason {
        // It was closed for this, and the answer to that was lost.
        Some(kept @ FailureReason::CouponPayment) if reason != FailureReason::UserCancelled => kept,
        _ => reason,
    };
    let effect = if !hold.is_open() {
        HoldEffect::Keep
    } else if reason == FailureReason::UserCancelled {
        HoldEffect::End(HoldStatus::Released)
    } else if hold.expires_at <= now {
        HoldEffect::End(HoldStatus::Expired)
    } else {
        HoldEffect::Active
    };
    Decision {
        change: no_money(PaymentStatus::Cancelled, Some(reason), false, now),
        hold: effect,
        extend_to: None,
    }
}

fn failed(hold: &HoldRow, payment: &PaymentRow, reason: FailureReason, now: Timestamp) -> Decision {
    // The customer may still pay the same intent with another card, so it stays open.
    let next = next_poll(hold, now, POLL_SECONDS_IDLE);
    let status = match payment.status {
        PaymentStatus::Cancelled => PaymentStatus::Cancelled,
        _ => PaymentStatus::Failed,
    };
    Decision {
        change: no_money(status, Some(reason), true, next),
        hold: if hold.status == HoldStatus::Paying {
            HoldEffect::Active
        } else {
            HoldEffect::Keep
        },
        extend_to: None,
    }
}

fn under_way(
    hold: &HoldRow,
    payment: &PaymentRow,
    status: PaymentStatus,
    now: Timestamp,
) -> Decision {
    let waits_for_customer = status == PaymentStatus::Created;
    // A payment that failed or was cancelled becomes live again only if no later attempt replaced
    // it.
    let settled = matches!(
        payment.status,
        PaymentStatus::Failed | PaymentStatus::Cancelled
    );
    let latest = payment.attempt_no == hold.attempt_count;
    let (status, reason) = if settled && (waits_for_customer || !latest || !hold.is_open()) {
        (payment.status, payment.failure_reason)
    } else {
        (status, None)
    };
    let wait = if waits_for_customer {
        POLL_SECONDS_IDLE
    } else {
        let shift = u32::try_from(payment.poll_count.clamp(0, 5)).unwrap_or(5);
        POLL_SECONDS_MAX.min(1 << shift)
    };
    Decision {
        change: no_money(status, reason, true, next_poll(hold, now, wait)),
        hold: match (hold.status, waits_for_customer) {
            (HoldStatus::Active, false) => HoldEffect::Paying,
            (HoldStatus::Paying, true) => HoldEffect::Active,
            _ => HoldEffect::Keep,
        },
        extend_to: None,
    }
}

/// A customer who has to authenticate gets more time, once: the bank's page takes some, and the hold
/// may be about to end. So does one whose bank has agreed, while the provider does not take the money.
/// It never lasts beyond the hard deadline.
fn extension(hold: &HoldRow, now: Timestamp) -> Option<Timestamp> {
    let due = !hold.was_extended && hold.is_open() && hold.expires_at > now;
    let until = hold.expires_at.plus(HOLD_EXTENSION).min(hold.hard_deadline);
    (due && until > hold.expires_at).then_some(until)
}

fn no_money(
    status: PaymentStatus,
    failure_reason: Option<FailureReason>,
    provider_open: bool,
    next_poll_at: Timestamp,
) -> PaymentChange {
    PaymentChange {
        status,
        failure_reason,
        provider_open,
        captured_minor: 0,
        captured_currency: None,
        disposition: None,
        next_poll_at,
    }
}

/// The time of the next poll: after `seconds`, but no later than the end of the hold.
pub(crate) fn next_poll(hold: &HoldRow, now: Timestamp, seconds: u64) -> Timestamp {
    if !hold.is_open() {
        return now.plus(Duration::from_secs(POLL_SECONDS_ENDED));
    }
    let next = now.plus(Duration::from_secs(seconds));
    if hold.expires_at > now {
        next.min(hold.expires_at)
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn hold() -> HoldRow {
        HoldRow {
            hold_id: Uuid::from_u128(1),
            show_no: 1,
            subject: None,
            session: Some("s".to_owned()),
            limit_owner: "s".to_owned(),
            status: HoldStatus::Active,
            seat_nos: vec![1],
            amount_minor: 500,
            currency: "INR".to_owned(),
            attempt_count: 1,
            payment_open: true,
            expires_at: NOW.plus(Duration::from_mins(5)),
            hard_deadline: NOW.plus(Duration::from_mins(20)),
            was_extended: false,
            coupon_use_id: None,
            booking_id: None,
        }
    }

    fn payment(status: PaymentStatus, provider_open: bool) -> PaymentRow {
        PaymentRow {
            payment_id: Uuid::from_u128(2),
            hold_id: Uuid::from_u128(1),
            attempt_no: 1,
            provider: "simulator".to_owned(),
            intent_id: Some("pi_1".to_owned()),
            client_secret: Some("secret".to_owned()),
            redirect_url: None,
            charge_id: None,
            accepts: Vec::new(),
            open_calls: 1,
            idempotency_key: "key".to_owned(),
            email: "fan@example.com".to_owned(),
            amount_minor: 500,
            currency: "INR".to_owned(),
            status,
            failure_reason: None,
            provider_open,
            disposition: None,
            poll_count: 0,
            created_at: NOW,
        }
    }

    fn intent(status: IntentStatus) -> Intent {
        Intent {
            id: "pi_1".to_owned(),
            client_secret: "secret".to_owned(),
            redirect_url: None,
            charge_id: None,
            status,
            received_minor: 0,
            currency: "INR".to_owned(),
            others: Vec::new(),
            tries: Vec::new(),
            kind: None,
        }
    }

    #[test]
    fn why_an_intent_was_closed_stays_known_when_the_answer_was_lost() {
        let of = |known, told| {
            let payment = PaymentRow {
                failure_reason: known,
                ..payment(PaymentStatus::Failed, true)
            };
            let intent = intent(IntentStatus::Cancelled(told));
            let decision = decide(&hold(), &payment, &intent, NOW).unwrap();
            decision.change.failure_reason
        };
        let (kind, user) = (FailureReason::CouponPayment, FailureReason::UserCancelled);
        let expired = FailureReason::SessionExpired;
        assert_eq!(of(Some(kind), expired), Some(kind));
        assert_eq!(of(Some(kind), user), Some(user));
        assert_eq!(of(None, expired), Some(expired));
    }

    #[test]
    fn a_bank_that_agreed_while_the_money_cannot_be_taken_gives_more_time_once() {
        let of = |was_extended| {
            let hold = HoldRow {
                was_extended,
                ..hold()
            };
            let payment = payment(PaymentStatus::Created, true);
            decide(&hold, &payment, &intent(IntentStatus::Authorized), NOW).unwrap()
        };
        let first = of(false);
        assert_eq!(
            first.extend_to,
            Some(hold().expires_at.plus(HOLD_EXTENSION))
        );
        assert_eq!(first.hold, HoldEffect::Paying);
        assert_eq!(of(true).extend_to, None);
    }

    #[test]
    fn money_of_another_kind_than_the_price_is_for_goes_back_and_the_hold_stays() {
        let kind = |issuer: &str| contract::coupon::PaymentKind {
            method: "card".to_owned(),
            issuer: Some(issuer.to_owned()),
            ..Default::default()
        };
        let asked = kind("hdfc");
        let paid = |status, kind| {
            let hold = HoldRow { status, ..hold() };
            let payment = PaymentRow {
                accepts: vec![asked.clone()],
                ..payment(PaymentStatus::Created, true)
            };
            let intent = Intent {
                received_minor: 500,
                kind,
                ..intent(IntentStatus::Succeeded)
            };
            decide(&hold, &payment, &intent, NOW).unwrap()
        };
        let fits = paid(HoldStatus::Active, Some(kind("HDFC")));
        assert_eq!(fits.hold, HoldEffect::Book);
        assert_eq!(fits.change.failure_reason, None);
        let reason = Some(FailureReason::CouponPayment);
        for other in [Some(kind("ICIC")), None] {
            let left = paid(HoldStatus::Paying, other);
            assert_eq!(left.hold, HoldEffect::Return("coupon-payment-method"));
            assert_eq!(left.change.failure_reason, reason);
            assert_eq!(left.change.disposition, Some(Disposition::AutoRefund));
        }
        let twice = paid(HoldStatus::Confirmed, Some(kind("ICIC")));
        assert_eq!(twice.hold, HoldEffect::Refund("double-charge"));
    }

    #[test]
    fn after_a_decline_the_hold_may_be_paid_anew_unless_another_attempt_is_under_way() {
        let declined = || intent(IntentStatus::Unpaid(Some(FailureReason::InvalidCard)));
        let paying = HoldRow {
            status: HoldStatus::Paying,
            ..hold()
        };
        let open = payment(PaymentStatus::Processing, true);
        let decided = decide(&paying, &open, &declined(), NOW).unwrap();
        assert_eq!(decided.hold, HoldEffect::Active);
        let followed = HoldRow {
            attempt_count: 2,
            ..paying.clone()
        };
        let decided = decide(&followed, &open, &declined(), NOW).unwrap();
        assert_eq!(decided.hold, HoldEffect::Keep);
        let cancelled = intent(IntentStatus::Cancelled(FailureReason::UserCancelled));
        let decided = decide(&followed, &open, &cancelled, NOW).unwrap();
        assert_eq!(decided.hold, HoldEffect::Keep);
        let decided = decide(&paying, &open, &cancelled, NOW).unwrap();
        assert_eq!(decided.hold, HoldEffect::End(HoldStatus::Released));
    }

    #[test]
    fn a_hold_is_extended_once_and_never_beyond_its_deadline() {
        let extended = |hold: &HoldRow, status: IntentStatus, now: Timestamp| {
            let open = payment(PaymentStatus::Created, true);
            decide(hold, &open, &intent(status), now).unwrap().extend_to
        };
        let fresh = hold();
        let until = fresh.expires_at.plus(HOLD_EXTENSION);
        assert_eq!(
            extended(&fresh, IntentStatus::RequiresAction, NOW),
            Some(until)
        );
        for other in [IntentStatus::Processing, IntentStatus::Unpaid(None)] {
            assert_eq!(extended(&fresh, other.clone(), NOW), None, "{other:?}");
        }
        let again = HoldRow {
            was_extended: true,
            ..hold()
        };
        assert_eq!(extended(&again, IntentStatus::RequiresAction, NOW), None);
        let late = fresh.expires_at;
        assert_eq!(extended(&fresh, IntentStatus::RequiresAction, late), None);
        let tight = HoldRow {
            hard_deadline: fresh.expires_at.plus(Duration::from_secs(60)),
            ..hold()
        };
        let found = extended(&tight, IntentStatus::RequiresAction, NOW);
        assert_eq!(found, Some(tight.hard_deadline));
    }

    #[test]
    fn what_is_captured_is_compared_with_the_price_of_the_hold() {
        let paid = |amount_minor: i64, currency: &str, received_minor: i64| {
            let payment = PaymentRow {
                amount_minor,
                currency: currency.to_owned(),
                ..payment(PaymentStatus::Created, true)
            };
            let intent = Intent {
                received_minor,
                currency: currency.to_owned(),
                ..intent(IntentStatus::Succeeded)
            };
            decide(&hold(), &payment, &intent, NOW).unwrap().hold
        };
        assert_eq!(paid(500, "INR", 500), HoldEffect::Book);
        assert_eq!(paid(500, "INR", 499), HoldEffect::Refund("amount-mismatch"));
        assert_eq!(paid(400, "INR", 400), HoldEffect::Return("price-changed"));
        assert_eq!(paid(500, "USD", 500), HoldEffect::Return("price-changed"));
    }

    #[test]
    fn only_money_moves_what_is_closed() {
        let closed = payment(PaymentStatus::Cancelled, false);
        let cancelled = IntentStatus::Cancelled(FailureReason::DuplicateTransaction);
        for late in [
            IntentStatus::Unpaid(Some(FailureReason::InvalidCard)),
            IntentStatus::Unpaid(None),
            IntentStatus::RequiresAction,
            IntentStatus::Processing,
            cancelled.clone(),
        ] {
            let decision = decide(&hold(), &closed, &intent(late.clone()), NOW);
            assert!(decision.is_none(), "{late:?}");
        }
        let paid = decide(&hold(), &closed, &intent(IntentStatus::Succeeded), NOW);
        assert_eq!(paid.unwrap().change.status, PaymentStatus::Succeeded);
        // A cancelled intent closes the payment, whatever was known before.
        let open = payment(PaymentStatus::Cancelled, true);
        let proven = decide(&hold(), &open, &intent(cancelled), NOW).unwrap();
        assert!(!proven.change.provider_open);
    }
}
