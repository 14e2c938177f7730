//! Ticket types, fees, taxes and the lines of a price, as JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::SeatId;

/// Thousandths of a percent in one percent.
const THOUSANDTHS: u32 = 1_000;

/// A percentage with at most three decimals, such as `18` or `8.875`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = f64, minimum = 0)]
pub struct Percent(u32);

impl Percent {
    /// All of it.
    pub const HUNDRED: Self = Self(100 * THOUSANDTHS);

    /// So many thousandths of a percent.
    pub const fn of_thousandths(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// Thousandths of a percent.
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / THOUSANDTHS, self.0 % THOUSANDTHS);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:03}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(THOUSANDTHS) {
            serializer.serialize_u32(self.0 / THOUSANDTHS)
        } else {
            serializer.serialize_f64(f64::from(self.0) / f64::from(THOUSANDTHS))
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let scaled = number * f64::from(THOUSANDTHS);
        // A float cannot hold 8.875 % of everything, but what is meant is the nearest thousandth.
        let nearest = scaled.round();
        let is_fit =
            (0.0..f64::from(u32::MAX)).contains(&nearest) && (scaled - nearest).abs() < 1e-6;
        if !is_fit {
            let what = "must be a percentage with at most three decimals, such as 18 or 8.875";
            return Err(serde::de::Error::custom(what));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and in range"
        )]
        Ok(Self(nearest as u32))
    }
}

/// What a seat of a category may be sold as, such as adult or child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketType {
    /// Its code, such as `CHILD`.
    #[serde(rename = "type")]
    pub code: String,
    /// What fans read.
    pub name: String,
    /// Price of a seat, minor units.
    pub price_minor: i64,
}

/// What a fixed fee is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeePer {
    /// Each ticket.
    Ticket,
    /// The booking, however many tickets it has.
    Booking,
}

/// A fee that everyone pays on top of the price: either a fixed amount or a percentage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fee {
    /// What fans read.
    pub name: String,
    /// What a fixed amount is counted by. A percentage is of the price of each ticket.
    pub per: FeePer,
    /// A fixed amount, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// A percentage of the price of each ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
}

/// What a tax is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaxOn {
    /// Prices and fees.
    #[default]
    All,
    /// Prices only.
    Tickets,
    /// Fees only.
    Fees,
}

impl TaxOn {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks with a reference"
    )]
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// A tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tax {
    /// What fans read, such as `GST`.
    pub name: String,
    /// Its rate.
    pub percent: Percent,
    /// Whether prices and fees contain it already; it is added to them when false.
    pub included: bool,
    /// What it is on.
    #[serde(default, skip_serializing_if = "TaxOn::is_all")]
    pub on: TaxOn,
}

/// What a line of a price is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// Tickets of one category and type.
    Ticket,
    /// A fee.
    Fee,
    /// What a coupon takes off: a negative amount.
    Discount,
    /// A tax.
    Tax,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// A line of a price. The amounts of all lines but of included taxes sum to the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceLine {
    /// What it is.
    pub kind: LineKind,
    /// What fans read.
    pub name: String,
    /// The amount, minor units.
    pub amount_minor: i64,
    /// Of tickets: their category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Of tickets: their type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_type: Option<String>,
    /// Of tickets: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// Price of one ticket, or the fixed amount of a fee, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_minor: Option<i64>,
    /// Of a fee: what its amount is counted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<FeePer>,
    /// Rate of a fee or a tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// Of a tax: whether other lines contain it, so that it is not counted again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub included: bool,
    /// Of a tax: what it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<TaxOn>,
}

impl PriceLine {
    /// What the line adds to the whole.
    pub const fn counted_minor(&self) -> i64 {
        if self.included { 0 } else { self.amount_minor }
    }
}

/// A ticket of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldTicket {
    /// Its seat.
    pub seat_id: SeatId,
    /// Price category of the seat.
    pub category: String,
    /// What it is sold as; absent where the category has no types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_type: Option<String>,
    /// Its share of the whole price, minor units.
    pub amount_minor: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_read_and_write_as_numbers() {
        for (text, thousandths, shown) in [
            ("18", 18_000, "18"),
            ("8.875", 8_875, "8.875"),
            ("0.1", 100, "0.1"),
            ("2.5", 2_500, "2.5"),
            ("100", 100_000, "100"),
        ] {
            let percent: Percent = serde_json::from_str(text).unwrap();
            assert_eq!(percent.thousandths(), thousandths, "{text}");
            assert_eq!(percent.to_string(), shown);
            assert_eq!(serde_json::to_string(&percent).unwrap(), text);
        }
        for text in ["-1", "1.2345", "\"18\"", "5000000"] {
            assert!(serde_json::from_str::<Percent>(text).is_err(), "{text}");
        }
        for thousandths in 0..200_000 {
            let percent = Percent::of_thousandths(thousandths);
            let text = serde_json::to_string(&percent).unwrap();
            assert_eq!(serde_json::from_str::<Percent>(&text).unwrap(), percent);
        }
    }
}
