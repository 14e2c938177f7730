//! Vetting customers and purchases: `paying` decides before seats are held and before a payment is
//! started, `answered` when a provider has told what was paid with, `reviewing` is what operators
//! decide. Signals and points are in `fraud`.

mod answered;
mod challenging;
mod desk;
pub(crate) mod gathered;
pub(crate) mod paying;
pub(crate) mod reviewing;
