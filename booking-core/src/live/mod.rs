//! Shows in memory: the data for browsing, and the writers for holds.

mod actor;
mod batch;
mod catalogue;
mod command;
mod comparisons;
mod entry;
mod show;

pub(crate) use actor::Writer;
pub(crate) use catalogue::Catalogue;
pub(crate) use command::{HoldCommand, HoldKey, SeatsWanted, Settled};
pub(crate) use entry::ShowEntry;
pub(crate) use show::{LiveShow, MapForm};
