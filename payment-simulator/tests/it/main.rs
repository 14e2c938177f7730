//! The simulator through its real router, on a port of its own per test.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, helpers outside test functions included"
)]

mod durability;
mod faults;
mod page;
mod payments;
mod sessions_and_links;
mod stage;
mod webhooks;
