//! The port to the live line: what a store must do, each operation one atomic step.
//!
//! [`redis::RedisStore`] is the real one, each operation one Lua script; [`memory::MemoryStore`]
//! is the model that the conformance suite compares it with. Nothing decides here: policy comes
//! in as numbers, outcomes go out as values, and `Err` only ever means "could not find out".

pub mod emptiness;
mod entering;
mod error;
pub mod keys;
pub mod last_pages;
mod link;
pub mod live_keys;
mod making;
pub mod memory;
mod packed;
pub mod redis;
mod reply;
mod room_ref;
pub mod scripts;
pub mod standby;

use std::time::Duration;

use async_trait::async_trait;
use contract::{PlaceId, Timestamp};
use uuid::Uuid;

use self::emptiness::RoomsLook;
pub use self::error::{StoreError, StoreResult};
use self::last_pages::LastPages;
use self::live_keys::LiveKeys;
pub use self::making::{
    MAKING_MAX, Making, MakingEnd, SERVED_PAGE_MAX, Served, ServedPage, ServedState,
};
pub use self::room_ref::RoomRef;
use self::standby::Standby;
use crate::policy::admission::Bucket;
use crate::policy::order::OrderKey;
use crate::policy::outcome::Outcome;
use crate::policy::snapshot::Snapshot;
use crate::policy::status::Seen;

/// Most entries of one [`RoomStore::places_enter`]. Bounds the script to about two milliseconds.
pub const ENTER_BATCH_MAX: usize = 512;
/// Most expired places one tick deals with.
pub const EXPIRE_BATCH_MAX: usize = 1000;
/// How far the clocks of two gateways that lead may be apart: each up to two seconds from the
/// store's. A lease that seems to end later than that allows binds nobody.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(4);
/// Most notices a read returns.
pub const NOTICES_MAX: usize = 500;
/// Notices that are kept; older ones are gone, also for who has not read them.
pub const NOTICES_KEPT: usize = 10_000;

/// Most outcomes that are written down at a time.
pub const OUTCOMES_MAX: usize = 2_000;

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter {
    /// A place for someone who asks to join: also after leaving, and back from a missed turn.
    Join,
    /// The standing of someone with a place token, restored if the store lost it.
    Look,
    /// Like `Look`, by someone who has come back: a missed turn is forgiven within its grace.
    Return,
}

/// What becomes of the key of a newcomer in a room that has opened, whose draw everyone can
/// compute: whoever could still have a drawn key would choose their nonce by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnceOpen {
    /// It holds: it is from a place token.
    #[default]
    Keep,
    /// They get the next live key instead.
    Live,
    /// They get this one instead.
    Lot(OrderKey),
    /// It is from a place token and drawn: it holds for a place that was present at the opening, and
    /// for every place where the store does not know who was (PRESENT). Any other place is treated
    /// as a newcomer's, if they ask to join.
    IfPresent {
        /// The key of such a newcomer; the next live key, when there is none.
        newcomer: Option<OrderKey>,
    },
}

/// One visitor at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Their place.
    pub place: PlaceId,
    /// Their order key, when it is known: drawn, or from the place token. Otherwise the store
    /// gives the next live key.
    pub key: Option<OrderKey>,
    /// What becomes of it once the room is open.
    pub once_open: OnceOpen,
    /// What they ask for.
    pub enter: Enter,
    /// The gateway (its process) whose connection now stands for their presence: the same for all
    /// entries of a call that have one. A visit without a connection keeps a place from being
    /// dropped as absent, and makes no one absent who has a connection.
    pub connected_to: Option<Uuid>,
}

/// How a place stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the line, possibly popped for a call that is not logged yet.
    Waiting {
        /// Its order key.
        key: OrderKey,
    },
    /// Called, not claimed. Past the deadline the turn is missed as soon as a tick deals with it.
    Called {
        /// Ordinal of the admission.
        seq: u64,
        /// Claim before this.
        claim_by: Timestamp,
    },
    /// In a session.
    Active {
        /// Ordinal of the admission.
        seq: u64,
        /// When the session began.
        started_at: Timestamp,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// The turn passed; may return until `until`.
    Missed {
        /// Its order key.
        key: OrderKey,
        /// Back in front until then.
        until: Timestamp,
    },
    /// Left on purpose, or was dropped as absent without a visit since a live key was given.
    Left,
    /// Was called; the session, or the grace of a missed turn, is over.
    Ended,
    /// Never seen, dropped as absent, or drawn and not present at the opening.
    Unknown,
}

