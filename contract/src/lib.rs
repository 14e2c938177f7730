//! The contract between the parts of Ropeline.
//!
//! Ids, the clock, passes, problem documents and the JSON that crosses a process boundary. Nothing
//! here does input or output, and nothing decides about the line or a seat: those decisions belong
//! to the gateway and the booking core. Which settings of a room are valid is decided here, because
//! the gateway and the command line check them alike.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`app_session`] | JSON of sessions of apps |
//! | [`booking`] | JSON of the booking API and of a show file |
//! | [`checkin`] | JSON of the check-in: scans and their answers, manifest, counts, conflicts, scanners |
//! | `city` | JSON of cities |
//! | [`clock`] | [`Timestamp`], and the [`Clock`] as the source of time for decisions |
//! | [`comp`] | JSON of tickets that operators give away |
//! | [`cookies`] | names of cookies |
//! | [`coupon`] | JSON of coupons, and of prices with them |
//! | [`exempt`] | what of a room's protected paths needs no pass |
//! | [`host`] | names of hosts that rooms answer for |
//! | [`ids`] | typed identifiers and their text forms |
//! | [`invoice`] | JSON of invoices and credit notes |
//! | `limits` | limits of a room's settings |
//! | [`line`] | JSON of the line: status, room document, responses to join and claim |
//! | [`pass`] | the signed pass: claims, signing, verification, JWKS |
//! | [`path`] | paths with one reading, and the prefixes that rooms protect |
//! | [`pricing`] | ticket types, fees, taxes and the lines of a price |
//! | [`principal`] | headers that tell an upstream which fan a request belongs to |
//! | [`problem`] | RFC 9457 problem documents with stable codes |
//! | [`contact`] | JSON of how fans want to be told |
//! | [`readings`] | paths that servers read in more than one way |
//! | [`refund`] | JSON of cancelling bookings, of one-time codes and of finding one's bookings |
//! | [`refund_policy`] | the refund policy of a show |
//! | [`room`] | JSON of room settings, statistics and the admission log |
//! | [`seat_map`] | JSON of seats: the map, labels, changes |
//! | [`settings`] | which settings of a room are valid |
//! | [`text`] | checks of JSON text before it is parsed |
//! | [`transfer`] | JSON of passing tickets on and of printing them anew |
//! | [`upstream`] | the address of a protected service |
//! | [`upstreams`] | the addresses of one service |

pub mod allowed_target;
pub mod app_session;
pub mod booking;
pub mod checkin;
mod city;
pub mod clock;
pub mod cloudflare;
pub mod comp;
mod confirming;
pub mod contact;
pub mod cookies;
pub mod coupon;
pub mod exempt;
pub mod host;
pub mod ids;
pub mod invariants;
pub mod invoice;
pub mod jwk;
mod limits;
pub mod line;
pub mod pass;
pub mod path;
pub mod pricing;
pub mod principal;
pub mod problem;
pub mod proof;
pub mod readings;
pub mod refund;
pub mod refund_policy;
pub mod room;
pub mod seat_map;
pub mod settings;
pub mod text;
pub mod transfer;
pub mod upstream;
pub mod upstreams;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use ids::{
    BookingId, CityId, EventId, HoldId, NoticeId, PaymentId, PlaceId, RefundId, RoomId, ScannerId,
    SeatId, ShowId, SubscriptionId, TicketId,
};
pub use problem::{Problem, ProblemCode};
