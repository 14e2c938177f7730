//! Renders PDFs outside the threads that serve requests, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use contract::ShowId;
use tokio::sync::Semaphore;

use super::booked_show::BookedShow;
use super::invoice::{PrintedInvoice, invoice_pdf};
use super::pdf::{PdfError, Rendered, tickets_pdf};
use crate::telemetry;
use crate::ticket_fonts::TicketFonts;

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
    wait_max: Duration,
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
            wait_max,
        }
    }

    /// The tickets of `booked` as PDF.
    pub(crate) async fn print(&self, booked: BookedShow) -> Result<Vec<u8>, PrintError> {
        if booked.booking.withheld {
            return Err(PrintError::Withheld);
        }
        let show = booked.show.show_id.clone();
        self.render(show, move |fonts| tickets_pdf(&booked, fonts))
            .await
    }

    /// An invoice or credit note as PDF.
    pub(crate) async fn print_invoice(
        &self,
        printed: PrintedInvoice,
    ) -> Result<Vec<u8>, PrintError> {
        let show = printed.invoice.show_id.clone();
        self.render(show, move |fonts| invoice_pdf(&printed, fonts))
            .await
    }

    async fn render(
        &self,
        show: ShowId,
        draw: impl FnOnce(&TicketFonts) -> Result<Rendered, PdfError> + Send + 'static,
    ) -> Result<Vec<u8>, PrintError> {
        let Ok(place) = self.waiting.try_acquire() else {
            return Err(busy());
        };
        let turn = Arc::clone(&self.running).acquire_owned();
        // The semaphore is never closed, so the wait ends with a permit or at the limit.
        let Ok(Ok(permit)) = tokio::time::timeout(self.wait_max, turn).await else {
            return Err(busy());
        };
        drop(place);
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
        Ok(rendered.bytes)
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
