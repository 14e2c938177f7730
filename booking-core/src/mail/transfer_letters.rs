//! What notices about tickets say that were passed on or printed anew.

use pages::mail_transfers::{NewTicketsMail, TicketWithdrawnMail, TicketsPassedOnMail};

use super::letters::{Content, by_mail, labels, show_id};
use crate::core::Core;
use crate::database::StoreError;
use crate::links::hidden;
use crate::store::notices::ClaimedNotice;
use crate::store::transfers::{self, TransferKind};

impl Core {
    /// The new tickets, to whoever has them now.
    pub(super) async fn new_tickets_notice(
        &self,
        notice: &ClaimedNotice,
    ) -> Result<Content, StoreError> {
        let mut connection = self.pools.jobs.acquire().await?;
        let found = transfers::find(&mut connection, notice.about).await?;
        let Some(transfer) = found else {
            return Ok(Content::Moot("the transfer is gone"));
        };
        let is_transfer = transfer.kind == TransferKind::Transfer;
        let from = match transfer.from_transfer_id {
            Some(from) => transfers::address(&mut connection, from).await?,
            None => None,
        };
        drop(connection);
        let holder = match transfer.kind {
            TransferKind::Transfer => Some(transfer.transfer_id),
            TransferKind::Reissue => transfer.from_transfer_id,
        };
        let buyer = self.view_of(transfer.booking_id, None).await?;
        let Some(row) = self.view_of(transfer.booking_id, holder).await? else {
            return Ok(Content::Moot("the tickets were passed on, or cancelled"));
        };
        let (url, to) = (self.booking_url(&row), self.recipient_of(&row).await?);
        if row.withheld {
            return Ok(Content::NotYet("the purchase is being checked"));
        }
        let Some(booked) = self.tickets_of_letter(row).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        if booked.booking.tickets.is_empty() {
            return Ok(Content::Moot("the tickets were passed on, or cancelled"));
        }
        let mail = NewTicketsMail {
            booking: booked.booking.clone(),
            show: booked.show.clone(),
            url,
            wallets: self.wallets_on(),
            from: is_transfer
                .then(|| from.or(buyer.map(|row| row.email)))
                .flatten()
                .map(|email| hidden(&email)),
        };
        let told = self.told(notice, to, |writer| writer.new_tickets(&mail));
        Ok(told.with_files(notice, booked))
    }

    /// To whoever had the tickets before.
    pub(super) async fn passed_on_notice(
        &self,
        notice: &ClaimedNotice,
    ) -> Result<Content, StoreError> {
        let mut connection = self.pools.jobs.acquire().await?;
        let found = transfers::find(&mut connection, notice.about).await?;
        let Some(transfer) = found else {
            return Ok(Content::Moot("the transfer is gone"));
        };
        let from = match transfer.from_transfer_id {
            Some(from) => transfers::address(&mut connection, from).await?,
            None => None,
        };
        let seat_nos =
            crate::store::cancellations::seats_of(&mut connection, &transfer.ticket_ids).await?;
        drop(connection);
        let Some(row) = self.view_of(transfer.booking_id, None).await? else {
            return Ok(Content::Moot("the booking is gone"));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let live = self.catalogue.live_by_no(row.show_no).await?;
        let seats = live.map(|live| labels(live.plan().seats_of_nos(&seat_nos)));
        let buyer = self.recipient_of(&row).await?;
        let mail = TicketsPassedOnMail {
            show,
            // Only the buyer still has a page.
            url: from.is_none().then(|| self.booking_url(&row)),
            code: row.code,
            seats: seats.unwrap_or_default(),
            to: hidden(&transfer.sent_to),
        };
        let to = match from {
            Some(email) => by_mail(email, buyer.language),
            None => buyer,
        };
        Ok(self.told(notice, to, |writer| writer.tickets_passed_on(&mail)))
    }

    /// To whoever had got a ticket that was cancelled.
    pub(super) async fn withdrawn_notice(
        &self,
        notice: &ClaimedNotice,
    ) -> Result<Content, StoreError> {
        let found = transfers::withdrawn(&self.pools.jobs, notice.about).await?;
        let Some(ticket) = found else {
            return Ok(Content::Moot("the ticket is gone"));
        };
        let Some(row) = self.view_of(ticket.booking_id, None).await? else {
            return Ok(Content::Moot("the booking is gone"));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let live = self.catalogue.live_by_no(row.show_no).await?;
        let seats = live.map(|live| labels(live.plan().seats_of_nos(&[ticket.seat_no])));
        let buyer = self.recipient_of(&row).await?;
        let mail = TicketWithdrawnMail {
            show,
            code: row.code,
            seats: seats.unwrap_or_default(),
        };
        let to = by_mail(ticket.email, buyer.language);
        Ok(self.told(notice, to, |writer| writer.ticket_withdrawn(&mail)))
    }
}
