//! The model of the store: the same operations on ordered maps. The conformance suite holds the
//! Redis scripts against it, and the simulation runs on it.

mod absent;
mod done;
mod dropping;
mod last_pages;
mod live_keys;
mod making;
mod ports;
mod room;
mod standby;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use contract::{PlaceId, RoomId, Timestamp};
use uuid::Uuid;

use self::room::{Room, count};
use super::{
    CLOCKS_APART_MAX, CallOrder, Cursor, EXPIRE_BATCH_MAX, Enter, Entered, Entry, Lapse, Lease,
    NOTICES_MAX, Notice, NoticesRead, OUTCOMES_MAX, OnceOpen, Opening, Popped, RoomRef, RoomStore,
    Standing, StoreError, StoreResult, TickSettings, TickState,
};
use crate::policy::admission::{Bucket, spend};
use crate::policy::outcome::{Fate, Outcome};
use crate::policy::snapshot::{Counts, HEAD_PLACES, Snapshot, knot_ranks};

/// What a store was at one moment.
pub struct Kept(HashMap<RoomId, Room>);

/// A line in memory.
#[derive(Default)]
pub struct MemoryStore {
    rooms: Mutex<HashMap<RoomId, Room>>,
    /// The server that has the rooms: another one after every failover and restart.
    server: AtomicU64,
    /// Operations so far.
    asked: AtomicU64,
}

impl MemoryStore {
    /// The state as it is, to go back to later.
    pub fn kept(&self) -> Kept {
        Kept(self.lock().clone())
    }

    /// Goes back to an earlier state, as after a failover to a replica that lagged.
    pub fn go_back(&self, kept: &Kept) {
        self.lock().clone_from(&kept.0);
        self.fail_over();
    }

    /// Another server has the rooms, without a loss.
    pub fn fail_over(&self) {
        self.server.fetch_add(1, Ordering::SeqCst);
    }

    /// Which server has the rooms.
    fn server(&self) -> u64 {
        self.server.load(Ordering::SeqCst)
    }

    /// Loses everything, as a Redis without its files does.
    pub fn wipe(&self) {
        self.lock().clear();
        self.fail_over();
    }

    /// How many operations there were: what background work costs.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Room>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // A poisoned lock means a test has failed already; its state is not used further.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, room: &RoomRef, act: impl FnOnce(&mut Room) -> T) -> StoreResult<T> {
        let mut rooms = self.lock();
        let found = rooms
            .get_mut(&room.room)
            .filter(|known| known.epoch == room.epoch && known.is_made);
        found.map(act).ok_or(StoreError::NoRoom)
    }
}

