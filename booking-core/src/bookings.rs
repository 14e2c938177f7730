//! Confirming a purchase, and reading a booking.

use contract::booking::{Booking, HoldStatus, PaymentStatus, Ticket};
use contract::{BookingId, HoldId, TicketId, Timestamp};
use uuid::Uuid;

use crate::config::IDEMPOTENCY_TAKEOVER_AFTER;
use crate::confirm_outcome::{ConfirmKey, ConfirmOutcome, Confirmed};
use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::holds::Once;
use crate::links::hidden;
use crate::live::LiveShow;
use crate::money::{Disposition, FailureReason};
use crate::payments::gathered::Keyed;
use crate::payments::resolution::Resolution;
use crate::payments::resolver::find_booking;
use crate::readers::seen_by;
use crate::store;
use crate::store::bookings::{BookingRow, NewBooking, TicketRow};
use crate::store::confirm_read::{ConfirmAsk, ShowOfHold};
use crate::store::holds::HoldRow;
use crate::store::idempotency::{self, KeyUse, Known};
use crate::store::payments::PaymentRow;
use crate::store::prices::lines_of;
use crate::ticket_files::BookedShow;
use crate::tickets::TicketClaims;

/// The state of a payment for a browser that does not own the hold: nothing about seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentSeen {
    /// The outcome is not known yet.
    Checking,
    /// The money has arrived and the tickets are booked.
    Arrived,
    /// The money came too late or twice, and is given back.
    GoesBack,
    /// No money was captured.
    NotPaid,
}

/// The state that a confirmation reads before it asks the provider.
enum ConfirmRead {
    /// The key was used before.
    Known(Known),
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The payment does not belong to this hold.
    UnknownPayment,
    /// The payment is settled, so the provider is not asked.
    Settled(Box<Resolution>),
    /// The payment is open, so the provider has to be asked.
    Open(Box<OpenPayment>),
}

/// An open payment with its hold.
struct OpenPayment {
    hold: HoldRow,
    payment: PaymentRow,
    show: ShowOfHold,
}

impl Core {
    /// The state of a hold's payment, for a browser other than the customer's: a bank's app may
    /// return to the system's default browser instead of the one that started the payment. A
    /// request that names both random ids was redirected by the provider. `None` when there is no
    /// such payment.
    pub(crate) async fn payment_seen(
        &self,
        hold_id: HoldId,
        named: &str,
    ) -> Result<Option<PaymentSeen>, StoreError> {
        let resolution = match self.confirm_read(None, hold_id, named, None).await? {
            ConfirmRead::NotFound | ConfirmRead::UnknownPayment | ConfirmRead::Known(_) => {
                return Ok(None);
            }
            ConfirmRead::Settled(resolution) => *resolution,
            ConfirmRead::Open(open) => {
                match self.resolve_read(open.hold, open.payment, None).await {
                    Err(error) if error.is_transient() => return Ok(Some(PaymentSeen::Checking)),
                    Err(error) => return Err(error),
                    Ok(None) => return Ok(None),
                    Ok(Some(resolution)) => resolution,
                }
            }
        };
        let Resolution { hold, payment, .. } = resolution;
        Ok(Some(match payment.status {
            _ if hold.booking_id.is_some() => PaymentSeen::Arrived,
            PaymentStatus::Succeeded => PaymentSeen::GoesBack,
            PaymentStatus::Failed | PaymentStatus::Cancelled => PaymentSeen::NotPaid,
            PaymentStatus::Created
            | PaymentStatus::RequiresAction
            | PaymentStatus::Processing
            | PaymentStatus::Unknown => PaymentSeen::Checking,
        }))
    }

