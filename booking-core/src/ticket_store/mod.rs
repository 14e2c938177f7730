//! PDFs of tickets in a file or S3 store.
//!
//! A worker writes them after the confirmation. What is kept is served only while it says the same
//! as the booking: a row of `ticket_pdfs` has a digest of what was printed, which is compared with
//! the present state at every request. So a revoked PDF is out of reach at once, and the worker
//! removes its object soon after.
//!
//! Every object has a row that names it, from before it is written until after it is removed: no
//! failure leaves an object that nobody knows of.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `settings` | which store. Pure |
//! | `objects` | the store |
//! | `requests` | the HTTP client of S3 |
//! | `keeping` | the worker that writes, replaces and removes |
//! | `reading` | the PDF that a reader gets |

mod keeping;
pub(crate) mod objects;
mod reading;
mod requests;
pub(crate) mod settings;
