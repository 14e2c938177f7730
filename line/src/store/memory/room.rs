//! One room of the model: ordered maps, and what the scripts do to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use contract::{PlaceId, Timestamp};
use uuid::Uuid;

use super::absent::Absent;
use super::done::{Done, Served};
use super::last_pages::KeptPages;
use super::live_keys::KeptKeys;
use crate::policy::admission::Bucket;
use crate::policy::order::{LIVE_BASE, OrderKey};
use crate::policy::outcome::{Fate, Outcome};
use crate::policy::snapshot::{Counts, Snapshot};
use crate::policy::standby::Meter;
use crate::store::{
    Cursor, EXPIRE_BATCH_MAX, Enter, Entered, Entry, NOTICES_KEPT, Notice, OnceOpen, Standing,
    TickSettings,
};

/// What a gateway stands for.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) renewed_at: Timestamp,
    /// Order keys of the places that were connected to it, the oldest first.
    pub(super) keys: VecDeque<OrderKey>,
}

/// A claim on the making of the room.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) process: Uuid,
    /// When it was heard of last.
    pub(super) heard_at: Timestamp,
}

#[derive(Clone, Default)]
pub(super) struct Room {
    pub(super) epoch: u32,
    /// Whether its last admission is in: before, it takes nothing else.
    pub(super) is_made: bool,
    /// Who makes it, or adds what it lost.
    pub(super) claim: Option<Claim>,
    pub(super) birth: Uuid,
    pub(super) born_at: Timestamp,
    pub(super) clock: u64,
    pub(super) counts: Counts,
    pub(super) given_back: u64,
    pub(super) bucket: Bucket,
    pub(super) leader: Option<(Uuid, Timestamp)>,
    pub(super) fence: u64,
    pub(super) pending: Option<Uuid>,
    /// When a pending batch of stand-by was popped, and when its sessions end.
    pub(super) standby: Option<(Timestamp, Timestamp)>,
    pub(super) meter: Meter,
    pub(super) seq: u64,
    pub(super) held_until: Option<Timestamp>,
    pub(super) line: BTreeSet<(OrderKey, PlaceId)>,
    pub(super) key_of: HashMap<PlaceId, OrderKey>,
    pub(super) popped: BTreeSet<(OrderKey, PlaceId)>,
    pub(super) called: BTreeMap<PlaceId, Timestamp>,
    pub(super) active: BTreeMap<PlaceId, Timestamp>,
    pub(super) missed: BTreeMap<PlaceId, Timestamp>,
    pub(super) absent: Absent,
    pub(super) gateways: BTreeMap<Uuid, Held>,
    pub(super) done: Served,
    pub(super) session: HashMap<PlaceId, (u64, Timestamp)>,
    pub(super) outcomes: BTreeMap<PlaceId, Outcome>,
    pub(super) last_pages: KeptPages,
    pub(super) live_keys: KeptKeys,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) opening: Option<Snapshot>,
    pub(super) is_open: bool,
    /// When the draw was made, if it is known who was present.
    pub(super) drawn_at: Option<Timestamp>,
    /// Places that were present at the opening, and left or were dropped as absent since.
    pub(super) drawn: BTreeSet<PlaceId>,
    /// The newest notices, and how many there were before.
    pub(super) notices: VecDeque<Notice>,
    pub(super) trimmed: usize,
}

impl Room {
    pub(super) fn put(&mut self, place: PlaceId, key: OrderKey) -> u64 {
        let before = count(self.line.len());
        self.line.insert((key, place));
        self.key_of.insert(place, key);
        before
    }

    pub(super) fn remove(&mut self, place: PlaceId) -> bool {
        match self.key_of.remove(&place) {
            Some(key) => self.line.remove(&(key, place)),
            None => false,
        }
    }

    pub(super) fn popped_key(&self, place: PlaceId) -> Option<OrderKey> {
        self.popped
            .iter()
            .find(|(_, p)| *p == place)
            .map(|(key, _)| *key)
    }

