//! What a hold costs.

use contract::pricing::PriceLine;

/// The price of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldPrice {
    /// What it is made of.
    pub(crate) lines: Vec<PriceLine>,
    /// The share of each seat, in the order of the hold's seats.
    pub(crate) shares: Vec<i64>,
    /// What each seat is sold as, in the same order.
    pub(crate) types: Vec<Option<String>>,
    /// The category of each seat, in the same order.
    pub(crate) categories: Vec<String>,
}

impl HoldPrice {
    /// The whole.
    pub(crate) fn amount_minor(&self) -> i64 {
        let shares = self.shares.iter();
        shares.fold(0, |sum, share| share.saturating_add(sum))
    }
}
