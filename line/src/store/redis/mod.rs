//! The live line on Redis: each operation one script call, bounded in time.

mod args;
mod emptiness;
mod key_names;
mod last_pages;
mod live_keys;
mod making;
mod snapshot;
mod standby;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use contract::{PlaceId, Timestamp};
use redis::streams::StreamRangeReply;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, ToRedisArgs, Value};
use uuid::Uuid;

use self::args::Args;
use self::key_names::KeyNames;
use super::entering::{self, Packed};
pub use super::keys::INSTALLATION_KEY;
use super::keys::RoomKeys;
pub use super::link::address::{AddressError, RedisAddress};
pub use super::link::roots::{Roots, RootsError};
use super::link::{CONNECTION_TIMEOUT, Link, RESPONSE_TIMEOUT, slot_of};
use super::scripts::{RoomScript, Scripts};
use super::{
    CLOCKS_APART_MAX, CallOrder, Cursor, EXPIRE_BATCH_MAX, Enter, Entered, Entry, Lapse, Lease,
    NOTICES_MAX, NoticesRead, OUTCOMES_MAX, OnceOpen, Opening, Popped, RoomRef, RoomStore,
    Standing, StoreError, StoreResult, StoreTime, TickSettings, TickState, reply,
};
use crate::policy::admission::Bucket;
use crate::policy::outcome::Outcome;
use crate::policy::shows::Shows;
use crate::policy::snapshot::Snapshot;
use crate::policy::standby::depth;

/// The line on Redis. Clones share its connections.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    scripts: Arc<Scripts>,
    keys: Arc<KeyNames>,
}

impl RedisStore {
    /// A store at `address`. Connects when it is first used, so that a gateway starts while Redis
    /// is down; `prefix` goes before every key. Needs a runtime for what looks after connections.
    pub fn new(address: &RedisAddress, prefix: &str) -> Result<Self, RedisError> {
        Ok(Self {
            link: Arc::new(Link::open(address)?),
            scripts: Arc::new(Scripts::new()),
            keys: Arc::new(KeyNames::new(prefix)),
        })
    }

    /// The installation whose line this is: `candidate`, if it is nobody's yet.
    pub async fn installation(&self, candidate: &str) -> StoreResult<String> {
        let key = self.keys.installation();
        let mut claim = redis::cmd("SET");
        claim.arg(&key).arg(candidate).arg("NX").arg("GET");
        let before: Option<String> = self.ask(slot_of(&key), &claim).await?;
        Ok(before.unwrap_or_else(|| candidate.to_owned()))
    }

    /// Whether a server answers: of a cluster, any.
    pub async fn reached(&self) -> StoreResult<()> {
        self.bounded(self.link.ping()).await
    }

    fn keys(&self, room: &RoomRef) -> Arc<RoomKeys> {
        self.keys.of(&room.room)
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &RoomScript,
        room: &RoomRef,
        args: &Args,
    ) -> StoreResult<T> {
        self.run_of(None, script, room, args).await
    }

    /// Runs a script on the list of `gateway`.
    async fn run_of<T: FromRedisValue>(
        &self,
        gateway: Option<Uuid>,
        script: &RoomScript,
        room: &RoomRef,
        args: &Args,
    ) -> StoreResult<T> {
        let keys = self.keys(room);
        let own = script.keys(&keys, gateway);
        self.run_on(script, keys.slot(), &own, args).await
    }

    /// The keys of a script that removes the lists of all gateways with the other keys of the room.
    async fn keys_with_lists(
        &self,
        script: &RoomScript,
        of_room: &RoomKeys,
    ) -> StoreResult<Vec<String>> {
        let listed = Cmd::zrange(of_room.gateways(), 0, -1);
        let gateways: Vec<String> = self.ask(of_room.slot(), &listed).await?;
        let lists = gateways
            .iter()
            .filter_map(|gateway| gateway.parse().ok())
            .map(|gateway| of_room.of_gateway(gateway));
        let own = script.keys(of_room, None).into_iter();
        Ok(own.map(Cow::into_owned).chain(lists).collect())
    }

