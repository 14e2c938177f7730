//! Sample prices and invoices.

use contract::Timestamp;
use contract::coupon::Quote;
use contract::invoice::{Invoice, InvoiceKind, Seller};
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

/// An invoice, and a credit note for a part of it.
pub(crate) fn sample_invoices(issued_at: Timestamp) -> Vec<Invoice> {
    let of = |kind, number: &str, of_number: Option<&str>, amount_minor| Invoice {
        number: number.to_owned(),
        kind,
        of_number: of_number.map(str::to_owned),
        booking_id: "bkg_0190163d8694739baea51966c26f8ad9"
            .parse()
            .expect("an id"),
        booking_code: "QX7-4KD".to_owned(),
        email: "fan@example.com".to_owned(),
        show_id: "eras-mumbai-1".parse().expect("an id"),
        amount_minor,
        tax_minor: 0,
        currency: "INR".to_owned(),
        lines: Vec::new(),
        seller: Seller {
            name: "Ropeline Concerts".to_owned(),
            address: vec!["1 Marine Drive".to_owned(), "Mumbai".to_owned()],
            tax_number: "27AAAPL1234C1ZV".to_owned(),
        },
        issued_at,
    };
    vec![
        of(InvoiceKind::Invoice, "2026-000017", None, 999_800),
        of(
            InvoiceKind::CreditNote,
            "2026-C000003",
            Some("2026-000017"),
            499_900,
        ),
    ]
}
