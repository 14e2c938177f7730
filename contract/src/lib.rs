//! What the parts of Ropeline promise each other.
//!
//! Ids, the clock, passes, problem documents and the JSON that crosses a process boundary.
//! Nothing here does input or output, and nothing here decides anything about the line or a
//! seat: the gateway and the booking core own those decisions, this crate owns their words, and
//! which of them make sense.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`booking`] | JSON of the booking API and of a show file |
//! | [`clock`] | [`Timestamp`] and the [`Clock`] that every decision takes its time from |
//! | [`cookies`] | names of our cookies |
//! | [`ids`] | typed identifiers and their text forms |
//! | [`line`] | JSON of the line: status, room document, join and claim answers |
//! | [`pass`] | the signed pass: claims, signing, verification, JWKS |
//! | [`path`] | paths that have one reading, and the prefixes that rooms protect |
//! | [`principal`] | who a request speaks for, as the gateway tells an upstream |
//! | [`problem`] | RFC 9457 problem documents with stable codes |
//! | [`room`] | JSON of room settings, statistics and the admission log |
//! | [`settings`] | which settings of a room are taken: for the gateway, and for a dry run of the command line |
//! | [`text`] | what JSON has to be like before anything reads it |
//! | [`upstream`] | where a protected service listens |

pub mod booking;
pub mod clock;
pub mod cookies;
pub mod ids;
pub mod line;
pub mod pass;
pub mod path;
pub mod principal;
pub mod problem;
pub mod room;
pub mod settings;
pub mod text;
pub mod upstream;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use ids::{BookingId, CityId, HoldId, PaymentId, PlaceId, RoomId, SeatId, ShowId, TicketId};
pub use problem::{Problem, ProblemCode};
