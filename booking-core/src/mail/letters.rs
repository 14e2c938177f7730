//! What a notice says now: composed when it is sent, from the present state of what it is about.

use contract::booking::{BookingStatus, Show};
use contract::{BookingId, ShowId};
use pages::mail::{BookingConfirmedMail, HoldExpiredMail, MailText, RefundMadeMail};

use super::compose::Letter;
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::notice::NoticeKind;
use crate::store::notice_subjects;
use crate::store::notices::ClaimedNotice;

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
        let booking = self.booking_view(row).await?;
        let Some(show) = self.show_of_notice(&booking.show_id).await? else {
            return Ok(Content::Moot("the show is gone"));
        };
        let url = self.booking_url(booking.booking_id);
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
        let mail = pages::mail::refund_made(&RefundMadeMail {
            show,
            amount_minor: refund.amount_minor,
            currency: refund.currency,
            code,
            url: booking_id.map(|id| self.booking_url(BookingId::new(id))),
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

    async fn show_of_notice(&self, show: &ShowId) -> Result<Option<Show>, StoreError> {
        self.catalogue.view(show, self.clock.now()).await
    }

    fn booking_url(&self, booking_id: BookingId) -> String {
        format!("{}/bookings/{booking_id}", self.config.public_url)
    }
}

fn show_id(text: &str) -> Result<ShowId, StoreError> {
    text.parse()
        .map_err(|error| StoreError::corrupt("shows", error))
}

fn letter(to: String, mail: MailText) -> Letter {
    Letter {
        to,
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
    }
}