#[async_trait]
impl RoomStore for MemoryStore {
    async fn ping(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn room_forget(&self, room: &RoomRef) -> StoreResult<()> {
        let mut rooms = self.lock();
        if rooms
            .get(&room.room)
            .is_some_and(|known| known.epoch <= room.epoch)
        {
            rooms.remove(&room.room);
        }
        Ok(())
    }

    async fn places_enter(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        entries: &[Entry],
    ) -> StoreResult<Vec<Option<Entered>>> {
        let own = self.server();
        self.with(room, |room| {
            let limit = room.live_keys.limit_of(own);
            let before = room.clock;
            room.clock = room.clock.max(clock_now.saturating_sub(1));
            let floor = room.clock;
            let mut answers = Vec::with_capacity(entries.len());
            let mut places = Vec::new();
            for entry in entries {
                let known = room.done.contains(&entry.place);
                let Some(entered) = room.stand(entry, now, limit) else {
                    answers.push(None);
                    continue;
                };
                if known && entered.fresh {
                    places.push(entry.place);
                }
                if matches!(entered.standing, Standing::Waiting { .. }) {
                    if let Some(gateway) = entry.connected_to {
                        room.absent.remove(&entry.place);
                        if let Some(key) = entered.key {
                            room.present(gateway, key, now);
                        }
                    } else if entered.fresh {
                        // A place that was given a live key is marked already.
                        room.absent.insert_new(entry.place, now);
                    } else {
                        room.absent.seen(entry.place, now);
                    }
                }
                answers.push(Some(entered));
            }
            for place in &places {
                room.journal(*place, Fate::Returned);
            }
            if !places.is_empty() {
                room.tell(Notice::Look { places });
            }
            if room.clock == floor {
                room.clock = before;
            }
            answers
        })
    }

    async fn place_leave(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool> {
        self.with(room, |room| {
            if let Some(key) = room.popped_key(place) {
                let is_there = !room.done.contains(&place);
                if is_there {
                    room.leave(place, Some(key));
                }
                return is_there;
            }
            let key = room.known_key(place);
            if room.remove(place) || room.missed.remove(&place).is_some() {
                room.absent.remove(&place);
                room.leave(place, key);
                return true;
            }
            if room.called.remove(&place).is_some() {
                room.given_back += 1;
                room.session.remove(&place);
                room.leave(place, key);
                return true;
            }
            room.end(place)
        })
    }

    async fn places_absent(
        &self,
        room: &RoomRef,
        now: Timestamp,
        places: &[PlaceId],
    ) -> StoreResult<()> {
        self.with(room, |room| {
            let mut marked = places.to_vec();
            marked.retain(|place| room.key_of.contains_key(place));
            for place in &marked {
                room.absent.insert(*place, now);
            }
            if !marked.is_empty() {
                room.tell(Notice::Look { places: marked });
            }
        })
    }

    async fn presence_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        gateway: Uuid,
        surplus: u64,
    ) -> StoreResult<u64> {
        self.with(room, |room| {
            let Some(held) = room.gateways.get_mut(&gateway) else {
                return 0;
            };
            let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
            held.keys.drain(..surplus.min(held.keys.len()));
            held.renewed_at = now;
            let entries = count(held.keys.len());
            if entries == 0 {
                room.gateways.remove(&gateway);
            }
            entries
        })
    }

    async fn presence_lapse(&self, room: &RoomRef, order: &Lapse) -> StoreResult<u64> {
        self.with(room, |room| {
            let is_leader = room.fence == order.lease.fence;
            let held = room.gateways.get_mut(&order.gateway);
            let lapsed = held.filter(|held| held.renewed_at <= order.renewed_before);
            let Some(held) = lapsed.filter(|_| is_leader) else {
                return 0;
            };
            let portion = EXPIRE_BATCH_MAX.min(held.keys.len());
            let keys: Vec<_> = held.keys.drain(..portion).collect();
            let seen_at = held.renewed_at.max(order.seen_since);
            if held.keys.is_empty() {
                room.gateways.remove(&order.gateway);
            }
            let marked = room.mark(&keys, seen_at);
            let marks = count(marked.len());
            if marks > 0 {
                room.tell(Notice::Look { places: marked });
            }
            marks
        })
    }

    async fn tick_begin(
        &self,
        room: &RoomRef,
        now: Timestamp,
        leader: Uuid,
        settings: TickSettings,
    ) -> StoreResult<Option<TickState>> {
        let own = self.server();
        self.with(room, |room| {
            if room.leader.is_none_or(|(holder, _)| holder != leader) {
                let latest = now.plus(settings.lease + CLOCKS_APART_MAX);
                if room
                    .leader
                    .is_some_and(|(_, until)| until > now && until <= latest)
                {
                    return None;
                }
                room.fence += 1;
            }
            room.leader = Some((leader, now.plus(settings.lease)));
            room.expire(own, now, settings);
            Some(TickState {
                lease: Lease { fence: room.fence },
                in_line: count(room.line.len()),
                occupied: room.occupied(),
                given_back: room.given_back,
                claims: room.counts.claims,
                bucket: room.bucket,
                pending: room.pending,
                standby_at: room.standby.map(|(popped_at, _)| popped_at),
                seq: room.seq,
                held_until: room.held_until,
                lapsed: room.lapsed(now.minus(settings.gateway_lease)),
                is_confirmed: room.live_keys.is_confirmed(own),
            })
        })
    }

    async fn call_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        order: &CallOrder,
    ) -> StoreResult<Popped> {
        self.with(room, |room| {
            let mut popped = Popped { places: Vec::new() };
            if room.fence != order.lease.fence || room.seq != order.seq {
                return popped;
            }
            let free = order.active_max.saturating_sub(room.occupied());
            let wanted = if room.pending.is_some() {
                0
            } else {
                order.count.min(free)
            };
            let callable = room.live_keys.callable(now);
            for _ in 0..wanted {
                let first = room.line.first().map(|(key, _)| key.get());
                if callable.is_some_and(|last| first.is_some_and(|key| key > last)) {
                    break;
                }
                let Some((key, place)) = room.line.pop_first() else {
                    break;
                };
                room.key_of.remove(&place);
                room.absent.remove(&place);
                room.popped.insert((key, place));
                popped.places.push((place, key));
            }
            let bucket = spend(order.bucket, count(popped.places.len()));
            room.bucket = Bucket {
                filled_at: Some(now),
                ..bucket
            };
            room.given_back = room.given_back.saturating_sub(order.given_back);
            if !popped.places.is_empty() {
                let (rate, drawn) = (order.calls_per_minute, count(popped.places.len()));
                room.meter = room.meter.filled(rate, now).drawn(drawn, rate);
                room.pending = Some(order.batch);
            }
            popped
        })
    }

    async fn call_pending(&self, room: &RoomRef) -> StoreResult<Popped> {
        let pending = self.with(room, |room| {
            let popped = room.popped.iter();
            popped.map(|(key, place)| (*place, *key)).collect()
        });
        Ok(Popped {
            places: pending.unwrap_or_default(),
        })
    }

    async fn call_publish(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        batch: Uuid,
        first_seq: u64,
        claim_by: Timestamp,
    ) -> StoreResult<bool> {
        self.with(room, |room| {
            if room.pending != Some(batch) {
                return false;
            }
            room.pending = None;
            room.publish(first_seq, claim_by);
            true
        })
    }

