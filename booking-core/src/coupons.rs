//! Using coupons for holds.

use contract::HoldId;
use contract::coupon::{CouponReason, Quote};
use sqlx::PgConnection;

use crate::config::COUPON_TRIES_MAX;
use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::money::HoldPrice;
use crate::money::coupon::{Order, off_minor, reprice, with_coupon};
use crate::store;
use crate::store::coupons::{CouponCustomer, CouponRow, NewUse, Read};
use crate::store::holds::HoldRow;

/// Longest code, in characters.
pub(crate) const CODE_CHARS_MAX: usize = 32;

/// The outcome of the question what a hold costs with a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuoteOutcome {
    /// It costs this.
    Quoted(Quote),
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The hold has ended.
    HoldEnded,
    /// The address is not valid.
    InvalidEmail,
    /// The coupon cannot be used.
    NotValid(CouponReason),
}

/// A code as it is stored.
pub(crate) fn coupon_code(text: &str) -> String {
    let upper = text.trim().to_uppercase();
    // One more than any code has, so that a long text stays unknown.
    upper.chars().take(CODE_CHARS_MAX + 1).collect()
}

/// What a request to pay says about coupons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CouponWish {
    /// Nothing: the price stays as it is.
    Keep,
    /// No coupon.
    Without,
    /// The coupon with this code.
    Use(String),
}

impl CouponWish {
    /// The wish of a request with this `couponCode`.
    pub(crate) fn of(code: Option<&str>) -> Self {
        match code.map(coupon_code) {
            None => Self::Keep,
            Some(code) if code.is_empty() => Self::Without,
            Some(code) => Self::Use(code),
        }
    }
}

impl Core {
    /// What the customer's hold costs with a coupon. Reserves nothing.
    pub(crate) async fn coupon_quote(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        code: &str,
        email: Option<&str>,
    ) -> Result<QuoteOutcome, StoreError> {
        let email = match email.filter(|email| !email.trim().is_empty()) {
            None => None,
            Some(email) => match crate::email::read(email) {
                None => return Ok(QuoteOutcome::InvalidEmail),
                Some(email) => Some(email),
            },
        };
        let Some(hold) = self.hold_row(customer, hold_id).await? else {
            return Ok(QuoteOutcome::NotFound);
        };
        if !hold.is_open() || hold.expires_at <= self.clock.now() {
            return Ok(QuoteOutcome::HoldEnded);
        }
        let code = coupon_code(code);
        let price = self.coupon_check(&hold, &code, email.as_deref()).await?;
        Ok(match price {
            Err(reason) => QuoteOutcome::NotValid(reason),
            Ok(price) => QuoteOutcome::Quoted(Quote {
                coupon_code: code,
                amount_minor: price.amount_minor(),
                currency: hold.currency,
                lines: price.lines,
            }),
        })
    }

    /// The price of `hold` with the coupon as far as it can be known without a lock, or why the
    /// coupon cannot be used. Codes that do not exist are counted.
    pub(crate) async fn coupon_check(
        &self,
        hold: &HoldRow,
        code: &str,
        email: Option<&str>,
    ) -> Result<Result<HoldPrice, CouponReason>, StoreError> {
        let mut connection = self.pools.money.acquire().await?;
        let may_try = store::coupons::may_try(&mut connection, hold.hold_id, COUPON_TRIES_MAX);
        if !may_try.await? {
            return Ok(Err(CouponReason::TooManyTries));
        }
        let found = store::coupons::find(&mut connection, Some(code), 1, Read::Terms).await?;
        let judged = match found.into_iter().next() {
            None => Err(CouponReason::Unknown),
            Some(coupon) => {
                let customer = email.map(|email| self.coupon_customer(email));
                self.coupon_judge(&mut connection, hold, &coupon, customer.as_ref())
                    .await?
            }
        };
        drop(connection);
        if judged == Err(CouponReason::Unknown) {
            let pool = &self.pools.money;
            store::coupons::count_try(pool, hold.hold_id, COUPON_TRIES_MAX).await?;
        }
        Ok(judged)
    }

