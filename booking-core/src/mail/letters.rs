//! What a notice says now: composed when it is sent, from the present state of what it is about.

use contract::ShowId;
use contract::booking::{BookingStatus, SeatLabel, Show};
use pages::mail::{
    BookingConfirmedMail, BookingLinkMail, HoldExpiredMail, OneTimeCodeMail, RefundMadeMail,
    ShowMovedMail, ShowReminderMail, TicketsCancelledMail, Writer, Written, YourTurnMail,
};
use uuid::Uuid;

use crate::channels::told::{Recipient, Told};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::notice::NoticeKind;
use crate::shows::PlannedSeat;
use crate::store::bookings::BookingRow;
use crate::store::cancellations::{self, CancelledBy};
use crate::store::notices::ClaimedNotice;
use crate::store::{contacts, guest_mails, notice_subjects, show_moves, turns};
use crate::ticket_files::BookedShow;

/// What is to be done with a notice.
pub(super) enum Content {
    /// It is sent.
    Told(Box<Told>),
    /// What it would tell is no longer so.
    Moot(&'static str),
    /// What it would tell is not so at the moment.
    NotYet(&'static str),
}

impl Content {
    /// This with the files of `tickets`, if it is sent by mail. They are of the time of the
    /// notice, so that every attempt has the same.
    pub(super) fn with_files(mut self, notice: &ClaimedNotice, mut tickets: BookedShow) -> Self {
        if let Self::Told(told) = &mut self {
            tickets.now = notice.created_at;
            told.tickets = Some(Box::new(tickets));
        }
        self
    }
}

impl Core {
    /// What `notice` says now.
    pub(super) async fn told_of(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        match notice.kind {
            NoticeKind::BookingConfirmed => self.confirmation(notice).await,
            NoticeKind::RefundMade => self.refund_notice(notice).await,
            NoticeKind::HoldExpired => self.expiry_notice(notice).await,
            NoticeKind::TicketsCancelled => self.cancellation_notice(notice).await,
            NoticeKind::OneTimeCode => self.code_notice(notice).await,
            NoticeKind::BookingLink => self.link_notice(notice).await,
            NoticeKind::TicketsReceived | NoticeKind::TicketsReissued => {
                self.new_tickets_notice(notice).await
            }
            NoticeKind::TicketsPassedOn => self.passed_on_notice(notice).await,
            NoticeKind::TicketWithdrawn => self.withdrawn_notice(notice).await,
            NoticeKind::ShowMoved => self.move_notice(notice).await,
            NoticeKind::ShowReminder => self.reminder(notice).await,
            NoticeKind::YourTurn => self.turn_notice(notice).await,
        }
    }

    async fn confirmation(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let found = notice_subjects::booking(&self.pools.jobs, notice.about).await?;
        let Some((row, _)) = found else {
            return Ok(Content::Moot("the booking is gone"));
        };
        // Tickets that are void must not be mailed; that the money went back is told by itself.
        if row.status == BookingStatus::Cancelled {
            return Ok(Content::Moot("the booking was cancelled"));
        }
        if row.withheld {
            return Ok(Content::NotYet("the purchase is in review"));
        }
        let url = self.booking_url(&row);
        let Some(tickets) = self.tickets_of_letter(row.clone()).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let to = contacts::recipient(&self.pools.jobs, notice.about).await?;
        let mail = BookingConfirmedMail {
            has_invoice: self.config.invoices.is_some() && row.amount_minor > 0,
            booking: self.booking_view(row).await?,
            show: tickets.show.clone(),
            url,
            wallets: self.wallets_on(),
        };
        let told = self.told(notice, to, |writer| writer.booking_confirmed(&mail));
        Ok(told.with_files(notice, tickets))
    }

    async fn refund_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let found = notice_subjects::refund(&self.pools.jobs, notice.about).await?;
        let Some(refund) = found else {
            return Ok(Content::Moot("the refund is gone"));
        };
        // It failed after its success, and is made again.
        if refund.status != RefundStatus::Succeeded {
            return Ok(Content::NotYet("the money has come back"));
        }
        let Some(show) = self.show_of_notice(&show_id(&refund.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let (booking_id, code) = refund.booking.unzip();
        let booking = match booking_id {
            Some(booking_id) => notice_subjects::booking(&self.pools.jobs, booking_id).await?,
            None => None,
        };
        let to = match booking_id {
            Some(booking_id) => contacts::recipient(&self.pools.jobs, booking_id).await?,
            None => by_mail(refund.email, refund.language),
        };
        let mail = RefundMadeMail {
            show,
            amount_minor: refund.amount_minor,
            currency: refund.currency,
            code,
            url: booking.map(|(row, _)| self.booking_url(&row)),
        };
        Ok(self.told(notice, to, |writer| writer.refund_made(&mail)))
    }

    async fn expiry_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let found = notice_subjects::hold(&self.pools.jobs, notice.about).await?;
        let Some(hold) = found else {
            return Ok(Content::Moot("the hold is gone"));
        };
        let Some(email) = hold.email else {
            return Ok(Content::Moot("no address is known"));
        };
        // A booking or a refund follows, which is told by itself.
        if hold.has_money {
            return Ok(Content::Moot("money arrived for it, or still may"));
        }
        let show_id = show_id(&hold.show_id)?;
        let Some(show) = self.show_of_notice(&show_id).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = HoldExpiredMail {
            url: format!("{}/shows/{show_id}", self.config.public_url),
            show,
            seat_count: hold.seat_count,
            ended_at: hold.closed_at.unwrap_or(notice.created_at),
        };
        let to = by_mail(email, hold.language);
        Ok(self.told(notice, to, |writer| writer.hold_expired(&mail)))
    }

    async fn cancellation_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let mut connection = self.pools.jobs.acquire().await?;
        let found = cancellations::find(&mut connection, notice.about).await?;
        let Some(cancelled) = found else {
            return Ok(Content::Moot("the cancellation is gone"));
        };
        let seat_nos = cancellations::seats_of(&mut connection, &cancelled.ticket_ids).await?;
        drop(connection);
        let found = notice_subjects::booking(&self.pools.jobs, cancelled.booking_id).await?;
        let Some((row, _)) = found else {
            return Ok(Content::Moot("the booking is gone"));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let live = self.catalogue.live_by_no(row.show_no).await?;
        let seats = live.map(|live| labels(live.plan().seats_of_nos(&seat_nos)));
        let show_cancelled = cancelled.by == CancelledBy::Show;
        let to = contacts::recipient(&self.pools.jobs, cancelled.booking_id).await?;
        let mail = TicketsCancelledMail {
            show,
            url: self.booking_url(&row),
            code: row.code,
            seats: seats.unwrap_or_default(),
            amount_minor: cancelled.refund_minor,
            kept_minor: cancelled.kept_minor,
            currency: cancelled.currency,
            show_cancelled,
            // What a fan or an operator wrote is for the seller.
            reason: cancelled.reason.filter(|_| show_cancelled),
        };
        Ok(self.told(notice, to, |writer| writer.tickets_cancelled(&mail)))
    }

    async fn code_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(asked) = guest_mails::find(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("it is long over"));
        };
        if asked.is_used || asked.is_outdated || asked.expires_at <= self.clock.now() {
            return Ok(Content::Moot("the code is used, outdated or over"));
        }
        let Some(row) = self.view_of(asked.booking_id, asked.holder).await? else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let to = self.recipient_of(&row).await?;
        let mail = OneTimeCodeMail {
            show,
            code: row.code,
            digits: if asked.is_for_app {
                self.links.app_code(notice.about)
            } else {
                self.links.code(notice.about)
            },
            expires_at: asked.expires_at,
            for_app: asked.is_for_app,
        };
        Ok(self.told(notice, to, |writer| writer.one_time_code(&mail)))
    }

