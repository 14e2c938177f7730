//! Integration tests of the gateway, against real servers.

mod ops;
mod records;
mod tcp_proxy;
mod test_database;
