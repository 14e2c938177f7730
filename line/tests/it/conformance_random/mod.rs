//! Random operation lists, applied to the model and to Redis: every answer must be equal.

mod batches;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use contract::{PlaceId, Timestamp};
use line::policy::admission::Bucket;
use line::policy::credit::CREDIT_ONE;
use line::policy::order::{KeyRange, LIVE_BASE, OrderKey};
use line::policy::shows::Shows;
use line::store::standby::StandbyOrder;
use line::store::{
    CallOrder, Cursor, Enter, Entry, Lapse, Lease, OnceOpen, Opening, RoomRef, RoomStore, Served,
    ServedState, StoreError, StoreResult, TickSettings,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use test_support::making::{Birth, room_make};
use uuid::Uuid;

use crate::conformance::Backing;
use crate::seed;

/// Places that take part: few, so that operations meet.
const PLACES: u8 = 6;
const OPS_MAX: usize = 60;
const CASES: u32 = 96;

#[derive(Clone, Debug)]
enum Op {
    Prepare {
        epoch_step: u32,
        served: u8,
    },
    Forget,
    Enter(Vec<EnterOp>),
    Leave(u8),
    Absent(Vec<u8>),
    Present {
        gateway: u8,
        surplus: u64,
    },
    Lapse {
        gateway: u8,
        seconds: u64,
        stale: bool,
    },
    Tick {
        leader: u8,
    },
    Pop {
        count: u64,
        cap: u64,
        stale: bool,
    },
    Straight {
        count: u8,
        cap: u64,
    },
    Pending,
    Publish {
        wrong: bool,
    },
    Claim(u8),
    Renew {
        place: u8,
        seconds: u64,
    },
    End(u8),
    Snapshots {
        present_within: u64,
    },
    Notices,
    Outcomes {
        done: bool,
    },
    FailOver,
    Confirm {
        term_step: u64,
        count: u64,
    },
    Extend {
        stale: bool,
        count: u64,
    },
    Advance(u64),
}

#[derive(Clone, Debug)]
struct EnterOp {
    place: u8,
    key: Option<u64>,
    enter: Enter,
    connected: bool,
}

fn enter_op(place: impl Strategy<Value = u8>) -> impl Strategy<Value = EnterOp> {
    let key = prop_oneof![
        3 => Just(None),
        1 => (0..9u64).prop_map(Some),
        1 => (0..40u64).prop_map(|n| Some(LIVE_BASE + n)),
    ];
    let enter = prop_oneof![Just(Enter::Join), Just(Enter::Look), Just(Enter::Return)];
    (place, key, enter, any::<bool>()).prop_map(|(place, key, enter, connected)| EnterOp {
        place,
        key,
        enter,
        connected,
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..2u32, 0..4u8).prop_map(|(epoch_step, served)| Op::Prepare {
            epoch_step: u32::from(epoch_step == 1 && served == 0),
            served,
        }),
        1 => Just(Op::Forget),
        12 => prop::collection::vec(enter_op(0..PLACES), 1..5).prop_map(Op::Enter),
        3 => (0..PLACES).prop_map(Op::Leave),
        2 => prop::collection::vec(0..PLACES, 1..3).prop_map(Op::Absent),
        2 => (0..2u8, prop_oneof![3 => Just(0), 1 => 0..9u64])
            .prop_map(|(gateway, surplus)| Op::Present { gateway, surplus }),
        3 => (0..2u8, 0..6u64, prop::bool::weighted(0.1))
            .prop_map(|(gateway, seconds, stale)| Op::Lapse { gateway, seconds, stale }),
        6 => (0..2u8).prop_map(|leader| Op::Tick { leader }),
        6 => (0..4u64, 0..5u64, prop::bool::weighted(0.1))
            .prop_map(|(count, cap, stale)| Op::Pop { count, cap, stale }),
        6 => (1..5u8, 0..9u64).prop_map(|(count, cap)| Op::Straight { count, cap }),
        1 => Just(Op::Pending),
        6 => prop::bool::weighted(0.1).prop_map(|wrong| Op::Publish { wrong }),
        5 => (0..PLACES).prop_map(Op::Claim),
        2 => (0..PLACES, 0..9u64).prop_map(|(place, seconds)| Op::Renew { place, seconds }),
        2 => (0..PLACES).prop_map(Op::End),
        2 => (0..9u64).prop_map(|present_within| Op::Snapshots { present_within }),
        1 => Just(Op::Notices),
        1 => any::<bool>().prop_map(|done| Op::Outcomes { done }),
        1 => Just(Op::FailOver),
        2 => (0..2u64, 0..9u64).prop_map(|(term_step, count)| Op::Confirm { term_step, count }),
        2 => (any::<bool>(), 0..9u64).prop_map(|(stale, count)| Op::Extend { stale, count }),
        4 => (0..6000u64).prop_map(Op::Advance),
    ]
}

fn place(n: u8) -> PlaceId {
    PlaceId::from_bytes([n; 16])
}

fn gateway(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n) + 100)
}

