//! What goes back when tickets are cancelled. Pure.
//!
//! Each ticket is decided by itself, so that cancelling tickets one after the other gives back as
//! much as cancelling them together at the same time. Amounts are minor units. Shares are rounded
//! down and fees up, to what the payment provider can give back.

use std::time::Duration;

use contract::Timestamp;
use contract::refund_policy::RefundPolicy;
use show_file::currency;

/// What goes back of one ticket or several, and what the seller keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GoesBack {
    pub(crate) back_minor: i64,
    pub(crate) kept_minor: i64,
}

impl GoesBack {
    /// Everything goes back.
    pub(crate) const fn all_of(price_minor: i64) -> Self {
        Self {
            back_minor: price_minor,
            kept_minor: 0,
        }
    }

    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            back_minor: self.back_minor.saturating_add(other.back_minor),
            kept_minor: self.kept_minor.saturating_add(other.kept_minor),
        }
    }

    /// The same while only `left_minor` of the payment is left, because money went back outside the
    /// shop. The customer comes first.
    pub(crate) fn within(self, left_minor: i64) -> Self {
        let left = left_minor.max(0);
        let back_minor = self.back_minor.min(left);
        Self {
            back_minor,
            kept_minor: self.kept_minor.min(left - back_minor),
        }
    }
}

/// The share of the price that a policy gives back at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) percent: u32,
    /// The last instant at which it does.
    pub(crate) until: Timestamp,
}

/// The share that `policy` gives back at `now` for a show that starts at `starts_at`; `None` when it
/// gives nothing back any more. A limit belongs to the time before it.
pub(crate) fn share_at(
    policy: &RefundPolicy,
    starts_at: Timestamp,
    now: Timestamp,
) -> Option<Share> {
    let free = policy.free_until_hours.map(|hours| (hours, 100));
    let shares = policy
        .shares
        .iter()
        .map(|share| (share.until_hours, share.percent));
    free.into_iter()
        .chain(shares)
        .map(|(hours, percent)| Share {
            percent,
            until: starts_at.minus(Duration::from_hours(u64::from(hours))),
        })
        .find(|share| now <= share.until)
}

/// What goes back of a ticket of this price.
pub(crate) fn of_ticket(
    policy: &RefundPolicy,
    percent: u32,
    price_minor: i64,
    currency: &str,
) -> GoesBack {
    let price = i128::from(price_minor.max(0));
    let share = price * i128::from(percent.min(100)) / 100;
    let fee_share = (price * i128::from(policy.kept_fee_percent)).div_euclid(100)
        + i128::from((price * i128::from(policy.kept_fee_percent)) % 100 != 0);
    let fee = fee_share.max(i128::from(policy.kept_fee_minor.max(0)));
    let finest = i128::from(currency::finest(currency));
    let back = (share - fee).max(0) / finest * finest;
    let back_minor = i64::try_from(back).unwrap_or(0);
    GoesBack {
        back_minor,
        kept_minor: price_minor.max(0) - back_minor,
    }
}

