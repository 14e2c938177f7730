//! The line, admission and the gate.
//!
//! A request to the public listener gets an id and the client's address, then:
//!
//! 1. below `/_line/` it is answered by [`http`]: joining and looking go through the room's
//!    [`line::door`], which gathers them into one call of the [`store`];
//! 2. everywhere else it meets the [`gate`]: with a valid pass it goes on to the upstream,
//!    through the [`proxy`] or to the booking core in this process; without one a browser is
//!    sent to the waiting page and a program told where to join.
//!
//! Beside requests, each room has three tasks: [`line::leader`] calls visitors, under a lease,
//! as [`room::admission`] decides; [`line::follower`] makes the view that fans are shown; the
//! door lets them in.
//!
//! [`room`] decides and does no input or output; [`store`] and [`records`] keep; [`app`] puts
//! everything together.

pub mod app;
pub mod config;
pub mod edge;
pub mod figures;
pub mod gate;
pub mod http;
pub mod installation;
pub mod keys;
pub mod lifecycle;
pub mod line;
pub mod ops;
pub mod proxy;
pub mod public;
pub mod records;
pub mod room;
pub mod store;
pub mod telemetry;
