//! The rooms there are: read from the database twice a second, so that what an operator changes
//! on one gateway is in force on all within a second. With the database away the last known
//! rooms stay.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::RoomId;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::follower::Follower;
use super::leader::Leader;
use super::room::Room;
use super::{Parts, WorkError};
use crate::edge::path::{PathPrefix, SafePath};
use crate::records::{RoomRecord, Rooms};

/// Time between reads.
const READ_EVERY: Duration = Duration::from_millis(400);

/// Protected prefixes with their rooms.
type Prefixes = Vec<(PathPrefix, Arc<Room>)>;

/// The rooms of this gateway. Clones share them.
#[derive(Clone)]
pub struct RoomSet {
    parts: Arc<Parts>,
    records: Rooms,
    rooms: Arc<ArcSwap<HashMap<RoomId, Arc<Room>>>>,
    /// Protected prefixes of all rooms, the longest first.
    prefixes: Arc<ArcSwap<Prefixes>>,
    hurry: Arc<Notify>,
}

impl RoomSet {
    /// No rooms yet; they are read from `records`.
    pub fn new(parts: Arc<Parts>, records: Rooms) -> Self {
        Self {
            parts,
            records,
            rooms: Arc::default(),
            prefixes: Arc::default(),
            hurry: Arc::default(),
        }
    }

    /// What all rooms share.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// The room of this name.
    pub fn get(&self, room: &RoomId) -> Option<Arc<Room>> {
        self.rooms.load().get(room).cloned()
    }

    /// The room that protects `path`: the one with the longest prefix.
    pub fn protecting(&self, path: &SafePath<'_>) -> Option<Arc<Room>> {
        let prefixes = self.prefixes.load();
        prefixes
            .iter()
            .find(|(prefix, _)| path.is_within(prefix))
            .map(|(_, room)| room.clone())
    }

    /// All rooms, in no order.
    pub fn all(&self) -> Vec<Arc<Room>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Reads the rooms at once instead of at the next turn: an operator changed one here.
    pub fn hurry(&self) -> Arc<Notify> {
        self.hurry.clone()
    }

    /// Keeps the rooms up to date from `change` on, until the process stops.
    pub async fn run(self, mut change: i64) {
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.read_once(change).await {
                Ok(next) => change = next,
                Err(error) => tracing::debug!(%error, "rooms not read"),
            }
            tokio::select! {
                () = self.parts.stop.cancelled() => return,
                () = self.hurry.notified() => {}
                _ = ticks.tick() => {}
            }
        }
    }

    /// Reads the rooms changed since `change` and says where to go on.
    pub async fn read_once(&self, change: i64) -> Result<i64, WorkError> {
        let changes = self.records.rooms_changed_since(change).await?;
        if changes.rooms.is_empty() && changes.deleted.is_empty() {
            return Ok(changes.change);
        }
        let mut rooms = HashMap::clone(&self.rooms.load());
        for deleted in &changes.deleted {
            if let Some(room) = rooms.remove(deleted) {
                room.stop.cancel();
                self.parts.store.room_forget(deleted).await?;
            }
        }
        for record in changes.rooms {
            let id = record.settings.room.clone();
            match rooms.get(&id) {
                // The same room: its tasks go on.
                Some(room) if room.record().created_at == record.created_at => {
                    room.record_set(record);
                }
                known => {
                    if let Some(known) = known {
                        known.stop.cancel();
                    }
                    rooms.insert(id, self.start(record));
                }
            }
        }
        self.prefixes.store(Arc::new(prefixes(&rooms)));
        self.rooms.store(Arc::new(rooms));
        Ok(changes.change)
    }

    fn start(&self, record: RoomRecord) -> Arc<Room> {
        let (room, queue) = Room::new(record, self.parts.clone());
        let tasks = &self.parts.tasks;
        tasks.spawn(queue.run(room.clone()));
        tasks.spawn(super::absences::run(room.clone()));
        tasks.spawn(Follower::new(room.clone()).run());
        tasks.spawn(Leader::new(room.clone()).run());
        room
    }
}

fn prefixes(rooms: &HashMap<RoomId, Arc<Room>>) -> Prefixes {
    let mut prefixes: Vec<_> = rooms
        .values()
        .flat_map(|room| {
            let record = room.record();
            let parsed = record
                .settings
                .paths
                .iter()
                .filter_map(|path| path.parse().ok());
            parsed
                .map(|prefix: PathPrefix| (prefix, room.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    prefixes.sort_by(|(a, _), (b, _)| {
        b.as_str()
            .len()
            .cmp(&a.as_str().len())
            .then_with(|| a.as_str().cmp(b.as_str()))
    });
    prefixes
}
