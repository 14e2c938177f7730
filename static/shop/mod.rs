//! Pages of the booking core.
//!
//! Contexts contain the contract's types; templates format money and times with filters. Every
//! action is a form that works without JavaScript and is answered with `303`.

mod banner;
mod booking;
mod catalogue;
mod challenge;
mod elsewhere;
mod event;
mod hold;
mod problem;
mod seats;

pub use banner::{Banner, OpenHold, OwnBooking, with_banner, without_banner};
pub use booking::{BookingPage, FindPage, MyBookingsPage, booking, find_booking, my_bookings};
pub use catalogue::{CityListPage, CityPage, ShowPage, city, city_list, show};
pub use challenge::{ChallengePage, challenge};
pub use elsewhere::{ElsewherePage, elsewhere};
pub use hold::{HoldPage, ProcessingPage, hold, processing};
pub use problem::{ProblemPage, problem};
pub use seats::{Block, CategoryLeft, RowsPage, RowsStep, SeatsPage, rows, seats};
