//! Whether a coupon can be used for a hold, and what the hold costs with it. Pure.

use contract::Timestamp;
use contract::coupon::{CouponReason, PaymentKind};
use contract::pricing::{Fee, LineKind, Percent, PriceLine, Tax};
use show_file::currency;
use show_file::price::{Discount, Off, Price, PricedTicket, Terms, price};

use super::hold_price::HoldPrice;

/// A coupon, as far as its use depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CouponRules {
    pub(crate) code: String,
    pub(crate) off: Off,
    pub(crate) currency: Option<String>,
    pub(crate) show_no: Option<i32>,
    pub(crate) categories: Vec<String>,
    pub(crate) minimum_minor: Option<i64>,
    pub(crate) first_booking: bool,
    pub(crate) uses_max: Option<i32>,
    pub(crate) uses_per_customer_max: Option<i32>,
    pub(crate) valid_from: Option<Timestamp>,
    pub(crate) valid_until: Option<Timestamp>,
    /// The kinds of payments that it is for; all when empty.
    pub(crate) payment_methods: Vec<PaymentKind>,
    pub(crate) is_disabled: bool,
}

/// How a coupon was used so far, except for the hold that is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CouponFacts {
    /// Reserved and booked uses.
    pub(crate) uses: i64,
    /// Of them, those of the customer; zero while the customer is not known.
    pub(crate) uses_of_customer: i64,
    /// Whether the customer has booked, or has a use of a coupon for first bookings.
    pub(crate) has_booked: bool,
}

/// A hold that a coupon is to be used for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) show_no: i32,
    pub(crate) currency: &'a str,
    pub(crate) price: &'a HoldPrice,
}

/// What the hold costs with the coupon, or why the coupon cannot be used.
pub(crate) fn with_coupon(
    rules: &CouponRules,
    facts: CouponFacts,
    order: Order<'_>,
    now: Timestamp,
) -> Result<HoldPrice, CouponReason> {
    check_time(rules, now)?;
    check_order(rules, order)?;
    check_uses(rules, facts)?;
    let discount = Discount {
        name: &rules.code,
        off: rules.off,
        categories: &rules.categories,
    };
    let priced = reprice(order, Some(discount)).ok_or(CouponReason::NotApplicable)?;
    let (least, _) = currency::limits(order.currency);
    let amount = priced.amount_minor();
    if amount > 0 && amount < least {
        return Err(CouponReason::TooLittleLeft);
    }
    // How nothing is paid cannot be looked at.
    if amount == 0 && !rules.payment_methods.is_empty() {
        return Err(CouponReason::NothingToPay);
    }
    Ok(priced)
}

fn check_time(rules: &CouponRules, now: Timestamp) -> Result<(), CouponReason> {
    if rules.is_disabled {
        return Err(CouponReason::Unknown);
    }
    if rules.valid_from.is_some_and(|from| now < from) {
        return Err(CouponReason::NotYetValid);
    }
    if rules.valid_until.is_some_and(|until| now >= until) {
        return Err(CouponReason::Expired);
    }
    Ok(())
}

fn check_order(rules: &CouponRules, order: Order<'_>) -> Result<(), CouponReason> {
    if rules
        .show_no
        .is_some_and(|show_no| show_no != order.show_no)
    {
        return Err(CouponReason::OtherShow);
    }
    let currency = rules.currency.as_deref();
    if currency.is_some_and(|currency| currency != order.currency) {
        return Err(CouponReason::OtherCurrency);
    }
    let meant = |category: &String| rules.categories.contains(category);
    if !rules.categories.is_empty() && !order.price.categories.iter().any(meant) {
        return Err(CouponReason::OtherCategory);
    }
    let full = reprice(order, None).ok_or(CouponReason::NotApplicable)?;
    let minimum = rules.minimum_minor.unwrap_or_default();
    if full.amount_minor() < minimum {
        return Err(CouponReason::MinimumOrder);
    }
    Ok(())
}

fn check_uses(rules: &CouponRules, facts: CouponFacts) -> Result<(), CouponReason> {
    let is_over = |uses: i64, max: Option<i32>| max.is_some_and(|max| uses >= i64::from(max));
    if is_over(facts.uses_of_customer, rules.uses_per_customer_max) {
        return Err(CouponReason::UsedByCustomer);
    }
    if rules.first_booking && facts.has_booked {
        return Err(CouponReason::NotFirstBooking);
    }
    if is_over(facts.uses, rules.uses_max) {
        return Err(CouponReason::UsedUp);
    }
    Ok(())
}