    async fn link_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(asked) = guest_mails::find(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("it is long over"));
        };
        let Some(row) = self.view_of(asked.booking_id, asked.holder).await? else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        let (url, to) = (self.booking_url(&row), self.recipient_of(&row).await?);
        let Some(tickets) = self.tickets_of_letter(row.clone()).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = BookingLinkMail {
            booking: self.booking_view(row).await?,
            show: tickets.show.clone(),
            url,
        };
        let told = self.told(notice, to, |writer| writer.booking_link(&mail));
        Ok(told.with_files(notice, tickets))
    }

    async fn move_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(moved) = show_moves::told(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("the move is gone"));
        };
        if moved.is_outdated {
            return Ok(Content::Moot("the show was moved again"));
        }
        let found = self.view_of(moved.booking_id, moved.transfer_id).await?;
        let Some(row) = found else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        if row.status == BookingStatus::Cancelled {
            return Ok(Content::Moot("the booking was cancelled"));
        }
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let to = self.recipient_of(&row).await?;
        let now = self.clock.now();
        // The price goes back to the buyer.
        let refund_until = moved.refund_until.filter(|_| row.reader.is_none());
        let mail = ShowMovedMail {
            show,
            old_starts_at: moved.old_starts_at,
            old_venue: moved.old_venue,
            reason: moved.reason,
            refund_until: refund_until.filter(|until| now < *until),
            url: self.booking_url(&row),
            code: row.code,
        };
        Ok(self.told(notice, to, |writer| writer.show_moved(&mail)))
    }

    async fn reminder(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(reminded) = show_moves::reminded(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("the reminder is gone"));
        };
        if reminded.is_outdated {
            return Ok(Content::Moot("the show was moved since"));
        }
        let found = self
            .view_of(reminded.booking_id, reminded.transfer_id)
            .await?;
        let Some(row) = found else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        if row.status == BookingStatus::Cancelled {
            return Ok(Content::Moot("the booking was cancelled"));
        }
        if row.starts_at <= self.clock.now() {
            return Ok(Content::Moot("the show has begun"));
        }
        if row.withheld {
            return Ok(Content::NotYet("the purchase is in review"));
        }
        let (url, to) = (self.booking_url(&row), self.recipient_of(&row).await?);
        let booking = self.booking_view(row).await?;
        let Some(show) = self.show_of_notice(&booking.show_id).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = ShowReminderMail { booking, show, url };
        Ok(self.told(notice, to, |writer| writer.show_reminder(&mail)))
    }

    async fn turn_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(turn) = turns::called(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("the fan does not want to be told any more"));
        };
        if turn.is_over {
            return Ok(Content::Moot("the turn is taken or over"));
        }
        let mail = YourTurnMail {
            title: turn.title,
            url: format!("{}/_line/rooms/{}", self.config.public_url, turn.room),
        };
        Ok(self.told(notice, turn.to, |writer| writer.your_turn(&mail)))
    }

    /// The notice in the words of its recipient's language.
    pub(super) fn told(
        &self,
        notice: &ClaimedNotice,
        to: Recipient,
        write: impl FnOnce(Writer<'_>) -> Written,
    ) -> Content {
        let written = write(self.letters.in_language(&to.language));
        if let Some(fault) = written.fault {
            tracing::warn!(
                fault,
                "a template of ROPELINE_TEMPLATES fails: ours is used instead"
            );
        }
        Content::Told(Box::new(Told {
            kind: notice.kind,
            mail: written.mail,
            short: written.short,
            tickets: None,
            attachments: Vec::new(),
            to,
        }))
    }

    /// The booking as a holder of tickets sees it; as the buyer does without one.
    pub(crate) async fn view_of(
        &self,
        booking_id: Uuid,
        holder: Option<Uuid>,
    ) -> Result<Option<BookingRow>, StoreError> {
        let found = notice_subjects::booking(&self.pools.jobs, booking_id).await?;
        let row = found.map(|(row, _)| row);
        Ok(match holder {
            None => row,
            Some(holder) => row.and_then(|row| row.of_holder(holder)),
        })
    }

    /// How the reader of this view of a booking is told. A holder of passed-on tickets is known by
    /// an address alone: telephone and browsers are the buyer's.
    pub(super) async fn recipient_of(&self, row: &BookingRow) -> Result<Recipient, StoreError> {
        let buyer = contacts::recipient(&self.pools.jobs, row.booking_id).await?;
        Ok(match row.reader {
            None => buyer,
            Some(_) => by_mail(row.email.clone(), buyer.language),
        })
    }

    pub(super) async fn show_of_notice(&self, show: &ShowId) -> Result<Option<Show>, StoreError> {
        self.catalogue.view(show, self.clock.now()).await
    }

    pub(super) fn booking_url(&self, row: &BookingRow) -> String {
        format!("{}{}", self.config.public_url, self.link_to(row))
    }
}

pub(super) fn show_id(text: &str) -> Result<ShowId, StoreError> {
    text.parse()
        .map_err(|error| StoreError::corrupt("shows", error))
}

pub(super) fn labels(seats: Vec<&PlannedSeat>) -> Vec<SeatLabel> {
    seats.into_iter().map(PlannedSeat::label).collect()
}

/// Somebody of whom an address is known.
pub(super) fn by_mail(email: String, language: String) -> Recipient {
    Recipient {
        email: Some(email),
        language,
        ..Recipient::default()
    }
}
