//! One suite for every store: each check runs against the model in memory and against Redis, and
//! random operation lists must get the same answers from both.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contract::{PlaceId, Timestamp};
use gateway::room::admission::{Bucket, CREDIT_ONE};
use gateway::room::order::{LIVE_BASE, OrderKey};
use gateway::room::snapshot::{HEAD_PLACES, Snapshot};
use gateway::store::memory::MemoryStore;
use gateway::store::redis::RedisStore;
use gateway::store::{
    CallOrder, ENTER_BATCH_MAX, EXPIRE_BATCH_MAX, Enter, Entered, Entry, Lease, NOTICES_MAX,
    Notice, Popped, RoomRef, RoomStore, Served, Standing, StoreError, StoreResult, TickSettings,
    TickState,
};
use uuid::Uuid;

const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
const LEASE: Duration = Duration::from_secs(2);
const ABSENCE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(3);
const SESSION: Duration = Duration::from_secs(6);

static PREFIXES: AtomicU32 = AtomicU32::new(0);

/// Names the Redis server that tests may use.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
pub(crate) fn redis_url() -> String {
    let name = "ROPELINE_TEST_REDIS_URL";
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

/// A prefix of its own for the keys of one test.
pub(crate) fn redis_prefix() -> String {
    let count = PREFIXES.fetch_add(1, Ordering::Relaxed);
    format!("it-{}-{count}:", std::process::id())
}

fn redis_store() -> Arc<dyn RoomStore> {
    Arc::new(RedisStore::new(&redis_url(), &redis_prefix()).unwrap())
}

fn place(n: u64) -> PlaceId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    PlaceId::from_bytes(bytes)
}

fn key(n: u64) -> OrderKey {
    OrderKey::new(n).unwrap()
}

fn live(n: u64) -> OrderKey {
    key(LIVE_BASE + n)
}

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn entry(place: PlaceId, key: Option<OrderKey>, enter: Enter) -> Entry {
    Entry {
        place,
        key,
        enter,
        connected: true,
    }
}

fn waiting(key: OrderKey) -> Standing {
    Standing::Waiting { key }
}

/// A room in a store, and one leader of it.
struct Line {
    store: Arc<dyn RoomStore>,
    room: RoomRef,
    leader: Uuid,
}

impl Line {
    async fn open(store: Arc<dyn RoomStore>) -> Self {
        let line = Self::unopened(store);
        line.prepare(&[]).await;
        line
    }

    fn unopened(store: Arc<dyn RoomStore>) -> Self {
        Self {
            store,
            room: RoomRef {
                room: "eras".parse().unwrap(),
                epoch: 1,
            },
            leader: Uuid::from_u128(1),
        }
    }

    async fn prepare(&self, served: &[Served]) {
        let birth = Uuid::from_u128(77);
        self.store
            .room_prepare(&self.room, birth, 0, served)
            .await
            .unwrap();
    }

    async fn enter(&self, now: Timestamp, entry: Entry) -> Entered {
        let entered = self.store.places_enter(&self.room, now, 0, &[entry]).await;
        entered.unwrap()[0]
    }

    async fn join(&self, n: u64) -> Entered {
        self.enter(START, entry(place(n), None, Enter::Join)).await
    }

    async fn look(&self, now: Timestamp, n: u64) -> Standing {
        self.enter(now, entry(place(n), None, Enter::Look))
            .await
            .standing
    }

    async fn tick(&self, now: Timestamp) -> TickState {
        self.tick_as(now, self.leader).await.expect("leads")
    }

    async fn tick_as(&self, now: Timestamp, leader: Uuid) -> Option<TickState> {
        let settings = TickSettings {
            lease: LEASE,
            absence_timeout: ABSENCE,
            missed_grace: GRACE,
        };
        let begun = self.store.tick_begin(&self.room, now, leader, settings);
        begun.await.unwrap()
    }

    async fn pop(&self, now: Timestamp, order: CallOrder) -> Vec<PlaceId> {
        let popped = self.store.call_pop(&self.room, now, &order).await.unwrap();
        popped.places.into_iter().map(|(place, _)| place).collect()
    }

