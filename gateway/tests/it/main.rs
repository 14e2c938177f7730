//! The gateway's parts against real sockets.

mod edge;
mod proxy;
mod serving;
