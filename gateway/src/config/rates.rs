//! How often visitors of the shop may call.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::settings::Settings;
use crate::edge::rate_limit::Rate;

/// Highest rate and burst that can be set.
const CALLS_MAX: u32 = 1_000_000;

/// What one address and one customer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopRatePair {
    /// One IPv4 address, or one IPv6 subscriber.
    pub address: Rate,
    /// One session, or one fan with a pass.
    pub customer: Rate,
}

/// How often the booking API and the shop may be called, each counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopRates {
    /// Looking around.
    pub browse: ShopRatePair,
    /// Holding seats and giving them up.
    pub hold: ShopRatePair,
    /// Starting payments.
    pub pay: ShopRatePair,
    /// Confirming purchases.
    pub confirm: ShopRatePair,
    /// Asking for one-time codes and links to bookings.
    pub mails: ShopRatePair,
}

impl Default for ShopRates {
    /// What is in force when nothing is set.
    fn default() -> Self {
        shop_rates(&Settings::default(), &mut |_| {})
    }
}

/// A text that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not calls a second and calls at once, such as 20/200, each a number from 1 to {CALLS_MAX}"
)]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    /// Reads calls a second and calls at once, such as `20/200`.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (per_second, burst) = text.split_once('/').ok_or(InvalidRate)?;
        let read = |number: &str| {
            let number: NonZeroU32 = number.trim().parse().ok()?;
            (number.get() <= CALLS_MAX).then_some(number)
        };
        Ok(Self {
            per_second: read(per_second).ok_or(InvalidRate)?,
            burst: read(burst).ok_or(InvalidRate)?,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// The rates of `settings`; what is wrong with them is noted.
pub(super) fn shop_rates(settings: &Settings, note: &mut impl FnMut(String)) -> ShopRates {
    let mut read = |given: &Option<String>, name: &str, default: (u32, u32)| {
        let default = Rate::at_least_one(default.0, default.1);
        let Some(text) = given.as_deref() else {
            return default;
        };
        text.trim().parse().unwrap_or_else(|error| {
            note(format!("{name}: `{text}` {error}"));
            default
        })
    };
    macro_rules! pair {
        ($customer:ident = $customer_name:literal, $customer_default:expr;
         $address:ident = $address_name:literal, $address_default:expr) => {
            ShopRatePair {
                customer: read(&settings.$customer, $customer_name, $customer_default),
                address: read(&settings.$address, $address_name, $address_default),
            }
        };
    }
    ShopRates {
        browse: pair!(
            rate_browse_customer = "ROPELINE_RATE_BROWSE_CUSTOMER", (20, 200);
            rate_browse_address = "ROPELINE_RATE_BROWSE_ADDRESS", (100, 1000)),
        hold: pair!(
            rate_hold_customer = "ROPELINE_RATE_HOLD_CUSTOMER", (5, 50);
            rate_hold_address = "ROPELINE_RATE_HOLD_ADDRESS", (50, 500)),
        pay: pair!(
            rate_pay_customer = "ROPELINE_RATE_PAY_CUSTOMER", (2, 20);
            rate_pay_address = "ROPELINE_RATE_PAY_ADDRESS", (50, 500)),
        confirm: pair!(
            rate_confirm_customer = "ROPELINE_RATE_CONFIRM_CUSTOMER", (5, 50);
            rate_confirm_address = "ROPELINE_RATE_CONFIRM_ADDRESS", (50, 500)),
        mails: pair!(
            rate_mails_customer = "ROPELINE_RATE_MAILS_CUSTOMER", (1, 10);
            rate_mails_address = "ROPELINE_RATE_MAILS_ADDRESS", (1, 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_two_numbers() {
        assert_eq!("20/200".parse(), Ok(Rate::at_least_one(20, 200)));
        assert_eq!(
            " 1 / 1000000 ".parse(),
            Ok(Rate::at_least_one(1, CALLS_MAX))
        );
        assert_eq!(Rate::at_least_one(20, 200).to_string(), "20/200");
        for text in [
            "",
            "20",
            "20/",
            "/20",
            "0/20",
            "20/0",
            "-1/2",
            "1/1000001",
            "1/2/3",
            "a/b",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
        }
    }

    #[test]
    fn defaults_are_those_that_help_tells() {
        let settings = Settings::default();
        let rates = ShopRates::default();
        let told: Vec<_> = settings
            .all()
            .into_iter()
            .filter(|(name, ..)| name.starts_with("ROPELINE_RATE_"))
            .map(|(name, _, _, default)| (name, default.to_owned()))
            .collect();
        let pairs = [
            ("BROWSE", rates.browse),
            ("HOLD", rates.hold),
            ("PAY", rates.pay),
            ("CONFIRM", rates.confirm),
            ("MAILS", rates.mails),
        ];
        let in_force: Vec<_> = pairs
            .iter()
            .flat_map(|(kind, pair)| {
                [("CUSTOMER", pair.customer), ("ADDRESS", pair.address)].map(|(whose, rate)| {
                    (format!("ROPELINE_RATE_{kind}_{whose}"), rate.to_string())
                })
            })
            .collect();
        let in_force: Vec<_> = in_force
            .iter()
            .map(|(name, rate)| (name.as_str(), rate.clone()))
            .collect();
        assert_eq!(told, in_force);
    }
}
