//! Coupons for operators: making, reading and disabling them.

use std::sync::Arc;

use contract::HoldId;
use contract::coupon::{Coupon, CouponTerms, PaymentKind};
use contract::pricing::Percent;
use show_file::currency;
use show_file::price::Off;

use crate::config::PROVIDER_PATIENCE;
use crate::core::Core;
use crate::coupons::{CODE_CHARS_MAX, QuoteOutcome, coupon_code};
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::money::payment_kind::plain;
use crate::payment_outcome::PaymentOutcome;
use crate::store;
use crate::store::coupons::{CouponRow, NewCoupon, Read};

/// Shortest code, in characters: shorter ones are guessed too easily.
pub(crate) const CODE_CHARS_MIN: usize = 4;
/// Most coupons that are listed.
const COUPONS_LISTED_MAX: i64 = 1_000;
/// Most categories of a coupon.
const CATEGORIES_MAX: usize = 20;

/// Most kinds of payments of a coupon, and the longest word of one.
const KINDS_MAX: usize = 20;
const KIND_CHARS_MAX: usize = 64;

/// The outcome of making a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CouponMade {
    /// It is made.
    Made(Box<Coupon>),
    /// A field is not valid.
    Invalid(&'static str, String),
    /// There is a coupon with this code.
    Exists,
}

impl Booking {
    /// Makes a coupon.
    pub(crate) async fn coupon_create(&self, terms: CouponTerms) -> Result<CouponMade, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.coupon_create(terms).await };
        self.0.work.run(work).await
    }

    /// The coupon with this code, or all of them, the newest first.
    pub(crate) async fn coupons(&self, code: Option<&str>) -> Result<Vec<Coupon>, StoreError> {
        let wanted = code.map(coupon_code);
        let booking = Arc::clone(&self.0);
        let work = async move { booking.coupons(wanted.as_deref()).await };
        self.0.work.run(work).await
    }

    /// Disables the coupon with this code. Returns it as it is then.
    pub(crate) async fn coupon_disable(&self, code: &str) -> Result<Option<Coupon>, StoreError> {
        let (booking, wanted) = (Arc::clone(&self.0), coupon_code(code));
        let work = async move {
            let now = booking.clock.now();
            store::coupons::disable(&booking.pools.money, &wanted, now).await?;
            Ok(booking.coupons(Some(&wanted)).await?.pop())
        };
        self.0.work.run(work).await
    }

    /// What the customer's hold costs with a coupon.
    pub(crate) async fn coupon_quote(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        code: String,
        email: Option<String>,
    ) -> Result<QuoteOutcome, StoreError> {
        let (booking, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move {
            let email = email.as_deref();
            booking.coupon_quote(&customer, hold_id, &code, email).await
        };
        self.0.work.run(work).await
    }

    /// Takes the coupon off the customer's hold. `None` when it has none now; otherwise why it still
    /// has one.
    pub(crate) async fn coupon_off(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<Option<PaymentOutcome>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move {
            let refused = core.coupon_off(&customer, hold_id).await?;
            Ok(refused.map(|refusal| core.payment_outcome(refusal)))
        };
        match self.0.work.run_within(PROVIDER_PATIENCE, work).await {
            Err(StoreError::Timeout) => Ok(Some(PaymentOutcome::provider_silent())),
            outcome => outcome,
        }
    }
}