    /// Puts a place that is nowhere into the line; `None` when it needs a live key beyond `limit`.
    fn enter(
        &mut self,
        entry: &Entry,
        key: Option<OrderKey>,
        now: Timestamp,
        limit: u64,
    ) -> Option<Entered> {
        let joins = entry.enter == Enter::Join;
        let key = match key {
            Some(key) => {
                if key.is_live() && limit > 0 {
                    self.clock = self.clock.max(key.get() - LIVE_BASE);
                }
                key
            }
            None if !joins => return Some(Entered::unchanged(Standing::Unknown, None)),
            None if self.clock >= limit => return None,
            None => {
                self.clock += 1;
                self.absent.insert_unseen(entry.place, now);
                OrderKey::new(LIVE_BASE + self.clock).unwrap_or_else(|| unreachable!("clock"))
            }
        };
        self.counts.joins += u64::from(joins);
        let in_line_before = self.put(entry.place, key);
        let number = self.counts.joins;
        Some(Entered {
            standing: Standing::Waiting { key },
            key: Some(key),
            fresh: true,
            number,
            in_line_before,
        })
    }

    /// The key that `entry` may have, if it is put into the line.
    fn key_for(&self, entry: &Entry) -> Option<OrderKey> {
        match entry.once_open {
            OnceOpen::Live if self.is_open => None,
            OnceOpen::Lot(key) if self.is_open => Some(key),
            OnceOpen::IfPresent { newcomer } if self.is_open => {
                let is_known = self.drawn_at.is_some();
                if is_known && !self.drawn.contains(&entry.place) {
                    newcomer.filter(|_| entry.enter == Enter::Join)
                } else {
                    entry.key
                }
            }
            _ => entry.key,
        }
    }

    /// How the place of `entry` stands, put into the line if it is to be; `None`, and nothing
    /// changed, when it needs a live key beyond `limit`.
    pub(super) fn stand(&mut self, entry: &Entry, now: Timestamp, limit: u64) -> Option<Entered> {
        let place = entry.place;
        let key = match self.done.get(&place) {
            None => {
                let key = self
                    .popped_key(place)
                    .or_else(|| self.key_of.get(&place).copied());
                return match key {
                    Some(key) => Some(Entered::unchanged(Standing::Waiting { key }, Some(key))),
                    None => self.enter(entry, self.key_for(entry), now, limit),
                };
            }
            Some(Done::Left { live }) if entry.enter == Enter::Join => {
                if let Some(key) = self.popped_key(place) {
                    // Popped for a call when they left: it is theirs again.
                    self.done.remove(&place);
                    self.outcomes.remove(&place);
                    return Some(Entered::unchanged(Standing::Waiting { key }, Some(key)));
                }
                let key = self.key_for(entry);
                let key = key.filter(|key| !live && !key.is_live());
                let entered = self.enter(entry, key, now, limit)?;
                self.done.remove(&place);
                return Some(entered);
            }
            Some(Done::Left { .. }) => return Some(Entered::unchanged(Standing::Left, None)),
            Some(Done::Called(key)) => key,
        };
        let session = self.session.get(&place).copied();
        let (seq, started_at) = session.unwrap_or((0, Timestamp::EPOCH));
        if let Some(expires_at) = self.active.get(&place).copied().filter(|t| *t > now) {
            let active = Standing::Active {
                seq,
                started_at,
                expires_at,
            };
            return Some(Entered::unchanged(active, Some(key)));
        }
        // Past its deadline it is still a call, until a tick makes it a missed turn.
        if let Some(claim_by) = self.called.get(&place).copied() {
            return Some(Entered::unchanged(
                Standing::Called { seq, claim_by },
                Some(key),
            ));
        }
        let Some(until) = self.missed.get(&place).copied().filter(|t| *t > now) else {
            return Some(Entered::unchanged(Standing::Ended, Some(key)));
        };
        if entry.enter == Enter::Look {
            return Some(Entered::unchanged(
                Standing::Missed { key, until },
                Some(key),
            ));
        }
        self.missed.remove(&place);
        self.done.remove(&place);
        let in_line_before = self.put(place, key);
        Some(Entered {
            standing: Standing::Waiting { key },
            key: Some(key),
            fresh: true,
            number: 0,
            in_line_before,
        })
    }

