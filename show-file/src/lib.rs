//! Show files: what `ropeline show import` sends and the server takes.
//!
//! The command line and the server check a file with the same code, so that a file that a dry run
//! calls sound is taken. Pure: no input or output; the time is a parameter.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`read`](fn@read) | a file as it was written, or everything that is wrong with it |
//! | [`check`](fn@check) | everything that is wrong with what a file says, by field |
//! | [`currency`] | how the payment provider counts amounts |
//! | [`price`] | what tickets cost with fees, taxes and discounts |
//! | [`layout`] | where seats are, and their ids |
//! | [`schema`](fn@schema) | the JSON Schema that editors read |

mod check;
pub mod currency;
mod fault;
pub mod layout;
pub mod price;
mod price_check;
mod read;
mod refund_policy;
mod schema;

pub use check::{CheckedShow, LISTED_AFTER_END, check, seat_count};
pub use fault::Fault;
pub use layout::PlannedSeat;
pub use read::{FILE_BYTES_MAX, read};
pub use schema::{SCHEMA_ID, limit_components, schema};
