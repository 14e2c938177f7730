//! A show in the catalogue: its fields are always in memory, its seats are loaded on demand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::Timestamp;
use contract::booking::Show;

use super::show::LiveShow;
use crate::shows::{SeatFigures, ShowInfo};

/// A show, with its seats if they are in memory.
#[derive(Debug)]
pub(crate) struct ShowEntry {
    info: ShowInfo,
    /// Read at the last refresh; loaded seats are newer.
    figures: Mutex<SeatFigures>,
    live: Mutex<Option<LiveShow>>,
    /// Locked while the seats are read, so that concurrent requests read them once.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// Ordinal of the last use, counted over all shows.
    used: AtomicU64,
}

impl ShowEntry {
    pub(crate) fn new(info: ShowInfo, figures: SeatFigures) -> Self {
        Self {
            info,
            figures: Mutex::new(figures),
            live: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            used: AtomicU64::new(0),
        }
    }

    pub(crate) fn info(&self) -> &ShowInfo {
        &self.info
    }

    fn lock_live(&self) -> MutexGuard<'_, Option<LiveShow>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The show with its seats, if they are loaded and its writer runs.
    pub(super) fn live(&self) -> Option<LiveShow> {
        let live = self.lock_live();
        live.clone().filter(|show| !show.queue().is_closed())
    }

    pub(super) fn set_live(&self, show: Option<LiveShow>) {
        *self.lock_live() = show;
    }

    pub(super) fn set_figures(&self, figures: SeatFigures) {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    fn figures(&self) -> SeatFigures {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures of the seats in memory, otherwise those of the last refresh.
    pub(crate) fn latest_figures(&self) -> SeatFigures {
        match &*self.lock_live() {
            Some(show) if !show.queue().is_closed() => show.figures(),
            _ => self.figures(),
        }
    }

    /// Records a use, with its ordinal over all shows.
    pub(super) fn note_use(&self, number: u64) {
        self.used.fetch_max(number, Ordering::Relaxed);
    }

    /// Sort key for unloading seats; the smallest are unloaded first.
    pub(super) fn last_use(&self) -> (bool, u64) {
        let is_watched = self.lock_live().as_ref().is_some_and(LiveShow::is_watched);
        (is_watched, self.used.load(Ordering::Relaxed))
    }

    pub(crate) fn available_count(&self) -> u64 {
        self.latest_figures().available
    }

    /// Available seats, and held seats that may become available again.
    pub(crate) fn unsold_count(&self) -> u64 {
        self.latest_figures().unsold
    }

    pub(crate) fn seat_count(&self) -> u64 {
        u64::from(self.info.seat_count)
    }

    /// The wire form.
    pub(crate) fn view(&self, now: Timestamp) -> Show {
        self.info.view(now, self.latest_figures())
    }
}
