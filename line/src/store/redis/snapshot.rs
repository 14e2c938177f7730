//! Reads the snapshot of a line.

use contract::Timestamp;
use redis::Value;

use super::{Args, RedisStore};
use crate::policy::snapshot::{Counts, HEAD_PLACES, Snapshot, knot_ranks};
use crate::store::packed::{pack, unpack_all};
use crate::store::reply::{at, text};
use crate::store::{RoomRef, StoreError, StoreResult};

/// Knots that one script reads. It keeps the server from everything else for about a millisecond
/// in a line of a million.
const KNOTS_AT_ONCE: usize = 200;

impl RedisStore {
    pub(super) async fn read_snapshot(
        &self,
        room: &RoomRef,
        now: Timestamp,
    ) -> StoreResult<Snapshot> {
        let args = Args::of(room).number(HEAD_PLACES);
        let answer: Vec<Value> = self.run(&self.scripts.snapshot, room, &args).await?;
        let places = at(&answer, 0)?;
        let mut knots = Vec::new();
        for ranks in knot_ranks(places).chunks(KNOTS_AT_ONCE) {
            let packed = ranks.iter().flat_map(|rank| pack(*rank)).collect();
            let args = Args::of(room).bytes(packed);
            let keys: Vec<u8> = self.run(&self.scripts.knots, room, &args).await?;
            for knot in unpack_all(&keys)?.into_iter().zip(ranks.iter().copied()) {
                // Places come back in front of others and leave between two steps.
                if knots.last().is_none_or(|(key, _)| *key < knot.0) {
                    knots.push(knot);
                }
            }
        }
        Ok(Snapshot {
            taken_ms: now.as_ms(),
            epoch: room.epoch,
            counts: counts(&answer, places)?,
            head: head(&answer)?,
            knots,
            clock: at(&answer, 10)?,
            birth: text(answer.get(11).unwrap_or(&Value::Nil))?.to_owned(),
            limited_by: None,
            accuracy: None,
        })
    }
}

fn counts(answer: &[Value], places: u64) -> StoreResult<Counts> {
    Ok(Counts {
        in_line: places + at(answer, 1)?,
        absent: at(answer, 2)?,
        called: at(answer, 3)?,
        active: at(answer, 4)?,
        joins: at(answer, 5)?,
        calls: at(answer, 6)?,
        claims: at(answer, 7)?,
        no_shows: at(answer, 8)?,
        ended: at(answer, 9)?,
        straight: at(answer, 12)?,
        waited_ms: 0,
        waited: 0,
    })
}

fn head(answer: &[Value]) -> StoreResult<Vec<u64>> {
    match answer.get(13) {
        Some(Value::BulkString(packed)) => unpack_all(packed),
        other => Err(StoreError::Corrupt(format!("head {other:?}"))),
    }
}
