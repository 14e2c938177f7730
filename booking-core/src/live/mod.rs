//! Shows in memory: what browsing reads, and the writers that holds go through.

mod actor;
mod catalogue;
mod entry;
mod show;

pub(crate) use actor::{HoldCommand, HoldKey, SeatsWanted, Settled, Writer};
pub(crate) use catalogue::Catalogue;
pub(crate) use show::{LiveShow, MapForm};
