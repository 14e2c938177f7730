//! The PDF that a reader gets: the one that is kept while it says what the booking says, else a new
//! one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::core::Core;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store::ticket_pdfs;
use crate::telemetry;
use crate::ticket_files::{BookedShow, PrintError};

/// Longest that a caller waits for a round of the worker. The round itself continues.
const PRINTING_PATIENCE: Duration = Duration::from_mins(2);
/// Longest wait for the store: then the PDF is rendered, which takes less.
const PATIENCE: Duration = Duration::from_secs(2);

impl Booking {
    /// The tickets of `booked` as PDF.
    pub(crate) async fn tickets_pdf(&self, booked: BookedShow) -> Result<Bytes, PrintError> {
        let core = Arc::clone(&self.0);
        core.tickets_pdf(booked).await
    }

    /// Writes, replaces and removes PDFs in the store that are due. Returns how many were done.
    /// The background work does this too.
    pub async fn ticket_pdfs_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work =
            async move { Ok(core.ticket_pdf_shows_once().await? + core.ticket_pdfs_once().await?) };
        self.0.work.run_within(PRINTING_PATIENCE, work).await
    }
}

impl Core {
    /// The tickets of `booked` as PDF.
    pub(crate) async fn tickets_pdf(&self, booked: BookedShow) -> Result<Bytes, PrintError> {
        if booked.booking.withheld {
            return Err(PrintError::Withheld);
        }
        if self.ticket_store.is_some() && booked.is_worth_keeping() {
            match tokio::time::timeout(PATIENCE, self.kept_pdf(&booked)).await {
                Ok(Some(pdf)) => return Ok(pdf),
                Ok(None) => {}
                Err(_) => tracing::warn!("the store of tickets takes long; the PDF is made anew"),
            }
        }
        self.press.print(booked).await
    }

    /// The kept PDF, if it says what `booked` says and is as it was written. Otherwise it is made
    /// due.
    async fn kept_pdf(&self, booked: &BookedShow) -> Option<Bytes> {
        let store = self.ticket_store.as_ref()?;
        let booking_id = booked.booking.booking_id.uuid();
        let mut connection = self.pools.money.acquire().await.ok()?;
        let kept = ticket_pdfs::kept(&mut connection, booking_id, booked.reader).await;
        drop(connection);
        let kept = kept.ok()?;
        let printed = booked.printed();
        let Some(kept) = kept.filter(|kept| kept.printed == printed) else {
            self.ask_for_pdf(booking_id, booked.reader).await;
            return None;
        };
        // Another gateway has it in a directory of its own.
        if kept.store != store.name() {
            return None;
        }
        let pdf = match store.get(&kept.object).await {
            Ok(pdf) => pdf,
            Err(error) => {
                tracing::warn!(%error, "the store of tickets failed; the PDF is made anew");
                return None;
            }
        };
        match pdf {
            Some(pdf) if Sha256::digest(&pdf)[..] == kept.digest[..] => {
                metrics::counter!(telemetry::PRINTS, "outcome" => "kept").increment(1);
                Some(pdf)
            }
            Some(_) => {
                tracing::error!(object = kept.object, "a kept PDF is not what was written");
                self.pdf_is_lost(&kept.object).await;
                None
            }
            None => {
                tracing::warn!(object = kept.object, "a kept PDF is gone");
                self.pdf_is_lost(&kept.object).await;
                None
            }
        }
    }

    /// Best effort: the next reader finds it again.
    async fn pdf_is_lost(&self, object: &str) {
        let (pool, now) = (&self.pools.jobs, self.clock.now());
        if let Err(error) = ticket_pdfs::lost(pool, object, now).await {
            tracing::debug!(%error, "a PDF is written anew later");
        }
    }

    /// Best effort: the reader gets the PDF anyway.
    async fn ask_for_pdf(&self, booking_id: Uuid, reader: Option<Uuid>) {
        let (pool, now) = (&self.pools.jobs, self.clock.now());
        if let Err(error) = ticket_pdfs::ask(pool, booking_id, reader, now).await {
            tracing::debug!(%error, "a PDF is kept later");
        }
    }
}
