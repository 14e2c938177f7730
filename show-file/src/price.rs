//! What tickets cost. Pure, in integer minor units.
//!
//! Each ticket is priced by itself, and so is what a booking pays once; the price is their sum. So
//! the price of several tickets is known from the prices of each, and each ticket has a share of
//! the whole that goes back when it is returned.
//!
//! Everything that is counted is a multiple of the smallest amount that can be charged. Percentages
//! of fees and taxes are rounded to the nearest of them, halves up, discounts down. Taxes that are
//! contained in prices are told to the minor unit, because they change nothing.

use contract::pricing::{Fee, FeePer, LineKind, Percent, PriceLine, Tax, TaxOn};

use crate::currency;

/// All of it, in thousandths of a percent.
const WHOLE: i128 = Percent::HUNDRED.thousandths() as i128;

/// A ticket whose price is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedTicket<'a> {
    /// Its category.
    pub category: &'a str,
    /// Its type.
    pub ticket_type: Option<&'a str>,
    /// What fans read.
    pub name: &'a str,
    /// Its price without fees and added taxes.
    pub price_minor: i64,
}

/// What everyone pays on top, and in which currency.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Fees.
    pub fees: &'a [Fee],
    /// Taxes.
    pub taxes: &'a [Tax],
    /// The currency.
    pub currency: &'a str,
}

/// How much a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// A share of price and fees.
    Percent(Percent),
    /// An amount, as far as price and fees go.
    Amount(i64),
}

/// What a coupon takes off which tickets.
#[derive(Clone, Copy)]
pub struct Discount<'a> {
    /// What fans read.
    pub name: &'a str,
    /// How much.
    pub off: Off,
    /// Categories whose tickets it is for; all when empty. What a booking pays once is part of it
    /// when it is for all of the tickets.
    pub categories: &'a [String],
}

/// A price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// What it is made of: tickets, fees, discount, taxes.
    pub lines: Vec<PriceLine>,
    /// The share of each ticket, in the order of the tickets.
    pub shares: Vec<i64>,
    /// The whole.
    pub amount_minor: i64,
}

/// What is priced by itself: a ticket, or what the booking pays once.
#[derive(Clone, Debug, Default)]
struct Item {
    price: i128,
    /// Of each fee.
    fees: Vec<i128>,
    off_price: i128,
    off_fees: i128,
    /// Of each tax that is added.
    added: Vec<i128>,
}

impl Item {
    fn fee(&self) -> i128 {
        self.fees.iter().sum()
    }

    fn before_discount(&self) -> i128 {
        self.price + self.fee()
    }

    fn total(&self) -> i128 {
        self.before_discount() - self.off_price - self.off_fees + self.added.iter().sum::<i128>()
    }

    /// What a tax is on: price and fees after the discount.
    fn parts(&self, on: TaxOn) -> (i128, i128) {
        let (price, fee) = (self.price - self.off_price, self.fee() - self.off_fees);
        match on {
            TaxOn::All => (price, fee),
            TaxOn::Tickets => (price, 0),
            TaxOn::Fees => (0, fee),
        }
    }

    /// Takes `off` off, in the proportion of price and fees.
    fn take_off(&mut self, off: i128, unit: i128) {
        let whole = self.before_discount();
        if whole > 0 {
            self.off_price = floor_to(off * self.price / whole, unit);
            self.off_fees = off - self.off_price;
        }
    }
}