    /// The cursor after `read` notices of this room.
    pub(super) fn cursor(&self, read: usize) -> Cursor {
        if read == 0 {
            return Cursor::start();
        }
        Cursor(format!("{}/{read}", self.birth))
    }

    /// How many notices were read at `cursor`; none, if those of another room.
    pub(super) fn read_before(&self, cursor: &Cursor) -> Option<usize> {
        if *cursor == Cursor::start() {
            return Some(0);
        }
        let (birth, read) = cursor.0.split_once('/')?;
        let read = read.parse().ok()?;
        let is_there = read <= self.trimmed + self.notices.len();
        (birth == self.birth.to_string() && is_there).then_some(read)
    }

    /// Notes what became of the last admission of `place`.
    pub(super) fn journal(&mut self, place: PlaceId, fate: Fate) {
        let seq = self.seq;
        let outcome = Outcome { place, seq, fate };
        self.outcomes.insert(place, outcome);
    }

    /// Leaves a notice.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
        if self.notices.len() > NOTICES_KEPT {
            self.notices.pop_front();
            self.trimmed += 1;
        }
    }

    /// Notes that `place` gave up its turn, of order key `key`.
    pub(super) fn leave(&mut self, place: PlaceId, key: Option<OrderKey>) {
        let live = key.is_some_and(OrderKey::is_live);
        self.done.insert(place, Done::Left { live });
        if !live && self.drawn_at.is_some() {
            self.drawn.insert(place);
        }
        self.journal(place, Fate::Left);
        let places = vec![place];
        self.tell(Notice::Look { places });
    }

    /// Makes the pending batch called, or sessions if it is one of stand-by, without those who left
    /// meanwhile.
    pub(super) fn publish(&mut self, first_seq: u64, claim_by: Timestamp) {
        let batch = std::mem::take(&mut self.popped);
        let standby = self.standby.take();
        let size = count(batch.len());
        let last = first_seq + size - 1;
        let mut run = Run::default();
        for (seq, (key, place)) in (first_seq..).zip(batch) {
            if self.done.contains(&place) {
                self.given_back += 1;
                let fate = Fate::Left;
                let outcome = Outcome {
                    place,
                    seq: last,
                    fate,
                };
                self.outcomes.insert(place, outcome);
                continue;
            }
            self.done.insert(place, Done::Called(key));
            if let Some((started_at, expires_at)) = standby {
                self.begin(place, seq, last, started_at, expires_at);
                continue;
            }
            self.called.insert(place, claim_by);
            self.session.insert(place, (seq, Timestamp::EPOCH));
            run.add(self, place, seq, claim_by);
        }
        run.tell(self);
        self.counts.calls += size;
        self.seq = self.seq.max(last);
    }

    /// The order key of `place`, in the line or called from it.
    pub(super) fn known_key(&self, place: PlaceId) -> Option<OrderKey> {
        match (self.key_of.get(&place), self.done.get(&place)) {
            (Some(key), _) => Some(*key),
            (None, Some(Done::Called(key))) => Some(key),
            _ => None,
        }
    }

    /// Notes that the place of `key` is connected to `gateway`.
    pub(super) fn present(&mut self, gateway: Uuid, key: OrderKey, now: Timestamp) {
        let held = self.gateways.entry(gateway).or_insert_with(|| Held {
            renewed_at: now,
            keys: VecDeque::new(),
        });
        held.renewed_at = now;
        held.keys.push_back(key);
    }

    /// The gateway that has not renewed its lease for longest, if not since `before`.
    pub(super) fn lapsed(&self, before: Timestamp) -> Option<Uuid> {
        let lapsed = self
            .gateways
            .iter()
            .map(|(id, held)| (held.renewed_at, *id));
        let first = lapsed.min()?;
        (first.0 <= before).then_some(first.1)
    }

    /// Marks the waiting places of `keys` as last seen at `seen_at`, unless they are absent
    /// already; those that were marked.
    pub(super) fn mark(&mut self, keys: &[OrderKey], seen_at: Timestamp) -> Vec<PlaceId> {
        let mut marked = Vec::new();
        for key in keys {
            let (first, last) = (PlaceId::from_bytes([0; 16]), PlaceId::from_bytes([255; 16]));
            for (_, place) in self.line.range((*key, first)..=(*key, last)) {
                if self.absent.insert_new(*place, seen_at) {
                    marked.push(*place);
                }
            }
        }
        marked
    }

    pub(super) fn occupied(&self) -> u64 {
        count(self.popped.len() + self.called.len() + self.active.len())
    }

    pub(super) fn end(&mut self, place: PlaceId) -> bool {
        let seq = self.session.get(&place).map_or(0, |session| session.0);
        if self.active.remove(&place).is_some() {
            self.counts.ended += 1;
        } else if self.called.remove(&place).is_some() {
            self.given_back += 1;
        } else {
            return false;
        }
        self.session.remove(&place);
        self.journal(place, Fate::Ended);
        self.tell(Notice::Ended { place, seq });
        true
    }

    /// Deals with what is overdue, as the server `own`.
    pub(super) fn expire(&mut self, own: u64, now: Timestamp, settings: TickSettings) {
        for place in overdue(&self.called, now) {
            self.called.remove(&place);
            self.session.remove(&place);
            let until = now.plus(settings.missed_grace);
            self.missed.insert(place, until);
            self.journal(place, Fate::Missed { until });
            self.counts.no_shows += 1;
            self.given_back += 1;
        }
        for place in overdue(&self.active, now) {
            self.active.remove(&place);
            self.session.remove(&place);
        }
        for place in overdue(&self.missed, now) {
            self.missed.remove(&place);
        }
        self.age(now, settings.remembered);
        let is_whole = self.live_keys.is_whole(own, now);
        self.drop_absent(now.minus(settings.absence_timeout), is_whole);
    }
}