/// The price of a hold by its own frozen terms, with `discount` in the place of one that it has.
/// `None` if it does not say what each ticket costs.
pub(crate) fn reprice(order: Order<'_>, discount: Option<Discount<'_>>) -> Option<HoldPrice> {
    let HoldPrice {
        lines,
        types,
        categories,
        ..
    } = order.price;
    let (mut fees, mut taxes) = (Vec::new(), Vec::new());
    for line in lines {
        match line.kind {
            LineKind::Fee => fees.push(Fee {
                name: line.name.clone(),
                per: line.per?,
                amount_minor: line.unit_minor,
                percent: line.percent,
            }),
            LineKind::Tax => taxes.push(Tax {
                name: line.name.clone(),
                percent: line.percent?,
                included: line.included,
                on: line.on.unwrap_or_default(),
            }),
            LineKind::Ticket | LineKind::Discount => {}
        }
    }
    let sold = types.iter().zip(categories).map(|(code, category)| {
        let line = ticket_line(lines, category, code.as_deref())?;
        Some(PricedTicket {
            category,
            ticket_type: code.as_deref(),
            name: &line.name,
            price_minor: line.unit_minor?,
        })
    });
    let sold: Vec<PricedTicket<'_>> = sold.collect::<Option<_>>()?;
    let terms = Terms {
        fees: &fees,
        taxes: &taxes,
        currency: order.currency,
    };
    let Price { lines, shares, .. } = price(&sold, terms, discount);
    Some(HoldPrice {
        lines,
        shares,
        types: types.clone(),
        categories: categories.clone(),
    })
}

fn ticket_line<'a>(
    lines: &'a [PriceLine],
    category: &str,
    code: Option<&str>,
) -> Option<&'a PriceLine> {
    lines.iter().find(|line| {
        line.kind == LineKind::Ticket
            && line.category.as_deref() == Some(category)
            && line.ticket_type.as_deref() == code
    })
}

/// What the coupon takes off in `price`.
pub(crate) fn off_minor(price: &HoldPrice) -> i64 {
    let discounts = price.lines.iter();
    let discounts = discounts.filter(|line| line.kind == LineKind::Discount);
    discounts.map(|line| -line.amount_minor).sum()
}