impl Standing {
    /// How it looks to the visitor; `None` for a place that is of no use any more.
    pub fn seen(self) -> Option<Seen> {
        Some(match self {
            Self::Waiting { .. } => Seen::Waiting,
            Self::Called { claim_by, .. } => Seen::Called { claim_by },
            Self::Active { .. } => Seen::Admitted,
            Self::Missed { .. } => Seen::Missed,
            Self::Left => Seen::Left,
            Self::Ended => Seen::Ended,
            Self::Unknown => return None,
        })
    }

    /// The order key of a place in the line.
    pub fn waits_at(self) -> Option<OrderKey> {
        match self {
            Self::Waiting { key } => Some(key),
            _ => None,
        }
    }
}

/// The answer to one [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// How the place stands now.
    pub standing: Standing,
    /// Its order key, if it has one or was called with one.
    pub key: Option<OrderKey>,
    /// Whether this entry put it into the line.
    pub fresh: bool,
    /// For a fresh live joiner, the arrival ordinal, from 1.
    pub number: u64,
    /// For a fresh joiner, the places in the line before it came.
    pub in_line_before: u64,
}

impl Entered {
    /// The answer to an entry that changed nothing.
    pub(crate) const fn unchanged(standing: Standing, key: Option<OrderKey>) -> Self {
        Self {
            standing,
            key,
            fresh: false,
            number: 0,
            in_line_before: 0,
        }
    }
}

/// Who leads a room, proved by a lease with a fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every change of leader; a store refuses calls under an older one.
    pub fence: u64,
}

/// Times and spans a tick works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickSettings {
    /// How long the lease lasts.
    pub lease: Duration,
    /// How long an absent place stays in the line.
    pub absence_timeout: Duration,
    /// How long a missed turn is forgiven.
    pub missed_grace: Duration,
    /// How long a gateway stands for the presence of its fans without renewing that.
    pub gateway_lease: Duration,
    /// How long it is known at least who was called, who left, and who was present at the opening:
    /// as long as a place token may bring its place back, and a session lasts.
    pub remembered: Duration,
}

/// A leader's order to mark fans as absent whose gateway has not renewed its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// The caller's lease.
    pub lease: Lease,
    /// The gateway. One that was renewed meanwhile is left alone.
    pub gateway: Uuid,
    /// Its lease has ended if it was last renewed at this time or before.
    pub renewed_before: Timestamp,
    /// Its fans were last seen when it was last renewed, but not before this: a gateway that has
    /// another connection of theirs is given time to say so.
    pub seen_since: Timestamp,
}

/// What a leader finds at the beginning of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickState {
    /// The lease, renewed.
    pub lease: Lease,
    /// Places that can be called.
    pub in_line: u64,
    /// Popped, called or active.
    pub occupied: u64,
    /// Calls given back that no bucket has yet: deadlines passed, or the caller left.
    pub given_back: u64,
    /// Calls ever claimed.
    pub claims: u64,
    /// The rate bucket.
    pub bucket: Bucket,
    /// The batch that was popped and not yet published, if any.
    pub pending: Option<Uuid>,
    /// When the pending batch was popped, if a gateway in stand-by did: it logs and publishes the
    /// batch itself.
    pub standby_at: Option<Timestamp>,
    /// Ordinal of the last published admission.
    pub seq: u64,
    /// Nobody is called before, so that those who waited can come back to a room made again.
    pub held_until: Option<Timestamp>,
    /// A gateway whose lease on the presence of its fans has ended, if there is one.
    pub lapsed: Option<Uuid>,
    /// Whether the server is confirmed to give live keys; otherwise another one may have had later
    /// fans, and lost them.
    pub is_confirmed: bool,
}

impl TickState {
    /// Whether nothing is left to do for a leader until somebody comes.
    pub fn is_settled(&self) -> bool {
        let is_empty = self.in_line == 0 && self.occupied == 0;
        is_empty && self.given_back == 0 && self.pending.is_none() && self.lapsed.is_none()
    }
}