    fn coupon_customer(&self, email: &str) -> CouponCustomer {
        CouponCustomer {
            email: email.to_owned(),
            digest: self.links.address(email),
        }
    }

    async fn coupon_judge(
        &self,
        connection: &mut PgConnection,
        hold: &HoldRow,
        coupon: &CouponRow,
        customer: Option<&CouponCustomer>,
    ) -> Result<Result<HoldPrice, CouponReason>, StoreError> {
        let Some(price) = store::prices::of_hold(&mut *connection, hold.hold_id).await? else {
            return Ok(Err(CouponReason::NotApplicable));
        };
        let facts =
            store::coupons::facts(connection, coupon.coupon_id, hold.hold_id, customer).await?;
        let order = order_of(hold, &price);
        Ok(with_coupon(&coupon.rules, facts, order, self.clock.now()))
    }

    /// Whether `wish` needs the price of a locked hold to be made anew: another coupon, or the same
    /// one for another customer.
    pub(crate) async fn coupon_differs(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        wish: &CouponWish,
        email: &str,
    ) -> Result<bool, StoreError> {
        let used = match hold.coupon_use_id {
            None => None,
            Some(_) => store::coupons::of_hold(tx, hold.hold_id).await?,
        };
        Ok(match (wish, used) {
            (CouponWish::Keep | CouponWish::Without, None) => false,
            (CouponWish::Without, Some(_)) | (CouponWish::Use(_), None) => true,
            (CouponWish::Keep, Some((_, digest))) => digest != self.links.address(email),
            (CouponWish::Use(code), Some((used, digest))) => {
                *code != used || digest != self.links.address(email)
            }
        })
    }

    /// Makes the price of a locked hold anew, for which nobody can pay at the moment: releases the
    /// use that it has and reserves another. After a refusal the caller must roll back.
    pub(crate) async fn coupon_apply(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        wish: &CouponWish,
        email: &str,
    ) -> Result<Result<(), CouponReason>, StoreError> {
        let now = self.clock.now();
        let code = match wish {
            CouponWish::Use(code) => Some(code.clone()),
            CouponWish::Keep => {
                let used = store::coupons::of_hold(tx, hold.hold_id).await?;
                used.map(|(code, _)| code)
            }
            CouponWish::Without => None,
        };
        store::coupons::release(tx, &[hold.hold_id], now).await?;
        let Some(code) = code else {
            let Some(price) = store::prices::of_hold(&mut *tx, hold.hold_id).await? else {
                return Ok(Ok(()));
            };
            return Ok(match reprice(order_of(hold, &price), None) {
                None => Err(CouponReason::NotApplicable),
                Some(price) => {
                    store::prices::set(tx, hold.hold_id, &price, None).await?;
                    Ok(())
                }
            });
        };
        let found = store::coupons::find(tx, Some(&code), 1, Read::Terms).await?;
        let Some(coupon) = found.into_iter().next() else {
            return Ok(Err(CouponReason::Unknown));
        };
        store::coupons::lock(tx, coupon.coupon_id).await?;
        let customer = self.coupon_customer(email);
        let judged = self.coupon_judge(tx, hold, &coupon, Some(&customer));
        let price = match judged.await? {
            Ok(price) => price,
            Err(reason) => return Ok(Err(reason)),
        };
        let use_id = self.randomness.uuid(now);
        let reserved = NewUse {
            use_id,
            coupon_id: coupon.coupon_id,
            hold_id: hold.hold_id,
            customer: &customer,
            first_booking: coupon.rules.first_booking,
            off_minor: off_minor(&price),
            now,
        };
        if let Some(reason) = store::coupons::reserve(tx, &reserved).await? {
            return Ok(Err(reason));
        }
        store::prices::set(tx, hold.hold_id, &price, Some(use_id)).await?;
        Ok(Ok(()))
    }
}

fn order_of<'a>(hold: &'a HoldRow, price: &'a HoldPrice) -> Order<'a> {
    Order {
        show_no: hold.show_no,
        currency: &hold.currency,
        price,
    }
}