impl Core {
    async fn coupons(&self, code: Option<&str>) -> Result<Vec<Coupon>, StoreError> {
        let mut connection = self.pools.money.acquire().await?;
        let rows =
            store::coupons::find(&mut connection, code, COUPONS_LISTED_MAX, Read::Uses).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    async fn coupon_create(&self, terms: CouponTerms) -> Result<CouponMade, StoreError> {
        if let Some((field, problem)) = fault(&terms) {
            return Ok(CouponMade::Invalid(field, problem));
        }
        let show_no = match &terms.show_id {
            None => None,
            Some(show_id) => match self.catalogue.live(show_id).await? {
                Some(show) => Some(show.info().show_no),
                None => return Ok(CouponMade::Invalid("showId", "is no show".to_owned())),
            },
        };
        let now = self.clock.now();
        let code = terms.code.as_deref().map(coupon_code);
        let code = code.unwrap_or_else(|| self.randomness.booking_code());
        let count = |count: Option<u32>| count.and_then(|count| i32::try_from(count).ok());
        let new = NewCoupon {
            coupon_id: self.randomness.uuid(now),
            code: code.clone(),
            off_percent: count(terms.percent.map(Percent::thousandths)),
            off_minor: terms.amount_minor,
            currency: terms.currency,
            show_no,
            categories: terms.categories,
            minimum_minor: terms.minimum_minor,
            first_booking: terms.first_booking,
            uses_max: count(terms.uses_max),
            uses_per_customer_max: count(terms.uses_per_customer_max),
            valid_from: terms.valid_from,
            valid_until: terms.valid_until,
            payment_methods: terms.payment_methods,
            now,
        };
        if !store::coupons::insert(&self.pools.money, &new).await? {
            return Ok(CouponMade::Exists);
        }
        let made = self.coupons(Some(&code)).await?.pop();
        made.map(|made| CouponMade::Made(Box::new(made)))
            .ok_or_else(|| StoreError::corrupt("coupons", "a new coupon is gone"))
    }
}

/// What is wrong with the terms of a new coupon. Pure.
fn fault(terms: &CouponTerms) -> Option<(&'static str, String)> {
    let told = |field, what: &str| Some((field, what.to_owned()));
    if let Some(code) = terms.code.as_deref().map(coupon_code) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let length = code.chars().count();
        if !(CODE_CHARS_MIN..=CODE_CHARS_MAX).contains(&length) || !code.chars().all(fits) {
            return told("code", "must have 4 to 32 letters, digits and hyphens");
        }
    }
    match (terms.percent, terms.amount_minor) {
        (Some(percent), None) if percent == Percent::default() || percent > Percent::HUNDRED => {
            return told("percent", "must be more than 0 and at most 100");
        }
        (None, Some(amount)) if amount < 1 => {
            return told("amountMinor", "must be at least 1");
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => return told("percent", "must have either percent or amountMinor"),
    }
    if terms.minimum_minor.is_some_and(|minimum| minimum < 1) {
        return told("minimumMinor", "must be at least 1");
    }
    let amounts = [
        ("amountMinor", terms.amount_minor),
        ("minimumMinor", terms.minimum_minor),
    ];
    for (field, amount) in amounts {
        let Some(amount) = amount else { continue };
        let Some(currency) = &terms.currency else {
            return told("currency", "is needed with an amount");
        };
        if currency::is_charged(currency) && currency::to_provider(amount, currency).is_none() {
            return told(field, "is too fine for the currency: it cannot be charged");
        }
    }
    let is_charged = |code: &String| currency::is_charged(code);
    if !terms.currency.as_ref().is_none_or(is_charged) {
        return told("currency", "must be one that is charged in, such as INR");
    }
    let zero =
        |count: Option<u32>| count.is_some_and(|count| !(1..=1_000_000_000).contains(&count));
    if zero(terms.uses_max) {
        return told("usesMax", "must be at least 1");
    }
    if zero(terms.uses_per_customer_max) {
        return told("usesPerCustomerMax", "must be at least 1");
    }
    if terms.categories.len() > CATEGORIES_MAX {
        return told("categories", "must be at most 20");
    }
    if terms.payment_methods.len() > KINDS_MAX || !terms.payment_methods.iter().all(is_kind) {
        return told(
            "paymentMethods",
            "must be at most 20, each with a method, and each word with 1 to 64 characters; network \
             and funding are of cards",
        );
    }
    if !terms.payment_methods.is_empty() && terms.percent == Some(Percent::HUNDRED) {
        return told(
            "percent",
            "must leave something to be paid by these methods",
        );
    }
    let window = terms.valid_from.zip(terms.valid_until);
    if window.is_some_and(|(from, until)| from >= until) {
        return told("validUntil", "must be after validFrom");
    }
    None
}

/// Whether a kind of payment is one. Pure.
fn is_kind(kind: &PaymentKind) -> bool {
    let PaymentKind {
        method,
        network,
        funding,
        issuer,
    } = kind;
    let is_word = |text: &String| {
        let length = text.chars().count();
        (1..=KIND_CHARS_MAX).contains(&length) && !plain(text).is_empty()
    };
    let words = [
        Some(method),
        network.as_ref(),
        funding.as_ref(),
        issuer.as_ref(),
    ];
    let of_cards = network.is_some() || funding.is_some();
    words.into_iter().flatten().all(is_word) && (!of_cards || plain(method) == "card")
}

fn view(row: CouponRow) -> Coupon {
    let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    let rules = row.rules;
    let (percent, amount_minor) = match rules.off {
        Off::Percent(percent) => (Some(percent), None),
        Off::Amount(amount) => (None, Some(amount)),
    };
    Coupon {
        terms: CouponTerms {
            code: None,
            percent,
            amount_minor,
            currency: rules.currency,
            show_id: row.show_id,
            categories: rules.categories,
            minimum_minor: rules.minimum_minor,
            first_booking: rules.first_booking,
            uses_max: count(rules.uses_max),
            uses_per_customer_max: count(rules.uses_per_customer_max),
            valid_from: rules.valid_from,
            valid_until: rules.valid_until,
            payment_methods: rules.payment_methods,
        },
        code: rules.code,
        reserved: u64::try_from(row.reserved).unwrap_or(0),
        booked: u64::try_from(row.booked).unwrap_or(0),
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    }
}
