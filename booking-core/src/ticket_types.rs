//! What the seats of a hold are sold as.

use contract::HoldId;
use contract::booking::{Category, Hold};

use crate::core::Core;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::live::LiveShow;
use crate::money::HoldPrice;
use crate::shows::{SeatsPrice, TypedSeat};
use crate::store;

/// The outcome of a request to sell the seats of a hold as other types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TypesOutcome {
    /// They are sold as that, at the price of the hold.
    Changed(Box<Hold>),
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The hold has ended.
    HoldEnded,
    /// A payment was started, and its amount is fixed.
    PaymentStarted,
    /// The request is not valid.
    Invalid(String),
}

/// The index of a type in those of `category`; the first when `code` is absent.
pub(crate) fn type_at(category: &Category, code: Option<&str>) -> Result<usize, String> {
    let Some(code) = code else { return Ok(0) };
    let mut types = category.ticket_types.iter();
    let at = types.position(|known| known.code == code);
    at.ok_or_else(|| format!("`{code}` is not a ticket type of {}", category.name))
}

impl From<SeatsPrice> for HoldPrice {
    fn from(price: SeatsPrice) -> Self {
        Self {
            shares: price.shares(),
            types: price.types().map(|code| code.map(str::to_owned)).collect(),
            categories: price
                .tickets
                .iter()
                .map(|ticket| ticket.category.clone())
                .collect(),
            lines: price.lines,
        }
    }
}

impl Core {
    /// Sells the seats of a hold as other types, at the present prices. Not once a payment was
    /// started: what a customer sees at the provider must stay the price.
    pub(crate) async fn hold_types_set(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        codes: &[Option<String>],
    ) -> Result<TypesOutcome, StoreError> {
        let Some(row) = self.hold_row(customer, hold_id).await? else {
            return Ok(TypesOutcome::NotFound);
        };
        let Some(show) = self.catalogue.live_by_no(row.show_no).await? else {
            return Ok(TypesOutcome::HoldEnded);
        };
        let price = match price_as(&show, &row.seat_nos, codes) {
            Ok(price) => HoldPrice::from(price),
            Err(problem) => return Ok(TypesOutcome::Invalid(problem)),
        };
        let refusal = repeat_if_contended(|| self.hold_price_set(row.hold_id, &price)).await?;
        if let Some(refusal) = refusal {
            return Ok(refusal);
        }
        let hold = self.hold(customer, hold_id).await?;
        Ok(hold.map_or(TypesOutcome::NotFound, |hold| {
            TypesOutcome::Changed(Box::new(hold))
        }))
    }

    async fn hold_price_set(
        &self,
        hold_id: uuid::Uuid,
        price: &HoldPrice,
    ) -> Result<Option<TypesOutcome>, StoreError> {
        let mut tx = self.pools.holds.begin().await?;
        let Some(hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return Ok(Some(TypesOutcome::NotFound));
        };
        if hold.attempt_count > 0 && hold.is_open() {
            return Ok(Some(TypesOutcome::PaymentStarted));
        }
        if !hold.is_open() || hold.expires_at <= self.clock.now() {
            return Ok(Some(TypesOutcome::HoldEnded));
        }
        store::prices::set(&mut tx, hold_id, price, None).await?;
        tx.commit().await?;
        Ok(None)
    }
}

fn price_as(
    show: &LiveShow,
    seat_nos: &[i32],
    codes: &[Option<String>],
) -> Result<SeatsPrice, String> {
    let seats = show.plan().seats_of_nos(seat_nos);
    if codes.len() != seats.len() {
        return Err(format!(
            "must have {} types, one for each seat",
            seats.len()
        ));
    }
    let typed = seats.into_iter().zip(codes).map(|(seat, code)| {
        let category = show.info().tariff().category(&seat.category);
        let at = category.map(|category| type_at(category, code.as_deref()));
        Ok(TypedSeat {
            seat,
            type_at: at.transpose()?.unwrap_or_default(),
        })
    });
    let typed: Vec<TypedSeat<'_>> = typed.collect::<Result<_, String>>()?;
    Ok(show.info().tariff().price_of(&typed))
}
