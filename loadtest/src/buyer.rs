//! The way of a fan who buys: choose seats, hold, pay, confirm, look at the booking.

use std::time::Duration;

use contract::booking::{
    Booking, BookingStatus, ConfirmRequest, HoldRequest, Payment, SeatMap, SeatStatus, Ticket,
};
use contract::refund::Cancellation;
use contract::{BookingId, SeatId, TicketId};
use data_encoding::HEXLOWER;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use crate::call::{Answer, CallError};
use crate::evidence::{Asked, CancelSeen, Goes, HoldEnd, HoldSeen};
use crate::fan::Fan;
use crate::measurements::Step;
use crate::patience::pause;
use crate::shop::{Customer, ShopClient, intent_id};
use crate::world::Tally;

/// Holds a fan asks for before giving up.
const HOLD_TRIES_MAX: u32 = 10;
/// Payments a fan starts for one hold.
const PAYMENTS_MAX: u32 = 3;
/// Tries of any one call.
const CALL_TRIES_MAX: u32 = 5;
/// How often a fan asks for a cancellation.
const CANCEL_TRIES_MAX: u32 = 12;
/// How often a fan asks whether an open payment came through.
const CONFIRM_ASKS_MAX: u32 = 40;
/// Time between these when the server does not say.
const CONFIRM_PAUSE: Duration = Duration::from_secs(1);

/// A card that pays.
const CARD_GOOD: &str = "pm_card_visa";
/// Cards that pay, of fans who will cancel: refunds come at once, come later, or fail once.
const CARDS_REFUNDED: [&str; 3] = [
    CARD_GOOD,
    "pm_card_pendingRefund",
    "pm_sim_refund_fails_once",
];
/// Cards that do not.
const CARDS_DECLINED: [&str; 3] = [
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
];

/// The answer to a confirmation that succeeded.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confirmed {
    booking_id: BookingId,
    status: BookingStatus,
    tickets: Vec<Ticket>,
}

/// The part of `payment-failed` that decides what to do next.
#[derive(Deserialize)]
struct PaymentFailed {
    #[serde(default)]
    retryable: bool,
}

/// Where a confirmation led.
enum Outcome {
    Bought(Confirmed),
    Refused { retryable: bool },
    Open,
}

/// A fan inside the shop.
struct Buyer<'a, 'b> {
    fan: &'a mut Fan<'b>,
    shop: &'a ShopClient,
    customer: Customer<'a>,
}

/// Buys up to the tickets wanted, or gives up. All that was seen goes into the fan's record.
pub(crate) async fn buy(fan: &mut Fan<'_>, shop: &ShopClient, customer: Customer<'_>) {
    let mut buyer = Buyer {
        fan,
        shop,
        customer,
    };
    let Some(mut hold) = buyer.hold_some().await else {
        return;
    };
    // Noted at once and again after every step: a fan may be cut short at any of them.
    buyer.fan.record.holds.push(hold.clone());
    hold.end = buyer.pay_for(&mut hold).await;
    if matches!(hold.end, HoldEnd::Booked(_)) {
        Tally::add(&buyer.fan.world.tally.booked);
    }
    buyer.note(&hold);
    if buyer.fan.plan.cancels {
        buyer.cancel(&mut hold).await;
    }
}

/// A key that no other request of this run has.
fn new_key(rng: &mut ChaCha8Rng) -> String {
    HEXLOWER.encode(&rng.random::<[u8; 16]>())
}

/// Some of the available seats, side by side on the map where possible.
fn choose(map: &SeatMap, wanted: usize, rng: &mut ChaCha8Rng) -> Vec<SeatId> {
    let free: Vec<&SeatId> = map
        .seats
        .iter()
        .filter(|seat| seat.status == SeatStatus::Available)
        .map(|seat| &seat.seat_id)
        .collect();
    if free.is_empty() {
        return Vec::new();
    }
    let first = rng.random_range(0..free.len());
    let onwards = free.iter().cycle().skip(first);
    onwards
        .take(wanted.min(free.len()))
        .map(|id| (*id).clone())
        .collect()
}