    async fn publish(&self, now: Timestamp, batch: u128, first_seq: u64) -> bool {
        let (batch, by) = (Uuid::from_u128(batch), now.plus(WINDOW));
        let published = self
            .store
            .call_publish(&self.room, now, batch, first_seq, by);
        published.await.unwrap()
    }

    /// Calls the first `count` places, as a tick does, with ordinals after the last.
    async fn call(&self, now: Timestamp, count: u64) -> Vec<PlaceId> {
        let state = self.tick(now).await;
        let batch = u128::from(state.seq) + 1000;
        let called = self
            .pop(now, order(state.lease, batch, count, u64::MAX >> 12))
            .await;
        if !called.is_empty() {
            assert!(self.publish(now, batch, state.seq + 1).await);
        }
        called
    }

    async fn claim(&self, now: Timestamp, n: u64) -> Standing {
        let claim = self
            .store
            .session_claim(&self.room, now, place(n), now.plus(SESSION));
        claim.await.unwrap()
    }

    async fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.store.snapshot_take(&self.room, now).await.unwrap()
    }
}

fn order(lease: Lease, batch: u128, count: u64, active_max: u64) -> CallOrder {
    CallOrder {
        lease,
        batch: Uuid::from_u128(batch),
        count,
        active_max,
        bucket: Bucket {
            credit: 3 * CREDIT_ONE,
            returned: 2 * CREDIT_ONE,
            filled_at: None,
        },
    }
}

fn served(seq: u64, n: u64, key: OrderKey, active_until: Option<Timestamp>) -> Served {
    Served {
        seq,
        place: place(n),
        key,
        called_at: START,
        active_until,
    }
}

async fn a_joiner_gets_a_growing_live_key_and_keeps_it(line: Line) {
    let first = line.join(1).await;
    assert_eq!(
        first,
        Entered {
            standing: waiting(live(1)),
            fresh: true,
            number: 1,
            in_line_before: 0
        }
    );
    let second = line.join(2).await;
    assert_eq!((second.number, second.in_line_before), (2, 1));
    assert_eq!(second.standing, waiting(live(2)));
    let again = line.join(1).await;
    assert_eq!((again.standing, again.fresh), (waiting(live(1)), false));
    assert_eq!(line.snapshot(START).await.counts.joins, 2);
}

async fn the_clock_starts_at_its_floor_and_never_goes_back(line: Line) {
    let enter = |n, floor| {
        let entries = [entry(place(n), None, Enter::Join)];
        let (store, room) = (line.store.clone(), line.room.clone());
        async move {
            store
                .places_enter(&room, START, floor, &entries)
                .await
                .unwrap()[0]
        }
    };
    assert_eq!(enter(1, 500).await.standing, waiting(live(500)));
    assert_eq!(enter(2, 500).await.standing, waiting(live(501)));
    assert_eq!(enter(3, 10).await.standing, waiting(live(502)));
    assert_eq!(line.snapshot(START).await.clock, 502);
}

async fn a_batch_is_answered_in_its_order(line: Line) {
    let entries: Vec<_> = (0..u64::try_from(ENTER_BATCH_MAX).unwrap())
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    let entered = line
        .store
        .places_enter(&line.room, START, 0, &entries)
        .await
        .unwrap();
    for (n, entered) in (0..).zip(&entered) {
        assert_eq!(entered.standing, waiting(live(n + 1)));
        assert_eq!((entered.number, entered.in_line_before), (n + 1, n));
    }
}

async fn one_place_twice_in_a_batch_is_one_place(line: Line) {
    let twice = [entry(place(1), None, Enter::Join); 2];
    let entered = line
        .store
        .places_enter(&line.room, START, 0, &twice)
        .await
        .unwrap();
    assert_eq!(entered[0].standing, entered[1].standing);
    assert_eq!((entered[0].fresh, entered[1].fresh), (true, false));
    assert_eq!(line.snapshot(START).await.counts.in_line, 1);
}

async fn a_token_restores_what_the_store_lost(line: Line) {
    assert_eq!(line.look(START, 1).await, Standing::Unknown);
    let restored = line
        .enter(START, entry(place(1), Some(live(40)), Enter::Look))
        .await;
    assert_eq!(
        (restored.standing, restored.fresh),
        (waiting(live(40)), true)
    );
    // Whoever joins now comes after everyone restored (ORDER).
    assert_eq!(line.join(2).await.standing, waiting(live(41)));
    // A restored place is not counted as a new one.
    assert_eq!(line.snapshot(START).await.counts.joins, 1);
}