    /// Runs a script whose keys are in `slot`. A server that does not know the script yet, as
    /// after a failover, gets its text.
    async fn run_on<T: FromRedisValue>(
        &self,
        script: &RoomScript,
        slot: u16,
        keys: &[impl ToRedisArgs + Sync],
        args: &Args,
    ) -> StoreResult<T> {
        let call = |verb: &str, script: &str| {
            let mut call = redis::cmd(verb);
            call.arg(script).arg(keys.len()).arg(keys).arg(&args.0);
            call
        };
        let by_hash = call("EVALSHA", script.script.get_hash());
        self.bounded(async {
            let answer = match self.link.send(slot, &by_hash).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.link.send(slot, &call("EVAL", script.source)).await
                }
                answer => answer,
            };
            Ok(redis::from_redis_value(answer?)?)
        })
        .await
    }

    /// Sends a command whose keys are in `slot`.
    async fn ask<T: FromRedisValue>(&self, slot: u16, command: &Cmd) -> StoreResult<T> {
        self.bounded(async {
            let answer = self.link.send(slot, command).await?;
            Ok(redis::from_redis_value(answer)?)
        })
        .await
    }

    /// Bounds the time that `call` takes, and tells its errors apart.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> StoreResult<T> {
        match tokio::time::timeout(RESPONSE_TIMEOUT + CONNECTION_TIMEOUT / 2, call).await {
            Err(_) => {
                self.link.doubt();
                Err(StoreError::Timeout)
            }
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.code() == Some("NOROOM") => Err(StoreError::NoRoom),
            Ok(Err(error)) if error.is_timeout() => Err(StoreError::Timeout),
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedReturnType => {
                Err(StoreError::Corrupt(error.to_string()))
            }
            Ok(Err(error)) => Err(StoreError::Unavailable(error)),
        }
    }

    async fn string_get(&self, slot: u16, key: &str) -> StoreResult<Option<Snapshot>> {
        let json: Option<Vec<u8>> = self.ask(slot, &Cmd::get(key)).await?;
        json.map(|json| {
            serde_json::from_slice(&json)
                .map_err(|error| StoreError::Corrupt(format!("snapshot: {error}")))
        })
        .transpose()
    }
}

#[async_trait]
impl StoreTime for RedisStore {
    async fn time(&self) -> StoreResult<Timestamp> {
        // Of the shards of a cluster always the same one, so that all gateways go by one clock.
        let slot = slot_of(&self.keys.installation());
        let (seconds, micros): (i64, i64) = self.ask(slot, &redis::cmd("TIME")).await?;
        Ok(Timestamp::from_ms(seconds * 1000 + micros / 1000))
    }
}

#[async_trait]
impl RoomStore for RedisStore {
    async fn ping(&self) -> StoreResult<()> {
        self.reached().await
    }

    async fn room_forget(&self, room: &RoomRef) -> StoreResult<()> {
        let (forget, keys) = (&self.scripts.forget, self.keys(room));
        let all = self.keys_with_lists(forget, &keys).await?;
        let args = Args::of(room);
        self.run_on::<u64>(forget, keys.slot(), &all, &args).await?;
        Ok(())
    }

    async fn places_enter(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        entries: &[Entry],
    ) -> StoreResult<Vec<Option<Entered>>> {
        debug_assert!((1..=super::ENTER_BATCH_MAX).contains(&entries.len()));
        let gateway = entries.iter().find_map(|entry| entry.connected_to);
        debug_assert!(
            entries
                .iter()
                .all(|entry| entry.connected_to.is_none_or(|to| Some(to) == gateway))
        );
        let packed = Packed::new(entries);
        let args = Args::of(room)
            .time(now)
            .number(clock_now)
            .number(gateway.unwrap_or_default())
            .bytes(packed.flags)
            .bytes(packed.places)
            .bytes(packed.keys)
            .bytes(packed.keys_once_open);
        let (letters, numbers): (Vec<u8>, Vec<u8>) = self
            .run_of(gateway, &self.scripts.enter, room, &args)
            .await?;
        entering::read(&letters, &numbers, entries.len())
    }

    async fn place_leave(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool> {
        self.run(&self.scripts.leave, room, &Args::of(room).place(place))
            .await
    }

    async fn places_absent(
        &self,
        room: &RoomRef,
        now: Timestamp,
        places: &[PlaceId],
    ) -> StoreResult<()> {
        for batch in places.chunks(super::ENTER_BATCH_MAX) {
            let args = batch
                .iter()
                .fold(Args::of(room).time(now), |args, p| args.place(*p));
            self.run::<u64>(&self.scripts.absent, room, &args).await?;
        }
        Ok(())
    }

    async fn presence_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        gateway: Uuid,
        surplus: u64,
    ) -> StoreResult<u64> {
        let args = Args::of(room).time(now).number(gateway).number(surplus);
        self.run_of(Some(gateway), &self.scripts.presence, room, &args)
            .await
    }