/// One store under the list, with what its caller remembers.
struct Subject {
    backing: Backing,
    store: Arc<dyn RoomStore>,
    room: RoomRef,
    now: Timestamp,
    lease: Lease,
    /// The last ordinal of the log.
    seq: u64,
    /// The last published ordinal that a tick told.
    seen: u64,
    /// Calls given back that a tick told.
    given_back: u64,
    batches: u128,
    /// The last term and the end of its range of live keys.
    term: u64,
    limit: u64,
    cursor: Option<Cursor>,
}

impl Subject {
    fn new(backing: Backing, room: &str) -> Self {
        Self {
            store: backing.store(),
            backing,
            room: RoomRef {
                room: room.parse().unwrap(),
                epoch: 1,
            },
            now: Timestamp::from_ms(1_790_000_000_000),
            lease: Lease { fence: 1 },
            seq: 0,
            seen: 0,
            given_back: 0,
            batches: 0,
            term: 0,
            limit: 0,
            cursor: None,
        }
    }

    fn later(&self, seconds: u64) -> Timestamp {
        self.now.plus(Duration::from_secs(seconds))
    }

    /// Applies one operation; the answer as text.
    async fn apply(&mut self, op: &Op) -> String {
        let (store, room, now) = (self.store.clone(), self.room.clone(), self.now);
        match op {
            Op::Prepare { epoch_step, served } => self.prepare(*epoch_step, *served).await,
            Op::Forget => shown(store.room_forget(&room).await),
            Op::Enter(entries) => {
                let first = entries[0].clone();
                let entries: Vec<_> = entries
                    .iter()
                    .map(|op| Entry {
                        place: place(op.place),
                        key: op.key.and_then(OrderKey::new),
                        once_open: match op.place % 5 {
                            0 => OnceOpen::Keep,
                            1 => OnceOpen::Live,
                            2 => OnceOpen::Lot(OrderKey::new(5).unwrap()),
                            3 => OnceOpen::IfPresent { newcomer: None },
                            _ => OnceOpen::IfPresent {
                                newcomer: OrderKey::new(6),
                            },
                        },
                        enter: op.enter,
                        connected_to: op.connected.then(|| gateway(first.place % 2)),
                    })
                    .collect();
                // Often ahead of the clock, also when the batch needs no live key.
                let floor = u64::from(first.connected) * u64::from(first.place) * 3;
                shown(store.places_enter(&room, now, floor, &entries).await)
            }
            Op::Leave(n) => shown(store.place_leave(&room, now, place(*n)).await),
            Op::Absent(places) => {
                let places: Vec<_> = places.iter().map(|n| place(*n)).collect();
                shown(store.places_absent(&room, now, &places).await)
            }
            Op::Present {
                gateway: n,
                surplus,
            } => shown(
                store
                    .presence_renew(&room, now, gateway(*n), *surplus)
                    .await,
            ),
            Op::Lapse {
                gateway: n,
                seconds,
                stale,
            } => self.lapse(*n, *seconds, *stale).await,
            Op::Tick { leader } => self.tick(*leader).await,
            Op::Pop { count, cap, stale } => self.pop(*count, *cap, *stale).await,
            Op::Straight { count, cap } => self.straight(*count, *cap).await,
            Op::Pending => shown(store.call_pending(&room).await),
            Op::Publish { wrong } => self.publish(*wrong).await,
            Op::Claim(n) => shown(
                store
                    .session_claim(&room, now, place(*n), self.later(6))
                    .await,
            ),
            Op::Renew { place: n, seconds } => shown(
                store
                    .session_renew(&room, now, place(*n), self.later(*seconds))
                    .await,
            ),
            Op::End(n) => shown(store.session_end(&room, now, place(*n)).await),
            Op::Snapshots { present_within } => self.snapshots(*present_within).await,
            Op::Notices => self.notices().await,
            Op::Outcomes { done } => self.outcomes(*done).await,
            Op::FailOver => {
                self.backing.fail_over(&room.room).await;
                shown(store.keys_state(&room).await)
            }
            Op::Confirm { term_step, count } => self.confirm(*term_step, *count).await,
            Op::Extend { stale, count } => {
                self.limit += count;
                let term = self.term + u64::from(*stale);
                let extended = shown(store.keys_extend(&room, term, self.limit).await);
                format!("{extended} {}", shown(store.keys_state(&room).await))
            }
            Op::Advance(ms) => {
                self.now = now.plus(Duration::from_millis(*ms));
                String::new()
            }
        }
    }

