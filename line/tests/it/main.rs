//! Integration tests of the line, against the real Redis and PostgreSQL and against its models.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without has failed the test"
)]

mod admission_log;
mod conformance;
mod conformance_random;
mod estimates;
mod knots;
mod pruning;
mod purging;
mod records;
mod seed;
mod simulation;
mod tls;