impl Buyer<'_, '_> {
    fn note(&mut self, hold: &HoldSeen) {
        if let Some(noted) = self.fan.record.holds.last_mut() {
            *noted = hold.clone();
        }
    }

    /// Lets time pass before try number `attempt`; `false` when the run was stopped. A fan who
    /// has paid goes on all the same.
    async fn rest(&mut self, attempt: u32, answer: Option<&Answer>) -> bool {
        let asked = answer.and_then(|answer| answer.retry_after);
        let span = pause(attempt, asked, &mut self.fan.rng);
        self.fan.world.rest(span).await
    }

    async fn hold_some(&mut self) -> Option<HoldSeen> {
        for attempt in 0..HOLD_TRIES_MAX {
            let (asked, body) = self.wish().await?;
            let key = new_key(&mut self.fan.rng);
            let decided = Instant::now();
            let answer = self.send_hold(&body, &key).await?;
            self.fan
                .world
                .measurements
                .latency(Step::Hold, decided.elapsed());
            if answer.status == StatusCode::CREATED {
                return self.granted(&answer, asked);
            }
            let taken =
                answer.status == StatusCode::CONFLICT && answer.code() == "seats-unavailable";
            if !(taken || answer.is_busy()) || !self.rest(attempt.min(3), Some(&answer)).await {
                return None;
            }
        }
        None
    }

    /// What to ask for: chosen seats, or the best there are.
    async fn wish(&mut self) -> Option<(Asked, HoldRequest)> {
        let world = self.fan.world;
        let answer = self.shop.seat_map(&world.caller, self.customer);
        let begun = Instant::now();
        let map: SeatMap = answer.await.ok()?.json().ok()?;
        world.measurements.latency(Step::SeatMap, begun.elapsed());
        let wanted = self.fan.rng.random_range(1..=world.manners.tickets_max);
        let chosen = choose(&map, usize::try_from(wanted).ok()?, &mut self.fan.rng);
        if chosen.is_empty() {
            world.measurements.code(Step::SeatMap, "nothing-available");
            return None;
        }
        if self.fan.rng.random_bool(world.manners.best_available) {
            let quantity = u32::try_from(chosen.len()).ok()?;
            let body = HoldRequest {
                quantity: Some(quantity),
                ..HoldRequest::default()
            };
            return Some((Asked::Best(quantity), body));
        }
        let body = HoldRequest {
            seat_ids: Some(chosen.clone()),
            ..HoldRequest::default()
        };
        Some((Asked::Seats(chosen), body))
    }