async fn drawn_keys_stand_before_live_ones(line: Line) {
    line.join(1).await;
    line.enter(START, entry(place(2), Some(key(9)), Enter::Join))
        .await;
    line.enter(START, entry(place(3), Some(key(4)), Enter::Join))
        .await;
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.head, vec![4, 9, LIVE_BASE + 1]);
    assert_eq!(line.call(START, 3).await, [place(3), place(2), place(1)]);
}

async fn equal_keys_are_called_by_place(line: Line) {
    for n in [3, 1, 2] {
        line.enter(START, entry(place(n), Some(key(9)), Enter::Join))
            .await;
    }
    assert_eq!(line.call(START, 9).await, [place(1), place(2), place(3)]);
}

async fn leaving_is_final_for_looks_and_harmless_twice(line: Line) {
    line.join(1).await;
    let leave = || line.store.place_leave(&line.room, START, place(1));
    assert!(leave().await.unwrap());
    assert!(!leave().await.unwrap());
    assert_eq!(line.look(START, 1).await, Standing::Left);
    let returns = entry(place(1), Some(live(1)), Enter::Return);
    assert_eq!(line.enter(START, returns).await.standing, Standing::Left);
    assert_eq!(line.snapshot(START).await.counts.in_line, 0);
}

async fn whoever_left_joins_again_behind_everyone(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.store
        .place_leave(&line.room, START, place(1))
        .await
        .unwrap();
    let again = line
        .enter(START, entry(place(1), Some(live(1)), Enter::Join))
        .await;
    assert_eq!((again.standing, again.fresh), (waiting(live(3)), true));
    // A drawn key is the nonce's for good.
    line.enter(START, entry(place(5), Some(key(9)), Enter::Join))
        .await;
    line.store
        .place_leave(&line.room, START, place(5))
        .await
        .unwrap();
    let drawn = line
        .enter(START, entry(place(5), Some(key(9)), Enter::Join))
        .await;
    assert_eq!(drawn.standing, waiting(key(9)));
}

async fn leaving_a_call_or_session_frees_its_slot(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.call(START, 2).await;
    line.claim(START, 2).await;
    for n in [1, 2] {
        let leave = || line.store.place_leave(&line.room, START, place(n));
        assert!(leave().await.unwrap());
        assert!(!leave().await.unwrap());
    }
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(line.look(START, 1).await, Standing::Left);
    assert_eq!(line.look(START, 2).await, Standing::Ended);
    assert_eq!(line.snapshot(START).await.counts.ended, 1);
}

async fn a_popped_place_cannot_leave(line: Line) {
    line.join(1).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, 5, 1, 9)).await;
    let left = line.store.place_leave(&line.room, START, place(1)).await;
    assert!(!left.unwrap());
    assert_eq!(line.look(START, 1).await, waiting(live(1)));
    assert!(line.publish(START, 5, 1).await);
    assert!(matches!(
        line.look(START, 1).await,
        Standing::Called { seq: 1, .. }
    ));
}

async fn absent_places_are_dropped_after_the_timeout(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    let absent = |now, n| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move { store.places_absent(&room, now, &[place(n)]).await.unwrap() }
    };
    absent(START, 1).await;
    absent(START, 2).await;
    absent(START, 99).await;
    assert_eq!(line.snapshot(START).await.counts.absent, 2);
    // A connection ends the absence.
    line.look(at(1), 2).await;
    assert_eq!(
        line.tick(at(5).minus(Duration::from_millis(1)))
            .await
            .in_line,
        3
    );
    assert_eq!(line.tick(at(5)).await.in_line, 2);
    assert_eq!(line.look(at(5), 1).await, Standing::Unknown);
    // With the token the place comes back where it was.
    let token = entry(place(1), Some(live(1)), Enter::Look);
    assert_eq!(line.enter(at(6), token).await.standing, waiting(live(1)));
}

