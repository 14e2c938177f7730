//! The shop's pages through the real router, as a browser without JavaScript uses them: real
//! PostgreSQL, and the payment simulator over HTTP.
//!
//! `ROPELINE_TEST_DATABASE_URL` names a server on which databases may be created.

#![expect(clippy::unwrap_used, reason = "a failed expectation fails the test")]

mod browser;
mod flow;
mod rules;
mod test_shop;
