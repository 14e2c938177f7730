//! Subscriptions of other programs, told by webhooks in the form of Standard Webhooks.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`target`] | which addresses may be called. Pure |
//! | [`client`] | one call |
//! | [`busy`] | whom this process delivers to |
//! | [`outcome`] | what follows from a call. Pure |
//! | [`delivering`] | the work on deliveries |
//! | [`desk`] | what operators do with subscriptions |
//!
//! An event and a subscription make a delivery, in a statement that also moves the position of the
//! subscription. A process claims deliveries under a lease, so a process that dies leaves them to
//! others, and a receiver may get an event twice. Each subscription has a bounded task of its own in
//! each process, so a slow receiver delays nobody else.

pub(crate) mod busy;
pub(crate) mod client;
mod delivering;
pub(crate) mod desk;
pub(crate) mod outcome;
pub(crate) mod target;