async fn polling_keeps_a_place_without_a_connection(line: Line) {
    let polls = Entry {
        connected: false,
        ..entry(place(1), Some(live(1)), Enter::Look)
    };
    line.enter(START, polls).await;
    line.enter(at(4), polls).await;
    assert_eq!(line.tick(at(8)).await.in_line, 1);
    assert_eq!(line.tick(at(9)).await.in_line, 0);
}

async fn a_poll_beside_a_connection_makes_no_one_absent(line: Line) {
    line.join(1).await;
    let polls = Entry {
        connected: false,
        ..entry(place(1), None, Enter::Look)
    };
    line.enter(START, polls).await;
    assert_eq!(line.claim(START, 1).await, waiting(live(1)));
    assert_eq!(line.snapshot(START).await.counts.absent, 0);
    assert_eq!(line.tick(at(60)).await.in_line, 1);
}

async fn one_leads_until_its_lease_ends(line: Line) {
    let other = Uuid::from_u128(2);
    assert_eq!(line.tick(START).await.lease.fence, 1);
    assert_eq!(line.tick_as(at(1), other).await, None);
    assert_eq!(line.tick(at(1)).await.lease.fence, 1);
    assert_eq!(line.tick_as(at(2), other).await, None);
    assert_eq!(line.tick_as(at(3), other).await.unwrap().lease.fence, 2);
    assert_eq!(line.tick_as(at(3), line.leader).await, None);
}

async fn an_outdated_leader_pops_nothing(line: Line) {
    line.join(1).await;
    let old = line.tick(START).await.lease;
    let new = line.tick_as(at(2), Uuid::from_u128(2)).await.unwrap().lease;
    assert!(line.pop(at(2), order(old, 5, 1, 9)).await.is_empty());
    assert_eq!(
        line.tick_as(at(2), Uuid::from_u128(2))
            .await
            .unwrap()
            .bucket,
        Bucket::default()
    );
    assert_eq!(line.pop(at(2), order(new, 6, 1, 9)).await, [place(1)]);
}

async fn the_cap_is_checked_once_more_when_popping(line: Line) {
    for n in 1..=6 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    line.claim(START, 1).await;
    let state = line.tick(START).await;
    assert_eq!(state.occupied, 2);
    assert_eq!(
        line.pop(START, order(state.lease, 5, 9, 4)).await,
        [place(3), place(4)]
    );
    assert!(line.publish(START, 5, 3).await);
    assert!(
        line.pop(START, order(state.lease, 6, 9, 4))
            .await
            .is_empty()
    );
    assert!(
        line.pop(START, order(state.lease, 6, 9, 1))
            .await
            .is_empty()
    );
}

async fn the_bucket_pays_for_what_was_popped(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    let state = line.tick(START).await;
    assert_eq!(state.bucket, Bucket::default());
    line.pop(START, order(state.lease, 5, 4, 99)).await;
    assert_eq!(
        line.tick(START).await.bucket,
        Bucket {
            credit: 0,
            returned: CREDIT_ONE,
            filled_at: Some(START)
        }
    );
}

async fn one_batch_is_pending_at_a_time_and_can_be_read_again(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, 5, 1, 9)).await;
    assert!(
        line.pop(START, order(state.lease, 6, 1, 9))
            .await
            .is_empty()
    );
    let state = line.tick(START).await;
    assert_eq!(state.pending, Some(Uuid::from_u128(5)));
    assert_eq!((state.in_line, state.occupied), (1, 1));
    let pending = line.store.call_pending(&line.room).await.unwrap();
    assert_eq!(pending.places, [(place(1), live(1))]);
    assert!(!line.publish(START, 6, 1).await);
    assert!(line.publish(START, 5, 1).await);
    assert!(!line.publish(START, 5, 1).await);
    let state = line.tick(START).await;
    assert_eq!((state.pending, state.seq), (None, 1));
    let none = Popped { places: vec![] };
    assert_eq!(line.store.call_pending(&line.room).await.unwrap(), none);
}

