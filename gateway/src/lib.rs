//! The gate in front of a shop, and the HTTP side of the line.
//!
//! A request to the public listener gets an id and is read by the [`front`], then:
//!
//! 1. below `/_line/` it is answered by [`http`]: joining and looking go through the room's
//!    [`line::door`], which gathers them into one call of the [`line::store`];
//! 2. everywhere else it meets the [`gate`]: with a valid pass it goes on to the upstream,
//!    through the [`proxy`] or to the booking core in this process; without one a browser is
//!    sent to the waiting page and a program told where to join.
//!
//! [`line`] decides who is called, and keeps the line; [`app`] puts everything together.

pub mod app;
pub mod config;
pub mod edge;
pub mod figures;
pub mod front;
pub mod gate;
pub mod http;
pub mod installation;
pub mod keys;
pub mod lifecycle;
mod line_owner;
pub mod open_files;
pub mod ops;
pub mod proxy;
pub mod public;
pub mod telemetry;
pub mod ticket_keys;
