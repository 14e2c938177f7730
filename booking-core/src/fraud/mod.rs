//! Fraud: signals, their points, and what follows from the sum.
//!
//! `signal`, `settings` and `hashes` are pure. `behaviour` remembers how customers hold, in memory.
//! `paying` decides before a payment is started, `answered` when a provider has told what was paid
//! with, `reviewing` is what operators decide. `docs/FRAUD.md` has the whole.

pub(crate) mod answered;
pub(crate) mod behaviour;
pub(crate) mod challenging;
mod desk;
pub(crate) mod hashes;
pub(crate) mod paying;
pub(crate) mod reviewing;
pub(crate) mod settings;
pub(crate) mod signal;