/// The price of `tickets`. Amounts are limited to what fits.
pub fn price(
    tickets: &[PricedTicket<'_>],
    terms: Terms<'_>,
    discount: Option<Discount<'_>>,
) -> Price {
    let unit = i128::from(currency::finest(terms.currency));
    let mut items: Vec<Item> = tickets
        .iter()
        .map(|ticket| ticket_item(ticket, terms.fees, unit))
        .collect();
    let mut once = once_item(terms.fees);
    if let Some(discount) = &discount {
        apply(discount, tickets, &mut items, &mut once, unit);
    }
    for item in items.iter_mut().chain([&mut once]) {
        item.added = terms
            .taxes
            .iter()
            .map(|tax| {
                if tax.included {
                    0
                } else {
                    added(item, tax, unit)
                }
            })
            .collect();
    }
    let shares_of_once = split(once.total() / unit, items.len());
    let shares: Vec<i64> = items
        .iter()
        .zip(shares_of_once)
        .map(|(item, share)| minor(item.total() + share * unit))
        .collect();
    items.push(once);
    let lines = lines(tickets, &items, terms, discount);
    Price {
        amount_minor: shares
            .iter()
            .fold(0, |sum, share| share.saturating_add(sum)),
        lines,
        shares,
    }
}

/// What one ticket costs by itself.
pub fn price_of_one(price_minor: i64, terms: Terms<'_>) -> i64 {
    let ticket = PricedTicket {
        category: "",
        ticket_type: None,
        name: "",
        price_minor,
    };
    price(&[ticket], terms, None).amount_minor
}

/// What the price of one ticket contains that a booking pays once.
pub fn once_minor(terms: Terms<'_>) -> i64 {
    let price = |count| price(&vec![NOTHING; count], terms, None).amount_minor;
    2 * price(1) - price(2)
}

const NOTHING: PricedTicket<'_> = PricedTicket {
    category: "",
    ticket_type: None,
    name: "",
    price_minor: 0,
};

fn ticket_item(ticket: &PricedTicket<'_>, fees: &[Fee], unit: i128) -> Item {
    let price = i128::from(ticket.price_minor.max(0));
    let fee = |fee: &Fee| match (fee.percent, fee.amount_minor, fee.per) {
        (Some(percent), _, _) => nearest(price * thousandths(percent), WHOLE, unit),
        (None, Some(amount), FeePer::Ticket) => i128::from(amount.max(0)),
        (None, _, _) => 0,
    };
    Item {
        price,
        fees: fees.iter().map(fee).collect(),
        ..Item::default()
    }
}

fn once_item(fees: &[Fee]) -> Item {
    let fee = |fee: &Fee| match (fee.percent, fee.amount_minor, fee.per) {
        (None, Some(amount), FeePer::Booking) => i128::from(amount.max(0)),
        _ => 0,
    };
    Item {
        fees: fees.iter().map(fee).collect(),
        ..Item::default()
    }
}

fn apply(
    discount: &Discount<'_>,
    tickets: &[PricedTicket<'_>],
    items: &mut [Item],
    once: &mut Item,
    unit: i128,
) {
    let is_meant = |ticket: &PricedTicket<'_>| {
        let of = discount.categories;
        of.is_empty() || of.iter().any(|category| category == ticket.category)
    };
    let is_whole = tickets.iter().all(is_meant);
    let meant = tickets
        .iter()
        .zip(items)
        .filter(|(ticket, _)| is_meant(ticket));
    let mut meant: Vec<&mut Item> = meant.map(|(_, item)| item).collect();
    if is_whole {
        meant.push(once);
    }
    match discount.off {
        Off::Percent(percent) => {
            let rate = thousandths(percent.min(Percent::HUNDRED));
            for item in meant {
                let off = floor_to(item.before_discount() * rate / WHOLE, unit);
                item.take_off(off, unit);
            }
        }
        Off::Amount(amount) => {
            let whole: i128 = meant.iter().map(|item| item.before_discount()).sum();
            let off = i128::from(amount.max(0)).min(whole) / unit;
            // Up to each, so that what is rounded away at one is had at the next.
            let (mut before, mut given) = (0, 0);
            for item in meant {
                before += item.before_discount();
                let up_to = off * before / whole.max(1);
                item.take_off((up_to - given) * unit, unit);
                given = up_to;
            }
        }
    }
}