/// A leader's order to pop places for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOrder {
    /// The caller's lease.
    pub lease: Lease,
    /// The last published ordinal that the caller saw. A store with another one has gone back
    /// since, to a line in which places that were called still wait.
    pub seq: u64,
    /// Names the batch, so that logging and publishing it may be repeated.
    pub batch: Uuid,
    /// How many at most.
    pub count: u64,
    /// The cap, checked once more.
    pub active_max: u64,
    /// The rate, by which the meter of stand-by is filled before these calls draw on it.
    pub calls_per_minute: u64,
    /// The bucket as filled; the store takes from it what was really popped.
    pub bucket: Bucket,
    /// Calls given back that the bucket has: they are not told again.
    pub given_back: u64,
}

/// A popped batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popped {
    /// In calling order.
    pub places: Vec<(PlaceId, OrderKey)>,
}

/// What happened to places, for the gateways whose sockets they are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// These were called, with consecutive ordinals.
    Called {
        /// In calling order.
        places: Vec<PlaceId>,
        /// Ordinal of the first.
        first_seq: u64,
        /// Claim before this.
        claim_by: Timestamp,
    },
    /// This one claimed.
    Claimed {
        /// The place.
        place: PlaceId,
        /// Ordinal of the admission.
        seq: u64,
        /// When the session began.
        started_at: Timestamp,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// This session was ended before its time.
    Ended {
        /// The place.
        place: PlaceId,
        /// Ordinal of the admission.
        seq: u64,
    },
    /// These count as absent, left, or came back: whoever has a connection of theirs is to look
    /// how they stand, which also says that they are present.
    Look {
        /// The places.
        places: Vec<PlaceId>,
    },
}

/// What one read of notices found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticesRead {
    /// In order.
    pub notices: Vec<Notice>,
    /// Where they end.
    pub end: Cursor,
    /// Whether notices between the cursor and these may be gone: trimmed away before they were
    /// read, or lost with the store.
    pub has_gap: bool,
    /// Whether there are more.
    pub has_more: bool,
}

/// Where a reader of notices stands: the id of the last one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// Before the first notice of a line.
    pub fn start() -> Self {
        Self("0-0".to_owned())
    }
}

/// The live line.
///
/// Guarantees of every implementation, checked by the conformance suite: each method is one
/// atomic step; repeating a step that was already taken changes nothing; a place is in at most
/// one of line, popped, called and active (PLACE-ONCE). What only reads what others left (the
/// pending batch, snapshot, opening and notices) finds nothing in a room that is not there;
/// everything else is refused with [`StoreError::NoRoom`].
#[async_trait]
pub trait RoomStore: LastPages + LiveKeys + Making + RoomsLook + Standby {
    /// Whether the store answers.
    async fn ping(&self) -> StoreResult<()>;

    /// Forgets the room, unless it is there at a later epoch, or being made at one.
    async fn room_forget(&self, room: &RoomRef) -> StoreResult<()>;

    /// Lets visitors in at the door: at least one, at most [`ENTER_BATCH_MAX`]. `clock_now` is the
    /// live clock's floor at `now`. Answers in the order of the entries; `None`, and nothing changed,
    /// for one that needs a live key that the store may not give: see [`LiveKeys`].
    async fn places_enter(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        entries: &[Entry],
    ) -> StoreResult<Vec<Option<Entered>>>;

    /// Gives up a place, or ends its session. Whether there was one.
    async fn place_leave(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool>;

    /// Marks places whose connection closed as absent since `now`, and tells all gateways.
    async fn places_absent(
        &self,
        room: &RoomRef,
        now: Timestamp,
        places: &[PlaceId],
    ) -> StoreResult<()>;

    /// Renews the lease under which `gateway` stands for the presence of fans, and forgets its
    /// `surplus` oldest entries. Returns how many entries it has then: one for each time that a
    /// place in the line was said to be connected to it, less those forgotten. Without entries
    /// there is no lease.
    async fn presence_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        gateway: Uuid,
        surplus: u64,
    ) -> StoreResult<u64>;

