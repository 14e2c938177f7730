//! Integration tests of the gateway, against real servers and sockets.

mod browser;
mod edge;
mod ops;
mod proxy;
mod records;
mod serving;
mod tcp_proxy;
mod test_database;