/// A stored percentage, or an amount.
pub(crate) fn off_of(percent: Option<i32>, amount_minor: Option<i64>) -> Option<Off> {
    match (percent, amount_minor) {
        (Some(thousandths), None) => {
            let thousandths = u32::try_from(thousandths).ok()?;
            Some(Off::Percent(Percent::of_thousandths(thousandths)))
        }
        (None, Some(amount)) => Some(Off::Amount(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn order_price() -> HoldPrice {
        let fees = [Fee {
            name: "Fee".to_owned(),
            per: contract::pricing::FeePer::Booking,
            amount_minor: Some(500),
            percent: None,
        }];
        let terms = Terms {
            fees: &fees,
            taxes: &[],
            currency: "EUR",
        };
        let sold = |category, price_minor| PricedTicket {
            category,
            ticket_type: None,
            name: category,
            price_minor,
        };
        let Price { lines, shares, .. } = price(&[sold("A", 2_000), sold("B", 1_000)], terms, None);
        HoldPrice {
            lines,
            shares,
            types: vec![None, None],
            categories: vec!["A".to_owned(), "B".to_owned()],
        }
    }

    fn rules() -> CouponRules {
        CouponRules {
            code: "TEN".to_owned(),
            off: Off::Percent(Percent::of_thousandths(10_000)),
            currency: None,
            show_no: None,
            categories: Vec::new(),
            minimum_minor: None,
            first_booking: false,
            uses_max: None,
            uses_per_customer_max: None,
            valid_from: None,
            valid_until: None,
            payment_methods: Vec::new(),
            is_disabled: false,
        }
    }

    fn judged(rules: &CouponRules, facts: CouponFacts) -> Result<i64, CouponReason> {
        let price = order_price();
        let order = Order {
            show_no: 7,
            currency: "EUR",
            price: &price,
        };
        with_coupon(rules, facts, order, NOW).map(|price| price.amount_minor())
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of all rules")]
    fn a_coupon_that_fits_takes_its_share_and_one_that_does_not_says_why() {
        let none = CouponFacts::default();
        let facts = |uses, uses_of_customer, has_booked| CouponFacts {
            uses,
            uses_of_customer,
            has_booked,
        };
        let later = NOW.plus(Duration::from_secs(1));
        let amount = |off| CouponRules {
            off: Off::Amount(off),
            ..rules()
        };
        for (rules, facts, expected) in [
            (rules(), none, Ok(3_150)),
            (amount(1_000), none, Ok(2_500)),
            (amount(9_999), none, Ok(0)),
            (amount(3_460), none, Err(CouponReason::TooLittleLeft)),
            (amount(3_450), none, Ok(50)),
            (
                CouponRules {
                    categories: vec!["B".to_owned()],
                    ..rules()
                },
                none,
                Ok(3_400),
            ),
            (
                CouponRules {
                    categories: vec!["C".to_owned()],
                    ..rules()
                },
                none,
                Err(CouponReason::OtherCategory),
            ),
            (
                CouponRules {
                    show_no: Some(7),
                    ..rules()
                },
                none,
                Ok(3_150),
            ),
            (
                CouponRules {
                    show_no: Some(8),
                    ..rules()
                },
                none,
                Err(CouponReason::OtherShow),
            ),
            (
                CouponRules {
                    currency: Some("USD".to_owned()),
                    ..rules()
                },
                none,
                Err(CouponReason::OtherCurrency),
            ),
            (
                CouponRules {
                    minimum_minor: Some(3_500),
                    ..rules()
                },
                none,
                Ok(3_150),
            ),
            (
                CouponRules {
                    minimum_minor: Some(3_501),
                    ..rules()
                },
                none,
                Err(CouponReason::MinimumOrder),
            ),
            (
                CouponRules {
                    is_disabled: true,
                    ..rules()
                },
                none,
                Err(CouponReason::Unknown),
            ),
            (
                CouponRules {
                    valid_from: Some(NOW),
                    valid_until: Some(later),
                    ..rules()
                },
                none,
                Ok(3_150),
            ),
            (
                CouponRules {
                    valid_from: Some(later),
                    ..rules()
                },
                none,
                Err(CouponReason::NotYetValid),
            ),
            (
                CouponRules {
                    valid_until: Some(NOW),
                    ..rules()
                },
                none,
                Err(CouponReason::Expired),
            ),
            (
                CouponRules {
                    uses_max: Some(2),
                    ..rules()
                },
                facts(1, 1, true),
                Ok(3_150),
            ),
            (
                CouponRules {
                    uses_max: Some(2),
                    ..rules()
                },
                facts(2, 0, false),
                Err(CouponReason::UsedUp),
            ),
            (
                CouponRules {
                    uses_per_customer_max: Some(1),
                    ..rules()
                },
                facts(5, 0, true),
                Ok(3_150),
            ),
            (
                CouponRules {
                    uses_per_customer_max: Some(1),
                    ..rules()
                },
                facts(5, 1, true),
                Err(CouponReason::UsedByCustomer),
            ),
            (
                CouponRules {
                    first_booking: true,
                    ..rules()
                },
                facts(5, 0, false),
                Ok(3_150),
            ),
            (
                CouponRules {
                    first_booking: true,
                    ..rules()
                },
                facts(0, 0, true),
                Err(CouponReason::NotFirstBooking),
            ),
        ] {
            assert_eq!(judged(&rules, facts), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_price_is_made_again_from_its_own_lines() {
        let price = order_price();
        let order = |price| Order {
            show_no: 7,
            currency: "EUR",
            price,
        };
        let with = with_coupon(&rules(), CouponFacts::default(), order(&price), NOW).unwrap();
        assert_eq!(off_minor(&with), 350);
        // Without the coupon it is what it was, and with it twice it is not taken off twice.
        assert_eq!(reprice(order(&with), None).as_ref(), Some(&price));
        let again = with_coupon(&rules(), CouponFacts::default(), order(&with), NOW);
        assert_eq!(again, Ok(with));
    }
}
