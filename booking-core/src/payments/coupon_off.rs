//! Taking the coupon off a hold again.

use contract::HoldId;
use contract::booking::HoldStatus;
use uuid::Uuid;

use super::provider::{CancelReason, ProviderError};
use super::start::{CLOSE_ROUNDS_MAX, PaymentStart, paid};
use crate::core::Core;
use crate::coupons::CouponWish;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::store;

/// The result of one round, under the lock of the hold.
enum Round {
    /// The hold has no coupon.
    Off,
    /// Attempts at its price can still be paid, so they have to be closed first.
    CloseFirst(Vec<Uuid>),
    Refuse(PaymentStart),
}

impl Core {
    /// Takes the coupon off the customer's hold, which costs what it did before. Closes a payment
    /// that is under way, because its price is no longer the hold's. `None` when the hold has no
    /// coupon now; otherwise why it still has one.
    pub(crate) async fn coupon_off(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<Option<PaymentStart>, StoreError> {
        for _ in 0..CLOSE_ROUNDS_MAX {
            let round = repeat_if_contended(|| self.coupon_off_round(customer, hold_id.uuid()));
            match round.await? {
                Round::Off => return Ok(None),
                Round::Refuse(refusal) => return Ok(Some(refusal)),
                Round::CloseFirst(payments) => {
                    for payment_id in payments {
                        let superseded = Some(CancelReason::Superseded);
                        let resolved = self.resolve_payment(payment_id, superseded).await?;
                        if let Some(error) = resolved.and_then(|resolved| resolved.unanswered) {
                            return Ok(Some(PaymentStart::Unanswered(error)));
                        }
                    }
                }
            }
        }
        Ok(Some(PaymentStart::Unanswered(ProviderError::Busy)))
    }

    async fn coupon_off_round(
        &self,
        customer: &Customer,
        hold_id: Uuid,
    ) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let hold = store::holds::lock(&mut tx, hold_id).await?;
        let owned = |hold: &store::holds::HoldRow| {
            customer.owns(hold.subject.as_deref(), hold.session.as_deref())
        };
        let Some(hold) = hold.filter(owned) else {
            return Ok(Round::Refuse(PaymentStart::NotFound));
        };
        let payments = store::payments::of_hold(&mut tx, hold_id).await?;
        let has_ended = !hold.is_open()
            || (hold.status == HoldStatus::Active && hold.expires_at <= now)
            || paid(&hold, &payments).is_some();
        if has_ended {
            return Ok(Round::Refuse(PaymentStart::HoldEnded));
        }
        if hold.coupon_use_id.is_none() {
            return Ok(Round::Off);
        }
        let open = payments.iter().filter(|payment| payment.provider_open);
        let open: Vec<Uuid> = open.map(|payment| payment.payment_id).collect();
        if !open.is_empty() {
            return Ok(Round::CloseFirst(open));
        }
        // Nobody's address is needed to go without.
        let done = self.coupon_apply(&mut tx, &hold, &CouponWish::Without, "");
        if let Err(reason) = done.await? {
            return Ok(Round::Refuse(PaymentStart::CouponNotValid(reason)));
        }
        tx.commit().await?;
        Ok(Round::Off)
    }
}
