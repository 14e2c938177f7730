//! Applies operations to two gateways and checks the model after each.

use std::sync::Arc;
use std::time::Duration;

use contract::line::PlaceState;
use contract::pass::{PassKey, PassKeys};
use contract::room::{Override, RoomSettings};
use contract::{Clock, ManualClock, RoomId, Timestamp};
use line::doorkeeper;
use line::leader::{Leader, Tick};
use line::policy::care::RateShare;
use line::policy::order::commitment;
use line::policy::place::{PlaceKeys, PlaceToken, place_secret};
use line::policy::status::StockFigures;
use line::records::RoomRecord;
use line::records::durable::DurableLine;
use line::room::Room;
use line::skew::Skew;
use line::store::memory::{Kept, MemoryStore};
use line::store::{Cursor, Enter, RoomStore, Standing, StoreError};
use line::target::Target;
use line::visitor::{Claimed, Joined, Joiner};
use line::{Parts, Randomness, StockSource, UpstreamHealth};
use proptest::test_runner::TestCaseError;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::log::MemoryLog;
use super::model::{Calls, Model, SESSION};
use super::ops::{FANS, Op};
use super::roll::ABSENCE;

const CAP: u64 = 3;
const LEAD_ON_EVERY: Duration = Duration::from_millis(500);
const LEAD_ON_TICKS: u32 = 40;

struct Quiet;

impl StockSource for Quiet {
    fn stock(&self, _: &RoomId) -> Option<StockFigures> {
        None
    }
}

impl UpstreamHealth for Quiet {
    fn rate_share(&self, _: &Target) -> RateShare {
        RateShare::ALL
    }
}

pub(super) struct Gateway {
    pub(super) room: Arc<Room>,
    pub(super) leader: Leader,
}

pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) log: Arc<MemoryLog>,
    clock: ManualClock,
    pub(super) gateways: Vec<Gateway>,
    tokens: Vec<Option<PlaceToken>>,
    model: Model,
    cursor: Cursor,
    /// What the store and its fans' calls were when the replica was up to date.
    kept: Option<(Kept, Calls)>,
    known: usize,
    last: Option<Op>,
    /// Processes started so far.
    processes: u64,
    /// Whether nobody stands for the presence of fans.
    pub(super) is_presence_paused: bool,
}

/// Runs a list of operations on a line of its own.
pub(super) fn run(ops: &[Op]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        for (index, op) in ops.iter().enumerate() {
            let step = world.step(op).await;
            step.map_err(|error| TestCaseError::fail(format!("{error} at {index}, {op:?}")))?;
        }
        Ok(())
    })
}

