//! Renders PDFs outside the threads that serve requests, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contract::ShowId;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::booked_show::BookedShow;
use super::invoice::{PrintedInvoice, invoice_pdf};
use super::pdf::{PdfError, Rendered, tickets_pdf};
use crate::config::RECENT_PRINTS_BYTES_MAX;
use crate::telemetry;
use crate::ticket_fonts::TicketFonts;

/// Longest wait of background work for its turn.
const UNHURRIED_WAIT_MAX: Duration = Duration::from_secs(20);
/// How long a PDF is remembered: its mail, its object in the store and the buyer's look at it come
/// within seconds of each other.
const REMEMBERED_FOR: Duration = Duration::from_mins(2);

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrintError {
    /// Others have to be rendered first.
    #[error("too many PDFs are rendered")]
    Busy,
    /// The tickets are kept back until a person has looked at the purchase.
    #[error("the tickets are not given out yet")]
    Withheld,
    /// The PDF could not be made of this booking and these fonts.
    #[error("the PDF could not be made: {0}")]
    Broken(String),
}

/// Renders PDFs.
pub(crate) struct Press {
    fonts: TicketFonts,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    unhurried: Semaphore,
    wait_max: Duration,
    /// By the digest of what they say.
    recent: Cache<[u8; 32], Bytes>,
}

impl Press {
    pub(crate) fn new(
        fonts: TicketFonts,
        at_once: usize,
        waiting_max: usize,
        wait_max: Duration,
    ) -> Self {
        Self {
            fonts,
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Semaphore::new(waiting_max),
            unhurried: Semaphore::new(1),
            wait_max,
            recent: Cache::builder()
                .weigher(|_, pdf: &Bytes| u32::try_from(pdf.len()).unwrap_or(u32::MAX))
                .max_capacity(RECENT_PRINTS_BYTES_MAX)
                .time_to_live(REMEMBERED_FOR)
                .build(),
        }
    }

    /// The tickets of `booked` as PDF, for a fan who waits for them.
    pub(crate) async fn print(&self, booked: BookedShow) -> Result<Bytes, PrintError> {
        if let Some(pdf) = self.remembered(&booked)? {
            return Ok(pdf);
        }
        let Ok(place) = self.waiting.try_acquire() else {
            return Err(busy());
        };
        let permit = self.turn(self.wait_max).await?;
        drop(place);
        self.rendered(booked, permit).await
    }

    /// The same for background work, whose callers are few: it waits longer, takes no place of
    /// those who wait, and renders one at a time, so that a rush of purchases keeps the processor.
    pub(crate) async fn print_unhurried(&self, booked: BookedShow) -> Result<Bytes, PrintError> {
        if let Some(pdf) = self.remembered(&booked)? {
            return Ok(pdf);
        }
        let alone = tokio::time::timeout(UNHURRIED_WAIT_MAX, self.unhurried.acquire());
        let Ok(Ok(_alone)) = alone.await else {
            return Err(busy());
        };
        let permit = self.turn(UNHURRIED_WAIT_MAX).await?;
        self.rendered(booked, permit).await
    }

    /// The PDF that was made of the same tickets lately.
    fn remembered(&self, booked: &BookedShow) -> Result<Option<Bytes>, PrintError> {
        if booked.booking.withheld {
            return Err(PrintError::Withheld);
        }
        Ok(self.recent.get(&booked.printed()))
    }

    /// Turns come in the order of asking, so neither fans nor mail keep the others waiting.
    async fn turn(&self, wait_max: Duration) -> Result<OwnedSemaphorePermit, PrintError> {
        let turn = Arc::clone(&self.running).acquire_owned();
        // The semaphore is never closed, so the wait ends with a permit or at the limit.
        match tokio::time::timeout(wait_max, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    async fn rendered(
        &self,
        booked: BookedShow,
        permit: OwnedSemaphorePermit,
    ) -> Result<Bytes, PrintError> {
        let printed = booked.printed();
        // Somebody else needed it while this waited for its turn.
        if let Some(pdf) = self.recent.get(&printed) {
            return Ok(pdf);
        }
        let show = booked.show.show_id.clone();
        let drawn = self.drawn(show, permit, move |fonts| tickets_pdf(&booked, fonts));
        let pdf = drawn.await?;
        self.recent.insert(printed, pdf.clone());
        Ok(pdf)
    }

    /// An invoice or credit note as PDF, for a fan or an operator who waits for it.
    pub(crate) async fn print_invoice(&self, paper: PrintedInvoice) -> Result<Bytes, PrintError> {
        let Ok(place) = self.waiting.try_acquire() else {
            return Err(busy());
        };
        let permit = self.turn(self.wait_max).await?;
        drop(place);
        let show = paper.invoice.show_id.clone();
        self.drawn(show, permit, move |fonts| invoice_pdf(&paper, fonts))
            .await
    }

    /// What `draw` makes, outside the threads that serve requests.
    async fn drawn(
        &self,
        show: ShowId,
        permit: OwnedSemaphorePermit,
        draw: impl FnOnce(&TicketFonts) -> Result<Rendered, PdfError> + Send + 'static,
    ) -> Result<Bytes, PrintError> {
        let fonts = self.fonts.clone();
        let started = tokio::time::Instant::now();
        // The permit goes along, because rendering continues when the client goes away.
        let rendered = tokio::task::spawn_blocking(move || {
            let rendered = draw(&fonts);
            drop(permit);
            rendered
        });
        let rendered = match rendered.await {
            Ok(Ok(rendered)) => rendered,
            Ok(Err(error)) => return Err(broken(&error)),
            Err(error) => return Err(broken(&error)),
        };
        metrics::histogram!(telemetry::PRINT_SECONDS).record(started.elapsed());
        if rendered.is_complete {
            count("printed");
        } else {
            count("incomplete");
            tracing::warn!(%show, "no font has all letters of a paper: see ROPELINE_TICKET_FONTS");
        }
        Ok(Bytes::from(rendered.bytes))
    }
}

fn busy() -> PrintError {
    count("busy");
    PrintError::Busy
}

fn broken(error: &dyn std::fmt::Display) -> PrintError {
    count("failed");
    PrintError::Broken(error.to_string())
}

fn count(outcome: &'static str) {
    metrics::counter!(telemetry::PRINTS, "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use web::ApiError;

    use super::*;
    use crate::ticket_files::sample::booked_show;

    async fn refused(press: &Press) -> bool {
        matches!(
            press.print(booked_show("Eras")).await,
            Err(PrintError::Busy)
        )
    }

    #[tokio::test]
    async fn nobody_waits_for_long_and_only_so_many_do() {
        let short = Duration::from_millis(1);
        let nobody_prints = Press::new(TicketFonts::default(), 0, 1, short);
        assert!(refused(&nobody_prints).await);
        // The place of the one before is free again.
        assert!(refused(&nobody_prints).await);
        let nobody_waits = Press::new(TicketFonts::default(), 1, 0, short);
        assert!(refused(&nobody_waits).await);
        let press = Press::new(TicketFonts::default(), 1, 1, short);
        for _ in 0..2 {
            let pdf = press.print(booked_show("Eras")).await.unwrap();
            assert!(pdf.starts_with(b"%PDF-"));
        }
    }

    #[test]
    fn whoever_is_refused_reads_when_to_come_back() {
        let error = ApiError::from(PrintError::Busy);
        assert_eq!(error.problem().status, 503);
        assert!(error.problem().retry_after_seconds.is_some());
    }
}
