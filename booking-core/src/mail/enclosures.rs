//! The files that come with a letter: the tickets as PDF, and the show for calendars.

use crate::channels::told::{Attachment, Told};
use crate::core::Core;
use crate::database::StoreError;
use crate::store::bookings::BookingRow;
use crate::ticket_files::{BookedShow, PrintError, calendar, file_name};

/// The files are made later: other PDFs are rendered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilesLater;

impl Core {
    /// What the files of a letter about this booking say. `None` when the show is gone.
    pub(super) async fn tickets_of_letter(
        &self,
        row: BookingRow,
    ) -> Result<Option<BookedShow>, StoreError> {
        self.booked_show_of(row, self.clock.now()).await
    }

    /// Makes the files that come with the mail. Tickets that open no door, or that are kept back,
    /// have none; a PDF that cannot be made is left out, because the link in the mail leads to it.
    pub(super) async fn enclose(&self, told: &mut Told) -> Result<(), FilesLater> {
        let Some(tickets) = told.tickets.take() else {
            return Ok(());
        };
        if tickets.booking.tickets.is_empty()
            || tickets.booking.withheld
            || tickets.validity().objection().is_some()
        {
            return Ok(());
        }
        let name = |ending| file_name(&tickets.show.title, &tickets.booking.code, ending);
        let (pdf, ics) = (name("pdf"), name("ics"));
        let event = calendar(&tickets).into_bytes();
        match self.press.print_unhurried(*tickets).await {
            Ok(bytes) => told.attachments.push(Attachment {
                name: pdf,
                media_type: "application/pdf",
                bytes: bytes.to_vec(),
            }),
            Err(PrintError::Busy) => return Err(FilesLater),
            Err(error @ (PrintError::Withheld | PrintError::Broken(_))) => {
                tracing::error!(%error, "tickets are mailed without their PDF");
            }
        }
        told.attachments.push(Attachment {
            name: ics,
            media_type: "text/calendar; charset=utf-8; method=PUBLISH",
            bytes: event,
        });
        Ok(())
    }
}
