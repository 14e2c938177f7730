//! Gateways with their tasks at work, in paused time, on a store and a log that they share.

use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Timestamp};
use line::policy::place::PlaceToken;
use line::records::RoomRecord;
use line::room::Room;
use line::rooms::set_to_work;
use line::rounds;
use line::store::memory::MemoryStore;
use line::visitor::{Joined, Joiner};
use tokio::time::{Instant, sleep};

use super::log::MemoryLog;
use super::run::{Gateway, record};

pub(super) const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

/// The wall clock beside tokio's: both stand still while anything works.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        START.plus(self.0.elapsed())
    }
}

/// A store and a log that gateways share.
pub(super) struct Stage {
    pub(super) store: Arc<MemoryStore>,
    pub(super) log: Arc<MemoryLog>,
    clock: Arc<PausedClock>,
    processes: u64,
}

impl Stage {
    pub(super) fn new(change: impl FnOnce(&mut RoomRecord)) -> Self {
        let mut record = record(START);
        change(&mut record);
        Self {
            store: Arc::default(),
            log: Arc::new(MemoryLog::new(record)),
            clock: Arc::new(PausedClock(Instant::now())),
            processes: 0,
        }
    }

    /// A gateway that lets fans in and does nothing else.
    pub(super) fn door(&mut self) -> Arc<Room> {
        self.processes += 1;
        let (store, log, clock) = (&self.store, &self.log, self.clock.clone());
        Gateway::start(self.processes, store, log, clock).room
    }

    /// A gateway at work.
    pub(super) fn gateway(&mut self) -> Arc<Room> {
        let room = self.door();
        set_to_work(&room);
        let rooms = [room.clone()];
        let parts = room.parts.clone();
        room.parts.tasks.spawn(async move {
            rounds::run(&parts, || rooms.to_vec()).await;
        });
        room
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn calls(&self) -> usize {
        self.log.admissions().len()
    }

    /// How long it takes until `is_so`, at most `max`, to a hundredth of that.
    pub(super) async fn until(&self, max: Duration, is_so: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() <= max, "not so after {max:?}");
            sleep(max / 100).await;
        }
        began.elapsed()
    }
}

/// A fan of `room` with a nonce of their own.
pub(super) async fn join(room: &Room, fan: u8) -> PlaceToken {
    let joiner = Joiner {
        nonce: Some([fan; 16]),
        ..Joiner::default()
    };
    match room.join(joiner).await.unwrap() {
        Joined::Placed { token, .. } => token,
        Joined::PassedThrough { .. } => panic!("nobody waits"),
    }
}