pub(super) fn record(now: Timestamp) -> RoomRecord {
    let settings: RoomSettings = serde_json::from_value(json!({
        "room": "eras", "queueAll": true, "newUsersPerMinute": 300, "totalActiveUsers": CAP,
        "claimWindowSeconds": 3, "sessionDurationSeconds": SESSION.as_secs(),
        "sessionRenewal": false, "absenceTimeoutSeconds": ABSENCE.as_secs(), "missedTurnGraceSeconds": 5,
    }))
    .unwrap();
    RoomRecord {
        settings,
        overridden: None,
        paused_reason: None,
        seed: [7; 32],
        commitment: commitment(&[7; 32]),
        seed_revealed_at: None,
        open_ordered_at: None,
        opened_at: None,
        epoch: 1,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

impl Gateway {
    pub(super) fn start(
        process: u64,
        store: &Arc<MemoryStore>,
        log: &Arc<MemoryLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = || vec![PassKey::from_seed([3; 32]).unwrap()];
        let durable: Arc<dyn DurableLine> = log.clone();
        let parts = Arc::new(Parts {
            store: store.clone(),
            durable,
            pass_keys: Arc::new(PassKeys::new("https://line.test", keys()).unwrap()),
            place_keys: Arc::new(PlaceKeys::new(&keys(), place_secret(&keys()[0]))),
            skew: Arc::new(Skew::none(clock.clone())),
            clock,
            randomness: Randomness::new(ChaCha20Rng::seed_from_u64(process)),
            stock: Arc::new(Quiet),
            upstreams: Arc::new(Quiet),
            process: Uuid::from_u128(process.into()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let room = Room::new(log.record(), parts);
        doorkeeper::keep(&room);
        let leader = Leader::new(room.clone());
        Self { room, leader }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let clock = ManualClock::default();
        let log = Arc::new(MemoryLog::new(record(clock.now())));
        let store = Arc::new(MemoryStore::default());
        let gateways = (1..=2u64)
            .map(|process| Gateway::start(process, &store, &log, Arc::new(clock.clone())))
            .collect();
        Self {
            store,
            log,
            clock,
            gateways,
            tokens: vec![None; FANS.into()],
            model: Model::default(),
            cursor: Cursor::start(),
            kept: None,
            known: 0,
            last: None,
            processes: 2,
            is_presence_paused: false,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn advance(&mut self, span: Duration) {
        self.clock.advance(span);
    }

    pub(super) fn token(&self, fan: u8) -> PlaceToken {
        self.tokens[usize::from(fan)].clone().unwrap()
    }

    pub(super) async fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        if matches!(op, Op::LoseResponse) {
            if let Some(last) = self.last.clone() {
                self.apply(&last).await?;
            }
        } else {
            self.apply(op).await?;
            self.last = Some(op.clone());
        }
        for gateway in &self.gateways {
            gateway.room.record_set(self.log.record());
        }
        self.check().await
    }

    /// Fans talk to one gateway or the other.
    fn gateway_of(&self, fan: u8) -> Arc<Room> {
        self.gateways[usize::from(fan % 2)].room.clone()
    }

    async fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        match *op {
            Op::Join(fan) => {
                let held = self.tokens[usize::from(fan)].clone();
                return self.join(fan, held).await;
            }
            Op::JoinAnew(fan) => return self.join(fan, None).await,
            Op::Look(fan) => return self.look(fan, Enter::Look, false).await,
            Op::Return(fan) => return self.look(fan, Enter::Return, true).await,
            Op::GoAbsent(fan) => {
                if let Some(token) = &self.tokens[usize::from(fan)] {
                    let at = self.gateway_of(fan).store_ref();
                    let gone = self.store.places_absent(&at, now, &[token.place]).await;
                    assert!(matches!(gone, Ok(()) | Err(StoreError::NoRoom)));
                    self.model.disconnected(token.place, now);
                    self.model.roll.disconnected(token.place, now);
                }
            }
            Op::Leave(fan) => {
                if let Some(token) = self.tokens[usize::from(fan)].clone()
                    && self.gateway_of(fan).leave(token.place).await.is_ok()
                {
                    self.model.left(token.place);
                }
            }
            Op::Claim(fan) => {
                if let Some(token) = &self.tokens[usize::from(fan)] {
                    self.model.present(token.place, None, now);
                }
                let Some(token) = self.tokens[usize::from(fan)].clone() else {
                    return Ok(());
                };
                match self.gateway_of(fan).claim(&token).await {
                    Ok(Claimed::Pass(pass)) => self.model.passed(token.place, pass.expires_at),
                    // The place was looked at.
                    Ok(Claimed::NotCalled(status)) => {
                        let has_left = status.state == PlaceState::Left;
                        self.model.seen_again(token.place, has_left, now);
                        self.model.roll.answered(token.place, None, now);
                    }
                    Err(_) => {}
                }
            }
            Op::EndSession(fan) => {
                if let Some(token) = self.tokens[usize::from(fan)].clone()
                    && let Ok(true) = self.gateway_of(fan).end_session(token.place, None).await
                {
                    self.model.session_ended(token.place);
                }
            }
            Op::Tick(gateway) => self.tick(gateway).await,
            Op::GatewayDies(gateway) => self.gateway_dies(gateway),
            Op::LeadOn(gateway) => return self.lead_on(gateway).await,
            Op::AdvanceTime { ms } => self.clock.advance(Duration::from_millis(ms)),
            Op::ChangeRate { calls_per_minute } => self.log.record_change(|record| {
                record.settings.new_users_per_minute = calls_per_minute;
            }),
            Op::ChangeBatch(batch) => self.log.record_change(|record| {
                record.settings.call_batch = batch;
            }),
            Op::Pause(is_paused) => self.log.record_change(|record| {
                record.overridden = is_paused.then_some(Override::Pause);
            }),
            Op::StoreLags => self.kept = Some((self.store.kept(), self.model.calls())),
            Op::StoreGoesBack => self.go_back(now).await,
            Op::TwoFailovers(first, second) => {
                for fan in [first, second] {
                    self.kept = Some((self.store.kept(), self.model.calls()));
                    self.join(fan, None).await?;
                    self.go_back(now).await;
                }
            }
            Op::StoreWipe => {
                self.store.wipe();
                self.kept = None;
                self.cursor = Cursor::start();
                self.model.wiped(now);
                self.lost();
            }
            Op::LeaderDies(failure) => self.log.fail_next(failure),
            Op::DatabaseAway(is_away) => self.log.set_away(is_away),
            Op::LoseResponse => {}
        }
        Ok(())
    }

    async fn tick(&mut self, gateway: u8) {
        let now = self.clock.now();
        self.presence_renew().await;
        let leader = &mut self.gateways[usize::from(gateway)].leader;
        // A tick may fail with the log or the store; what it leaves is checked.
        if let Ok(Tick::Called(_)) = leader.tick_once().await {
            self.model.ticked(now);
        }
    }

    pub(super) fn gateway_dies(&mut self, gateway: u8) {
        self.processes += 1;
        let (store, log) = (self.store.clone(), self.log.clone());
        let clock = Arc::new(self.clock.clone());
        let next = Gateway::start(self.processes, &store, &log, clock);
        self.gateways[usize::from(gateway)] = next;
        self.model.gateway_died(gateway, self.clock.now());
        self.model.roll.gateway_died(gateway);
    }

    async fn lead_on(&mut self, gateway: u8) -> Result<(), TestCaseError> {
        for _ in 0..LEAD_ON_TICKS {
            self.clock.advance(LEAD_ON_EVERY);
            self.tick(gateway).await;
            self.check().await?;
        }
        Ok(())
    }

    /// Gateways that live stand for the presence of their fans.
    async fn presence_renew(&self) {
        for alive in self.gateways.iter().filter(|_| !self.is_presence_paused) {
            let (at, process) = (alive.room.store_ref(), alive.room.parts.process);
            let renewed = self.store.presence_renew(&at, self.clock.now(), process, 0);
            assert!(matches!(renewed.await, Ok(_) | Err(StoreError::NoRoom)));
        }
    }

    fn lost(&mut self) {
        let is_undone = self.log.record().opened_at.is_none();
        self.model.roll.lost(is_undone);
    }

    async fn go_back(&mut self, now: Timestamp) {
        let Some((store, calls)) = self.kept.take() else {
            return;
        };
        self.store.go_back(&store);
        let at = self.gateways[0].room.store_ref();
        let popped = self.store.call_pending(&at).await.unwrap();
        self.model.went_back(&calls, &popped, now);
        self.lost();
        self.cursor = self.store.notices_end(&at).await.unwrap();
    }

    async fn join(&mut self, fan: u8, held: Option<PlaceToken>) -> Result<(), TestCaseError> {
        let joiner = Joiner {
            token: held,
            nonce: Some([fan + 1; 16]),
            access_code: None,
        };
        let room = self.gateway_of(fan);
        let Ok(Joined::Placed { token, fresh, .. }) = room.join(joiner).await else {
            return Ok(());
        };
        let last = self.tokens[usize::from(fan)].as_ref();
        let held_key = last.and_then(|held| held.key);
        if let Some(key) = token.key
            && fresh
            && held_key != Some(key)
        {
            let had_place = last.is_some();
            let now = self.clock.now();
            self.model.key_given(token.place, key, had_place, now)?;
        } else {
            self.model.seen_again(token.place, false, self.clock.now());
        }
        self.model.present(token.place, None, self.clock.now());
        self.model
            .roll
            .answered(token.place, None, self.clock.now());
        let is_open = self.log.record().opened_at.is_some();
        self.model
            .place_held(token.place, room.key_of(&token), is_open)?;
        if fresh {
            let standing = Standing::Waiting {
                key: room.key_of(&token),
            };
            self.model.entered(token.place, standing, self.clock.now());
        }
        self.tokens[usize::from(fan)] = Some(token);
        Ok(())
    }

    async fn look(&mut self, fan: u8, enter: Enter, connected: bool) -> Result<(), TestCaseError> {
        let Some(token) = self.tokens[usize::from(fan)].clone() else {
            return Ok(());
        };
        let room = self.gateway_of(fan);
        let Ok(standing) = room.look(&token, enter, connected).await else {
            return Ok(());
        };
        let now = self.clock.now();
        let gateway = connected.then_some(fan % 2);
        self.model.present(token.place, gateway, now);
        if standing != Standing::Unknown {
            self.model.roll.answered(token.place, gateway, now);
        }
        let is_served = self.log.has_served(token.place);
        self.model
            .token_shown((token.place, token.key), standing, is_served, now)
    }

    async fn check(&mut self) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        let at = self.gateways[0].room.store_ref();
        let log = self.log.admissions();
        let new = log[self.known..].to_vec();
        self.known = log.len();
        self.model.logged(&new, now)?;
        let read = self.store.notices_after(&at, &self.cursor).await.unwrap();
        self.cursor = read.end;
        for notice in &read.notices {
            self.model.told(notice, &log, now)?;
        }
        if self.store.opening_get(&at).await.unwrap().is_some() {
            self.model.roll.opened(now);
        }
        let popped = self.store.call_pending(&at).await.unwrap();
        let snapshot = self.store.snapshot_take(&at, now).await.ok();
        if snapshot.is_some() {
            self.model.roll.made(now);
        }
        let line = snapshot.as_ref().map(|snapshot| (snapshot, &popped));
        self.model.seen(line, CAP, now)
    }
}
