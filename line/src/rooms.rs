//! The rooms there are: read from the database twice a second, so that what an operator changes
//! on one gateway is in force on all within a second. With the database away the last known
//! rooms stay. Those in which nobody is are looked after together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::RoomId;
use contract::host::answered;
use contract::line::Phase;
use contract::path::SafePath;
use contract::readings::Reading;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::doorkeeper;
use crate::error::WorkError;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::parts::Parts;
use crate::policy::sites::{Found, Sites};
use crate::policy::stance::Stance;
use crate::pruning;
use crate::records::{RoomRecord, Rooms};
use crate::room::Room;
use crate::rounds;
use crate::store::RoomRef;
use crate::straight_in;
use crate::unmetered_log;

/// Time between reads.
const READ_EVERY: Duration = Duration::from_millis(400);

/// Longest that the answer to a change waits for the change to be in force here.
const APPLY_MAX: Duration = Duration::from_secs(1);

/// The rooms of this gateway. Clones share them.
#[derive(Clone)]
pub struct RoomSet {
    parts: Arc<Parts>,
    records: Rooms,
    rooms: Arc<ArcSwap<HashMap<RoomId, Arc<Room>>>>,
    /// Which room a request belongs to.
    sites: Arc<ArcSwap<Sites<Arc<Room>>>>,
    /// Deleted rooms that the store has still to forget, and what still works for them.
    forgetting: Arc<Mutex<BTreeMap<RoomId, (RoomRef, TaskTracker)>>>,
    hurry: Arc<Notify>,
    /// Told after every read that changed something.
    reads: Arc<watch::Sender<()>>,
}

/// The phases of a [`RoomSet`], for a part that the rooms hold a handle of themselves: it keeps no
/// room alive, so that neither keeps the other from ending.
#[derive(Clone)]
pub struct Phases(Weak<ArcSwap<HashMap<RoomId, Arc<Room>>>>);

impl Phases {
    /// The phase of `room`; `None` when there is no such room.
    pub fn of(&self, room: &RoomId) -> Option<Phase> {
        let rooms = self.0.upgrade()?;
        rooms.load().get(room).map(|room| room.phase())
    }
}

impl RoomSet {
    /// The phases of these rooms.
    pub fn phases(&self) -> Phases {
        Phases(Arc::downgrade(&self.rooms))
    }

