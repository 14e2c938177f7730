//! One show in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use contract::booking::{SeatChange, SeatChanges, SeatMap, SeatStatus};
use contract::{SeatId, Timestamp};
use tokio::sync::{broadcast, mpsc};

use super::actor::HoldCommand;
use crate::config::SEAT_CHANGES_KEPT;
use crate::shows::{SeatFigures, SeatPlan, SeatState, SeatStates, ShowInfo};
use crate::store::catalogue::LoadedShow;

/// What is known of a show: shared by its writer, by browsing and by whoever frees seats.
#[derive(Debug)]
pub(crate) struct ShowMemory {
    pub(crate) info: ShowInfo,
    pub(crate) plan: SeatPlan,
    states: Mutex<SeatStates>,
    changes: broadcast::Sender<Arc<SeatChanges>>,
    rendered: Mutex<Option<(u64, Bytes)>>,
}

impl ShowMemory {
    fn new(loaded: LoadedShow) -> Self {
        Self {
            info: loaded.info,
            plan: loaded.plan,
            states: Mutex::new(SeatStates::new(loaded.states)),
            changes: broadcast::channel(SEAT_CHANGES_KEPT).0,
            rendered: Mutex::new(None),
        }
    }

    pub(crate) fn states(&self) -> MutexGuard<'_, SeatStates> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over reports about seats, and tells those who watch the map what is new.
    pub(crate) fn apply(&self, reports: impl IntoIterator<Item = (i32, SeatState)>) {
        let mut states = self.states();
        let from_version = states.version();
        let mut changes = Vec::new();
        for (seat_no, state) in reports {
            let Some(index) = self.plan.index_of_no(seat_no) else {
                continue;
            };
            if states.apply(index, state)
                && let Some(seat) = self.plan.seats().get(index)
            {
                changes.push(SeatChange {
                    seat_id: seat.seat_id.clone(),
                    status: state.status,
                });
            }
        }
        if changes.is_empty() {
            return;
        }
        let update = SeatChanges {
            from_version,
            version: states.version(),
            changes,
        };
        // Sent under the lock, so that watchers get the updates in the order of their versions.
        // No one watching is no error.
        let _ = self.changes.send(Arc::new(update));
    }

    fn seat_map(&self, states: &SeatStates, now: Timestamp) -> SeatMap {
        SeatMap {
            show_id: self.info.show_id.clone(),
            version: states.version(),
            as_of: now,
            seats: self
                .plan
                .seats()
                .iter()
                .zip(states.statuses())
                .map(|(seat, status)| seat.view(status))
                .collect(),
        }
    }
}

/// A show with the queue of its writer. The writer ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct LiveShow {
    memory: Arc<ShowMemory>,
    queue: mpsc::Sender<HoldCommand>,
}

impl LiveShow {
    /// A show in memory, and what its writer needs.
    pub(crate) fn new(
        loaded: LoadedShow,
        queue_max: usize,
    ) -> (Self, Arc<ShowMemory>, mpsc::Receiver<HoldCommand>) {
        let memory = Arc::new(ShowMemory::new(loaded));
        let (queue, commands) = mpsc::channel(queue_max);
        let show = Self {
            memory: Arc::clone(&memory),
            queue,
        };
        (show, memory, commands)
    }

    pub(crate) fn info(&self) -> &ShowInfo {
        &self.memory.info
    }

    pub(crate) fn plan(&self) -> &SeatPlan {
        &self.memory.plan
    }

    pub(crate) fn memory(&self) -> &ShowMemory {
        &self.memory
    }

    pub(crate) fn queue(&self) -> &mpsc::Sender<HoldCommand> {
        &self.queue
    }

    pub(crate) fn version(&self) -> u64 {
        self.memory.states().version()
    }

    pub(crate) fn available_count(&self) -> u64 {
        u64::try_from(self.memory.states().available_count()).unwrap_or(u64::MAX)
    }

    /// Seats that are free, or held and may come back.
    pub(crate) fn unsold_count(&self) -> u64 {
        let states = self.memory.states();
        let open = |status: &SeatStatus| matches!(status, SeatStatus::Available | SeatStatus::Held);
        u64::try_from(states.statuses().filter(open).count()).unwrap_or(u64::MAX)
    }

    pub(crate) fn figures(&self) -> SeatFigures {
        SeatFigures {
            version: self.version(),
            available: self.available_count(),
            unsold: self.unsold_count(),
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.memory.changes.receiver_count() > 0
    }

    /// The seat map.
    pub(crate) fn seat_map(&self, now: Timestamp) -> SeatMap {
        let states = self.memory.states();
        self.memory.seat_map(&states, now)
    }

    /// The seat map as JSON with its version. Rendered once for each version that is asked for.
    pub(crate) fn seat_map_json(&self, now: Timestamp) -> Result<(u64, Bytes), serde_json::Error> {
        let mut rendered = self
            .memory
            .rendered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let map = {
            let states = self.memory.states();
            if let Some((version, json)) = &*rendered
                && *version == states.version()
            {
                return Ok((*version, json.clone()));
            }
            self.memory.seat_map(&states, now)
        };
        let json = Bytes::from(serde_json::to_vec(&map)?);
        *rendered = Some((map.version, json.clone()));
        Ok((map.version, json))
    }

    /// Changes from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<SeatChanges>> {
        self.memory.changes.subscribe()
    }

    /// The labels of the database's seat numbers.
    pub(crate) fn labels_of(&self, seat_nos: &[i32]) -> Vec<SeatId> {
        let indices: Vec<usize> = seat_nos
            .iter()
            .filter_map(|seat_no| self.plan().index_of_no(*seat_no))
            .collect();
        self.plan().labels(&indices)
    }
}