/// Calls with consecutive ordinals and one deadline, to be told together.
#[derive(Default)]
pub(super) struct Run {
    places: Vec<PlaceId>,
    first_seq: u64,
    claim_by: Timestamp,
}

impl Run {
    /// Adds a call, after telling those that it does not follow.
    pub(super) fn add(&mut self, room: &mut Room, place: PlaceId, seq: u64, claim_by: Timestamp) {
        let is_next = self.first_seq + count(self.places.len()) == seq;
        if !is_next || self.claim_by != claim_by {
            self.tell(room);
            (self.first_seq, self.claim_by) = (seq, claim_by);
        }
        self.places.push(place);
    }

    /// Tells what was added.
    pub(super) fn tell(&mut self, room: &mut Room) {
        let places = std::mem::take(&mut self.places);
        if !places.is_empty() {
            room.tell(Notice::Called {
                places,
                first_seq: self.first_seq,
                claim_by: self.claim_by,
            });
        }
    }
}

pub(super) fn overdue(places: &BTreeMap<PlaceId, Timestamp>, before: Timestamp) -> Vec<PlaceId> {
    let mut due: Vec<_> = places.iter().filter(|(_, at)| **at <= before).collect();
    due.sort_by_key(|(place, at)| (**at, **place));
    due.into_iter()
        .take(EXPIRE_BATCH_MAX)
        .map(|(place, _)| *place)
        .collect()
}

pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