    async fn presence_lapse(&self, room: &RoomRef, order: &Lapse) -> StoreResult<u64> {
        let args = Args::of(room)
            .number(order.lease.fence)
            .number(order.gateway)
            .time(order.renewed_before)
            .time(order.seen_since)
            .number(EXPIRE_BATCH_MAX);
        self.run_of(Some(order.gateway), &self.scripts.lapse, room, &args)
            .await
    }

    async fn tick_begin(
        &self,
        room: &RoomRef,
        now: Timestamp,
        leader: Uuid,
        settings: TickSettings,
    ) -> StoreResult<Option<TickState>> {
        let args = Args::of(room)
            .time(now)
            .number(leader)
            .ms(settings.lease)
            .ms(settings.absence_timeout)
            .ms(settings.missed_grace)
            .number(EXPIRE_BATCH_MAX)
            .ms(settings.gateway_lease)
            .ms(CLOCKS_APART_MAX)
            .ms(settings.remembered);
        let answer: Value = self.run(&self.scripts.tick, room, &args).await?;
        tick_state(&reply::array(answer)?)
    }

    async fn call_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        order: &CallOrder,
    ) -> StoreResult<Popped> {
        let args = Args::of(room)
            .time(now)
            .number(order.lease.fence)
            .number(order.batch)
            .number(order.count)
            .number(order.active_max)
            .number(order.bucket.credit)
            .number(order.bucket.returned)
            .number(order.seq)
            .number(order.bucket.shows.text())
            .number(order.given_back)
            .number(order.calls_per_minute)
            .number(depth(order.calls_per_minute));
        reply::popped(self.run(&self.scripts.pop, room, &args).await?)
    }

    async fn call_pending(&self, room: &RoomRef) -> StoreResult<Popped> {
        let keys = self.keys(room);
        let command = Cmd::zrange_withscores(keys.popped(), 0, -1);
        reply::popped(self.ask(keys.slot(), &command).await?)
    }

    async fn call_publish(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        batch: Uuid,
        first_seq: u64,
        claim_by: Timestamp,
    ) -> StoreResult<bool> {
        let args = Args::of(room)
            .number(batch)
            .number(first_seq)
            .time(claim_by);
        self.run(&self.scripts.publish, room, &args).await
    }

    async fn session_claim(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<Standing> {
        let args = Args::of(room).time(now).place(place).time(expires_at);
        let answer: Value = self.run(&self.scripts.claim, room, &args).await?;
        let answer = reply::array(answer)?;
        if !answer.is_empty() {
            return reply::session(&answer);
        }
        let look = Entry {
            place,
            key: None,
            once_open: OnceOpen::Keep,
            enter: Enter::Look,
            connected_to: None,
        };
        let entered = self.places_enter(room, now, 0, &[look]).await?;
        Ok(entered
            .first()
            .copied()
            .flatten()
            .map_or(Standing::Unknown, |entered| entered.standing))
    }

    async fn session_renew(
        &self,
        room: &RoomRef,
        now: Timestamp,
        place: PlaceId,
        expires_at: Timestamp,
    ) -> StoreResult<bool> {
        let args = Args::of(room).time(now).place(place).time(expires_at);
        self.run(&self.scripts.renew, room, &args).await
    }

    async fn session_end(
        &self,
        room: &RoomRef,
        _now: Timestamp,
        place: PlaceId,
    ) -> StoreResult<bool> {
        self.run(&self.scripts.end, room, &Args::of(room).place(place))
            .await
    }

    async fn outcomes_take(&self, room: &RoomRef) -> StoreResult<Vec<Outcome>> {
        let keys = self.keys(room);
        let mut command = redis::cmd("HRANDFIELD");
        command.arg(keys.outcomes());
        command.arg(OUTCOMES_MAX).arg("WITHVALUES");
        reply::outcomes(self.ask(keys.slot(), &command).await?)
    }

    async fn outcomes_done(&self, room: &RoomRef, outcomes: &[Outcome]) -> StoreResult<()> {
        let args = outcomes.iter().fold(Args::of(room), |args, outcome| {
            args.place(outcome.place).number(outcome.text())
        });
        self.run::<u64>(&self.scripts.settle, room, &args).await?;
        Ok(())
    }

    async fn snapshot_take(&self, room: &RoomRef, now: Timestamp) -> StoreResult<Snapshot> {
        self.read_snapshot(room, now).await
    }

    async fn snapshot_put(&self, room: &RoomRef, snapshot: &Snapshot) -> StoreResult<()> {
        let keys = self.keys(room);
        let command = Cmd::set(keys.snapshot(), json(snapshot)?);
        self.ask(keys.slot(), &command).await
    }

    async fn snapshot_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>> {
        let keys = self.keys(room);
        let snapshot = self.string_get(keys.slot(), keys.snapshot()).await?;
        Ok(snapshot.filter(|snapshot| snapshot.epoch == room.epoch))
    }

    async fn opening_put(
        &self,
        room: &RoomRef,
        snapshot: &Snapshot,
        opening: Opening,
    ) -> StoreResult<bool> {
        let within = opening.present_within;
        let args = Args::of(room)
            .bytes(json(snapshot)?)
            .time(opening.now)
            .number(within.map_or_else(String::new, |within| within.as_millis().to_string()))
            .number(EXPIRE_BATCH_MAX);
        self.run(&self.scripts.open, room, &args).await
    }

    async fn opening_get(&self, room: &RoomRef) -> StoreResult<Option<Snapshot>> {
        let keys = self.keys(room);
        let snapshot = self.string_get(keys.slot(), keys.opening()).await?;
        Ok(snapshot.filter(|snapshot| snapshot.epoch == room.epoch))
    }

    async fn notices_end(&self, room: &RoomRef) -> StoreResult<Cursor> {
        let keys = self.keys(room);
        let last = Cmd::xrevrange_count(keys.notices(), "+", "-", 1);
        let last: StreamRangeReply = self.ask(keys.slot(), &last).await?;
        Ok(Cursor(last.ids.first().map_or_else(
            || "0-0".to_owned(),
            |entry| entry.id.clone(),
        )))
    }

    async fn notices_after(&self, room: &RoomRef, cursor: &Cursor) -> StoreResult<NoticesRead> {
        let keys = self.keys(room);
        // From the last one read on: if that is gone, so may others be.
        let read = Cmd::xrange_count(keys.notices(), &cursor.0, "+", NOTICES_MAX + 1);
        let read: StreamRangeReply = self.ask(keys.slot(), &read).await?;
        reply::notices(&read, cursor)
    }
}

