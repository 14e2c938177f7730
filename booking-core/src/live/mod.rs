//! Shows in memory: what browsing reads, and the writers that holds go through.

mod actor;
mod catalogue;
mod command;
mod entry;
mod show;

pub(crate) use actor::Writer;
pub(crate) use catalogue::Catalogue;
pub(crate) use command::{HoldCommand, HoldKey, SeatsWanted, Settled};
pub(crate) use show::{LiveShow, MapForm};