async fn a_call_is_claimed_once_and_keeps_its_session(line: Line) {
    line.join(1).await;
    assert_eq!(line.claim(START, 1).await, waiting(live(1)));
    assert_eq!(line.claim(START, 9).await, Standing::Unknown);
    line.call(START, 1).await;
    let session = Standing::Active {
        seq: 1,
        started_at: at(1),
        expires_at: at(7),
    };
    assert_eq!(line.claim(at(1), 1).await, session);
    assert_eq!(line.claim(at(2), 1).await, session);
    assert_eq!(line.look(at(2), 1).await, session);
    assert_eq!(line.snapshot(at(2)).await.counts.claims, 1);
    assert_eq!(line.claim(at(7), 1).await, Standing::Ended);
}

async fn a_call_past_its_deadline_is_no_session(line: Line) {
    line.join(1).await;
    line.call(START, 1).await;
    let called = Standing::Called {
        seq: 1,
        claim_by: at(3),
    };
    assert_eq!(
        line.look(at(3).minus(Duration::from_millis(1)), 1).await,
        called
    );
    // Until the leader has dealt with it, it is a call whose deadline has passed.
    assert_eq!(line.claim(at(3), 1).await, called);
    assert_eq!(line.look(at(3), 1).await, called);
    let state = line.tick(at(3)).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(line.tick(at(3)).await.given_back, 0);
    assert_eq!(line.snapshot(at(3)).await.counts.no_shows, 1);
}

async fn a_missed_turn_is_forgiven_within_its_grace(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    line.tick(at(3)).await;
    let missed = Standing::Missed {
        key: live(1),
        until: at(7),
    };
    assert_eq!(line.look(at(4), 1).await, missed);
    assert_eq!(line.claim(at(4), 1).await, missed);
    let returns = entry(place(1), None, Enter::Return);
    let back = line.enter(at(4), returns).await;
    assert_eq!((back.standing, back.fresh), (waiting(live(1)), true));
    assert_eq!(line.call(at(4), 1).await, [place(1)]);
    // Too late for the other one.
    let late = entry(place(2), None, Enter::Return);
    assert_eq!(line.enter(at(7), late).await.standing, Standing::Ended);
    line.tick(at(7)).await;
    assert_eq!(line.look(at(7), 2).await, Standing::Ended);
    let joins = entry(place(2), Some(live(2)), Enter::Join);
    assert_eq!(line.enter(at(7), joins).await.standing, Standing::Ended);
}

async fn a_session_is_prolonged_never_shortened_never_revived(line: Line) {
    line.join(1).await;
    line.call(START, 1).await;
    let renew = |now, until| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move {
            store
                .session_renew(&room, now, place(1), until)
                .await
                .unwrap()
        }
    };
    assert!(!renew(START, at(9)).await);
    line.claim(START, 1).await;
    assert!(renew(at(1), at(9)).await);
    assert!(renew(at(1), at(2)).await);
    let session = Standing::Active {
        seq: 1,
        started_at: START,
        expires_at: at(9),
    };
    assert_eq!(line.look(at(8), 1).await, session);
    assert!(!renew(at(9), at(20)).await);
    assert_eq!(line.tick(at(9)).await.occupied, 0);
    assert_eq!(line.look(at(9), 1).await, Standing::Ended);
}

async fn ending_a_session_frees_its_slot_at_once(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.call(START, 2).await;
    line.claim(START, 1).await;
    let end = |n| line.store.session_end(&line.room, START, place(n));
    assert!(end(1).await.unwrap());
    assert!(!end(1).await.unwrap());
    assert!(end(2).await.unwrap());
    assert!(!end(9).await.unwrap());
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(line.look(START, 1).await, Standing::Ended);
    assert_eq!(line.claim(START, 2).await, Standing::Ended);
}

async fn notices_tell_calls_claims_and_ends_in_order(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let start = line.store.notices_end(&line.room).await.unwrap();
    line.call(START, 2).await;
    line.claim(at(1), 1).await;
    line.store
        .session_end(&line.room, at(1), place(1))
        .await
        .unwrap();
    let after = |cursor| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move { store.notices_after(&room, &cursor).await.unwrap() }
    };
    let (notices, end) = after(start).await;
    assert_eq!(
        notices,
        [
            Notice::Called {
                places: vec![place(1), place(2)],
                first_seq: 1,
                claim_by: at(3)
            },
            Notice::Claimed {
                place: place(1),
                seq: 1,
                started_at: at(1),
                expires_at: at(7)
            },
            Notice::Ended { place: place(1) },
        ]
    );
    assert_eq!(after(end.clone()).await, (vec![], end.clone()));
    assert_eq!(line.store.notices_end(&line.room).await.unwrap(), end);
}

