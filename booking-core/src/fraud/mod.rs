//! Fraud: signals, their points, and what follows from the sum. No I/O.
//!
//! `behaviour` remembers how customers hold, in memory. `docs/FRAUD.md` has the whole, and `vetting`
//! what is done with it.

pub(crate) mod behaviour;
pub(crate) mod hashes;
pub(crate) mod settings;
pub(crate) mod signal;
