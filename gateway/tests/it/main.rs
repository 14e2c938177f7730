//! Integration tests of the gateway, against real servers and sockets.

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