async fn notices_are_read_in_bounded_pieces(line: Line) {
    let start = line.store.notices_end(&line.room).await.unwrap();
    let count = NOTICES_MAX + 5;
    let entries: Vec<_> = (0..u64::try_from(count).unwrap())
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    for batch in entries.chunks(ENTER_BATCH_MAX) {
        line.store
            .places_enter(&line.room, START, 0, batch)
            .await
            .unwrap();
    }
    assert_eq!(line.call(START, 1000).await.len(), count);
    for entry in &entries {
        assert!(
            line.store
                .session_end(&line.room, START, entry.place)
                .await
                .unwrap()
        );
    }
    let (first, cursor) = line.store.notices_after(&line.room, &start).await.unwrap();
    let (rest, _) = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert_eq!((first.len(), rest.len()), (NOTICES_MAX, 6));
}

async fn a_tick_deals_with_a_bounded_number_of_overdue_places(line: Line) {
    let extra = 3;
    let count = u64::try_from(EXPIRE_BATCH_MAX).unwrap() + extra;
    let served: Vec<_> = (0..count)
        .map(|n| served(n + 1, n, live(n + 1), Some(at(1))))
        .collect();
    let other = Line {
        room: RoomRef {
            epoch: 2,
            ..line.room.clone()
        },
        ..line
    };
    other.prepare(&served).await;
    assert_eq!(other.tick(START).await.occupied, count);
    assert_eq!(other.tick(at(1)).await.occupied, extra);
    assert_eq!(other.tick(at(1)).await.occupied, 0);
}

async fn a_snapshot_lists_the_head_and_spaces_knots_behind(line: Line) {
    let count = 2500;
    let entries: Vec<_> = (0..count)
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    for batch in entries.chunks(ENTER_BATCH_MAX) {
        line.store
            .places_enter(&line.room, START, 0, batch)
            .await
            .unwrap();
    }
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.head.len(), HEAD_PLACES);
    let head: Vec<_> = (1..=1000).map(|n| LIVE_BASE + n).collect();
    assert_eq!(snapshot.head, head);
    assert_eq!(snapshot.knots.first(), Some(&(LIVE_BASE + 1000, 999)));
    assert_eq!(snapshot.knots.last(), Some(&(LIVE_BASE + 2500, 2499)));
    for (key, rank) in &snapshot.knots {
        assert_eq!(*key, LIVE_BASE + rank + 1);
    }
    assert_eq!((snapshot.counts.in_line, snapshot.clock), (2500, 2500));
}

async fn a_popped_place_still_counts_as_in_line(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, 5, 1, 9)).await;
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.counts.in_line, 2);
    assert_eq!(snapshot.head, [LIVE_BASE + 2]);
}

async fn snapshots_are_left_for_others_and_the_opening_stays(line: Line) {
    let (store, room) = (&line.store, &line.room);
    assert_eq!(store.snapshot_get(room).await.unwrap(), None);
    assert_eq!(store.opening_get(room).await.unwrap(), None);
    line.join(1).await;
    let first = line.snapshot(START).await;
    line.join(2).await;
    let second = line.snapshot(at(1)).await;
    for snapshot in [&first, &second] {
        store.snapshot_put(room, snapshot).await.unwrap();
        store.opening_put(room, snapshot).await.unwrap();
    }
    assert_eq!(store.snapshot_get(room).await.unwrap(), Some(second));
    assert_eq!(store.opening_get(room).await.unwrap(), Some(first));
}

