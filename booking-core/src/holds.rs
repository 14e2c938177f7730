//! Holding seats, reading a hold, releasing it.

use contract::booking::{Category, Hold, HoldRequest, HoldStatus, SaleStatus};
use contract::pricing::HeldTicket;
use contract::{HoldId, RoomId, SeatId, ShowId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::{DATABASE_WAIT_MAX, HOLD_SEATS_MAX};
use crate::core::Core;
use crate::customer::{Customer, limit_owner_of_place, limit_owner_of_session};
use crate::database::{StoreError, repeat_if_contended};
use crate::live::{HoldCommand, HoldKey, LiveShow, SeatsWanted, Settled};
use crate::money::HoldPrice;
use crate::payments::provider::CancelReason;
use crate::shows::PlannedSeat;
use crate::store;
use crate::store::hold_batch::HoldOwner;
use crate::store::holds::HoldRow;
use crate::store::idempotency::Known;
use crate::telemetry;
use crate::ticket_types::type_at;

/// The outcome of a request to hold seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldOutcome {
    /// The seats are held for the customer.
    Held(Hold),
    /// The show does not exist.
    ShowNotFound,
    /// The request is not valid.
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The show is behind a room for which the customer has no pass.
    PassRequired {
        /// The room.
        room: RoomId,
        /// The show.
        show: ShowId,
    },
    /// The sale is not open.
    SaleNotOpen,
    /// These seats are not available; empty when no combination of the best seats is left.
    SeatsUnavailable(Vec<SeatId>),
    /// The customer would have too many tickets.
    TicketLimit {
        /// The show's limit.
        limit: u32,
    },
    /// Too many requests at once.
    Busy,
}

/// The outcome of a request to release a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The hold is released, now or earlier, or will be as soon as its payments are closed.
    Released,
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The hold has become a booking.
    Bought,
}

/// A hold that its customer does not want any more.
#[derive(Clone, Debug)]
struct LetGo {
    outcome: ReleaseOutcome,
    /// Payments that have to be closed before its seats are free.
    open: Vec<Uuid>,
}

impl From<ReleaseOutcome> for LetGo {
    fn from(outcome: ReleaseOutcome) -> Self {
        Self {
            outcome,
            open: Vec::new(),
        }
    }
}

/// The result of a request that may carry an idempotency key.
#[derive(Clone, Debug)]
pub(crate) enum Once<T> {
    /// The work was done now.
    Now(T),
    /// The work was done or begun by an earlier request.
    Known(Known),
}

impl Core {
    /// Holds seats; with an idempotency key, once for all repeats.
    pub(crate) async fn hold_place(
        &self,
        customer: &Customer,
        show: &ShowId,
        request: &HoldRequest,
        key: Option<HoldKey>,
    ) -> Result<Once<HoldOutcome>, StoreError> {
        let outcome = self.hold_try(customer, show, request, key).await;
        let word = match &outcome {
            Ok(Once::Known(_)) => "repeated",
            Ok(Once::Now(HoldOutcome::Held(_))) => "held",
            Ok(Once::Now(HoldOutcome::SeatsUnavailable(_))) => "seats-unavailable",
            Ok(Once::Now(HoldOutcome::TicketLimit { .. })) => "ticket-limit",
            Ok(Once::Now(HoldOutcome::Busy)) => "busy",
            Ok(Once::Now(HoldOutcome::PassRequired { .. })) => "pass-required",
            Ok(Once::Now(HoldOutcome::SaleNotOpen)) => "sale-not-open",
            Ok(Once::Now(HoldOutcome::ShowNotFound | HoldOutcome::Invalid { .. })) => "invalid",
            Err(_) => "failed",
        };
        metrics::counter!(telemetry::HOLDS, "outcome" => word).increment(1);
        outcome
    }

