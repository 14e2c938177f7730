//! What the tickets of a show cost. Pure.

use contract::booking::Category;
use contract::pricing::{Fee, HeldTicket, PriceLine, Tax, TicketType};
use show_file::price::{Price, PricedTicket, Terms, once_minor, price, price_of_one};

use super::plan::PlannedSeat;

/// A seat with the type that it is sold as: an index in the types of its category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypedSeat<'a> {
    pub(crate) seat: &'a PlannedSeat,
    pub(crate) type_at: usize,
}

/// The price of some seats, frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeatsPrice {
    pub(crate) lines: Vec<PriceLine>,
    /// In the order of the seats.
    pub(crate) tickets: Vec<HeldTicket>,
    pub(crate) amount_minor: i64,
}

impl SeatsPrice {
    /// The share of each seat.
    pub(crate) fn shares(&self) -> Vec<i64> {
        let tickets = self.tickets.iter();
        tickets.map(|ticket| ticket.amount_minor).collect()
    }

    /// The type of each seat, where it has one.
    pub(crate) fn types(&self) -> impl Iterator<Item = Option<&str>> {
        let tickets = self.tickets.iter();
        tickets.map(|ticket| ticket.ticket_type.as_deref())
    }
}

/// The prices of a show, and what everyone pays on top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tariff<'a> {
    pub(crate) categories: &'a [Category],
    pub(crate) fees: &'a [Fee],
    pub(crate) taxes: &'a [Tax],
    pub(crate) currency: &'a str,
}

impl<'a> Tariff<'a> {
    const fn terms(self) -> Terms<'a> {
        Terms {
            fees: self.fees,
            taxes: self.taxes,
            currency: self.currency,
        }
    }

    /// The category with this code.
    pub(crate) fn category(self, code: &str) -> Option<&'a Category> {
        let mut categories = self.categories.iter();
        categories.find(|category| category.category == code)
    }

    /// What one ticket of each category and type costs with all fees and taxes, as fans see it
    /// first.
    pub(crate) fn public_categories(self) -> Vec<Category> {
        if self.fees.is_empty() && self.taxes.iter().all(|tax| tax.included) {
            return self.categories.to_vec();
        }
        let public = |price_minor| price_of_one(price_minor, self.terms());
        let categories = self.categories.iter();
        categories
            .map(|category| Category {
                price_minor: public(category.price_minor),
                ticket_types: category
                    .ticket_types
                    .iter()
                    .map(|it| TicketType {
                        price_minor: public(it.price_minor),
                        ..it.clone()
                    })
                    .collect(),
                ..category.clone()
            })
            .collect()
    }

    /// What the price of one ticket contains that a booking pays once.
    pub(crate) fn booking_fee_minor(self) -> i64 {
        if self.fees.is_empty() {
            return 0;
        }
        once_minor(self.terms())
    }

    /// The price of `seats`, which are of this show.
    pub(crate) fn price_of(self, seats: &[TypedSeat<'_>]) -> SeatsPrice {
        let sold: Vec<Sold<'_>> = seats.iter().map(|seat| self.sold(*seat)).collect();
        let priced: Vec<PricedTicket<'_>> = sold.iter().map(Sold::priced).collect();
        let Price {
            lines,
            shares,
            amount_minor,
        } = price(&priced, self.terms(), None);
        let tickets = sold.iter().zip(seats).zip(shares);
        SeatsPrice {
            lines,
            amount_minor,
            tickets: tickets
                .map(|((sold, seat), amount_minor)| HeldTicket {
                    seat_id: seat.seat.seat_id.clone(),
                    category: seat.seat.category.clone(),
                    ticket_type: sold.ticket_type.map(str::to_owned),
                    amount_minor,
                })
                .collect(),
        }
    }

    fn sold<'s>(self, seat: TypedSeat<'s>) -> Sold<'s>
    where
        'a: 's,
    {
        let code = seat.seat.category.as_str();
        let category = self.category(code);
        let ticket_type = category.and_then(|it| it.ticket_types.get(seat.type_at));
        let name = category.map_or(code, |category| category.name.as_str());
        Sold {
            category: code,
            ticket_type: ticket_type.map(|it| it.code.as_str()),
            name: match ticket_type {
                Some(it) => format!("{name}, {}", it.name),
                None => name.to_owned(),
            },
            price_minor: match (ticket_type, category) {
                (Some(it), _) => it.price_minor,
                (None, Some(category)) => category.price_minor,
                (None, None) => 0,
            },
        }
    }
}

/// What a seat is sold as.
struct Sold<'a> {
    category: &'a str,
    ticket_type: Option<&'a str>,
    name: String,
    price_minor: i64,
}

impl Sold<'_> {
    fn priced(&self) -> PricedTicket<'_> {
        PricedTicket {
            category: self.category,
            ticket_type: self.ticket_type,
            name: &self.name,
            price_minor: self.price_minor,
        }
    }
}
