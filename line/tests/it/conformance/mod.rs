//! One suite for every store, a file a noun: each check runs against the model in memory and against
//! Redis. Random operation lists that must get the same answers from both are in a file of their own.

mod calling;
mod emptiness;
mod entering;
mod last_pages;
mod leaving;
mod live_keys;
mod making;
mod notices;
mod outcomes;
mod presence;
mod present;
mod rebuilding;
mod sessions;
mod snapshots;
mod standby;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncCommands as _;
use contract::{PlaceId, RoomId, Timestamp};
use line::policy::admission::Bucket;
use line::policy::credit::CREDIT_ONE;
use line::policy::order::{KeyRange, LIVE_BASE, OrderKey};
use line::policy::shows::Shows;
use line::policy::snapshot::Snapshot;
use line::store::keys::RoomKeys;
use line::store::memory::MemoryStore;
use line::store::redis::RedisStore;
use line::store::{
    CallOrder, Enter, Entered, Entry, Lease, OnceOpen, Opening, RoomRef, RoomStore, Served,
    ServedState, Standing, StoreError, StoreResult, TickSettings, TickState,
};
use test_support::making::{Birth, room_make};
use test_support::redis::{redis_prefix, redis_store, redis_url};
use uuid::Uuid;

const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
const LEASE: Duration = Duration::from_secs(2);
const ABSENCE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(3);
const GATEWAY_LEASE: Duration = Duration::from_secs(2);
/// How long a generation of what is done lasts.
const REMEMBERED: Duration = Duration::from_secs(60);
const SESSION: Duration = Duration::from_secs(6);
/// A rate at which the meter of stand-by saves up three calls.
const RATE: u64 = 60;

/// A store, and how another server gets its rooms.
#[derive(Clone)]
pub(crate) enum Backing {
    Memory(Arc<MemoryStore>),
    Redis(Arc<RedisStore>, String),
}

impl Backing {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    pub(crate) fn redis() -> Self {
        let prefix = redis_prefix();
        let store = redis_store(&redis_url(), &prefix);
        Self::Redis(Arc::new(store), prefix)
    }

    pub(crate) fn store(&self) -> Arc<dyn RoomStore> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Redis(store, _) => store.clone(),
        }
    }

    /// From now on the copy of the room is that of another server than the one which answers.
    pub(crate) async fn fail_over(&self, room: &RoomId) {
        match self {
            Self::Memory(store) => store.fail_over(),
            Self::Redis(_, prefix) => {
                let client = ::redis::Client::open(redis_url()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let keys = RoomKeys::new(prefix, room);
                let meta = keys.meta();
                // A room that was never confirmed stays so.
                if connection.hexists(meta, "key_server").await.unwrap() {
                    let set = connection.hset::<_, _, _, ()>(meta, "key_server", "another");
                    set.await.unwrap();
                }
            }
        }
    }
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
        once_open: OnceOpen::Keep,
        enter,
        connected_to: Some(gateway(1)),
    }
}

