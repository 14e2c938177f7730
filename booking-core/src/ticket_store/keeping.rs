//! The worker that writes, replaces and removes PDFs of tickets.

use std::time::Duration;

use bytes::Bytes;
use contract::booking::BookingStatus;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::objects::{ObjectError, TicketStore};
use crate::config::{TICKET_PDF_KEEP, TICKET_PDFS_AT_ONCE, TICKET_PDFS_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::store::ticket_pdfs::{self, ClaimedPdf, Stored};
use crate::telemetry;
use crate::ticket_files::{BookedShow, PrintError};

/// How long a process may work on a PDF before others do.
const LEASE: Duration = Duration::from_mins(3);
/// How long after the change of a show its PDFs are made anew: every process has read it by then.
const SHOW_SETTLES: Duration = Duration::from_secs(10);
/// Bookings that are added, and PDFs whose show changed that become due, in one statement.
const MARK_BATCH_MAX: i64 = 500;
/// First pause after the store failed; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// Pause before tickets are looked at again that are kept back, or cannot be printed.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// Pause after other PDFs took the turn.
const BUSY_PAUSE: Duration = Duration::from_secs(15);
/// Longest failure that is stored, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// What is to be kept for a reader.
enum Wanted {
    /// Their tickets.
    Pdf(Box<BookedShow>),
    /// Nothing for now.
    Nothing {
        /// When to look again, whatever changes.
        look_again: bool,
    },
    /// Nothing any more.
    Forgotten,
}

/// Why a PDF is not kept yet.
enum Obstacle {
    Database(StoreError),
    Store(ObjectError),
    Printing(PrintError),
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Self {
        Self::Database(error)
    }
}

impl From<ObjectError> for Obstacle {
    fn from(error: ObjectError) -> Self {
        Self::Store(error)
    }
}

impl Core {
    /// Writes, replaces and removes PDFs that are due. Returns how many were done: there may be
    /// more.
    pub(crate) async fn ticket_pdfs_once(&self) -> Result<usize, StoreError> {
        let Some(store) = &self.ticket_store else {
            return Ok(0);
        };
        let (pool, now) = (&self.pools.jobs, self.clock.now());
        let enrolled = ticket_pdfs::enrol(pool, now, MARK_BATCH_MAX).await?;
        let until = now.plus(LEASE);
        let limit = TICKET_PDFS_BATCH_MAX;
        let due = ticket_pdfs::claim_due(pool, store.name(), now, until, limit).await?;
        let kept = stream::iter(due)
            .map(|claimed| self.keep_one(store, claimed))
            .buffer_unordered(TICKET_PDFS_AT_ONCE)
            .filter(|is_done| std::future::ready(*is_done))
            .count()
            .await;
        Ok(enrolled + kept)
    }

    /// Makes PDFs due whose show changed or is over. Returns how many: there may be more.
    pub(crate) async fn ticket_pdf_shows_once(&self) -> Result<usize, StoreError> {
        let (pool, now) = (&self.pools.jobs, self.clock.now());
        let (settled, over) = (now.minus(SHOW_SETTLES), now.minus(TICKET_PDF_KEEP));
        let changed = ticket_pdfs::shows_changed(pool, now, settled, MARK_BATCH_MAX).await?;
        let ended = ticket_pdfs::shows_over(pool, now, over, MARK_BATCH_MAX).await?;
        let waiting = ticket_pdfs::overdue(pool, settled).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        metrics::gauge!(telemetry::TICKET_PDFS_OVERDUE).set(waiting as f64);
        Ok(changed + ended)
    }

    /// Whether it is done.
    async fn keep_one(&self, store: &TicketStore, claimed: ClaimedPdf) -> bool {
        let (outcome, pause, why) = match self.keep(store, &claimed).await {
            Ok(outcome) => {
                count(outcome);
                return true;
            }
            // It is tried again when its lease ends.
            Err(Obstacle::Database(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, pdf = %claimed.pdf_id, "a PDF is not kept yet");
                return false;
            }
            Err(Obstacle::Store(error)) => {
                let doublings = u32::try_from(claimed.attempt_count - 1)
                    .unwrap_or(0)
                    .min(16);
                let pause = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MAX);
                tracing::warn!(%error, pdf = %claimed.pdf_id, "the store of tickets failed");
                ("failed", pause, error.to_string())
            }
            Err(Obstacle::Printing(PrintError::Busy)) => {
                ("busy", BUSY_PAUSE, PrintError::Busy.to_string())
            }
            Err(Obstacle::Printing(error)) => {
                tracing::error!(%error, pdf = %claimed.pdf_id, "tickets are kept without a PDF");
                ("failed", LOOK_AGAIN, error.to_string())
            }
        };
        count(outcome);
        let why: String = why.chars().take(ERROR_CHARS_MAX).collect();
        let at = self.clock.now().plus(pause);
        if let Err(error) = ticket_pdfs::put_off(&self.pools.jobs, &claimed, at, &why).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, pdf = %claimed.pdf_id, "a PDF waits for the end of its lease");
        }
        false
    }

    async fn keep(
        &self,
        store: &TicketStore,
        claimed: &ClaimedPdf,
    ) -> Result<&'static str, Obstacle> {
        let pool = &self.pools.jobs;
        let wanted = self.wanted(claimed).await?;
        if let (Wanted::Pdf(booked), Some(_), Some(kept)) =
            (&wanted, &claimed.object, &claimed.printed)
            && booked.printed()[..] == kept[..]
        {
            ticket_pdfs::is_good(pool, claimed).await?;
            return Ok("unchanged");
        }
        // The outdated one goes first: what revoked tickets say is not to stay for long, and the
        // row names at most one object and one that is being written.
        for object in claimed.object.iter().chain(&claimed.writing) {
            store.remove(object).await?;
        }
        match wanted {
            Wanted::Pdf(booked) => {
                let (object, printed) = (self.object_name(&booked), booked.printed());
                let pdf = self.press.print_unhurried(*booked).await;
                let pdf = pdf.map_err(Obstacle::Printing)?;
                self.write(store, claimed, &object, pdf, printed).await
            }
            Wanted::Forgotten => {
                ticket_pdfs::forget(pool, claimed).await?;
                Ok("removed")
            }
            Wanted::Nothing { look_again } => {
                let again = look_again.then(|| self.clock.now().plus(LOOK_AGAIN));
                ticket_pdfs::removed(pool, claimed, again).await?;
                Ok("removed")
            }
        }
    }

    async fn write(
        &self,
        store: &TicketStore,
        claimed: &ClaimedPdf,
        object: &str,
        pdf: Bytes,
        printed: [u8; 32],
    ) -> Result<&'static str, Obstacle> {
        let pool = &self.pools.jobs;
        if !ticket_pdfs::begin(pool, claimed, store.name(), object).await? {
            return Ok("lost");
        }
        let digest = Sha256::digest(&pdf);
        store.put(object, pdf).await?;
        let stored = Stored {
            object,
            printed: &printed,
            digest: &digest,
        };
        let now = self.clock.now();
        if ticket_pdfs::stored(pool, claimed, &stored, now).await? {
            return Ok("stored");
        }
        // Whoever has the lease finds its name in the row, and removes it.
        Ok("lost")
    }

    /// What is to be kept for the reader of this PDF at present.
    async fn wanted(&self, claimed: &ClaimedPdf) -> Result<Wanted, StoreError> {
        let row = self.view_of(claimed.booking_id, claimed.reader).await?;
        let now = self.clock.now();
        let Some(row) = row else {
            // The reader has no ticket any more, and does not get these again.
            return Ok(Wanted::Forgotten);
        };
        if row.ends_at.plus(TICKET_PDF_KEEP) < now {
            return Ok(Wanted::Forgotten);
        }
        if row.withheld {
            return Ok(Wanted::Nothing { look_again: true });
        }
        if row.status == BookingStatus::Cancelled {
            return Ok(Wanted::Nothing { look_again: false });
        }
        let Some(booked) = self.booked_show_of(row, now).await? else {
            return Ok(Wanted::Nothing { look_again: true });
        };
        if booked.is_worth_keeping() {
            return Ok(Wanted::Pdf(Box::new(booked)));
        }
        Ok(Wanted::Nothing { look_again: false })
    }

    /// A new name, which nobody can guess.
    fn object_name(&self, booked: &BookedShow) -> String {
        let random = HEXLOWER.encode(&self.randomness.bytes::<16>());
        let (show, booking) = (&booked.booking.show_id, booked.booking.booking_id);
        format!("{show}/{booking}/{random}.pdf")
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(telemetry::TICKET_PDFS, "outcome" => outcome).increment(1);
}