fn json(snapshot: &Snapshot) -> StoreResult<Vec<u8>> {
    serde_json::to_vec(snapshot).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn tick_state(answer: &[Value]) -> StoreResult<Option<TickState>> {
    if answer.is_empty() {
        return Ok(None);
    }
    let at = |index: usize| reply::number(answer.get(index).unwrap_or(&Value::Nil));
    let filled = i64::try_from(at(6)?).unwrap_or(0);
    let held = i64::try_from(at(9)?).unwrap_or(0);
    let standby = i64::try_from(at(14)?).unwrap_or(0);
    let shows = Shows::read(reply::text(answer.get(11).unwrap_or(&Value::Nil))?);
    let id = |index: usize| {
        let text = reply::text(answer.get(index).unwrap_or(&Value::Nil))?;
        let id = (!text.is_empty()).then(|| text.parse());
        id.transpose()
            .map_err(|_| StoreError::Corrupt(format!("id `{text}`")))
    };
    Ok(Some(TickState {
        lease: Lease { fence: at(0)? },
        in_line: at(1)?,
        occupied: at(2)?,
        given_back: at(3)?,
        claims: at(10)?,
        bucket: Bucket {
            credit: at(4)?,
            returned: at(5)?,
            // A bucket that another version filled is filled anew.
            filled_at: (filled > 0 && shows.is_some()).then(|| Timestamp::from_ms(filled)),
            shows: shows.unwrap_or_default(),
        },
        pending: id(7)?,
        standby_at: (standby > 0).then(|| Timestamp::from_ms(standby)),
        seq: at(8)?,
        held_until: (held > 0).then(|| Timestamp::from_ms(held)),
        lapsed: id(12)?,
        is_confirmed: at(13)? == 1,
    }))
}