    /// Confirms a purchase: resolves the payment and returns the outcome. With a key, once for all
    /// repeats.
    pub(crate) async fn confirm(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        named: &str,
        key: Option<&ConfirmKey>,
    ) -> Result<Once<Confirmed>, StoreError> {
        let key_use = key.map(|key| &key.key_use);
        let read = self.confirm_read(Some(customer), hold_id, named, key_use);
        let resolved = match read.await? {
            ConfirmRead::Known(known) => return Ok(Once::Known(known)),
            ConfirmRead::NotFound => return Ok(Once::Now(ConfirmOutcome::NotFound.into())),
            ConfirmRead::UnknownPayment => {
                return Ok(Once::Now(ConfirmOutcome::UnknownPayment.into()));
            }
            ConfirmRead::Settled(resolution) => Ok(Some(*resolution)),
            ConfirmRead::Open(open) => Box::pin(self.resolve_keyed(*open, key)).await,
        };
        let outcome = match resolved {
            Ok(None) => Ok(ConfirmOutcome::NotFound.into()),
            Ok(Some(resolution)) => {
                let name = key_use.map(KeyUse::name);
                let is_answered = name.is_some() && resolution.answered == name;
                let outcome = self.confirm_view(customer, resolution).await;
                outcome.map(|outcome| Confirmed {
                    outcome,
                    is_answered,
                })
            }
            Err(error) => Err(error),
        };
        match outcome {
            // The payment is the customer's and may have succeeded, so a database that is away or
            // busy when the outcome is written must not become a refusal.
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    hold = %hold_id,
                    "a confirmation is put off"
                );
                Ok(Once::Now(ConfirmOutcome::Processing.into()))
            }
            outcome => outcome.map(Once::Now),
        }
    }

    /// Resolves an open payment. The answer of a key is stored with the booking that is made now.
    async fn resolve_keyed(
        &self,
        open: OpenPayment,
        key: Option<&ConfirmKey>,
    ) -> Result<Option<Resolution>, StoreError> {
        let OpenPayment {
            hold,
            payment,
            show,
        } = open;
        let Some(key) = key else {
            return self.resolve_read(hold, payment, None).await;
        };
        let live = self.catalogue.live_by_no(hold.show_no).await?;
        let of = hold.clone();
        let answer_of = move |booking: &NewBooking| {
            let view = self.new_booking_view(booking, &of, &show, live.as_ref());
            view.map(|view| (key.answer_of)(&view))
        };
        let keyed = Keyed {
            key_use: &key.key_use,
            answer_of: &answer_of,
        };
        self.resolve_read(hold, payment, Some(keyed)).await
    }

    /// Hold, payment and booking, and the key, read together with those of others. With a
    /// `customer`, only if the hold is theirs.
    async fn confirm_read(
        &self,
        customer: Option<&Customer>,
        hold_id: HoldId,
        named: &str,
        key_use: Option<&KeyUse>,
    ) -> Result<ConfirmRead, StoreError> {
        let owns = |hold: &HoldRow| {
            customer.is_none_or(|customer| {
                customer.owns(hold.subject.as_deref(), hold.session.as_deref())
            })
        };
        let ask = ConfirmAsk {
            hold_id: hold_id.uuid(),
            key_use: key_use.cloned(),
        };
        let Some(row) = self.gathered.reads.ask(ask).await? else {
            // There is no such hold, or nobody has begun to pay for it.
            let (mut connection, _turn) = self.settling.acquire().await?;
            if let Some(key_use) = key_use {
                let uses = std::slice::from_ref(key_use);
                let known = idempotency::find(&mut *connection, uses).await?.pop();
                if let Some(known) = known.flatten().filter(|it| *it != Known::InProgress) {
                    return Ok(ConfirmRead::Known(known));
                }
            }
            let hold = store::holds::find(&mut *connection, hold_id.uuid()).await?;
            return Ok(match hold.filter(owns) {
                Some(_) => ConfirmRead::UnknownPayment,
                None => ConfirmRead::NotFound,
            });
        };
        let dead_since = self.clock.now().minus(IDEMPOTENCY_TAKEOVER_AFTER);
        match row.known {
            // Its owner has died.
            Some((Known::InProgress, since)) if since <= dead_since => {}
            Some((known, _)) => return Ok(ConfirmRead::Known(known)),
            None => {}
        }
        let hold = row.hold;
        if !owns(&hold) {
            return Ok(ConfirmRead::NotFound);
        }
        let mut payments = row.payments.into_iter();
        let Some(payment) = payments.find(|payment| payment.is_named(named)) else {
            return Ok(ConfirmRead::UnknownPayment);
        };
        if !payment.is_settled() {
            let show = row.show;
            return Ok(ConfirmRead::Open(Box::new(OpenPayment {
                hold,
                payment,
                show,
            })));
        }
        let mut booking = None;
        if hold.booking_id.is_some() {
            let (mut connection, _turn) = self.settling.acquire().await?;
            booking = find_booking(&mut connection, &hold).await?;
        }
        Ok(ConfirmRead::Settled(Box::new(Resolution {
            hold,
            payment,
            booking,
            unanswered: None,
            answered: None,
        })))
    }

    async fn confirm_view(
        &self,
        customer: &Customer,
        resolution: Resolution,
    ) -> Result<ConfirmOutcome, StoreError> {
        let Resolution {
            hold,
            payment,
            booking,
            ..
        } = resolution;
        if hold.booking_id.is_some() {
            let booking =
                booking.ok_or_else(|| StoreError::corrupt("bookings", "a booking is gone"))?;
            let show = self.catalogue.entry_by_no(hold.show_no);
            // A purchase ends the session in which it was made. Reading the booking again from a
            // later session, for example by reloading the page, must not end that session.
            let ends_session = show
                .and_then(|show| show.info().room.clone())
                .filter(|room| {
                    let subject = customer.subject_in(room).map(|subject| subject.to_string());
                    subject.is_some() && subject == hold.subject
                });
            return Ok(ConfirmOutcome::Booked {
                booking: Box::new(self.booking_view(booking).await?),
                ends_session,
            });
        }
        let reason = payment.failure_reason;
        Ok(match payment.status {
            PaymentStatus::Succeeded => match reason {
                Some(reason) => ConfirmOutcome::Failed(reason),
                None => ConfirmOutcome::HoldEnded {
                    refunding: payment.disposition == Some(Disposition::AutoRefund),
                },
            },
            PaymentStatus::Cancelled if reason == Some(FailureReason::UserCancelled) => {
                ConfirmOutcome::Failed(FailureReason::UserCancelled)
            }
            _ if matches!(hold.status, HoldStatus::Expired | HoldStatus::Released) => {
                ConfirmOutcome::HoldEnded { refunding: false }
            }
            PaymentStatus::Failed | PaymentStatus::Cancelled => {
                ConfirmOutcome::Failed(reason.unwrap_or(FailureReason::InvalidCard))
            }
            PaymentStatus::Created
            | PaymentStatus::RequiresAction
            | PaymentStatus::Processing
            | PaymentStatus::Unknown => ConfirmOutcome::Processing,
        })
    }

    /// The customer's booking.
    pub(crate) async fn booking(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<Booking>, StoreError> {
        let row = self.booking_row(customer, booking_id).await?;
        match row {
            Some(row) => self.booking_view(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The customer's booking with everything that its files say.
    pub(crate) async fn booked_show(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<BookedShow>, StoreError> {
        let Some(row) = self.booking_row(customer, booking_id).await? else {
            return Ok(None);
        };
        self.booked_show_of(row, self.clock.now()).await
    }

    /// The booking of `row` with everything that its files say.
    pub(crate) async fn booked_show_of(
        &self,
        row: BookingRow,
        now: Timestamp,
    ) -> Result<Option<BookedShow>, StoreError> {
        let prices = self.prices_paid(&row).await?;
        let path = match row.reader {
            Some(_) => self.link_to(&row),
            None => format!("/bookings/{}", BookingId::new(row.booking_id)),
        };
        let reader = row.reader;
        let mut booking = self.booking_view(row).await?;
        booking
            .tickets
            .retain(|ticket| ticket.passed_on_to.is_none());
        let show = self.catalogue.view(&booking.show_id, now).await?;
        let mut connection = self.pools.money.acquire().await?;
        let show_id = booking.show_id.as_str();
        let moves = store::show_moves::sequence(&mut connection, show_id).await?;
        Ok(show.map(|show| BookedShow {
            page_url: format!("{}{path}", self.config.public_url),
            booking,
            show,
            prices,
            moves,
            reader,
            now,
        }))
    }

    /// What was paid for each ticket of the booking. Of bookings of earlier versions only the sum
    /// is recorded, so the result is empty unless the present prices of the seats add up to it.
    async fn prices_paid(&self, booking: &BookingRow) -> Result<Vec<i64>, StoreError> {
        let recorded = booking.tickets.iter().map(|ticket| ticket.price_minor);
        if let Some(prices) = recorded.collect() {
            return Ok(prices);
        }
        let Some(show) = self.catalogue.live_by_no(booking.show_no).await? else {
            return Ok(Vec::new());
        };
        let price = |ticket: &TicketRow| {
            let seats = show.plan().seats_of_nos(&[ticket.seat_no]);
            Some(seats.first()?.price_minor)
        };
        if booking.tickets.iter().any(|ticket| ticket.holder.is_some()) {
            return Ok(Vec::new());
        }
        let prices: Option<Vec<i64>> = booking.tickets.iter().map(price).collect();
        let sum = |prices: &Vec<i64>| prices.iter().fold(0_i64, |sum, it| sum.saturating_add(*it));
        let paid = prices.filter(|prices| sum(prices) == booking.amount_minor);
        Ok(paid.unwrap_or_default())
    }

    /// The text of the QR code of one of the customer's tickets.
    pub(crate) async fn ticket_qr(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        ticket_id: TicketId,
    ) -> Result<Option<String>, StoreError> {
        let Some(row) = self.booking_row(customer, booking_id).await? else {
            return Ok(None);
        };
        let mut tickets = row.tickets.iter().filter(|_| !row.withheld);
        let ticket = tickets
            .find(|ticket| ticket.ticket_id == ticket_id.uuid() && ticket.holder == row.reader);
        Ok(ticket.map(|ticket| self.qr_text(&row, ticket)))
    }

    /// Whether the hold exists and is the customer's. Read over the connections of confirmations,
    /// so that fans who start payments cannot block a fan who has paid.
    pub(crate) async fn hold_is_of(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<bool, StoreError> {
        let (mut connection, _turn) = self.settling.acquire().await?;
        let hold = store::holds::find(&mut *connection, hold_id.uuid()).await?;
        let owns = |hold: HoldRow| customer.owns(hold.subject.as_deref(), hold.session.as_deref());
        Ok(hold.is_some_and(owns))
    }

    /// Whether the booking exists and is the customer's.
    pub(crate) async fn booking_is_of(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<bool, StoreError> {
        Ok(self.booking_row(customer, booking_id).await?.is_some())
    }

    /// The booking, if it is the customer's or the customer has a link to it that still opens it.
    pub(crate) async fn booking_row(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<BookingRow>, StoreError> {
        let mut connection = self.pools.money.acquire().await?;
        let row = store::bookings::find(&mut connection, booking_id.uuid()).await?;
        Ok(row.and_then(|row| seen_by(row, customer, self.clock.now())))
    }

    /// The booking with its tickets and their seats.
    pub(crate) async fn booking_view(&self, row: BookingRow) -> Result<Booking, StoreError> {
        let show = self.catalogue.live_by_no(row.show_no).await?;
        self.booking_view_in(row, show.as_ref())
    }

    /// What [`Core::booking_view`] will be of a booking that is about to be made.
    fn new_booking_view(
        &self,
        booking: &NewBooking,
        hold: &HoldRow,
        show: &ShowOfHold,
        live: Option<&LiveShow>,
    ) -> Option<Booking> {
        let mut seats: Vec<(i32, Uuid)> = hold
            .seat_nos
            .iter()
            .copied()
            .zip(booking.ticket_ids.iter().copied())
            .collect();
        seats.sort_unstable();
        if seats.len() != show.seats.len() {
            return None;
        }
        let tickets = seats.into_iter().zip(&show.seats);
        let tickets = tickets.map(|((seat_no, ticket_id), seat)| {
            let sold_as = (seat.ticket_type.clone(), seat.price_minor);
            let seat = (seat.seat_id.clone(), seat.category.clone());
            TicketRow::new(ticket_id, seat_no, seat, sold_as)
        });
        let of_show = (show.show_id.clone(), show.starts_at, show.ends_at);
        let paid = (String::new(), show.price_lines.clone());
        let row = BookingRow::new(booking, hold, of_show, paid, tickets.collect());
        self.booking_view_in(row, live).ok()
    }

    fn booking_view_in(
        &self,
        row: BookingRow,
        show: Option<&LiveShow>,
    ) -> Result<Booking, StoreError> {
        let booking_id = BookingId::new(row.booking_id);
        let label_of = |seat_no: i32| {
            let seats = show?.plan().seats_of_nos(&[seat_no]);
            Some(seats.first()?.label())
        };
        let lines = row.price_lines.clone();
        let lines = lines.map(|lines| lines_of("bookings", lines)).transpose()?;
        let lines = lines.unwrap_or_default();
        let type_name = |ticket: &TicketRow| {
            let code = ticket.ticket_type.as_deref()?;
            let line = lines.iter().find(|line| {
                line.category.as_deref() == Some(&ticket.category)
                    && line.ticket_type.as_deref() == Some(code)
            });
            line.map(|line| line.name.clone())
        };
        let passed_on = row.reader.is_some();
        let has_own = row.tickets.iter().any(|ticket| ticket.holder == row.reader);
        let tickets_url = (has_own && !row.withheld).then(|| {
            format!(
                "{}{}/tickets.pdf",
                self.config.public_url,
                self.link_to(&row)
            )
        });
        let tickets = row
            .tickets
            .iter()
            .map(|ticket| {
                let ticket_id = TicketId::new(ticket.ticket_id);
                let is_theirs = ticket.holder == row.reader;
                let shows_code = is_theirs && !row.withheld;
                Ok(Ticket {
                    ticket_id,
                    seat: label_of(ticket.seat_no),
                    ticket_type: ticket.ticket_type.clone(),
                    ticket_type_name: type_name(ticket),
                    amount_minor: ticket.price_minor.filter(|_| !passed_on),
                    seat_id: ticket
                        .seat_id
                        .parse()
                        .map_err(|error| StoreError::corrupt("seats", error))?,
                    qr: shows_code.then(|| self.qr_text(&row, ticket)),
                    qr_svg: shows_code.then(|| {
                        format!("/api/v1/bookings/{booking_id}/tickets/{ticket_id}/qr.svg")
                    }),
                    // The name that the new holder gave is theirs.
                    holder_name: ticket.holder_name.clone().filter(|_| is_theirs),
                    passed_on_to: (!is_theirs)
                        .then(|| ticket.holder_email.as_deref().map(hidden))
                        .flatten(),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let paid = |minor: i64| if passed_on { 0 } else { minor };
        Ok(Booking {
            booking_id,
            tickets,
            passed_on,
            show_id: row
                .show_id
                .parse()
                .map_err(|error| StoreError::corrupt("shows", error))?,
            code: row.code,
            status: row.status,
            amount_minor: paid(row.amount_minor),
            lines: if passed_on { Vec::new() } else { lines },
            refunded_minor: paid(row.refunded_minor),
            currency: row.currency,
            created_at: row.created_at,
            withheld: row.withheld,
            tickets_url,
        })
    }

    fn qr_text(&self, booking: &BookingRow, ticket: &TicketRow) -> String {
        self.tickets.sign(&TicketClaims::new(
            booking.show_no,
            ticket.ticket_id,
            ticket.token_generation,
            ticket.seat_no,
            booking.starts_at..booking.ends_at,
        ))
    }
}
