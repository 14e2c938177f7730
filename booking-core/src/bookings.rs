//! Confirming a purchase, and reading a booking.

use contract::booking::{Booking, HoldStatus, PaymentStatus, Ticket};
use contract::{BookingId, HoldId, RoomId, TicketId};

use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::links::link_ends_at;
use crate::money::{Disposition, FailureReason};
use crate::payments::resolution::Resolution;
use crate::payments::resolver::find_booking;
use crate::store;
use crate::store::bookings::{BookingRow, TicketRow};
use crate::store::holds::HoldRow;
use crate::store::payments::PaymentRow;
use crate::ticket_files::BookedShow;
use crate::tickets::TicketClaims;

/// The outcome of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// The hold became a booking.
    Booked {
        /// The booking.
        booking: Box<Booking>,
        /// The room of the show. The gateway ends the customer's session there.
        ends_session: Option<RoomId>,
    },
    /// The outcome of the payment is not known yet.
    Processing,
    /// The payment failed.
    Failed(FailureReason),
    /// The hold ended first. Captured money is given back.
    HoldEnded {
        /// Whether money was captured, which is given back.
        refunding: bool,
    },
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The payment does not belong to this hold.
    UnknownPayment,
}

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
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The payment does not belong to this hold.
    UnknownPayment,
    /// The payment is settled, so the provider is not asked.
    Settled(Box<Resolution>),
    /// The payment is open, so the provider has to be asked.
    Open(Box<HoldRow>, Box<PaymentRow>),
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
        let resolution = match self.confirm_read(None, hold_id, named).await? {
            ConfirmRead::NotFound | ConfirmRead::UnknownPayment => return Ok(None),
            ConfirmRead::Settled(resolution) => *resolution,
            ConfirmRead::Open(hold, payment) => match self.resolve_read(*hold, *payment).await {
                Err(error) if error.is_transient() => return Ok(Some(PaymentSeen::Checking)),
                Err(error) => return Err(error),
                Ok(None) => return Ok(None),
                Ok(Some(resolution)) => resolution,
            },
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

    /// Confirms a purchase: resolves the payment and returns the outcome.
    pub(crate) async fn confirm(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        named: &str,
    ) -> Result<ConfirmOutcome, StoreError> {
        let read = self.confirm_read(Some(customer), hold_id, named);
        let resolved = match read.await? {
            ConfirmRead::NotFound => return Ok(ConfirmOutcome::NotFound),
            ConfirmRead::UnknownPayment => return Ok(ConfirmOutcome::UnknownPayment),
            ConfirmRead::Settled(resolution) => Ok(Some(*resolution)),
            ConfirmRead::Open(hold, payment) => self.resolve_read(*hold, *payment).await,
        };
        let outcome = match resolved {
            Ok(None) => Ok(ConfirmOutcome::NotFound),
            Ok(Some(resolution)) => self.confirm_view(customer, resolution).await,
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
                Ok(ConfirmOutcome::Processing)
            }
            outcome => outcome,
        }
    }

    /// Hold, payment and booking, read over one connection. With a `customer`, only if the hold is
    /// theirs.
    async fn confirm_read(
        &self,
        customer: Option<&Customer>,
        hold_id: HoldId,
        named: &str,
    ) -> Result<ConfirmRead, StoreError> {
        let (mut connection, _turn) = self.settling.acquire().await?;
        // Payments are read before their hold. A payment is settled in one transaction with its
        // hold, so a hold that is read after a settled payment already has the booking.
        let payments = store::payments::of_hold(&mut connection, hold_id.uuid()).await?;
        let hold = store::holds::find(&mut *connection, hold_id.uuid()).await?;
        let Some(hold) = hold.filter(|hold| {
            let owns = |customer: &Customer| {
                customer.owns(hold.subject.as_deref(), hold.session.as_deref())
            };
            customer.is_none_or(owns)
        }) else {
            return Ok(ConfirmRead::NotFound);
        };
        let payment = payments.into_iter().find(|payment| payment.is_named(named));
        let Some(payment) = payment else {
            return Ok(ConfirmRead::UnknownPayment);
        };
        if !payment.is_settled() {
            return Ok(ConfirmRead::Open(Box::new(hold), Box::new(payment)));
        }
        let booking = find_booking(&mut connection, &hold).await?;
        Ok(ConfirmRead::Settled(Box::new(Resolution {
            hold,
            payment,
            booking,
            unanswered: None,
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
        let now = self.clock.now();
        let prices = self.prices_paid(&row).await?;
        let booking = self.booking_view(row).await?;
        let show = self.catalogue.view(&booking.show_id, now).await?;
        let mut connection = self.pools.money.acquire().await?;
        let show_id = booking.show_id.as_str();
        let moves = store::show_moves::sequence(&mut connection, show_id).await?;
        Ok(show.map(|show| BookedShow {
            page_url: format!("{}/bookings/{}", self.config.public_url, booking.booking_id),
            booking,
            show,
            prices,
            moves,
            now,
        }))
    }

    /// The price of each ticket of the booking. Only its sum is recorded, so the result is empty
    /// unless the present prices of the seats add up to it.
    async fn prices_paid(&self, booking: &BookingRow) -> Result<Vec<i64>, StoreError> {
        let Some(show) = self.catalogue.live_by_no(booking.show_no).await? else {
            return Ok(Vec::new());
        };
        let price = |ticket: &TicketRow| {
            let seats = show.plan().seats_of_nos(&[ticket.seat_no]);
            Some(seats.first()?.price_minor)
        };
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
        let ticket = row
            .tickets
            .iter()
            .find(|ticket| ticket.ticket_id == ticket_id.uuid());
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
        let now = self.clock.now();
        Ok(row.filter(|row| {
            customer.owns(row.subject.as_deref(), row.session.as_deref())
                || (customer.has_link(row.booking_id, row.link_generation)
                    && now <= link_ends_at(row.ends_at))
        }))
    }

    /// The booking with its tickets and their seats.
    pub(crate) async fn booking_view(&self, row: BookingRow) -> Result<Booking, StoreError> {
        let booking_id = BookingId::new(row.booking_id);
        let show = self.catalogue.live_by_no(row.show_no).await?;
        let label_of = |seat_no: i32| {
            let seats = show.as_ref()?.plan().seats_of_nos(&[seat_no]);
            Some(seats.first()?.label())
        };
        let tickets = row
            .tickets
            .iter()
            .map(|ticket| {
                let ticket_id = TicketId::new(ticket.ticket_id);
                Ok(Ticket {
                    ticket_id,
                    seat: label_of(ticket.seat_no),
                    seat_id: ticket
                        .seat_id
                        .parse()
                        .map_err(|error| StoreError::corrupt("seats", error))?,
                    qr: Some(self.qr_text(&row, ticket)),
                    qr_svg: Some(format!(
                        "/api/v1/bookings/{booking_id}/tickets/{ticket_id}/qr.svg"
                    )),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Booking {
            booking_id,
            tickets,
            show_id: row
                .show_id
                .parse()
                .map_err(|error| StoreError::corrupt("shows", error))?,
            code: row.code,
            status: row.status,
            amount_minor: row.amount_minor,
            refunded_minor: row.refunded_minor,
            currency: row.currency,
            created_at: row.created_at,
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
