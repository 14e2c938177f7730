//! What fans take along of a booking: the tickets as PDF, invoices, and the show for their calendar.
//!
//! Rendering is pure: [`BookedShow`] has everything that the files say. [`Press`] renders PDFs outside the threads that serve requests.

mod booked_show;
mod calendar;
mod file_name;
mod invoice;
mod line;
mod page;
mod pdf;
mod press;
#[cfg(test)]
mod sample;

pub(crate) use booked_show::BookedShow;
pub(crate) use calendar::calendar;
pub(crate) use file_name::{Disposition, content_disposition, file_name};
pub(crate) use invoice::{PrintedInvoice, title};
pub(crate) use press::{Press, PrintError};
