//! Giving tickets away.
//!
//! Hold, payment of nothing, booking and tickets are made in one transaction, under the same row
//! locks of seats as every other sale, so that a seat is given away or sold, and never both. The
//! writer of the show is not asked: its memory refuses early, and the rows decide.

use std::sync::Arc;

use contract::booking::{HoldRequest, HoldStatus, PaymentStatus};
use contract::comp::Comp;
use contract::pricing::Percent;
use contract::{BookingId, SeatId, ShowId, TicketId};
use show_file::price::{Discount, Off};

use crate::config::{HOLD_SEATS_MAX, HOLD_TRIES_MAX};
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::handle::Booking;
use crate::holds::{HoldOutcome, Once, read_wanted};
use crate::live::{LiveShow, SeatsWanted};
use crate::money::coupon::{Order, off_minor, reprice};
use crate::money::{Disposition, HoldPrice};
use crate::shows::{TypedSeat, best_available};
use crate::store;
use crate::store::comps::NewComp;
use crate::store::holds::HoldRow;
use crate::store::idempotency::{KeyUse, Known, StoredAnswer};
use crate::store::payments::{FREE, PaymentChange};
use crate::store::seats::SeatReport;
use crate::telemetry;

/// What the line that takes everything off is called.
const LINE_NAME: &str = "Complimentary";
/// Thousandths of a percent: everything.
const EVERYTHING: u32 = 100_000;

/// To whom tickets are given, and why.
#[derive(Clone, Debug)]
pub(crate) struct CompOrder {
    /// A valid address.
    pub(crate) email: String,
    /// Whose name the tickets carry.
    pub(crate) name: Option<String>,
    pub(crate) reason: Option<String>,
}

/// The idempotency key of a request, and the answer that is stored with the booking.
pub(crate) struct CompKey {
    pub(crate) key_use: KeyUse,
    pub(crate) answer_of: fn(&Comp) -> StoredAnswer,
}

/// Tickets that were given away, or the refusal that a hold of these seats would get.
pub(crate) type CompOutcome = Result<Once<Comp>, HoldOutcome>;

/// The outcome of one transaction.
enum Tried {
    Given(Comp, Vec<SeatReport>),
    /// Not all of the seats are free.
    Taken,
    /// The key was used by another request meanwhile.
    Known(Known),
}

impl Booking {
    /// Gives away tickets of a show.
    pub(crate) async fn comp(
        &self,
        show: &ShowId,
        seats: HoldRequest,
        order: CompOrder,
        key: Option<CompKey>,
    ) -> Result<CompOutcome, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.comp(&show, &seats, &order, key.as_ref()).await };
        self.0.work.run(work).await
    }

    /// Free seats of a show; `None` for an unknown one.
    pub(crate) async fn free_seats(&self, show: &ShowId) -> Result<Option<u64>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move {
            let show = core.catalogue.live(&show).await?;
            Ok(show.map(|show| show.figures().available))
        };
        self.0.work.run(work).await
    }
}

