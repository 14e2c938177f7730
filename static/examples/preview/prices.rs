//! Sample prices.

use contract::coupon::Quote;
use contract::pricing::{LineKind, Percent, PriceLine};

/// A price with a coupon.
pub(crate) fn sample_quote() -> Quote {
    Quote {
        coupon_code: "EARLY-20".to_owned(),
        amount_minor: 639_832,
        currency: "INR".to_owned(),
        lines: sample_lines(159_958),
    }
}

/// What a price with fees, a tax and this discount is made of.
pub(crate) fn sample_lines(off_minor: i64) -> Vec<PriceLine> {
    let line = |kind, name: &str, amount_minor| PriceLine {
        kind,
        name: name.to_owned(),
        amount_minor,
        category: None,
        ticket_type: None,
        quantity: (kind == LineKind::Ticket).then_some(1),
        unit_minor: None,
        per: None,
        percent: None,
        included: false,
        on: None,
    };
    let mut lines = vec![
        line(LineKind::Ticket, "Premium, Adult", 499_900),
        line(LineKind::Ticket, "Premium, Child up to 14", 249_900),
        PriceLine {
            percent: Some(Percent::of_thousandths(6_000)),
            ..line(LineKind::Fee, "Service", 44_990)
        },
        line(LineKind::Fee, "Order", 5_000),
        PriceLine {
            percent: Some(Percent::of_thousandths(18_000)),
            included: true,
            ..line(LineKind::Tax, "GST", 122_002)
        },
    ];
    if off_minor > 0 {
        lines.insert(4, line(LineKind::Discount, "EARLY-20", -off_minor));
    }
    lines
}