    async fn lapse(&mut self, number: u8, seconds: u64, stale: bool) -> String {
        let order = Lapse {
            lease: Lease {
                fence: self.lease.fence + u64::from(stale),
            },
            gateway: gateway(number),
            renewed_before: self.now.minus(Duration::from_secs(2)),
            seen_since: self.now.minus(Duration::from_secs(seconds)),
        };
        shown(self.store.presence_lapse(&self.room, &order).await)
    }

    async fn pop(&mut self, count: u64, cap: u64, stale: bool) -> String {
        self.batches += 1;
        let order = CallOrder {
            lease: Lease {
                fence: self.lease.fence + u64::from(stale),
            },
            seq: self.seen,
            batch: Uuid::from_u128(self.batches),
            count,
            active_max: cap,
            calls_per_minute: 60,
            bucket: Bucket {
                credit: CREDIT_ONE,
                returned: CREDIT_ONE * 3 / 2,
                filled_at: None,
                shows: Shows {
                    account: -5,
                    reserve: count,
                    ..Shows::default()
                },
            },
            given_back: self.given_back,
        };
        self.given_back = 0;
        shown(self.store.call_pop(&self.room, self.now, &order).await)
    }

    /// Lets places straight in that nobody had before.
    async fn straight(&mut self, count: u8, cap: u64) -> String {
        self.batches += 1;
        let batch = Uuid::from_u128(self.batches);
        let named = |n: u8| {
            let mut bytes = *batch.as_bytes();
            (bytes[0], bytes[1]) = (255, n);
            PlaceId::from_bytes(bytes)
        };
        let order = StandbyOrder {
            batch,
            places: (0..count).map(named).collect(),
            active_max: cap,
            calls_per_minute: 60,
            expires_at: self.later(6),
        };
        let floor = u64::from(count);
        let popped = self.store.standby_pop(&self.room, self.now, floor, &order);
        shown(popped.await)
    }

    async fn prepare(&mut self, epoch_step: u32, served: u8) -> String {
        self.room.epoch += epoch_step;
        let log: Vec<_> = (0..served)
            .map(|n| Served {
                seq: self.seq + 1 + u64::from(n),
                place: place(n),
                key: OrderKey::new(LIVE_BASE + u64::from(n)).unwrap(),
                called_at: self.now,
                state: match n {
                    0 => ServedState::Active(self.later(3)),
                    1 => ServedState::Over,
                    2 if served == 3 => ServedState::Called(self.later(2)),
                    2 => ServedState::Missed(self.later(3)),
                    _ => ServedState::Left,
                },
            })
            .collect();
        self.seq += u64::from(served);
        let birth = Birth {
            name: Uuid::from_u128(u128::from(self.room.epoch)),
            now: self.now,
            seq: self.seq,
            is_open: served == 2,
            held_until: (served == 1).then(|| self.later(1)),
        };
        let prepared = room_make(&*self.store, &self.room, &birth, &log).await;
        shown(prepared)
    }

    async fn confirm(&mut self, term_step: u64, count: u64) -> String {
        self.term += term_step;
        let after = self.limit;
        self.limit += count;
        let range = KeyRange {
            term: self.term,
            after,
            limit: self.limit,
            is_ahead: count.is_multiple_of(2),
        };
        let (now, until) = (self.now, self.later(3));
        let confirmed = self.store.keys_confirm(&self.room, now, &range, until);
        let confirmed = shown(confirmed.await);
        format!(
            "{confirmed} {}",
            shown(self.store.keys_state(&self.room).await)
        )
    }

    async fn tick(&mut self, leader: u8) -> String {
        let settings = TickSettings {
            lease: Duration::from_secs(2),
            absence_timeout: Duration::from_secs(5),
            missed_grace: Duration::from_secs(4),
            gateway_lease: Duration::from_secs(3),
            remembered: Duration::from_secs(9),
        };
        let leader = Uuid::from_u128(u128::from(leader) + 1);
        let begun = self
            .store
            .tick_begin(&self.room, self.now, leader, settings)
            .await;
        if let Ok(Some(state)) = &begun {
            self.lease = state.lease;
            self.seen = state.seq;
            self.given_back = state.given_back;
        }
        shown(begun)
    }