async fn a_room_at_another_epoch_takes_nothing(line: Line) {
    line.join(1).await;
    let newer = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let looks = [entry(place(1), None, Enter::Look)];
    assert_refused(&line.store.places_enter(&newer, START, 0, &looks).await);
    line.store
        .room_prepare(&newer, Uuid::from_u128(78), 5, &[])
        .await
        .unwrap();
    let old = &line.room;
    assert_refused(&line.store.places_enter(old, START, 0, &looks).await);
    assert_refused(&line.store.place_leave(old, START, place(1)).await);
    assert_refused(&line.store.places_absent(old, START, &[place(1)]).await);
    let settings = TickSettings {
        lease: LEASE,
        absence_timeout: ABSENCE,
        missed_grace: GRACE,
    };
    assert_refused(
        &line
            .store
            .tick_begin(old, START, line.leader, settings)
            .await,
    );
    let lease = Lease { fence: 1 };
    assert_refused(
        &line
            .store
            .call_pop(old, START, &order(lease, 5, 1, 1))
            .await,
    );
    assert_refused(
        &line
            .store
            .call_publish(old, START, Uuid::from_u128(5), 1, START)
            .await,
    );
    assert_refused(&line.store.session_claim(old, START, place(1), at(1)).await);
    assert_refused(&line.store.session_renew(old, START, place(1), at(1)).await);
    assert_refused(&line.store.session_end(old, START, place(1)).await);
    assert_refused(&line.store.snapshot_take(old, START).await);
    assert_refused(
        &line
            .store
            .room_prepare(old, Uuid::from_u128(79), 0, &[])
            .await,
    );
    // The new epoch began empty, at its clock floor.
    let entered = line.store.places_enter(&newer, START, 0, &looks).await;
    assert_eq!(entered.unwrap()[0].standing, Standing::Unknown);
    let taken = line.store.snapshot_take(&newer, START).await.unwrap();
    assert_eq!((taken.clock, taken.epoch), (5, 2));
    assert_eq!(taken.birth, Uuid::from_u128(78).to_string());
}

async fn a_forgotten_room_is_gone(line: Line) {
    line.join(1).await;
    line.store.room_forget(&line.room.room).await.unwrap();
    let looks = [entry(place(1), None, Enter::Look)];
    assert_refused(&line.store.places_enter(&line.room, START, 0, &looks).await);
    let nothing = Popped { places: vec![] };
    assert_eq!(line.store.call_pending(&line.room).await.unwrap(), nothing);
    assert_eq!(line.store.snapshot_get(&line.room).await.unwrap(), None);
    assert_eq!(line.store.opening_get(&line.room).await.unwrap(), None);
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    let (notices, _) = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert_eq!(notices, []);
    line.store.room_forget(&line.room.room).await.unwrap();
}

async fn what_the_log_knows_is_served_and_counts(line: Line) {
    let room = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let line = Line { room, ..line };
    line.prepare(&[
        served(1, 1, live(1), None),
        served(2, 2, live(2), Some(at(9))),
    ])
    .await;
    // Served places do not come back, whatever they hold (PLACE-ONCE).
    for (n, enter) in [(1, Enter::Look), (1, Enter::Join), (1, Enter::Return)] {
        let entered = line
            .enter(START, entry(place(n), Some(live(n)), enter))
            .await;
        assert_eq!(entered.standing, Standing::Ended);
    }
    let session = Standing::Active {
        seq: 2,
        started_at: START,
        expires_at: at(9),
    };
    assert_eq!(line.look(START, 2).await, session);
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.seq), (1, 2));
}

async fn a_long_log_is_taken_in_pieces(line: Line) {
    let room = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let line = Line { room, ..line };
    let log: Vec<_> = (1..=2500).map(|n| served(n, n, live(n), None)).collect();
    line.prepare(&log).await;
    for n in [1, 1000, 1001, 2500] {
        assert_eq!(line.look(START, n).await, Standing::Ended);
    }
    assert_eq!(line.tick(START).await.seq, 2500);
}

async fn admissions_that_the_store_lost_are_added(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    line.prepare(&[
        served(1, 1, live(1), Some(at(9))),
        served(2, 2, live(2), None),
    ])
    .await;
    assert!(matches!(
        line.look(START, 1).await,
        Standing::Active { seq: 1, .. }
    ));
    assert_eq!(line.look(START, 2).await, Standing::Ended);
    let state = line.tick(START).await;
    assert_eq!((state.in_line, state.occupied, state.seq), (1, 1, 2));
}

