//! What the integration tests of several crates share: servers that the environment names.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed the test"
)]

pub mod certificates;
pub mod database;
pub mod making;
pub mod pgbouncer;
pub mod program;
pub mod redis;
pub mod redis_cluster;
pub mod redis_server;
pub mod sentinels;
pub mod smtp_server;
pub mod tcp_proxy;
pub mod waiting;
