//! The stock of seats behind rooms.

use contract::RoomId;
use contract::booking::SaleStatus;

use crate::core::Core;

/// The stock of seats behind a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomStock {
    /// Seats that can be held now.
    pub remaining: u64,
    /// Unsold seats: available ones, and held ones that may become available again.
    pub unsold: u64,
    /// All seats.
    pub total: u64,
    /// Lowest and highest price, minor units.
    pub prices: Option<(i64, i64)>,
    /// The currency of the prices.
    pub currency: String,
}

impl Core {
    /// The stock of the shows behind `room` whose sale is not over; `None` when no show is behind
    /// it. Read from memory.
    pub(crate) fn stock(&self, room: &RoomId) -> Option<RoomStock> {
        let now = self.clock.now();
        let all = self.catalogue.in_room(room);
        let currency = all.first()?.info().currency.clone();
        let for_sale = || {
            all.iter()
                .filter(|show| match show.info().sale_status(now) {
                    SaleStatus::Upcoming | SaleStatus::Open => true,
                    SaleStatus::Closed | SaleStatus::Cancelled => false,
                })
        };
        let remaining = for_sale().map(|show| show.available_count()).sum();
        let prices = all
            .iter()
            .flat_map(|show| show.info().tariff().public_categories());
        let prices: Vec<i64> = prices.map(|category| category.price_minor).collect();
        Some(RoomStock {
            remaining,
            // Held seats are counted only when no seat is available, because counting reads every
            // seat.
            unsold: match remaining {
                0 => for_sale().map(|show| show.unsold_count()).sum(),
                some => some,
            },
            // Shows whose sale is over are left out, so that they do not make the remaining stock
            // look small.
            total: for_sale().map(|show| show.seat_count()).sum(),
            prices: prices
                .iter()
                .min()
                .copied()
                .zip(prices.iter().max().copied()),
            currency,
        })
    }
}