    async fn hold_try(
        &self,
        customer: &Customer,
        show_id: &ShowId,
        request: &HoldRequest,
        key: Option<HoldKey>,
    ) -> Result<Once<HoldOutcome>, StoreError> {
        let Some(show) = self.catalogue.live(show_id).await? else {
            return self.refuse(HoldOutcome::ShowNotFound, key).await;
        };
        let (reply, settled) = oneshot::channel();
        let command = match self.hold_ask(customer, &show, request) {
            Ok((wanted, types, owner)) => HoldCommand {
                hold_id: self.randomness.uuid(self.clock.now()),
                wanted,
                types,
                key,
                owner,
                queued_at: Instant::now(),
                tries: 0,
                is_new: false,
                reply,
            },
            Err(refusal) => return self.refuse(*refusal, key).await,
        };
        match show.queue().try_send(command) {
            Ok(()) => {}
            // The queue is closed when an import has just replaced the show.
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                return Ok(Once::Now(HoldOutcome::Busy));
            }
        }
        let settled = match tokio::time::timeout(DATABASE_WAIT_MAX, settled).await {
            Err(_) => return Err(StoreError::Timeout),
            Ok(Err(_)) => return Err(StoreError::TaskBroke),
            Ok(Ok(settled)) => settled?,
        };
        Ok(match settled {
            Settled::Known(known) => Once::Known(known),
            Settled::Held(hold) => Once::Now(HoldOutcome::Held(hold)),
            Settled::SeatsUnavailable(seats) => Once::Now(HoldOutcome::SeatsUnavailable(seats)),
            Settled::TicketLimit => Once::Now(HoldOutcome::TicketLimit {
                limit: show.info().ticket_limit,
            }),
            Settled::Busy => Once::Now(HoldOutcome::Busy),
        })
    }

    /// Refuses, unless the same request was granted before: a repeat gets the stored response, even
    /// if the request could no longer be granted.
    async fn refuse(
        &self,
        refusal: HoldOutcome,
        key: Option<HoldKey>,
    ) -> Result<Once<HoldOutcome>, StoreError> {
        if let Some(key) = key {
            let found = store::idempotency::find(&self.pools.money, &key.key_uses).await?;
            if let Some(known) = found.into_iter().flatten().next() {
                return Ok(Once::Known(known));
            }
        }
        Ok(Once::Now(refusal))
    }

    /// The ask for the show's writer, or why it is refused.
    fn hold_ask(
        &self,
        customer: &Customer,
        show: &LiveShow,
        request: &HoldRequest,
    ) -> Result<(SeatsWanted, Vec<usize>, HoldOwner), Box<HoldOutcome>> {
        let info = show.info();
        let wanted = read_wanted(show, request)?;
        let (wanted, types) = read_types(show, wanted, request)?;
        let session = customer.session_digest();
        let subject = match &info.room {
            None => None,
            Some(room) => match customer.subject_in(room) {
                Some(subject) => Some(subject.to_string()),
                None => {
                    return Err(Box::new(HoldOutcome::PassRequired {
                        room: room.clone(),
                        show: info.show_id.clone(),
                    }));
                }
            },
        };
        if info.sale_status(self.clock.now()) != SaleStatus::Open {
            return Err(HoldOutcome::SaleNotOpen.into());
        }
        let limit = usize::try_from(info.ticket_limit).unwrap_or(HOLD_SEATS_MAX);
        if wanted.count() > limit.min(HOLD_SEATS_MAX) {
            let limit = info.ticket_limit;
            return Err(HoldOutcome::TicketLimit { limit }.into());
        }
        let limit_owner = match (&subject, &session) {
            (Some(subject), _) => limit_owner_of_place(subject),
            (None, Some(session)) => limit_owner_of_session(session),
            (None, None) => {
                return Err(Box::new(HoldOutcome::Invalid {
                    field: "cookie",
                    problem: "a hold needs a session".to_owned(),
                }));
            }
        };
        let owner = HoldOwner {
            subject,
            session,
            limit_owner,
        };
        Ok((wanted, types, owner))
    }

    fn hold_view(&self, show: &LiveShow, row: HoldRow, price: Option<HoldPrice>) -> Hold {
        let seats = show.plan().seats_of_nos(&row.seat_nos);
        let (lines, shares, types) = price.map_or_else(Default::default, |price| {
            (price.lines, price.shares, price.types)
        });
        let tickets = seats.iter().zip(shares).zip(types);
        let tickets = tickets.map(|((seat, amount_minor), ticket_type)| HeldTicket {
            seat_id: seat.seat_id.clone(),
            category: seat.category.clone(),
            ticket_type,
            amount_minor,
        });
        let timed_out = row.status == HoldStatus::Active && row.expires_at <= self.clock.now();
        Hold {
            hold_id: HoldId::new(row.hold_id),
            show_id: show.info().show_id.clone(),
            tickets: tickets.collect(),
            lines,
            status: if timed_out && !row.payment_open {
                HoldStatus::Expired
            } else {
                row.status
            },
            expires_at: row.expires_at,
            seat_ids: seats.iter().map(|seat| seat.seat_id.clone()).collect(),
            seats: seats.into_iter().map(PlannedSeat::label).collect(),
            amount_minor: row.amount_minor,
            currency: row.currency,
            payment_started: row.attempt_count > 0,
            booking_id: row.booking_id.map(contract::BookingId::new),
        }
    }

    /// The customer's hold as a database row.
    pub(crate) async fn hold_row(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<Option<HoldRow>, StoreError> {
        let row = store::holds::find(&self.pools.money, hold_id.uuid()).await?;
        Ok(row.filter(|row| customer.owns(row.subject.as_deref(), row.session.as_deref())))
    }

    /// The customer's hold.
    pub(crate) async fn hold(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<Option<Hold>, StoreError> {
        let Some(row) = self.hold_row(customer, hold_id).await? else {
            return Ok(None);
        };
        let price = store::prices::of_hold(&self.pools.money, row.hold_id).await?;
        let show = self.catalogue.live_by_no(row.show_no).await?;
        Ok(show.map(|show| self.hold_view(&show, row, price)))
    }

    /// Releases a hold. Its seats are free at once, or as soon as no payment page of it can be used:
    /// the provider may be silent, or a bank at work.
    pub(crate) async fn hold_release(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<ReleaseOutcome, StoreError> {
        let Some(row) = self.hold_row(customer, hold_id).await? else {
            return Ok(ReleaseOutcome::NotFound);
        };
        for payment_id in self.hold_let_go(row.hold_id).await?.open {
            let reason = Some(CancelReason::RequestedByCustomer);
            self.resolve_payment(payment_id, reason).await?;
        }
        Ok(self.hold_let_go(row.hold_id).await?.outcome)
    }

    /// Releases the hold if nobody can pay for it, and otherwise ends its time.
    async fn hold_let_go(&self, hold_id: Uuid) -> Result<LetGo, StoreError> {
        let (let_go, reports) = repeat_if_contended(|| self.hold_let_go_locked(hold_id)).await?;
        self.catalogue.apply(&reports);
        Ok(let_go)
    }

    /// No payment begins after its commit, because the hold has ended or its time is over; whatever
    /// began before is among the open payments. While one of them may still be paid the hold keeps
    /// its seats, until the resolver has closed it or the hard deadline passes.
    async fn hold_let_go_locked(
        &self,
        hold_id: Uuid,
    ) -> Result<(LetGo, Vec<store::seats::SeatReport>), StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.holds.begin().await?;
        let Some(hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return Ok((ReleaseOutcome::NotFound.into(), Vec::new()));
        };
        if hold.status == HoldStatus::Confirmed {
            return Ok((ReleaseOutcome::Bought.into(), Vec::new()));
        }
        if !hold.is_open() {
            return Ok((ReleaseOutcome::Released.into(), Vec::new()));
        }
        let open = if hold.payment_open {
            let payments = store::payments::of_hold(&mut tx, hold_id).await?;
            let open = payments.iter().filter(|payment| payment.provider_open);
            open.map(|payment| payment.payment_id).collect()
        } else {
            Vec::new()
        };
        if !open.is_empty() {
            store::holds::end_time(&mut tx, hold_id, now).await?;
            tx.commit().await?;
            let outcome = ReleaseOutcome::Released;
            return Ok((LetGo { outcome, open }, Vec::new()));
        }
        let reports = store::holds::close(&mut tx, &hold, HoldStatus::Released, now).await?;
        tx.commit().await?;
        metrics::counter!(telemetry::HOLDS_ENDED, "reason" => "released").increment(1);
        Ok((ReleaseOutcome::Released.into(), reports))
    }
}

/// The seats that a request asks for, or why it does not make sense.
pub(crate) fn read_wanted(
    show: &LiveShow,
    request: &HoldRequest,
) -> Result<SeatsWanted, Box<HoldOutcome>> {
    let invalid = |field, problem: &str| {
        Err(Box::new(HoldOutcome::Invalid {
            field,
            problem: problem.to_owned(),
        }))
    };
    match (&request.seat_ids, request.quantity) {
        (Some(_), Some(_)) => invalid("quantity", "cannot be combined with seatIds"),
        (None, None) => invalid("seatIds", "name the seats, or a quantity"),
        (None, Some(0)) => invalid("quantity", "must be at least 1"),
        (Some(seats), None) if seats.is_empty() => invalid("seatIds", "must not be empty"),
        (Some(_), None) if request.category.is_some() => {
            invalid("category", "goes with a quantity, not with seatIds")
        }
        (Some(seats), None) => {
            let mut indices = Vec::with_capacity(seats.len());
            for seat in seats {
                let Some(index) = show.plan().index(seat) else {
                    return invalid("seatIds", &format!("{seat} is not a seat of this show"));
                };
                if indices.contains(&index) {
                    return invalid("seatIds", &format!("{seat} occurs twice"));
                }
                indices.push(index);
                if indices.len() > HOLD_SEATS_MAX {
                    // Over every limit already, so a longer list need not be read.
                    break;
                }
            }
            Ok(SeatsWanted::Named(indices))
        }
        (None, Some(quantity)) => {
            let known = |category: &String| {
                let categories = &show.info().categories;
                categories.iter().any(|known| known.category == *category)
            };
            if request.category.as_ref().is_some_and(|c| !known(c)) {
                return invalid("category", "is not a category of this show");
            }
            Ok(SeatsWanted::Best {
                quantity: usize::try_from(quantity).unwrap_or(usize::MAX),
                category: request.category.clone(),
            })
        }
    }
}

/// What each seat is sold as, in map order, and the seats in that order. No types when nobody
/// chose any.
fn read_types(
    show: &LiveShow,
    wanted: SeatsWanted,
    request: &HoldRequest,
) -> Result<(SeatsWanted, Vec<usize>), Box<HoldOutcome>> {
    let invalid = |problem: String| {
        Box::new(HoldOutcome::Invalid {
            field: "ticketTypes",
            problem,
        })
    };
    let Some(codes) = &request.ticket_types else {
        return Ok((wanted, Vec::new()));
    };
    if codes.len() != wanted.count() {
        return Err(invalid("must have one type for each seat".to_owned()));
    }
    let categories = &show.info().categories;
    let type_in = |category: Option<&Category>, code: &Option<String>| match category {
        Some(category) => type_at(category, code.as_deref()).map_err(invalid),
        None => Err(invalid("goes with a category, or with seatIds".to_owned())),
    };
    match wanted {
        SeatsWanted::Named(indices) => {
            let mut chosen = Vec::with_capacity(indices.len());
            for (index, code) in indices.into_iter().zip(codes) {
                let seat = show.plan().seats().get(index);
                let category = seat.and_then(|seat| show.info().tariff().category(&seat.category));
                chosen.push((index, type_in(category, code)?));
            }
            chosen.sort_unstable();
            let (indices, types) = chosen.into_iter().unzip();
            Ok((SeatsWanted::Named(indices), types))
        }
        SeatsWanted::Best { quantity, category } => {
            let named = category
                .as_deref()
                .and_then(|code| show.info().tariff().category(code));
            let only = (categories.len() == 1)
                .then(|| categories.first())
                .flatten();
            let types = codes.iter().map(|code| type_in(named.or(only), code));
            let types = types.collect::<Result<_, _>>()?;
            Ok((SeatsWanted::Best { quantity, category }, types))
        }
    }
}