/// What each ticket of a booking cost that was sold for `amount_minor`, where only the `present`
/// prices of its seats are known: those, if they add up to the amount, otherwise the amount in
/// their proportion. The sum is always the amount.
pub(crate) fn prices_of(amount_minor: i64, present: &[i64]) -> Vec<i64> {
    let weights: Vec<i128> = present
        .iter()
        .map(|price| i128::from((*price).max(0)))
        .collect();
    let sum: i128 = weights.iter().sum();
    let count = i128::try_from(weights.len()).unwrap_or(1).max(1);
    let amount = i128::from(amount_minor);
    // Up to each ticket, so that what is rounded away at one is had at the next.
    let mut before = 0_i128;
    let mut given = 0_i128;
    weights
        .iter()
        .map(|weight| {
            before += if sum == 0 { 1 } else { *weight };
            let up_to = amount * before / if sum == 0 { count } else { sum };
            let price = up_to - given;
            given = up_to;
            i64::try_from(price).unwrap_or(0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use contract::refund_policy::RefundShare;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn policy(free: Option<u32>, shares: &[(u32, u32)]) -> RefundPolicy {
        RefundPolicy {
            free_until_hours: free,
            shares: shares
                .iter()
                .map(|(until_hours, percent)| RefundShare {
                    until_hours: *until_hours,
                    percent: *percent,
                })
                .collect(),
            kept_fee_minor: 0,
            kept_fee_percent: 0,
            single_tickets: true,
            code_required: false,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn limits_belong_to_the_time_before_them_to_the_millisecond() {
        let policy = policy(Some(168), &[(48, 50), (0, 10)]);
        let start = Timestamp::from_ms(1_790_000_000_000);
        for (before_ms, percent) in [
            (1_000 * HOUR, Some(100)),
            (168 * HOUR, Some(100)),
            (168 * HOUR - 1, Some(50)),
            (48 * HOUR, Some(50)),
            (48 * HOUR - 1, Some(10)),
            (1, Some(10)),
            (0, Some(10)),
            (-1, None),
            (-24 * HOUR, None),
        ] {
            let now = Timestamp::from_ms(start.as_ms() - before_ms);
            let share = share_at(&policy, start, now);
            assert_eq!(share.map(|share| share.percent), percent, "{before_ms}");
            assert!(share.is_none_or(|share| now <= share.until), "{before_ms}");
        }
    }

    #[test]
    fn a_price_without_prices_of_seats_is_shared_alike() {
        assert_eq!(prices_of(1_000, &[0, 0, 0]), [333, 333, 334]);
        assert_eq!(prices_of(900, &[200, 100, 0]), [600, 300, 0]);
        assert_eq!(prices_of(300, &[200, 100]), [200, 100]);
    }

    #[test]
    fn hours_pass_alike_when_clocks_are_changed() {
        // Berlin goes from 03:00 summer time to 02:00 on 25 October 2026, New York on 1 November:
        // the evening before at the same hour of the clock is 25 hours away.
        for (start, evening_before, percent) in [
            ("2026-10-25T20:00:00+01:00", "2026-10-24T20:00:00+02:00", 50),
            (
                "2026-10-25T20:00:00+01:00",
                "2026-10-24T20:00:00.001+02:00",
                40,
            ),
            ("2026-11-01T20:00:00-05:00", "2026-10-31T20:00:00-04:00", 50),
            // In spring it is 23 hours away.
            ("2026-03-29T20:00:00+02:00", "2026-03-28T20:00:00+01:00", 30),
            ("2026-03-29T20:00:00+02:00", "2026-03-28T19:00:00+01:00", 40),
            ("2026-06-30T20:00:00+05:30", "2026-06-29T20:00:00+05:30", 40),
        ] {
            let policy = policy(None, &[(25, 50), (24, 40), (0, 30)]);
            let share = share_at(&policy, at(start), at(evening_before)).unwrap();
            assert_eq!(share.percent, percent, "{start} {evening_before}");
        }
    }

    #[test]
    fn shares_are_rounded_down_and_fees_up_to_what_can_be_given_back() {
        for (price, percent, fee, fee_percent, currency, back) in [
            (4500, 100, 500, 0, "EUR", 4000),
            (4500, 50, 500, 0, "EUR", 1750),
            (999, 50, 0, 0, "EUR", 499),
            (999, 100, 0, 10, "EUR", 899),
            (1000, 100, 0, 10, "EUR", 900),
            (100, 30, 50, 0, "EUR", 0),
            (1, 99, 0, 0, "EUR", 0),
            (1, 100, 0, 0, "EUR", 1),
            (1230, 50, 0, 0, "KWD", 610),
            (1200, 33, 0, 0, "JPY", 396),
            (12_300, 50, 0, 0, "MGA", 6100),
            (i64::MAX, 100, 0, 0, "EUR", i64::MAX),
        ] {
            let policy = RefundPolicy {
                kept_fee_minor: fee,
                kept_fee_percent: fee_percent,
                ..policy(Some(1), &[])
            };
            let found = of_ticket(&policy, percent, price, currency);
            let expected = GoesBack {
                back_minor: back,
                kept_minor: price - back,
            };
            assert_eq!(found, expected, "{price} {percent} {currency}");
        }
    }

    #[test]
    fn money_that_went_back_otherwise_does_not_go_back_again() {
        let decided = GoesBack {
            back_minor: 40,
            kept_minor: 5,
        };
        for (left, back, kept) in [
            (99, 40, 5),
            (45, 40, 5),
            (42, 40, 2),
            (30, 30, 0),
            (0, 0, 0),
            (-3, 0, 0),
        ] {
            let found = decided.within(left);
            assert_eq!((found.back_minor, found.kept_minor), (back, kept), "{left}");
        }
    }

    proptest! {
        #[test]
        fn no_more_goes_back_than_was_paid_and_parts_sum_to_the_whole(
            prices in prop::collection::vec(0_i64..10_000_000, 1..20),
            percent in 0_u32..=100,
            fee in 0_i64..10_000,
            fee_percent in 0_u32..=99,
            currency in prop::sample::select(vec!["EUR", "KWD", "JPY", "ISK", "MGA"]),
            left in 0_i64..200_000_000,
            split in 0_usize..20,
        ) {
            let policy = RefundPolicy {
                kept_fee_minor: fee,
                kept_fee_percent: fee_percent,
                ..policy(Some(1), &[])
            };
            let of = |prices: &[i64]| prices.iter().fold(GoesBack::default(), |sum, price| {
                sum.and(of_ticket(&policy, percent, *price, currency))
            });
            let paid: i64 = prices.iter().sum();
            let whole = of(&prices);
            prop_assert_eq!(whole.back_minor + whole.kept_minor, paid);
            prop_assert!(whole.back_minor >= 0 && whole.kept_minor >= 0);
            prop_assert!(show_file::currency::to_provider(whole.back_minor, currency).is_some());
            let (first, second) = prices.split_at(split.min(prices.len()));
            prop_assert_eq!(of(first).and(of(second)), whole);
            let within = whole.within(left);
            prop_assert!(within.back_minor + within.kept_minor <= left.max(0));
            prop_assert!(within.back_minor <= whole.back_minor);
        }

        #[test]
        fn a_later_cancellation_gives_back_no_more(
            start in 1_700_000_000_000_i64..1_900_000_000_000,
            zone_minutes in -720_i64..840,
            free in prop::option::of(0_u32..500),
            steps in prop::collection::vec((1_u32..50, 0_u32..30), 0..5),
            earlier in -50_i64 * HOUR..600 * HOUR,
            by in 0_i64..100 * HOUR,
        ) {
            let mut hours = free.unwrap_or(500);
            let mut percent = 100;
            let mut shares = Vec::new();
            for (less_hours, less_percent) in steps {
                if hours <= less_hours || percent <= less_percent {
                    break;
                }
                hours -= less_hours;
                percent -= less_percent;
                shares.push((hours, percent));
            }
            let policy = policy(free, &shares);
            // The zone changes how an instant is written, not the instant.
            let start = Timestamp::from_ms(start - zone_minutes * 60_000);
            let share = |before: i64| {
                let now = Timestamp::from_ms(start.as_ms() - before);
                share_at(&policy, start, now).map_or(0, |share| share.percent)
            };
            prop_assert!(share(earlier) >= share(earlier - by));
        }

        #[test]
        fn prices_sum_to_what_was_paid(
            amount in 0_i64..1_000_000_000,
            present in prop::collection::vec(0_i64..1_000_000, 1..20),
        ) {
            let prices = prices_of(amount, &present);
            prop_assert_eq!(prices.iter().sum::<i64>(), amount);
            prop_assert!(prices.iter().all(|price| *price >= 0));
            let sum: i64 = present.iter().sum();
            if sum > 0 {
                prop_assert_eq!(prices_of(sum, &present), present);
            }
        }
    }
}
