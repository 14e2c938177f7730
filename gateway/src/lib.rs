//! The gate in front of a shop, and the HTTP side of the line.
//!
//! A request to the public listener gets an id and is read by the [`front`], then:
//!
//! 1. below `/_line/` it is answered by [`http`]: joins and status calls go through the room's
//!    [`line::door`], which batches them into single calls of the [`line::store`];
//! 2. on all other paths the [`gate`] decides: with a valid pass the request goes on to the
//!    upstream, through the [`proxy`] or to the embedded booking core; without one a browser is
//!    redirected to the waiting page and a program gets the address where it can join.
//!
//! [`line`] keeps the line and decides who is called; [`app`] assembles the process.

pub mod access_log;
pub mod acme;
pub mod app;
pub mod config;
mod cors;
pub mod edge;
pub mod figures;
pub mod front;
pub mod gate;
pub mod health;
pub mod http;
pub mod installation;
pub mod kept_keys;
pub mod key_teller;
pub mod keys;
pub mod lifecycle;
mod line_owner;
pub mod open_files;
pub mod ops;
mod own_certificate;
pub mod proxy;
pub mod public;
pub mod rotation;
pub mod sealer;
mod seals;
pub mod service_manager;
pub mod signing_keys;
mod start_up;
pub mod telemetry;
