//! Fans who find their booking on any device: one-time codes, links in mails, their own bookings.

use std::collections::BTreeSet;

use contract::booking::Show;
use contract::refund::{CodeSent, MyBooking};
use contract::{BookingId, ShowId, Timestamp};
use uuid::Uuid;

use crate::config::{CODE_LASTS, OWN_BOOKINGS_LISTED_MAX};
use crate::core::Core;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::links::{Link, booking_code, hidden, link_path};
use crate::store;
use crate::store::bookings::{BookingRow, TicketRow};
use crate::store::guest_mails::{GuestMailKind, NewGuestMail};

/// The outcome of asking for a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MailAsked {
    /// It is on its way.
    Sent(CodeSent),
    /// The booking or its address got too many lately.
    TooMany,
    /// There is no such booking, or it is not the caller's.
    NotFound,
}

impl Core {
    /// Mails a one-time code to the address of the customer's booking.
    pub(crate) async fn code_send(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<MailAsked, StoreError> {
        match self.booking_row(customer, booking_id).await? {
            Some(row) => self.guest_mail(&row, GuestMailKind::Code).await,
            None => Ok(MailAsked::NotFound),
        }
    }

    /// Mails the links to a booking once more, to the buyer and whoever got tickets of it, whoever
    /// asks: for operators.
    pub(crate) async fn link_resend(&self, booking_id: BookingId) -> Result<MailAsked, StoreError> {
        let mut connection = self.pools.money.acquire().await?;
        let row = store::bookings::find(&mut connection, booking_id.uuid()).await?;
        drop(connection);
        match row {
            Some(row) => {
                let holders: BTreeSet<Uuid> = row
                    .tickets
                    .iter()
                    .filter_map(|ticket| ticket.holder)
                    .collect();
                for row in holders
                    .into_iter()
                    .filter_map(|it| row.clone().of_holder(it))
                {
                    self.guest_mail(&row, GuestMailKind::Resent).await?;
                }
                self.guest_mail(&row, GuestMailKind::Resent).await
            }
            None => Ok(MailAsked::NotFound),
        }
    }

    /// Mails the link to the booking with this code if it was booked with this address, or if
    /// tickets of it were passed on to this address. Nobody is told whether it was.
    pub(crate) async fn link_ask(&self, code: &str, email: &str) -> Result<(), StoreError> {
        let code = booking_code(code);
        let mut connection = self.pools.money.acquire().await?;
        let found = store::bookings::by_code(&mut connection, &code).await?;
        let row = match found {
            Some(booking_id) => store::bookings::find(&mut connection, booking_id).await?,
            None => None,
        };
        drop(connection);
        let Some(row) = row else { return Ok(()) };
        let email = email.trim().to_lowercase();
        let same = |address: &str| address.to_lowercase() == email;
        if same(&row.email) {
            self.guest_mail(&row, GuestMailKind::Link).await?;
        }
        let is_theirs = |ticket: &&TicketRow| ticket.holder_email.as_deref().is_some_and(same);
        let theirs = row.tickets.iter().filter(is_theirs);
        let holders: BTreeSet<Uuid> = theirs.filter_map(|ticket| ticket.holder).collect();
        for row in holders
            .into_iter()
            .filter_map(|it| row.clone().of_holder(it))
        {
            self.guest_mail(&row, GuestMailKind::Link).await?;
        }
        Ok(())
    }

    async fn guest_mail(
        &self,
        row: &BookingRow,
        kind: GuestMailKind,
    ) -> Result<MailAsked, StoreError> {
        let now = self.clock.now();
        let new = NewGuestMail {
            mail_id: self.randomness.uuid(now),
            booking_id: row.booking_id,
            holder: row.reader,
            kind,
            address_digest: self.links.address(&row.email),
            created_at: now,
            expires_at: now.plus(CODE_LASTS),
        };
        if !store::guest_mails::ask(&self.pools.money, &new).await? {
            return Ok(MailAsked::TooMany);
        }
        Ok(MailAsked::Sent(CodeSent {
            sent_to: hidden(&row.email),
            expires_at: new.expires_at,
        }))
    }

    /// The path of a booking's page for whoever has its mail.
    pub(crate) fn link_to(&self, row: &BookingRow) -> String {
        link_path(&self.links.token(Link {
            booking_id: row.booking_id,
            generation: row.link_generation,
            holder: row.reader,
        }))
    }

    /// Revokes all links to a booking, and the sessions of apps of its addresses. Returns the number of the generation that is good now;
    /// `None` for an unknown booking.
    pub(crate) async fn links_revoke(
        &self,
        booking_id: BookingId,
    ) -> Result<Option<i32>, StoreError> {
        let pool = &self.pools.money;
        let mut connection = pool.acquire().await?;
        let row = store::bookings::find(&mut connection, booking_id.uuid()).await?;
        drop(connection);
        if let Some(row) = row {
            let holders = row
                .tickets
                .iter()
                .filter_map(|ticket| ticket.holder_email.as_deref());
            let addresses = holders.chain([row.email.as_str()]);
            let digests: Vec<Vec<u8>> = addresses.map(|it| self.links.address(it)).collect();
            store::app_sessions::revoke_of_addresses(pool, &digests, self.clock.now()).await?;
        }
        store::bookings::links_revoke(pool, booking_id.uuid()).await
    }

    /// The customer's bookings, the latest first.
    pub(crate) async fn my_bookings(
        &self,
        customer: &Customer,
    ) -> Result<Vec<MyBooking>, StoreError> {
        let now = self.clock.now();
        let mut connection = self.pools.money.acquire().await?;
        let address = match customer.app() {
            Some(app) => store::app_sessions::address(&mut connection, app, now).await?,
            None => None,
        };
        let rows = store::bookings::of_owner(
            &mut connection,
            customer.session_digest().as_deref(),
            &customer.subjects(),
            address.as_deref(),
            OWN_BOOKINGS_LISTED_MAX,
        )
        .await?;
        drop(connection);
        let mut bookings: Vec<MyBooking> = Vec::with_capacity(rows.len());
        for row in rows {
            let known = bookings
                .iter()
                .find(|booking| booking.show.show_id.as_str() == row.show_id);
            let show = match known {
                Some(booking) => Some(booking.show.clone()),
                None => self.show_of_booking(&row.show_id, now).await?,
            };
            let Some(show) = show else { continue };
            bookings.push(MyBooking {
                booking_id: BookingId::new(row.booking_id),
                code: row.code,
                status: row.status,
                ticket_count: row.ticket_count,
                amount_minor: row.amount_minor,
                refunded_minor: row.refunded_minor,
                currency: row.currency,
                created_at: row.created_at,
                show,
            });
        }
        Ok(bookings)
    }

    async fn show_of_booking(
        &self,
        show_id: &str,
        now: Timestamp,
    ) -> Result<Option<Show>, StoreError> {
        let show: ShowId = show_id
            .parse()
            .map_err(|error| StoreError::corrupt("shows", error))?;
        self.catalogue.view(&show, now).await
    }

    /// A new id for a refund, or the same for the repeat of a request with a key.
    pub(crate) fn refund_id(&self, booking_id: Uuid, key: Option<(&str, &str)>) -> Uuid {
        match key {
            Some((principal, key)) => crate::money::derived_id(&[
                "cancel",
                &booking_id.to_string(),
                &principal.len().to_string(),
                principal,
                key,
            ]),
            None => self.randomness.uuid(self.clock.now()),
        }
    }
}
