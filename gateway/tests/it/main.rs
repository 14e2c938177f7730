//! The gateway's parts against real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed the test"
)]

mod edge;
mod proxy;
mod serving;