impl Core {
    async fn comp(
        &self,
        show: &ShowId,
        seats: &HoldRequest,
        order: &CompOrder,
        key: Option<&CompKey>,
    ) -> Result<CompOutcome, StoreError> {
        if let Some(known) = self.comp_known(key).await? {
            return Ok(Ok(Once::Known(known)));
        }
        let Some(show) = self.catalogue.live(show).await? else {
            return Ok(Err(HoldOutcome::ShowNotFound));
        };
        let wanted = match wanted(&show, seats) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(Err(*refusal)),
        };
        // Before the sale opens and after it has closed, but not for nothing.
        let info = show.info();
        if info.cancelled || info.ends_at <= self.clock.now() {
            return Ok(Err(HoldOutcome::SaleNotOpen));
        }
        for _ in 0..HOLD_TRIES_MAX {
            let Some(chosen) = choose(&show, &wanted) else {
                break;
            };
            let tried = repeat_if_contended(|| self.comp_try(&show, &chosen, order, key)).await?;
            match tried {
                Tried::Given(comp, reports) => {
                    self.catalogue.apply(&reports);
                    metrics::counter!(telemetry::BOOKINGS).increment(1);
                    return Ok(Ok(Once::Now(comp)));
                }
                Tried::Known(known) => return Ok(Ok(Once::Known(known))),
                Tried::Taken => {
                    let nos: Vec<i32> = chosen.iter().map(|at| show.plan().no(*at)).collect();
                    let mut connection = self.pools.reads.acquire().await?;
                    let reports = store::seats::some(&mut connection, info.show_no, &nos).await?;
                    self.catalogue.apply(&reports);
                    if let SeatsWanted::Named(_) = wanted {
                        break;
                    }
                }
            }
        }
        // Perhaps a request with the same key, at the same time, gave these seats away.
        if let Some(known) = self.comp_known(key).await? {
            return Ok(Ok(Once::Known(known)));
        }
        Ok(Err(HoldOutcome::SeatsUnavailable(unavailable(
            &show, &wanted,
        ))))
    }

    /// What another request did with the key; `None` for a key that was not used.
    async fn comp_known(&self, key: Option<&CompKey>) -> Result<Option<Known>, StoreError> {
        let Some(key) = key else {
            return Ok(None);
        };
        let uses = std::slice::from_ref(&key.key_use);
        let found = store::idempotency::find(&self.pools.money, uses).await?;
        Ok(found.into_iter().flatten().next())
    }

    async fn comp_try(
        &self,
        show: &LiveShow,
        seats: &[usize],
        order: &CompOrder,
        key: Option<&CompKey>,
    ) -> Result<Tried, StoreError> {
        let now = self.clock.now();
        let info = show.info();
        let price = complimentary(show, seats)?;
        let hold_id = self.randomness.uuid(now);
        // Of nobody's session: the link in the mail opens the booking.
        let owner = format!("comp:{}", hold_id.simple());
        let hold = HoldRow {
            hold_id,
            show_no: info.show_no,
            subject: None,
            session: Some(owner.clone()),
            limit_owner: owner,
            status: HoldStatus::Active,
            seat_nos: seats.iter().map(|at| show.plan().no(*at)).collect(),
            amount_minor: 0,
            currency: info.currency.clone(),
            attempt_count: 0,
            payment_open: false,
            expires_at: now,
            hard_deadline: now,
            was_extended: false,
            coupon_use_id: None,
            booking_id: None,
        };
        let mut tx = self.pools.money.begin().await?;
        store::comps::hold_insert(&mut tx, &hold, now).await?;
        store::prices::set(&mut tx, hold_id, &price, None).await?;
        let payment = self
            .attempt_record(&mut tx, &hold, FREE, &order.email)
            .await?;
        let change = PaymentChange {
            status: PaymentStatus::Succeeded,
            failure_reason: None,
            provider_open: false,
            captured_minor: 0,
            captured_currency: Some(hold.currency.clone()),
            disposition: Some(Disposition::Booked),
            next_poll_at: now,
        };
        store::payments::update(&mut tx, payment.payment_id, &change, now).await?;
        // A limit of its own, because that of the show is one of customers.
        let limit = i32::try_from(HOLD_SEATS_MAX).unwrap_or(i32::MAX);
        if !store::seats::take_again(&mut tx, &hold.returned(), limit).await? {
            return Ok(Tried::Taken);
        }
        let booking = self.booking_draft(&hold, now);
        let reports = store::seats::book(&mut tx, &hold.returned(), booking.booking_id).await?;
        store::holds::set_status(&mut tx, hold_id, HoldStatus::Confirmed, now).await?;
        store::holds::refresh_payment_open(&mut tx, hold_id).await?;
        store::bookings::insert(&mut tx, &booking, &hold, &order.email).await?;
        let comp = Comp {
            booking_id: BookingId::new(booking.booking_id),
            code: booking.code.clone(),
            show_id: info.show_id.clone(),
            ticket_ids: booking
                .ticket_ids
                .iter()
                .copied()
                .map(TicketId::new)
                .collect(),
            seat_ids: show.plan().labels(seats),
            face_minor: off_minor(&price),
            currency: hold.currency.clone(),
        };
        let new = NewComp {
            booking_id: booking.booking_id,
            show_no: info.show_no,
            face_minor: comp.face_minor,
            currency: &comp.currency,
            name: order.name.as_deref(),
            reason: order.reason.as_deref(),
            now,
        };
        store::comps::insert(&mut tx, &new).await?;
        if let Some(key) = key {
            let answer = (key.answer_of)(&comp);
            // Last: a request with the same key waits here until this transaction is over.
            if !store::idempotency::keep(&mut tx, &key.key_use, hold_id, &answer, now).await? {
                tx.rollback().await?;
                let known = self.comp_known(Some(key)).await?;
                return Ok(Tried::Known(known.unwrap_or(Known::InProgress)));
            }
        }
        tx.commit().await?;
        Ok(Tried::Given(comp, reports))
    }
}

/// The seats that a request asks for.
fn wanted(show: &LiveShow, request: &HoldRequest) -> Result<SeatsWanted, Box<HoldOutcome>> {
    let wanted = read_wanted(show, request)?;
    if wanted.count() > HOLD_SEATS_MAX {
        return Err(Box::new(HoldOutcome::Invalid {
            field: "seatIds",
            problem: format!("at most {HOLD_SEATS_MAX} tickets are given away at once"),
        }));
    }
    Ok(wanted)
}

/// The seats to try, by index in map order; `None` if memory knows that they are not free.
fn choose(show: &LiveShow, wanted: &SeatsWanted) -> Option<Vec<usize>> {
    let states = show.memory().states();
    let free = |index: usize| states.is_available(index);
    match wanted {
        SeatsWanted::Named(indices) => {
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            sorted.iter().all(|index| free(*index)).then_some(sorted)
        }
        SeatsWanted::Best { quantity, category } => {
            best_available::pick(show.plan(), *quantity, category.as_deref(), free)
        }
    }
}

/// Those of named seats that are not free.
fn unavailable(show: &LiveShow, wanted: &SeatsWanted) -> Vec<SeatId> {
    let SeatsWanted::Named(indices) = wanted else {
        return Vec::new();
    };
    let states = show.memory().states();
    let indices = indices.iter().copied();
    let gone: Vec<usize> = indices
        .filter(|index| !states.is_available(*index))
        .collect();
    drop(states);
    show.plan().labels(&gone)
}

/// The price of seats that cost nothing: what they cost otherwise, and a line that takes it off.
fn complimentary(show: &LiveShow, seats: &[usize]) -> Result<HoldPrice, StoreError> {
    let info = show.info();
    let typed = seats.iter().filter_map(|index| {
        Some(TypedSeat {
            seat: show.plan().seats().get(*index)?,
            type_at: 0,
        })
    });
    let full = HoldPrice::from(info.tariff().price_of(&typed.collect::<Vec<_>>()));
    let order = Order {
        show_no: info.show_no,
        currency: &info.currency,
        price: &full,
    };
    let discount = Discount {
        name: LINE_NAME,
        off: Off::Percent(Percent::of_thousandths(EVERYTHING)),
        categories: &[],
    };
    reprice(order, Some(discount))
        .filter(|price| price.amount_minor() == 0)
        .ok_or_else(|| StoreError::corrupt("shows", "tickets that are given away have a price"))
}
