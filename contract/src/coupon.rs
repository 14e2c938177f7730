//! JSON of coupons and of prices with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::ShowId;
use crate::pricing::{Percent, PriceLine};

/// The terms of a coupon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CouponTerms {
    /// What fans type, in any case: 4 to 32 letters, digits and hyphens; drawn by lot when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A share of prices and fees that it takes off, rounded down for each ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// An amount that it takes off instead, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub amount_minor: Option<i64>,
    /// Currency of amounts, ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The show that it is for; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show_id: Option<ShowId>,
    /// Categories that it is for; all when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// The least that an order has to cost without it, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_minor: Option<i64>,
    /// Whether it is only for addresses that never booked.
    #[serde(default)]
    pub first_booking: bool,
    /// How often it can be used in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub uses_max: Option<u32>,
    /// How often one address can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub uses_per_customer_max: Option<u32>,
    /// From when it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Until when it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Kinds of payments that it is for, such as the cards of one bank; all when absent. Money of
    /// another kind is not taken, or goes back, and the fan may pay again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payment_methods: Vec<PaymentKind>,
}

/// A kind of payment. Whatever is named has to be so; capitals and blanks do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentKind {
    /// `card`, `upi`, `netbanking`, `wallet`, or what else the payment provider calls it.
    pub method: String,
    /// The network of the card, such as `visa`, `mastercard` or `rupay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Of cards: `credit`, `debit` or `prepaid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<String>,
    /// The bank of the card or of net banking, or the wallet, as the payment provider calls it, such
    /// as `HDFC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// A coupon, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coupon {
    /// What fans type.
    pub code: String,
    /// Its terms.
    pub terms: CouponTerms,
    /// Uses that are reserved for a hold, which may end without a booking.
    pub reserved: u64,
    /// Uses that became a booking.
    pub booked: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

/// Coupons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CouponList {
    /// The newest first.
    pub coupons: Vec<Coupon>,
}

/// Why a coupon cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CouponReason {
    /// There is no such coupon, or it was disabled.
    Unknown,
    /// Too many codes that do not exist were tried for this hold.
    TooManyTries,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// All of its uses are taken, perhaps by holds that may end without a booking.
    UsedUp,
    /// This address has used it as often as one may.
    UsedByCustomer,
    /// It is for first bookings, and this address has booked or is booking with one.
    NotFirstBooking,
    /// It is for another show.
    OtherShow,
    /// It is for other categories.
    OtherCategory,
    /// It is in another currency.
    OtherCurrency,
    /// The order costs less than it asks for.
    MinimumOrder,
    /// It would leave less than the payment provider charges.
    TooLittleLeft,
    /// It is for some kinds of payments, and would leave nothing to pay.
    NothingToPay,
    /// The price of this hold was made by an earlier version, which knew no coupons.
    NotApplicable,
}

/// The body that asks what a hold costs with a coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteRequest {
    /// The coupon.
    pub coupon_code: String,
    /// The address that will be booked with: some coupons are for some customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "email", max_length = 254)]
    pub email: Option<String>,
}

/// What a hold costs with a coupon. Nothing is reserved by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The coupon.
    pub coupon_code: String,
    /// The price of all, minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What it is made of.
    pub lines: Vec<PriceLine>,
}