    async fn session_claim(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<Standing> {
        self.with(room, |room| {
            let claimable = room
                .called
                .get(&place)
                .is_some_and(|claim_by| *claim_by > now)
                && !room.active.contains_key(&place);
            if claimable {
                room.called.remove(&place);
                room.active.insert(place, expires_at);
                let session = room.session.entry(place).or_insert((0, now));
                session.1 = now;
                let seq = session.0;
                room.counts.claims += 1;
                room.journal(place, Fate::Claimed { until: expires_at });
                room.tell(Notice::Claimed {
                    place,
                    seq,
                    started_at: now,
                    expires_at,
                });
            }
            let look = Entry {
                place,
                key: None,
                once_open: OnceOpen::Keep,
                enter: Enter::Look,
                connected_to: None,
            };
            // A look needs no key.
            let entered = room.stand(&look, now, 0);
            let standing = entered.map_or(Standing::Unknown, |entered| entered.standing);
            if matches!(standing, Standing::Waiting { .. }) {
                room.absent.seen(place, now);
            }
            standing
        })
    }

    async fn session_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<bool> {
        self.with(room, |room| match room.active.get_mut(&place) {
            Some(until) if *until > now => {
                if expires_at > *until {
                    *until = expires_at;
                    room.journal(place, Fate::Claimed { until: expires_at });
                }
                true
            }
            _ => false,
        })
    }

    async fn session_end(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool> {
        self.with(room, |room| room.end(place))
    }

    async fn outcomes_take(&self, room: &RoomRef) -> StoreResult<Vec<Outcome>> {
        let taken = self.with(room, |room| {
            let outcomes = room.outcomes.values().take(OUTCOMES_MAX);
            outcomes.copied().collect()
        });
        Ok(taken.unwrap_or_default())
    }

    async fn outcomes_done(&self, room: &RoomRef, outcomes: &[Outcome]) -> StoreResult<()> {
        self.with(room, |room| {
            for outcome in outcomes {
                if room.outcomes.get(&outcome.place) == Some(outcome) {
                    room.outcomes.remove(&outcome.place);
                }
            }
        })
    }

    async fn snapshot_take(&self, room: &RoomRef, now: Timestamp) -> StoreResult<Snapshot> {
        self.with(room, |room| {
            let keys: Vec<u64> = room.line.iter().map(|(key, _)| key.get()).collect();
            let knot = |rank: u64| keys[usize::try_from(rank).unwrap_or(usize::MAX)];
            Snapshot {
                taken_ms: now.as_ms(),
                epoch: room.epoch,
                counts: Counts {
                    in_line: count(room.line.len() + room.popped.len()),
                    absent: count(room.absent.len()),
                    called: count(room.called.len()),
                    active: count(room.active.len()),
                    ..room.counts
                },
                knots: knot_ranks(count(keys.len()))
                    .iter()
                    .map(|r| (knot(*r), *r))
                    .collect(),
                head: keys.iter().take(HEAD_PLACES).copied().collect(),
                clock: room.clock,
                birth: room.birth.to_string(),
                limited_by: None,
                accuracy: None,
            }
        })
    }

    async fn snapshot_put(&self, room: &RoomRef, snapshot: &Snapshot) -> StoreResult<()> {
        self.with(room, |room| room.snapshot = Some(snapshot.clone()))
    }

    async fn snapshot_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>> {
        Ok(self.with(room, |room| room.snapshot.clone()).ok().flatten())
    }

    async fn opening_put(
        &self,
        room: &RoomRef,
        snapshot: &Snapshot,
        opening: Opening,
    ) -> StoreResult<bool> {
        let own = self.server();
        self.with(room, |room| {
            let is_open = room.open(own, opening);
            if is_open {
                room.opening.get_or_insert_with(|| snapshot.clone());
            }
            is_open
        })
    }

    async fn opening_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>> {
        Ok(self.with(room, |room| room.opening.clone()).ok().flatten())
    }

    async fn notices_end(&self, room: &RoomRef) -> StoreResult<Cursor> {
        let end = self.with(room, |room| room.cursor(room.trimmed + room.notices.len()));
        Ok(end.unwrap_or_else(|_| Cursor::start()))
    }

    async fn notices_after(&self, room: &RoomRef, cursor: &Cursor) -> StoreResult<NoticesRead> {
        let read = self.with(room, |room| {
            let known = room.read_before(cursor);
            let skipped = known.map_or(0, |read| read.saturating_sub(room.trimmed));
            let new = room.notices.iter().skip(skipped).take(NOTICES_MAX);
            let notices: Vec<_> = new.cloned().collect();
            let read = room.trimmed + skipped + notices.len();
            NoticesRead {
                has_gap: known.is_none_or(|read| read > 0 && read <= room.trimmed),
                has_more: notices.len() >= NOTICES_MAX,
                end: room.cursor(read),
                notices,
            }
        });
        Ok(read.unwrap_or_else(|_| NoticesRead {
            notices: Vec::new(),
            end: Cursor::start(),
            has_gap: *cursor != Cursor::start(),
            has_more: false,
        }))
    }
}