    /// Sends a hold request; a lost answer is asked for again under the same key.
    async fn send_hold(&mut self, body: &HoldRequest, key: &str) -> Option<Answer> {
        let world = self.fan.world;
        for attempt in 0..CALL_TRIES_MAX {
            match self
                .shop
                .hold(&world.caller, self.customer, body, key)
                .await
            {
                Ok(answer) => return Some(answer),
                Err(_) if self.rest(attempt, None).await => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn granted(&mut self, answer: &Answer, asked: Asked) -> Option<HoldSeen> {
        let Ok(hold) = answer.json::<Granted>() else {
            self.fan
                .world
                .measurements
                .code(Step::Hold, "answer-unreadable");
            return None;
        };
        Some(HoldSeen {
            hold_id: hold.hold_id,
            asked,
            seats: hold.seat_ids,
            granted_at: self.fan.world.clock.now(),
            expires_at: hold.expires_at,
            amount_minor: hold.amount_minor,
            end: HoldEnd::Open,
            intents: Vec::new(),
            cancelled: None,
        })
    }

    async fn pay_for(&mut self, hold: &mut HoldSeen) -> HoldEnd {
        for payment_number in 0..PAYMENTS_MAX {
            let Some(payment) = self.start_payment(hold).await else {
                return self.give_up(hold).await;
            };
            let intent = intent_id(&payment);
            if !hold.intents.iter().any(|known| known == intent) {
                hold.intents.push(intent.to_owned());
                self.note(hold);
            }
            let declined = payment_number == 0 && self.fan.plan.first_card_declined;
            let card = if declined {
                CARDS_DECLINED[self.fan.rng.random_range(0..CARDS_DECLINED.len())]
            } else if self.fan.plan.cancels {
                CARDS_REFUNDED[self.fan.rng.random_range(0..CARDS_REFUNDED.len())]
            } else {
                CARD_GOOD
            };
            self.show_card(&payment, card).await;
            match self.confirm(hold, &payment).await {
                Outcome::Bought(confirmed) => return self.look_at(confirmed, hold).await,
                Outcome::Refused { retryable: true } => {}
                Outcome::Refused { retryable: false } => break,
                Outcome::Open => return HoldEnd::Open,
            }
        }
        self.give_up(hold).await
    }

    async fn start_payment(&mut self, hold: &HoldSeen) -> Option<Payment> {
        let world = self.fan.world;
        let key = new_key(&mut self.fan.rng);
        let decided = Instant::now();
        for attempt in 0..CALL_TRIES_MAX {
            let answer = self
                .shop
                .pay(&world.caller, self.customer, hold.hold_id, &key)
                .await;
            match answer {
                Ok(answer) if answer.status.is_success() => {
                    world.measurements.latency(Step::Payment, decided.elapsed());
                    return answer.json().ok();
                }
                Ok(answer) if answer.is_busy() => {
                    self.rest(attempt, Some(&answer)).await;
                }
                Ok(_) => return None,
                Err(_) => {
                    self.rest(attempt, None).await;
                }
            }
        }
        None
    }

    /// Shows the card. A refusal is the provider's answer to the card; the shop learns of it.
    async fn show_card(&mut self, payment: &Payment, card: &str) {
        let world = self.fan.world;
        let decided = Instant::now();
        for attempt in 0..CALL_TRIES_MAX {
            let shown = self
                .shop
                .card(&world.caller, self.customer.fan, payment, card)
                .await;
            match shown {
                Ok(answer) if !answer.is_busy() => {
                    world.measurements.latency(Step::Card, decided.elapsed());
                    return;
                }
                Err(CallError::Unreadable(_)) => return,
                Ok(answer) => {
                    self.rest(attempt, Some(&answer)).await;
                }
                Err(_) => {
                    self.rest(attempt, None).await;
                }
            }
        }
    }

    async fn confirm(&mut self, hold: &HoldSeen, payment: &Payment) -> Outcome {
        let world = self.fan.world;
        let body = ConfirmRequest {
            payment_intent_id: payment.payment_intent_id.to_string(),
        };
        let decided = Instant::now();
        for attempt in 0..CONFIRM_ASKS_MAX {
            // Asking again is a new question: an answer of "processing" must not be replayed.
            let key = new_key(&mut self.fan.rng);
            let answer = self
                .shop
                .confirm(&world.caller, self.customer, hold.hold_id, &body, &key);
            let rest = match answer.await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    world.measurements.latency(Step::Confirm, decided.elapsed());
                    let confirmed = answer.json();
                    return confirmed.map_or(Outcome::Open, Outcome::Bought);
                }
                Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                    answer.retry_after.unwrap_or(CONFIRM_PAUSE)
                }
                Ok(answer) if answer.status == StatusCode::PAYMENT_REQUIRED => {
                    let failed = answer.json::<PaymentFailed>();
                    let retryable = failed.is_ok_and(|it| it.retryable);
                    return Outcome::Refused { retryable };
                }
                Ok(answer) if answer.is_busy() || answer.code() == "request-in-progress" => {
                    pause(attempt, answer.retry_after, &mut self.fan.rng)
                }
                Ok(_) => return Outcome::Refused { retryable: false },
                Err(_) => pause(attempt, None, &mut self.fan.rng),
            };
            // Money may be on its way: a stopped run waits for the answer too.
            tokio::time::sleep(rest).await;
        }
        Outcome::Open
    }

