//! Private servers, tried with the real Redis and PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a failed expectation fails the test")]

mod outside;
mod servers;
mod with_servers;