    /// Marks fans of a gateway whose lease has ended as absent, at most [`EXPIRE_BATCH_MAX`] of
    /// them, and tells all gateways. Returns how many were marked. Marks none under an outdated
    /// lease of the leader.
    async fn presence_lapse(&self, room: &RoomRef, order: &Lapse) -> StoreResult<u64>;

    /// Takes or renews the lease of `leader` and deals with what is overdue; the connections of
    /// places that are dropped as absent are told. A drawn place that is dropped keeps its key; so
    /// does a live place that was seen since it was given its key. What is older than it has to be
    /// remembered is forgotten within as long again. `None` while another leads.
    async fn tick_begin(
        &self,
        room: &RoomRef,
        now: Timestamp,
        leader: Uuid,
        settings: TickSettings,
    ) -> StoreResult<Option<TickState>>;

    /// Pops places for a call. Empty under an outdated lease, while a batch is pending, and in
    /// a store that went back. For a while after a failover only places with keys from before it
    /// are popped: see [`LiveKeys::keys_confirm`].
    async fn call_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        order: &CallOrder,
    ) -> StoreResult<Popped>;

    /// The pending batch, as it was popped.
    async fn call_pending(&self, room: &RoomRef) -> StoreResult<Popped>;

    /// Makes the pending batch called, once it is in the durable log, or makes sessions of it if it
    /// is one of stand-by. Whether it was pending.
    async fn call_publish(
        &self,
        room: &RoomRef,
        now: Timestamp,
        batch: Uuid,
        first_seq: u64,
        claim_by: Timestamp,
    ) -> StoreResult<bool>;

    /// Turns a call into a session that lasts until `expires_at`; a session there is stays as
    /// it is (REDEEM-ONCE).
    async fn session_claim(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<Standing>;

    /// Prolongs a session. `false` when there is none.
    async fn session_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<bool>;

    /// Ends a session at once, freeing its slot. Whether there was one.
    async fn session_end(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool>;

    /// What became of admissions and is not written down for good: any of it, at most
    /// [`OUTCOMES_MAX`].
    async fn outcomes_take(&self, room: &RoomRef) -> StoreResult<Vec<Outcome>>;

    /// Forgets outcomes that are written down, unless they have changed since.
    async fn outcomes_done(&self, room: &RoomRef, outcomes: &[Outcome]) -> StoreResult<()>;

    /// Reads the line's snapshot afresh: work that does not grow with the line. The knots of a long
    /// line are read in several steps after its counts and its head, so that visitors at the door
    /// do not wait for all of them: a rank may be off by the places that came and went meanwhile.
    async fn snapshot_take(&self, room: &RoomRef, now: Timestamp) -> StoreResult<Snapshot>;

    /// Leaves `snapshot` for the other gateways.
    async fn snapshot_put(&self, room: &RoomRef, snapshot: &Snapshot) -> StoreResult<()>;

    /// The snapshot that was left last.
    async fn snapshot_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>>;

    /// Opens the room: keeps the snapshot of this moment, from which drawn places have their
    /// queue numbers, and from now on lets no newcomer draw. The first snapshot stays. Whether the
    /// room is open: not while places had to be dropped as absent first, at most
    /// [`EXPIRE_BATCH_MAX`] of them, which the snapshot still has.
    async fn opening_put(
        &self,
        room: &RoomRef,
        snapshot: &Snapshot,
        opening: Opening,
    ) -> StoreResult<bool>;

    /// The snapshot of the opening.
    async fn opening_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>>;

    /// Where notices end now.
    async fn notices_end(&self, room: &RoomRef) -> StoreResult<Cursor>;

    /// Notices after `cursor`, at most [`NOTICES_MAX`].
    async fn notices_after(&self, room: &RoomRef, cursor: &Cursor) -> StoreResult<NoticesRead>;
}

/// Tells the time of the store.
#[async_trait]
pub trait StoreTime: Send + Sync {
    /// The store's time now.
    async fn time(&self) -> StoreResult<Timestamp>;
}

/// How a room opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub now: Timestamp,
    /// How long ago a place may have been seen last to be present at the opening; none, where
    /// everyone who joined draws. The store knows who was present if it has had the room for so
    /// long, without a loss.
    pub present_within: Option<Duration>,
}
