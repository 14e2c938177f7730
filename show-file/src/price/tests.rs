//! Prices by example, and what holds for all of them.

use contract::pricing::{Fee, FeePer, LineKind, Percent, PriceLine, Tax, TaxOn};
use proptest::prelude::*;

use super::{Discount, Off, Price, PricedTicket, Terms, once_minor, price, price_of_one};
use crate::currency;

fn percent(thousandths: u32) -> Percent {
    Percent::of_thousandths(thousandths)
}

fn fee(per: FeePer, amount_minor: Option<i64>, rate: Option<u32>) -> Fee {
    Fee {
        name: "Fee".to_owned(),
        per,
        amount_minor,
        percent: rate.map(percent),
    }
}

fn tax(rate: u32, included: bool, on: TaxOn) -> Tax {
    Tax {
        name: "Tax".to_owned(),
        percent: percent(rate),
        included,
        on,
    }
}

fn tickets(prices: &[i64]) -> Vec<PricedTicket<'static>> {
    prices
        .iter()
        .map(|price_minor| PricedTicket {
            category: if price_minor % 2 == 0 { "EVEN" } else { "ODD" },
            ticket_type: None,
            name: "Seat",
            price_minor: *price_minor,
        })
        .collect()
}

fn amounts(price: &Price, kind: LineKind) -> Vec<i64> {
    let lines = price.lines.iter().filter(|line| line.kind == kind);
    lines.map(|line| line.amount_minor).collect()
}

#[test]
fn prices_fees_and_taxes_are_told_apart() {
    let fees = [
        fee(FeePer::Ticket, None, Some(8_875)),
        fee(FeePer::Booking, Some(150), None),
    ];
    let taxes = [
        tax(19_000, true, TaxOn::All),
        tax(5_000, false, TaxOn::Fees),
    ];
    let terms = Terms {
        fees: &fees,
        taxes: &taxes,
        currency: "EUR",
    };
    let found = price(&tickets(&[4_500, 4_500, 2_001]), terms, None);
    assert_eq!(amounts(&found, LineKind::Ticket), [9_000, 2_001]);
    assert_eq!(found.lines[0].quantity, Some(2));
    // 399.375 twice and 177.58875, each to the nearest cent.
    assert_eq!(amounts(&found, LineKind::Fee), [399 + 399 + 178, 150]);
    // 19/119 of 11,001 and of 1,126; 5 % of 399, 399, 178 and 150, each rounded.
    assert_eq!(
        amounts(&found, LineKind::Tax),
        [1_756 + 180, 20 + 20 + 9 + 8]
    );
    assert_eq!(found.amount_minor, 11_001 + 976 + 150 + 57);
    // The fee and its tax for the booking, 158, in three parts.
    assert_eq!(
        found.shares,
        [
            4_500 + 399 + 20 + 52,
            4_500 + 399 + 20 + 53,
            2_001 + 178 + 9 + 53
        ]
    );
    assert_eq!(once_minor(terms), 158);
}

#[test]
fn discounts_are_rounded_down_and_everything_off_is_nothing() {
    let fees = [fee(FeePer::Booking, Some(150), None)];
    let taxes = [tax(10_000, false, TaxOn::All)];
    let terms = Terms {
        fees: &fees,
        taxes: &taxes,
        currency: "EUR",
    };
    let odd = ["ODD".to_owned()];
    for (off, categories, discount, amount) in [
        // 33.3 % of 1,000 and 999 and 150 are 333, 332 and 49; taxes of 66.7, 66.7 and 10.1.
        (
            Off::Percent(percent(33_300)),
            &[][..],
            714,
            1_435 + 67 + 67 + 10,
        ),
        // Only of the 999.
        (
            Off::Percent(percent(33_300)),
            &odd[..],
            332,
            1_817 + 100 + 67 + 15,
        ),
        (Off::Percent(percent(100_000)), &[][..], 2_149, 0),
        (Off::Amount(5_000), &[][..], 2_149, 0),
        (Off::Amount(5_000), &odd[..], 999, 1_150 + 100 + 15),
        // Divided as 465, 465 and 70 over 1,000, 999 and 150.
        (Off::Amount(1_000), &[][..], 1_000, 1_149 + 54 + 53 + 8),
    ] {
        let coupon = Discount {
            name: "Coupon",
            off,
            categories,
        };
        let found = price(&tickets(&[1_000, 999]), terms, Some(coupon));
        assert_eq!(amounts(&found, LineKind::Discount), [-discount], "{off:?}");
        assert_eq!(found.amount_minor, amount, "{off:?} {:?}", found.lines);
    }
}

#[test]
fn amounts_are_what_the_currency_can_charge() {
    for (currency, unit_price, rate, amount) in [
        ("KWD", 1_230, 5_000, 1_290),
        ("JPY", 1_210, 5_000, 1_271),
        ("MGA", 12_300, 5_000, 12_900),
    ] {
        let fees = [fee(FeePer::Ticket, None, Some(rate))];
        let terms = Terms {
            fees: &fees,
            taxes: &[],
            currency,
        };
        assert_eq!(price_of_one(unit_price, terms), amount, "{currency}");
    }
}

