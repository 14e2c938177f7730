//! What a notice says now: composed when it is sent, from the present state of what it is about.

use contract::ShowId;
use contract::booking::{BookingStatus, Show};
use pages::mail::{
    BookingConfirmedMail, BookingLinkMail, HoldExpiredMail, MailText, OneTimeCodeMail,
    RefundMadeMail, TicketsCancelledMail,
};
use uuid::Uuid;

use super::compose::Letter;
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::notice::NoticeKind;
use crate::shows::PlannedSeat;
use crate::store::bookings::BookingRow;
use crate::store::cancellations::{self, CancelledBy};
use crate::store::notices::ClaimedNotice;
use crate::store::{guest_mails, notice_subjects};

/// What is to be done with a notice.
pub(super) enum Content {
    /// It is sent.
    Letter(Letter),
    /// What it would tell is no longer so.
    Moot(&'static str),
    /// What it would tell is not so at the moment.
    NotYet(&'static str),
}

impl Core {
    /// What `notice` says now.
    pub(super) async fn letter_of(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
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
        }
    }

    async fn confirmation(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let found = notice_subjects::booking(&self.pools.jobs, notice.about).await?;
        let Some((row, email)) = found else {
            return Ok(Content::Moot("the booking is gone"));
        };
        // Tickets that are void must not be mailed; that the money went back is told by itself.
        if row.status == BookingStatus::Cancelled {
            return Ok(Content::Moot("the booking was cancelled"));
        }
        let url = self.booking_url(&row);
        let booking = self.booking_view(row).await?;
        let Some(show) = self.show_of_notice(&booking.show_id).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = pages::mail::booking_confirmed(&BookingConfirmedMail { booking, show, url });
        Ok(Content::Letter(letter(email, mail)))
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
        let mail = pages::mail::refund_made(&RefundMadeMail {
            show,
            amount_minor: refund.amount_minor,
            currency: refund.currency,
            code,
            url: booking.map(|(row, _)| self.booking_url(&row)),
        });
        Ok(Content::Letter(letter(refund.email, mail)))
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
        let mail = pages::mail::hold_expired(&HoldExpiredMail {
            url: format!("{}/shows/{show_id}", self.config.public_url),
            show,
            seat_count: hold.seat_count,
            ended_at: hold.closed_at.unwrap_or(notice.created_at),
        });
        Ok(Content::Letter(letter(email, mail)))
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
        let Some((row, email)) = found else {
            return Ok(Content::Moot("the booking is gone"));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let live = self.catalogue.live_by_no(row.show_no).await?;
        let seats = live.map(|live| seats_in_words(&live.plan().seats_of_nos(&seat_nos)));
        let show_cancelled = cancelled.by == CancelledBy::Show;
        let mail = pages::mail::tickets_cancelled(&TicketsCancelledMail {
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
        });
        Ok(Content::Letter(letter(email, mail)))
    }

    async fn code_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(asked) = guest_mails::find(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("it is long over"));
        };
        if asked.is_used || asked.is_outdated || asked.expires_at <= self.clock.now() {
            return Ok(Content::Moot("the code is used, outdated or over"));
        }
        let Some((row, email)) = self.view_of(asked.booking_id, asked.holder).await? else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        let Some(show) = self.show_of_notice(&show_id(&row.show_id)?).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = pages::mail::one_time_code(&OneTimeCodeMail {
            show,
            code: row.code,
            digits: self.links.code(notice.about),
            expires_at: asked.expires_at,
            for_app: asked.is_for_app,
        });
        Ok(Content::Letter(letter(email, mail)))
    }

    async fn link_notice(&self, notice: &ClaimedNotice) -> Result<Content, StoreError> {
        let Some(asked) = guest_mails::find(&self.pools.jobs, notice.about).await? else {
            return Ok(Content::Moot("it is long over"));
        };
        let Some((row, email)) = self.view_of(asked.booking_id, asked.holder).await? else {
            return Ok(Content::Moot(
                "the booking or the reader's tickets are gone",
            ));
        };
        let url = self.booking_url(&row);
        let booking = self.booking_view(row).await?;
        let Some(show) = self.show_of_notice(&booking.show_id).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let mail = pages::mail::booking_link(&BookingLinkMail { booking, show, url });
        Ok(Content::Letter(letter(email, mail)))
    }

    /// The booking as a holder of tickets sees it, and their address; `None` for the buyer.
    pub(super) async fn view_of(
        &self,
        booking_id: Uuid,
        holder: Option<Uuid>,
    ) -> Result<Option<(BookingRow, String)>, StoreError> {
        let found = notice_subjects::booking(&self.pools.jobs, booking_id).await?;
        Ok(match (found, holder) {
            (found, None) => found,
            (Some((row, _)), Some(holder)) => row.of_holder(holder).map(|row| {
                let email = row.email.clone();
                (row, email)
            }),
            (None, Some(_)) => None,
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

pub(super) fn seats_in_words(seats: &[&PlannedSeat]) -> Vec<String> {
    let words = |seat: &&PlannedSeat| {
        let (section, row) = (&seat.section, &seat.row);
        format!("{section}, row {row}, seat {}", seat.number)
    };
    seats.iter().map(words).collect()
}

pub(super) fn letter(to: String, mail: MailText) -> Letter {
    Letter {
        to,
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        attachment: None,
    }
}
