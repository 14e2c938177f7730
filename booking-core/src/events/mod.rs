//! The log of events: what other programs are told.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`kind`] | the kinds of events |
//! | [`sequencer`] | from the outbox to the log, in the order of commits |
//! | [`desk`] | reading the log |
//! | `archiving` | older events become blocks |
//! | `sales` | figures of sales, made from events |
//! | [`sink`], [`sinking`] | programs that get every event in order |
//! | [`redis_stream`] | a Redis Stream as one of them |
//! | [`webhooks`] | subscriptions of other programs |
//!
//! Transactions write what happened to the outbox. Its ids are given before commits, so they say
//! nothing about order. The sequencer gives each row that is committed the next position, in full
//! and sealed, in a transaction that holds the end of the log. So a reader that has seen position n
//! has nothing to wait for below it. See `docs/EVENTS.md`.

mod archiving;
pub(crate) mod desk;
pub(crate) mod kind;
pub(crate) mod redis_stream;
mod sales;
mod sequencer;
pub(crate) mod sink;
mod sinking;
pub(crate) mod webhooks;