    async fn publish(&mut self, wrong: bool) -> String {
        let batch = self.batches + u128::from(wrong);
        let popped = self.store.call_pending(&self.room).await.unwrap();
        let count = u64::try_from(popped.places.len()).unwrap();
        let published = self
            .store
            .call_publish(
                &self.room,
                self.now,
                Uuid::from_u128(batch),
                self.seq + 1,
                self.later(3),
            )
            .await;
        if let Ok(true) = published {
            self.seq += count;
        }
        shown(published)
    }

    /// Reads the journal, and may write it down, as a leader does.
    async fn outcomes(&self, done: bool) -> String {
        let mut taken = self.store.outcomes_take(&self.room).await.unwrap();
        taken.sort_by_key(|outcome| outcome.place);
        if done {
            let settled = self.store.outcomes_done(&self.room, &taken).await;
            return format!("{taken:?} {}", shown(settled));
        }
        shown(Ok(taken))
    }

    /// Leaves the snapshot and the opening, as a leader does, and reads them back. In most rooms
    /// who was present at the opening, within a number of seconds, is asked for.
    async fn snapshots(&self, present_within: u64) -> String {
        let (store, room) = (&self.store, &self.room);
        let opening = Opening {
            now: self.now,
            present_within: (present_within < 7).then(|| Duration::from_secs(present_within)),
        };
        let mut opened = false;
        if let Ok(taken) = store.snapshot_take(room, self.now).await {
            store.snapshot_put(room, &taken).await.unwrap();
            opened = store.opening_put(room, &taken, opening).await.unwrap();
        }
        let left = store.snapshot_get(room).await;
        let opening = store.opening_get(room).await;
        format!("{} {} {opened}", shown(left), shown(opening))
    }

    /// Reads notices from where the last read ended. Cursors differ, what they lead to does not.
    async fn notices(&mut self) -> String {
        let Some(cursor) = &self.cursor else {
            self.cursor = self.store.notices_end(&self.room).await.ok();
            return String::new();
        };
        let read = self.store.notices_after(&self.room, cursor).await.unwrap();
        self.cursor = Some(read.end);
        shown(Ok((read.notices, read.has_gap, read.has_more)))
    }
}

fn shown<T: Debug>(answer: StoreResult<T>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::NoRoom) => "no room".to_owned(),
        Err(error) => panic!("{error}"),
    }
}

/// What makes a room in which live keys are given.
fn beginning() -> [Op; 2] {
    let prepare = Op::Prepare {
        epoch_step: 0,
        served: 0,
    };
    let confirm = Op::Confirm {
        term_step: 1,
        count: 60,
    };
    [prepare, confirm]
}

async fn compare(real: Backing, room: &str, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut model = Subject::new(Backing::memory(), room);
    let mut real = Subject::new(real, room);
    for (index, op) in beginning().iter().chain(ops).enumerate() {
        let (expected, found) = (model.apply(op).await, real.apply(op).await);
        prop_assert_eq!(&expected, &found, "at operation {}, {:?}", index, op);
        // A difference shows where it arises, not where it is next asked for.
        let expected = model.store.snapshot_take(&model.room, model.now).await;
        let found = real.store.snapshot_take(&real.room, real.now).await;
        prop_assert_eq!(shown(expected), shown(found), "after {}, {:?}", index, op);
        if matches!(op, Op::Forget | Op::Prepare { epoch_step: 1, .. }) {
            // Notices of a line that is gone are not read on.
            (model.cursor, real.cursor) = (None, None);
        }
    }
    real.store.room_forget(&real.room).await.unwrap();
    Ok(())
}

/// Runs generated operation lists in rooms of their own, `name` with a number.
fn check(name: &str, cases: u32, ops: &impl Strategy<Value = Vec<Op>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = {
        let _entered = runtime.enter();
        Backing::redis()
    };
    let number = std::cell::Cell::new(0u32);
    let outcome = seed::runner(cases).run(ops, |ops| {
        number.set(number.get() + 1);
        let room = format!("{name}-{}", number.get());
        runtime.block_on(compare(redis.clone(), &room, &ops))
    });
    outcome.unwrap();
}

#[test]
fn redis_answers_as_the_model_does() {
    check("case", CASES, &prop::collection::vec(op(), 1..OPS_MAX));
}
