//! Integration tests of the gateway, against real servers and sockets.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed the test"
)]

mod browser;
mod conformance;
mod conformance_random;
mod edge;
mod ops;
mod proxy;
mod records;
mod seed;
mod serving;
mod tcp_proxy;
mod test_database;