async fn admissions_that_the_store_knows_change_nothing(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    line.call(START, 4).await;
    line.claim(START, 1).await;
    line.store
        .session_end(&line.room, START, place(1))
        .await
        .unwrap();
    line.store
        .place_leave(&line.room, START, place(2))
        .await
        .unwrap();
    line.enter(START, entry(place(2), None, Enter::Join)).await;
    line.tick(at(3)).await;
    line.enter(at(3), entry(place(3), None, Enter::Return))
        .await;
    let before = line.snapshot(at(3)).await;
    let log: Vec<_> = (1..=4)
        .map(|n| served(n, n, live(n), Some(at(60))))
        .collect();
    line.prepare(&log).await;
    assert_eq!(line.snapshot(at(3)).await, before);
    assert_eq!(line.look(at(3), 1).await, Standing::Ended);
    assert_eq!(line.look(at(3), 2).await, waiting(live(5)));
    assert_eq!(line.look(at(3), 3).await, waiting(live(3)));
    assert!(matches!(line.look(at(3), 4).await, Standing::Missed { .. }));
}

async fn a_logged_batch_that_is_pending_stays_pending(line: Line) {
    line.join(1).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, 5, 1, 9)).await;
    // The process died after logging the batch and before publishing it.
    line.prepare(&[served(1, 1, live(1), Some(at(9)))]).await;
    assert_eq!(line.tick(START).await.occupied, 1);
    assert!(line.publish(START, 5, 1).await);
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.seq), (1, 1));
    let called = Standing::Called {
        seq: 1,
        claim_by: at(3),
    };
    assert_eq!(line.look(START, 1).await, called);
}

fn assert_refused<T: Debug>(answer: &StoreResult<T>) {
    assert!(matches!(answer, Err(StoreError::NoRoom)), "{answer:?}");
}

macro_rules! conformance {
    ($($check:ident),+ $(,)?) => {
        mod memory {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                super::$check(Line::open(Arc::new(MemoryStore::default())).await).await;
            })+
        }

        mod redis {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                let store = redis_store();
                super::$check(Line::open(store.clone()).await).await;
                store.room_forget(&"eras".parse().unwrap()).await.unwrap();
            })+
        }
    };
}

conformance!(
    a_joiner_gets_a_growing_live_key_and_keeps_it,
    the_clock_starts_at_its_floor_and_never_goes_back,
    a_batch_is_answered_in_its_order,
    one_place_twice_in_a_batch_is_one_place,
    a_token_restores_what_the_store_lost,
    drawn_keys_stand_before_live_ones,
    equal_keys_are_called_by_place,
    leaving_is_final_for_looks_and_harmless_twice,
    whoever_left_joins_again_behind_everyone,
    leaving_a_call_or_session_frees_its_slot,
    a_popped_place_cannot_leave,
    absent_places_are_dropped_after_the_timeout,
    polling_keeps_a_place_without_a_connection,
    a_poll_beside_a_connection_makes_no_one_absent,
    one_leads_until_its_lease_ends,
    an_outdated_leader_pops_nothing,
    the_cap_is_checked_once_more_when_popping,
    the_bucket_pays_for_what_was_popped,
    one_batch_is_pending_at_a_time_and_can_be_read_again,
    a_call_is_claimed_once_and_keeps_its_session,
    a_call_past_its_deadline_is_no_session,
    a_missed_turn_is_forgiven_within_its_grace,
    a_session_is_prolonged_never_shortened_never_revived,
    ending_a_session_frees_its_slot_at_once,
    notices_tell_calls_claims_and_ends_in_order,
    notices_are_read_in_bounded_pieces,
    a_tick_deals_with_a_bounded_number_of_overdue_places,
    a_snapshot_lists_the_head_and_spaces_knots_behind,
    a_popped_place_still_counts_as_in_line,
    snapshots_are_left_for_others_and_the_opening_stays,
    a_room_at_another_epoch_takes_nothing,
    a_forgotten_room_is_gone,
    what_the_log_knows_is_served_and_counts,
    a_long_log_is_taken_in_pieces,
    admissions_that_the_store_lost_are_added,
    admissions_that_the_store_knows_change_nothing,
    a_logged_batch_that_is_pending_stays_pending,
);