fn any_fee() -> impl Strategy<Value = Fee> {
    let per = prop::sample::select(vec![FeePer::Ticket, FeePer::Booking]);
    (per, prop::option::of(1_i64..500), 1_u32..100_000).prop_map(|(per, amount, rate)| {
        fee(
            per,
            amount.map(|it| it * 100),
            amount.is_none().then_some(rate),
        )
    })
}

fn any_tax() -> impl Strategy<Value = Tax> {
    let on = prop::sample::select(vec![TaxOn::All, TaxOn::Tickets, TaxOn::Fees]);
    (1_u32..100_000, any::<bool>(), on).prop_map(|(rate, included, on)| tax(rate, included, on))
}

fn any_off() -> impl Strategy<Value = Off> {
    prop_oneof![
        (0_u32..=100_000).prop_map(|rate| Off::Percent(percent(rate))),
        (0_i64..300_000).prop_map(Off::Amount),
    ]
}

proptest! {
    #[test]
    fn sums_are_exact_never_negative_and_chargeable(
        prices in prop::collection::vec(0_i64..100_000, 1..20),
        fees in prop::collection::vec(any_fee(), 0..4),
        taxes in prop::collection::vec(any_tax(), 0..4),
        off in prop::option::of((any_off(), any::<bool>())),
        currency in prop::sample::select(vec!["EUR", "KWD", "JPY", "ISK", "MGA"]),
        split in 0_usize..20,
    ) {
        let unit = currency::finest(currency);
        let prices: Vec<i64> = prices.iter().map(|it| it / unit * unit).collect();
        let terms = Terms { fees: &fees, taxes: &taxes, currency };
        let odd = ["ODD".to_owned()];
        let discount = off.map(|(off, only_odd)| Discount {
            name: "Coupon",
            off,
            categories: if only_odd { &odd } else { &[] },
        });
        let found = price(&tickets(&prices), terms, discount);
        let summed: i64 = found.lines.iter().map(PriceLine::counted_minor).sum();
        prop_assert_eq!(summed, found.amount_minor);
        prop_assert_eq!(found.shares.iter().sum::<i64>(), found.amount_minor);
        prop_assert_eq!(found.shares.len(), prices.len());
        prop_assert!(currency::to_provider(found.amount_minor, currency).is_some());
        for share in &found.shares {
            prop_assert!(*share >= 0);
            prop_assert!(currency::to_provider(*share, currency).is_some(), "{share}");
        }
        for line in &found.lines {
            prop_assert_eq!(line.amount_minor <= 0, line.kind == LineKind::Discount || line.amount_minor == 0);
            prop_assert!(line.included || currency::to_provider(line.amount_minor, currency).is_some());
        }
        // Giving back some tickets and then the others gives back the whole.
        let (some, others) = found.shares.split_at(split.min(found.shares.len()));
        prop_assert_eq!(some.iter().chain(others).sum::<i64>(), found.amount_minor);
        // A contained tax is a part of what contains it.
        let contained: i64 = found.lines.iter()
            .filter(|line| line.included).map(|line| line.amount_minor).sum();
        prop_assert!(contained <= found.amount_minor + i64::try_from(taxes.len()).unwrap());
    }

    #[test]
    fn the_price_of_several_is_known_from_the_prices_of_each(
        prices in prop::collection::vec(0_i64..100_000, 1..20),
        fees in prop::collection::vec(any_fee(), 0..4),
        taxes in prop::collection::vec(any_tax(), 0..4),
    ) {
        let terms = Terms { fees: &fees, taxes: &taxes, currency: "EUR" };
        let of_each: i64 = prices.iter().map(|it| price_of_one(*it, terms)).sum();
        let again = i64::try_from(prices.len() - 1).unwrap() * once_minor(terms);
        let all = price(&tickets(&prices), terms, None).amount_minor;
        prop_assert_eq!(all, of_each - again);
    }

    #[test]
    fn a_discount_never_costs_and_a_larger_one_takes_off_no_less(
        prices in prop::collection::vec(0_i64..100_000, 1..20),
        fees in prop::collection::vec(any_fee(), 0..3),
        off in any_off(),
    ) {
        let terms = Terms { fees: &fees, taxes: &[], currency: "EUR" };
        let with = |off| {
            let coupon = Discount { name: "Coupon", off, categories: &[] };
            price(&tickets(&prices), terms, Some(coupon)).amount_minor
        };
        let more = match off {
            Off::Percent(rate) => Off::Percent(percent(rate.thousandths() + 1_000)),
            Off::Amount(amount) => Off::Amount(amount + 10),
        };
        let full = price(&tickets(&prices), terms, None).amount_minor;
        prop_assert!(with(off) <= full);
        prop_assert!(with(more) <= with(off));
        prop_assert_eq!(with(Off::Percent(Percent::HUNDRED)), 0);
    }
}