    /// No rooms yet; they are read from `records`.
    pub fn new(parts: Arc<Parts>, records: Rooms) -> Self {
        Self {
            parts,
            records,
            rooms: Arc::default(),
            sites: Arc::default(),
            forgetting: Arc::default(),
            hurry: Arc::default(),
            reads: Arc::new(watch::Sender::new(())),
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

    /// The room that a request for `path` of `host` belongs to.
    pub fn serving(&self, host: Option<&str>, path: &SafePath<'_>) -> Option<Found<Arc<Room>>> {
        let sites = self.sites.load();
        let found = sites.find(host, path, |room| room.is_idle())?;
        Some(found.cloned())
    }

    /// The same for a path with several readings, if all of them belong to one room.
    pub fn serving_whichever(
        &self,
        host: Option<&str>,
        readings: &[Reading],
    ) -> Option<Found<Arc<Room>>> {
        let sites = self.sites.load();
        let found = sites.find_whichever(host, readings, |room| room.is_idle())?;
        Some(found.cloned())
    }

    /// All rooms, in no order.
    pub fn all(&self) -> Vec<Arc<Room>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Reads the rooms at once instead of at the next turn, and waits until `room` is served here
    /// as `record` has it, or not at all without one. Ends after [`APPLY_MAX`] in any case: the
    /// change is made, and in force when the database can be read.
    pub async fn apply(&self, room: &RoomId, record: Option<&RoomRecord>) {
        let mut reads = self.reads.subscribe();
        let waiting = async {
            while !self.is_served(room, record) {
                self.hurry.notify_one();
                if reads.changed().await.is_err() {
                    return;
                }
            }
            if let Some(served) = self.get(room) {
                served.open_now().await;
            }
        };
        if tokio::time::timeout(APPLY_MAX, waiting).await.is_err() {
            tracing::warn!(%room, "a change of a room is not in force yet");
        }
    }

    fn is_served(&self, room: &RoomId, record: Option<&RoomRecord>) -> bool {
        match (self.get(room), record) {
            (None, None) => true,
            (Some(served), Some(record)) => {
                let served = served.record();
                // A room that was made again counts its versions anew.
                (served.created_at, served.version) >= (record.created_at, record.version)
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Keeps the rooms up to date from `change` on, and looks after those that rest, until the
    /// process stops.
    pub async fn run(self, change: i64) {
        let rounds = rounds::run(&self.parts, || self.all());
        let log = unmetered_log::run(&self.parts, || self.all());
        let pruning = pruning::run(&self.parts);
        tokio::join!(self.follow_records(change), rounds, log, pruning);
    }

    async fn follow_records(&self, mut change: i64) {
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.read_once(change).await {
                Ok(next) => {
                    change = next;
                    // Only by what was read just now: the room may have been made again.
                    self.forget_once().await;
                }
                Err(error) => {
                    tracing::debug!(%error, "rooms not read");
                    // Without the log nobody is called, whichever gateway leads.
                    let now = self.parts.clock.now();
                    for room in self.rooms.load().values() {
                        room.line_failed(now);
                    }
                }
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
                room.work.close();
                let forgotten = (room.store_ref(), room.work.clone());
                locked(&self.forgetting).insert(deleted.clone(), forgotten);
            }
        }
        for record in changes.rooms {
            let id = record.settings.room.clone();
            // Made again: its line is rebuilt under a birth of its own.
            locked(&self.forgetting).remove(&id);
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
        self.sites.store(Arc::new(sites_of(&rooms)));
        self.rooms.store(Arc::new(rooms));
        self.reads.send_replace(());
        Ok(changes.change)
    }

    /// Clears the store of deleted rooms on which nothing works any more: a tick on its way would
    /// make the room again. With the store away they are kept in mind; nothing else waits for it.
    pub async fn forget_once(&self) {
        loop {
            let idle = locked(&self.forgetting)
                .iter()
                .find(|(_, (_, work))| work.is_empty())
                .map(|(_, (at, _))| at.clone());
            let Some(at) = idle else { return };
            let room = &at.room;
            if let Err(error) = self.parts.store.room_forget(&at).await {
                tracing::debug!(%room, %error, "a deleted room is not forgotten yet");
                return;
            }
            locked(&self.forgetting).remove(room);
        }
    }

    fn start(&self, record: RoomRecord) -> Arc<Room> {
        let room = Room::new(record, self.parts.clone());
        set_to_work(&room);
        room
    }
}

/// Starts the tasks of `room`.
pub fn set_to_work(room: &Arc<Room>) {
    doorkeeper::keep(room);
    let (tasks, work) = (&room.parts.tasks, &room.work);
    tasks.spawn(work.track_future(super::presence::run(room.clone())));
    tasks.spawn(work.track_future(straight_in::run(room.clone())));
    tasks.spawn(work.track_future(Follower::new(room.clone()).run()));
    tasks.spawn(work.track_future(Leader::new(room.clone()).run()));
}

/// The content of a map that no panic could leave half changed.
fn locked<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By the rooms' names, so that every gateway decides alike between two with the same prefix.
fn sites_of(rooms: &HashMap<RoomId, Arc<Room>>) -> Sites<Arc<Room>> {
    let mut by_name: Vec<_> = rooms.values().collect();
    by_name.sort_by(|a, b| a.id.cmp(&b.id));
    let standing = |room: &Arc<Room>| {
        let settings = &room.record().settings;
        let prefixes = settings.paths.iter().filter_map(|path| path.parse().ok());
        Stance {
            hosts: answered(&settings.hosts),
            prefixes: prefixes.collect(),
            behind: room.target().behind(settings.preserve_host),
        }
    };
    let rooms = by_name.into_iter();
    Sites::of(rooms.map(|room| (standing(room), room.clone())).collect())
}