fn added(item: &Item, tax: &Tax, unit: i128) -> i128 {
    let (price, fee) = item.parts(tax.on);
    nearest((price + fee) * thousandths(tax.percent), WHOLE, unit)
}

/// What of `items` is a tax that they contain. Several taxes share what is above the net price.
fn contained(items: &[Item], tax: &Tax, taxes: &[Tax]) -> i128 {
    let rate_on = |part: TaxOn| -> i128 {
        taxes
            .iter()
            .filter(|other| other.included && (other.on == TaxOn::All || other.on == part))
            .map(|other| thousandths(other.percent))
            .sum()
    };
    let (prices, fees) = items
        .iter()
        .map(|item| item.parts(tax.on))
        .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let rate = thousandths(tax.percent);
    nearest(prices * rate, WHOLE + rate_on(TaxOn::Tickets), 1)
        + nearest(fees * rate, WHOLE + rate_on(TaxOn::Fees), 1)
}

fn lines(
    tickets: &[PricedTicket<'_>],
    items: &[Item],
    terms: Terms<'_>,
    discount: Option<Discount<'_>>,
) -> Vec<PriceLine> {
    let mut lines: Vec<PriceLine> = Vec::new();
    for ticket in tickets {
        let known = lines.iter_mut().find(|line| {
            line.category.as_deref() == Some(ticket.category)
                && line.ticket_type.as_deref() == ticket.ticket_type
                && line.unit_minor == Some(ticket.price_minor)
        });
        if let Some(line) = known {
            line.amount_minor = line.amount_minor.saturating_add(ticket.price_minor);
            line.quantity = line.quantity.map(|quantity| quantity + 1);
        } else {
            lines.push(PriceLine {
                category: Some(ticket.category.to_owned()),
                ticket_type: ticket.ticket_type.map(str::to_owned),
                quantity: Some(1),
                unit_minor: Some(ticket.price_minor),
                ..line(
                    LineKind::Ticket,
                    ticket.name,
                    i128::from(ticket.price_minor),
                )
            });
        }
    }
    for (at, fee) in terms.fees.iter().enumerate() {
        let amount = items.iter().map(|item| item.fees[at]).sum();
        lines.push(PriceLine {
            unit_minor: fee.amount_minor,
            per: Some(fee.per),
            percent: fee.percent,
            ..line(LineKind::Fee, &fee.name, amount)
        });
    }
    if let Some(discount) = discount {
        let off: i128 = items
            .iter()
            .map(|item| item.off_price + item.off_fees)
            .sum();
        lines.push(line(LineKind::Discount, discount.name, -off));
    }
    for (at, tax) in terms.taxes.iter().enumerate() {
        let amount = if tax.included {
            contained(items, tax, terms.taxes)
        } else {
            items.iter().map(|item| item.added[at]).sum()
        };
        lines.push(PriceLine {
            percent: Some(tax.percent),
            included: tax.included,
            on: Some(tax.on),
            ..line(LineKind::Tax, &tax.name, amount)
        });
    }
    lines
}

fn line(kind: LineKind, name: &str, amount: i128) -> PriceLine {
    PriceLine {
        kind,
        name: name.to_owned(),
        amount_minor: minor(amount),
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

fn thousandths(percent: Percent) -> i128 {
    i128::from(percent.thousandths())
}

/// `part / whole`, to the nearest multiple of `unit`, halves up. Nothing is negative.
const fn nearest(part: i128, whole: i128, unit: i128) -> i128 {
    (2 * part + whole * unit) / (2 * whole * unit) * unit
}

const fn floor_to(amount: i128, unit: i128) -> i128 {
    amount / unit * unit
}

/// `amount` in `count` parts that differ by one at most.
fn split(amount: i128, count: usize) -> impl Iterator<Item = i128> {
    let parts = i128::try_from(count).unwrap_or(1).max(1);
    (0..parts).map(move |at| amount * (at + 1) / parts - amount * at / parts)
}

fn minor(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