/// A process that fans are connected to.
fn gateway(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn waiting(key: OrderKey) -> Standing {
    Standing::Waiting { key }
}

/// A room in a store, and one leader of it.
struct Line {
    backing: Backing,
    store: Arc<dyn RoomStore>,
    room: RoomRef,
    leader: Uuid,
}

impl Line {
    async fn open(backing: Backing) -> Self {
        let line = Self {
            store: backing.store(),
            backing,
            room: RoomRef {
                room: "eras".parse().unwrap(),
                epoch: 1,
            },
            leader: Uuid::from_u128(1),
        };
        line.prepare(&[]).await;
        line
    }

    /// Lets the server give the live keys after `after` up to `limit`.
    async fn confirm(&self, term: u64, after: u64, limit: u64) -> bool {
        let range = KeyRange {
            term,
            after,
            limit,
            is_ahead: false,
        };
        self.confirm_keeping(&range, START, START).await
    }

    /// As `confirm`, with calls that keep to earlier keys for a while.
    async fn confirm_keeping(&self, range: &KeyRange, now: Timestamp, until: Timestamp) -> bool {
        let confirmed = self.store.keys_confirm(&self.room, now, range, until);
        confirmed.await.unwrap()
    }

    /// Makes the room, by a server that may give every live key.
    async fn prepare(&self, served: &[Served]) {
        let seq = served.last().map_or(0, |last| last.seq);
        let birth = Birth { seq, ..birth(77) };
        let prepared = room_make(&*self.store, &self.room, &birth, served);
        prepared.await.unwrap();
        self.confirm(1, 0, u64::from(u32::MAX)).await;
    }

    async fn enter(&self, now: Timestamp, entry: Entry) -> Entered {
        self.try_enter(now, entry).await.expect("a key")
    }

    /// `None` when the store may not give the key that is needed.
    async fn try_enter(&self, now: Timestamp, entry: Entry) -> Option<Entered> {
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
            gateway_lease: GATEWAY_LEASE,
            remembered: REMEMBERED,
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
            .pop(
                now,
                order(state.lease, state.seq, batch, count, u64::MAX >> 12),
            )
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

    /// Opens the room, once. Whether it is open.
    async fn open_room(&self, now: Timestamp, present_within: Option<Duration>) -> bool {
        let snapshot = self.snapshot(now).await;
        let opening = opening(now, present_within);
        let opened = self.store.opening_put(&self.room, &snapshot, opening);
        opened.await.unwrap()
    }

    async fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.store.snapshot_take(&self.room, now).await.unwrap()
    }
}

/// A birth named `name`, of a room without a past.
fn birth(name: u128) -> Birth {
    Birth {
        name: Uuid::from_u128(name),
        now: START,
        seq: 0,
        held_until: None,
        is_open: false,
    }
}

fn opening(now: Timestamp, present_within: Option<Duration>) -> Opening {
    Opening {
        now,
        present_within,
    }
}

fn order(lease: Lease, seq: u64, batch: u128, count: u64, active_max: u64) -> CallOrder {
    CallOrder {
        lease,
        seq,
        batch: Uuid::from_u128(batch),
        count,
        active_max,
        calls_per_minute: RATE,
        bucket: Bucket {
            credit: 3 * CREDIT_ONE,
            returned: 2 * CREDIT_ONE,
            filled_at: None,
            shows: Shows::default(),
        },
        given_back: 0,
    }
}

fn served(seq: u64, n: u64, key: OrderKey, active_until: Option<Timestamp>) -> Served {
    Served {
        seq,
        place: place(n),
        key,
        called_at: START,
        state: active_until.map_or(ServedState::Over, ServedState::Active),
    }
}

fn assert_refused<T: Debug>(answer: &StoreResult<T>) {
    assert!(matches!(answer, Err(StoreError::NoRoom)), "{answer:?}");
}

macro_rules! conformance {
    ($($noun:ident: $($check:ident)+;)+) => {
        mod memory {
            use super::{Backing, Line};
            $($(#[tokio::test]
            async fn $check() {
                super::$noun::$check(Line::open(Backing::memory()).await).await;
            })+)+
        }

        mod redis {
            use super::{Backing, Line, RoomRef};
            $($(#[tokio::test]
            async fn $check() {
                let backing = Backing::redis();
                super::$noun::$check(Line::open(backing.clone()).await).await;
                let room = RoomRef {
                    room: "eras".parse().unwrap(),
                    epoch: u32::MAX,
                };
                backing.store().room_forget(&room).await.unwrap();
            })+)+
        }
    };
}

conformance! {
    entering:
        a_joiner_gets_a_growing_live_key_and_keeps_it
        the_clock_starts_at_its_floor_and_never_goes_back
        a_batch_is_answered_in_its_order
        one_place_twice_in_a_batch_is_one_place
        a_batch_may_be_all_in_sessions
        a_token_restores_what_the_store_lost
        drawn_keys_stand_before_live_ones
        equal_keys_are_called_by_place
        nobody_new_draws_once_the_room_is_open
        a_room_made_again_is_open_if_it_was;
    live_keys:
        a_server_that_is_not_confirmed_gives_no_live_key
        no_live_key_beyond_the_limit_is_given
        a_server_goes_on_above_what_the_one_before_it_may_have_given
        an_outdated_term_changes_nothing
        where_the_clock_was_set_ahead_is_remembered
        after_a_failover_calls_keep_to_earlier_keys_for_a_while;
    leaving:
        leaving_is_final_for_looks_and_harmless_twice
        whoever_left_joins_again_behind_everyone
        leaving_a_call_or_session_frees_its_slot
        whoever_leaves_a_popped_place_is_not_called
        whoever_joins_again_before_the_call_is_called
        absent_places_are_dropped_after_the_timeout
        polling_keeps_a_place_without_a_connection
        a_poll_beside_a_connection_makes_no_one_absent
        whoever_left_a_live_place_draws_no_other;
    calling:
        one_leads_until_its_lease_ends
        a_lease_of_a_clock_that_was_wrong_binds_nobody
        an_outdated_leader_pops_nothing
        the_cap_is_checked_once_more_when_popping
        the_bucket_pays_for_what_was_popped
        calls_that_the_log_adds_are_paid_for
        what_was_given_back_is_credited_once
        one_batch_is_pending_at_a_time_and_can_be_read_again
        a_missed_turn_is_forgiven_within_its_grace
        a_tick_deals_with_a_bounded_number_of_overdue_places
        a_store_that_went_back_pops_nothing;
    presence:
        fans_of_a_gateway_that_is_gone_are_absent_since_its_last_renewal
        a_gateway_that_renews_keeps_its_fans
        a_fan_of_two_gateways_is_present_by_the_other
        entries_are_forgotten_in_order
        a_bounded_number_of_fans_is_marked_at_a_time
        whoever_waits_no_more_is_not_marked;
    present:
        a_place_that_was_not_present_at_the_opening_has_no_draw
        a_room_opens_when_nobody_is_left_to_be_dropped
        a_place_that_was_present_keeps_its_draw
        whoever_gave_up_a_drawn_place_before_the_opening_has_no_draw
        where_it_is_not_known_who_was_present_every_draw_holds
        a_live_place_that_nobody_saw_is_given_up_when_it_is_dropped
        a_live_place_that_was_seen_keeps_its_key
        a_visit_that_may_be_lost_counts
        what_is_done_is_remembered_for_a_generation;
    sessions:
        a_call_is_claimed_once_and_keeps_its_session
        a_call_past_its_deadline_is_no_session
        a_session_is_prolonged_never_shortened_never_revived
        ending_a_session_frees_its_slot_at_once
        whoever_was_called_is_told_their_order_key;
    emptiness:
        a_room_is_empty_while_nobody_waits_is_called_or_inside
        rooms_are_looked_at_together_and_one_that_is_gone_is_not_empty;
    last_pages:
        the_last_page_is_taken_once_and_loads_only_then
        a_last_page_that_is_over_makes_room_for_others;
    outcomes:
        what_becomes_of_an_admission_is_kept_until_it_is_written_down
        what_was_written_down_is_how_a_room_made_again_stands;
    notices:
        notices_tell_calls_claims_and_ends_in_order
        notices_are_read_in_bounded_pieces
        whoever_goes_or_comes_back_is_to_be_looked_at
        notices_that_are_gone_leave_a_gap;
    snapshots:
        a_snapshot_lists_the_head_and_spaces_knots_behind
        a_popped_place_still_counts_as_in_line
        snapshots_are_left_for_others_and_the_opening_stays;
    standby:
        newcomers_go_straight_in_and_their_sessions_begin_once_published
        nobody_goes_straight_in_past_those_who_wait
        stand_by_keeps_to_cap_and_rate_and_all_calls_draw_on_its_meter
        stand_by_waits_for_what_is_on_its_way
        a_leader_sees_whose_batch_is_pending;
    making:
        whoever_makes_a_room_is_not_disturbed
        another_process_goes_on_where_one_that_died_stopped
        a_room_that_is_being_made_takes_nothing_else
        a_room_of_a_later_epoch_is_made_at_once
        a_page_that_is_repeated_changes_nothing
        what_a_room_lost_is_added_by_one_process_at_a_time;
    rebuilding:
        a_room_at_another_epoch_takes_nothing
        a_forgotten_room_is_gone
        a_room_made_again_is_not_forgotten_with_the_old_one
        what_the_log_knows_is_served_and_counts
        a_long_log_is_taken_in_pieces
        admissions_that_the_store_lost_are_added
        whoever_the_log_adds_as_called_is_told
        admissions_that_the_store_knows_change_nothing
        a_logged_batch_that_is_pending_stays_pending
        the_end_of_the_log_is_known_also_without_its_admissions
        a_room_made_again_holds_its_calls;
}