    /// Fetches the booking that was confirmed.
    async fn look_at(&mut self, confirmed: Confirmed, hold: &HoldSeen) -> HoldEnd {
        let world = self.fan.world;
        for attempt in 0..CALL_TRIES_MAX {
            let begun = Instant::now();
            let answer = self
                .shop
                .booking(&world.caller, self.customer, confirmed.booking_id)
                .await;
            if let Ok(answer) = &answer
                && answer.status == StatusCode::OK
                && let Ok(booking) = answer.json::<Booking>()
            {
                world.measurements.latency(Step::Booking, begun.elapsed());
                if !same_tickets(&booking.tickets, &confirmed.tickets) {
                    world
                        .measurements
                        .code(Step::Booking, "other-tickets-than-confirmed");
                }
                return HoldEnd::Booked(Box::new(booking));
            }
            self.rest(attempt, answer.as_ref().ok()).await;
        }
        // The confirmation alone is proof enough of what was sold.
        HoldEnd::Booked(Box::new(Booking {
            booking_id: confirmed.booking_id,
            code: String::new(),
            status: confirmed.status,
            show_id: self.shop.show().clone(),
            amount_minor: hold.amount_minor,
            currency: String::new(),
            lines: Vec::new(),
            refunded_minor: 0,
            withheld: false,
            created_at: world.clock.now(),
            passed_on: false,
            tickets_url: None,
            tickets: confirmed.tickets,
        }))
    }

    /// Gives back one ticket of the booking, or all.
    async fn cancel(&mut self, hold: &mut HoldSeen) {
        let HoldEnd::Booked(booking) = &hold.end else {
            return;
        };
        let world = self.fan.world;
        let all = booking.tickets.len();
        let count = if self.fan.rng.random_bool(0.5) {
            1
        } else {
            all
        };
        let tickets: Vec<Ticket> = booking.tickets.iter().take(count).cloned().collect();
        let ids: Vec<TicketId> = tickets.iter().map(|it| it.ticket_id).collect();
        let booking_id = booking.booking_id;
        // Noted before it is asked for: the answer may be lost.
        hold.cancelled = Some(CancelSeen {
            seats: tickets.into_iter().map(|it| it.seat_id).collect(),
            asked_at: world.clock.now(),
            goes: None,
        });
        self.note(hold);
        let by_operator = self.fan.rng.random_bool(0.5);
        let desk = world.desk.as_ref().filter(|_| by_operator);
        let key = new_key(&mut self.fan.rng);
        let decided = Instant::now();
        for attempt in 0..CANCEL_TRIES_MAX {
            let answer = if let Some(desk) = desk {
                desk.refund(booking_id, &ids).await
            } else {
                let (caller, customer) = (&world.caller, self.customer);
                self.shop
                    .cancel(caller, customer, booking_id, &ids, &key)
                    .await
            };
            if let Ok(answer) = &answer
                && answer.status == StatusCode::ACCEPTED
            {
                world.measurements.latency(Step::Cancel, decided.elapsed());
                let goes = answer.json::<Cancellation>().ok().map(|done| Goes {
                    back_minor: done.amount_minor,
                    kept_minor: done.kept_minor,
                });
                if let Some(cancelled) = &mut hold.cancelled {
                    cancelled.goes = goes;
                }
                self.note(hold);
                return;
            }
            let answer = answer.ok();
            if answer
                .as_ref()
                .is_some_and(|it| !it.is_busy() && it.code() != "request-in-progress")
            {
                return;
            }
            // Money is at stake: a stopped run asks on.
            let asked = answer.and_then(|answer| answer.retry_after);
            tokio::time::sleep(pause(attempt, asked, &mut self.fan.rng)).await;
        }
    }

    async fn give_up(&mut self, hold: &HoldSeen) -> HoldEnd {
        let world = self.fan.world;
        let at = world.clock.now();
        let _answer = self
            .shop
            .release(&world.caller, self.customer, hold.hold_id)
            .await;
        if hold.intents.is_empty() {
            HoldEnd::Released(at)
        } else {
            HoldEnd::Failed
        }
    }
}

fn same_tickets(one: &[Ticket], other: &[Ticket]) -> bool {
    let ids = |tickets: &[Ticket]| {
        let mut ids: Vec<_> = tickets
            .iter()
            .map(|it| (it.ticket_id, it.seat_id.clone()))
            .collect();
        ids.sort();
        ids
    };
    ids(one) == ids(other)
}

/// The answer to a hold request: the members the contract promises.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    hold_id: contract::HoldId,
    expires_at: contract::Timestamp,
    seat_ids: Vec<SeatId>,
    amount_minor: i64,
}
