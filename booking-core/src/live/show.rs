//! One show in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::Timestamp;
use contract::booking::{SeatChange, SeatChanges, SeatMap};
use tokio::sync::{broadcast, mpsc};
use web::encoding::{Document, Effort};

use super::command::HoldCommand;
use crate::config::SEAT_CHANGES_KEPT;
use crate::shows::{SeatCounts, SeatFigures, SeatPlan, SeatState, SeatStates, ShowInfo, compact};
use crate::store::catalogue::LoadedShow;

/// The last rendered map, with its version.
type Rendered = Mutex<Option<(u64, Arc<Document>)>>;

/// The state of a show in memory, shared by its writer, by browsing and by code that frees seats.
#[derive(Debug)]
pub(crate) struct ShowMemory {
    pub(crate) info: ShowInfo,
    pub(crate) plan: SeatPlan,
    states: Mutex<SeatStates>,
    changes: broadcast::Sender<Arc<SeatChanges>>,
    full_map: Rendered,
    compact_map: Rendered,
}

impl ShowMemory {
    fn new(loaded: LoadedShow) -> Self {
        Self {
            info: loaded.info,
            plan: loaded.plan,
            states: Mutex::new(SeatStates::new(loaded.states)),
            changes: broadcast::channel(SEAT_CHANGES_KEPT).0,
            full_map: Rendered::default(),
            compact_map: Rendered::default(),
        }
    }

    pub(crate) fn states(&self) -> MutexGuard<'_, SeatStates> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies new seat states, and sends the changes to watchers of the map.
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
        // Sent under the lock, so that watchers get updates in the order of their versions. It is
        // no error if there are no watchers.
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

fn count(seats: usize) -> u64 {
    u64::try_from(seats).unwrap_or(u64::MAX)
}

/// A form of the seat map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapForm {
    /// Every seat with all of its fields.
    Full,
    /// Rows as runs of seats, for pages that draw the hall.
    Compact,
}

/// A show with the queue of its writer. The writer ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct LiveShow {
    memory: Arc<ShowMemory>,
    queue: mpsc::Sender<HoldCommand>,
}

impl LiveShow {
    /// A show in memory, and its writer's inputs.
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

    pub(crate) fn figures(&self) -> SeatFigures {
        let states = self.memory.states();
        SeatFigures {
            version: states.version(),
            available: count(states.available_count()),
            unsold: count(states.available_count() + states.held_count()),
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

    /// The seat map as a document, rendered and compressed once per requested version. For a large
    /// hall this takes tens of milliseconds and blocks the thread.
    pub(crate) fn map_document(
        &self,
        form: MapForm,
        now: Timestamp,
    ) -> Result<Arc<Document>, serde_json::Error> {
        match form {
            MapForm::Full => self.document(&self.memory.full_map, |states| {
                serde_json::to_vec(&self.memory.seat_map(states, now))
            }),
            MapForm::Compact => self.document(&self.memory.compact_map, |states| {
                serde_json::to_vec(&compact(
                    self.info().show_id.clone(),
                    states.version(),
                    self.plan(),
                    states.statuses(),
                ))
            }),
        }
    }

    /// The same, if it is already rendered and its lock is free.
    pub(crate) fn map_rendered(&self, form: MapForm) -> Option<Arc<Document>> {
        let rendered = match form {
            MapForm::Full => &self.memory.full_map,
            MapForm::Compact => &self.memory.compact_map,
        };
        let last = rendered.try_lock().ok()?;
        let (version, document) = last.as_ref()?;
        (*version == self.version()).then(|| Arc::clone(document))
    }

    fn document(
        &self,
        rendered: &Rendered,
        render: impl FnOnce(&SeatStates) -> Result<Vec<u8>, serde_json::Error>,
    ) -> Result<Arc<Document>, serde_json::Error> {
        let mut last = rendered.lock().unwrap_or_else(PoisonError::into_inner);
        // A copy, so that rendering does not block the writer of the states.
        let states = {
            let states = self.memory.states();
            if let Some((version, document)) = &*last
                && *version == states.version()
            {
                return Ok(Arc::clone(document));
            }
            states.clone()
        };
        // The version counts changes of seats. An import may change prices or layout without
        // changing a seat, so the tag contains the revision too.
        let tag = format!("{}-{}", self.info().revision, states.version());
        let json = render(&states)?;
        let document = Document::new(json, "application/json", tag, Effort::Quick);
        let document = Arc::new(document);
        *last = Some((states.version(), Arc::clone(&document)));
        Ok(document)
    }

    /// Available and held seats by category, in the show's order.
    pub(crate) fn counts_by_category(&self) -> Vec<(String, SeatCounts)> {
        let mut counts: Vec<(String, SeatCounts)> = self
            .info()
            .categories
            .iter()
            .map(|category| (category.category.clone(), SeatCounts::default()))
            .collect();
        let states = self.memory.states();
        for (seat, status) in self.plan().seats().iter().zip(states.statuses()) {
            let entry = counts.iter_mut().find(|(code, _)| *code == seat.category);
            if let Some((_, counts)) = entry {
                counts.add(status);
            }
        }
        counts
    }

    /// Subscribes to changes from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<SeatChanges>> {
        self.memory.changes.subscribe()
    }
}
