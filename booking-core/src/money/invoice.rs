//! Invoices and credit notes as values: their numbers, and what credit notes tell of taxes. Pure.

use contract::invoice::{InvoiceKind, Seller};
use contract::pricing::{LineKind, PriceLine};

/// What the line of a credit note is called.
const REFUND_LINE: &str = "Money back";

/// Who makes invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceConfig {
    /// Who sells.
    pub seller: Seller,
    /// What all numbers begin with.
    pub prefix: String,
}

/// The number of a document as people read it, such as `2026-000017` or `2026-C000003`.
pub(crate) fn number(kind: InvoiceKind, series: &str, year: i32, no: i32) -> String {
    match kind {
        InvoiceKind::Invoice => format!("{series}{year}-{no:06}"),
        InvoiceKind::CreditNote => format!("{series}{year}-C{no:06}"),
    }
}

/// What was invoiced for a booking, and what of it was credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoiced {
    pub(crate) number: String,
    pub(crate) amount_minor: i64,
    pub(crate) lines: Vec<PriceLine>,
    pub(crate) credited_minor: i64,
}

impl Invoiced {
    /// Credits what went back altogether and was not credited yet: the amount and the lines of the
    /// credit note. A refund that was credited and is lowered afterwards makes the next credit note
    /// smaller. No more than was invoiced is ever credited; `None` when nothing is left.
    ///
    /// Taxes are credited in the proportion of the amount, so that all credit notes together never
    /// have more of a tax than the invoice, and exactly as much when everything went back.
    pub(crate) fn credit(&mut self, announced_minor: i64) -> Option<(i64, Vec<PriceLine>)> {
        let before = self.credited_minor;
        let after = announced_minor.min(self.amount_minor);
        if after <= before {
            return None;
        }
        self.credited_minor = after;
        let amount_minor = after - before;
        let share = |tax: i64, up_to: i64| {
            let share = i128::from(tax) * i128::from(up_to) / i128::from(self.amount_minor);
            i64::try_from(share).unwrap_or(tax)
        };
        let taxes = self.lines.iter().filter(|line| line.kind == LineKind::Tax);
        let taxes = taxes.map(|tax| PriceLine {
            amount_minor: share(tax.amount_minor, after) - share(tax.amount_minor, before),
            included: true,
            ..tax.clone()
        });
        let lines = std::iter::once(line(LineKind::Ticket, REFUND_LINE, amount_minor)).chain(taxes);
        Some((amount_minor, lines.collect()))
    }
}

/// A line of which no more is known than its amount.
pub(crate) fn line(kind: LineKind, name: &str, amount_minor: i64) -> PriceLine {
    PriceLine {
        kind,
        name: name.to_owned(),
        amount_minor,
        category: None,
        ticket_type: None,
        quantity: None,
        unit_minor: None,
        per: None,
        percent: None,
        included: false,
        on: None,
    }
}

#[cfg(test)]
mod tests {
    use contract::invoice::tax_minor;
    use proptest::prelude::*;

    use super::*;

    fn invoiced(amount_minor: i64, taxes: &[i64]) -> Invoiced {
        let mut lines = vec![line(LineKind::Ticket, "Stalls", amount_minor)];
        lines.extend(taxes.iter().map(|tax| PriceLine {
            included: true,
            ..line(LineKind::Tax, "VAT", *tax)
        }));
        Invoiced {
            number: "2026-000001".to_owned(),
            amount_minor,
            lines,
            credited_minor: 0,
        }
    }

    #[test]
    fn numbers_tell_kind_year_and_place() {
        let of = |kind, series, no| number(kind, series, 2026, no);
        assert_eq!(of(InvoiceKind::Invoice, "", 1), "2026-000001");
        assert_eq!(of(InvoiceKind::CreditNote, "RL-", 17), "RL-2026-C000017");
        assert_eq!(of(InvoiceKind::Invoice, "", 1_234_567), "2026-1234567");
    }

    #[test]
    fn no_more_is_credited_than_was_invoiced() {
        let mut invoiced = invoiced(1_000, &[160]);
        let (amount, lines) = invoiced.credit(600).unwrap();
        assert_eq!((amount, tax_minor(&lines)), (600, 96));
        assert_eq!(lines[0].name, REFUND_LINE);
        let (amount, lines) = invoiced.credit(1_200).unwrap();
        assert_eq!((amount, tax_minor(&lines)), (400, 64));
        assert_eq!(invoiced.credit(1_300), None);
        assert_eq!(invoiced.credit(0), None);
    }

    #[test]
    fn what_was_lowered_after_its_credit_note_is_taken_off_the_next() {
        let mut invoiced = invoiced(1_000, &[160]);
        assert_eq!(invoiced.credit(600).unwrap().0, 600);
        // A bank took 250 of the 600 over; then 300 more went back.
        assert_eq!(invoiced.credit(350), None);
        let (amount, lines) = invoiced.credit(650).unwrap();
        assert_eq!((amount, tax_minor(&lines)), (50, 8));
        assert_eq!(invoiced.credited_minor, 650);
    }

    proptest! {
        #[test]
        fn credit_notes_sum_to_the_invoice_and_to_its_taxes(
            parts in prop::collection::vec(1_i64..100_000, 1..12),
            taxes in prop::collection::vec(0_i64..50_000, 0..4),
        ) {
            let amount: i64 = parts.iter().sum();
            let mut invoiced = invoiced(amount, &taxes);
            let (mut credited, mut of_taxes) = (0, 0);
            let mut announced = 0;
            for part in parts {
                announced += part;
                let (amount, lines) = invoiced.credit(announced).unwrap();
                let counted: i64 = lines.iter().map(PriceLine::counted_minor).sum();
                prop_assert_eq!(counted, amount);
                prop_assert!(lines.iter().all(|line| line.amount_minor >= 0));
                credited += amount;
                of_taxes += tax_minor(&lines);
            }
            prop_assert_eq!(credited, amount);
            prop_assert_eq!(of_taxes, taxes.iter().sum::<i64>());
        }
    }
}
