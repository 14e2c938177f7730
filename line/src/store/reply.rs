//! Reads the answers of the scripts into the types of the port.

use contract::{PlaceId, Timestamp};
use redis::Value;
use redis::streams::{StreamId, StreamRangeReply};

use super::live_keys::KeyState;
use super::{Cursor, NOTICES_MAX, Notice, NoticesRead, Popped, Standing, StoreError, StoreResult};
use crate::policy::order::OrderKey;
use crate::policy::outcome::Outcome;
use crate::policy::snapshot::{Counts, Snapshot};

/// The elements of an array answer.
pub(super) fn array(value: Value) -> StoreResult<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(corrupt("array", &other)),
    }
}

fn corrupt(wanted: &str, found: &Value) -> StoreError {
    StoreError::Corrupt(format!("{wanted} expected, found {found:?}"))
}

pub(super) fn number(value: &Value) -> StoreResult<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).map_err(|_| corrupt("count", value)),
        _ => text(value)?.parse().map_err(|_| corrupt("number", value)),
    }
}

pub(super) fn text(value: &Value) -> StoreResult<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map_err(|_| corrupt("text", value)),
        Value::SimpleString(text) => Ok(text),
        _ => Err(corrupt("text", value)),
    }
}

fn at(values: &[Value], index: usize) -> StoreResult<u64> {
    number(values.get(index).unwrap_or(&Value::Nil))
}

fn key(values: &[Value], index: usize) -> StoreResult<OrderKey> {
    let value = at(values, index)?;
    OrderKey::new(value).ok_or_else(|| StoreError::Corrupt(format!("order key {value}")))
}

fn instant(values: &[Value], index: usize) -> StoreResult<Timestamp> {
    timestamp(at(values, index)?)
}

fn timestamp(ms: u64) -> StoreResult<Timestamp> {
    let ms = i64::try_from(ms).map_err(|_| StoreError::Corrupt(format!("time {ms}")))?;
    Ok(Timestamp::from_ms(ms))
}

fn place(bytes: &[u8]) -> StoreResult<PlaceId> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt(format!("place of {} bytes", bytes.len())))?;
    Ok(PlaceId::from_bytes(bytes))
}

/// The answer of `keys_state.lua`.
pub(super) fn key_state(value: Value) -> StoreResult<KeyState> {
    let values = array(value)?;
    let lifts = text(values.get(4).unwrap_or(&Value::Nil))?;
    let lift = |lift: &str| lift.parse().map_err(|_| corrupt("lift", &values[4]));
    Ok(KeyState {
        is_confirmed: at(&values, 0)? == 1,
        term: at(&values, 1)?,
        clock: at(&values, 2)?,
        limit: at(&values, 3)?,
        lifts: lifts
            .split_whitespace()
            .map(lift)
            .collect::<StoreResult<_>>()?,
    })
}

/// `seq, started_ms, expires_ms`.
pub(super) fn session(values: &[Value]) -> StoreResult<Standing> {
    Ok(Standing::Active {
        seq: at(values, 0)?,
        started_at: instant(values, 1)?,
        expires_at: instant(values, 2)?,
    })
}

/// `place, order key, …`.
pub(super) fn popped(value: Value) -> StoreResult<Popped> {
    let values = array(value)?;
    let mut places = Vec::with_capacity(values.len() / 2);
    for pair in values.chunks_exact(2) {
        let Value::BulkString(bytes) = &pair[0] else {
            return Err(corrupt("place", &pair[0]));
        };
        places.push((place(bytes)?, key(pair, 1)?));
    }
    Ok(Popped { places })
}

/// `place, outcome, …`, in a map's or in a list's shape.
pub(super) fn outcomes(value: Value) -> StoreResult<Vec<Outcome>> {
    let flat = match value {
        Value::Array(values) if values.iter().all(|v| matches!(v, Value::Array(_))) => {
            let pairs = values
                .into_iter()
                .map(array)
                .collect::<StoreResult<Vec<_>>>()?;
            pairs.concat()
        }
        other => array(other)?,
    };
    let read = |pair: &[Value]| {
        let Value::BulkString(bytes) = &pair[0] else {
            return Err(corrupt("place", &pair[0]));
        };
        Outcome::read(place(bytes)?, text(&pair[1])?).ok_or_else(|| corrupt("outcome", &pair[1]))
    };
    flat.chunks_exact(2).map(read).collect()
}

/// The answer of `snapshot.lua`.
pub(super) fn snapshot(value: Value, taken_at: Timestamp, epoch: u32) -> StoreResult<Snapshot> {
    let mut parts = array(value)?.into_iter();
    let mut next = || array(parts.next().unwrap_or(Value::Nil));
    let (counts, head, knots) = (next()?, next()?, next()?);
    let head = head.iter().map(number).collect::<StoreResult<Vec<_>>>()?;
    let knots = knots
        .chunks_exact(2)
        .map(|pair| Ok((number(&pair[0])?, number(&pair[1])?)))
        .collect::<StoreResult<Vec<_>>>()?;
    Ok(Snapshot {
        taken_ms: taken_at.as_ms(),
        epoch,
        counts: Counts {
            in_line: at(&counts, 0)?,
            absent: at(&counts, 1)?,
            called: at(&counts, 2)?,
            active: at(&counts, 3)?,
            joins: at(&counts, 4)?,
            calls: at(&counts, 5)?,
            claims: at(&counts, 6)?,
            no_shows: at(&counts, 7)?,
            ended: at(&counts, 8)?,
            straight: at(&counts, 11)?,
            waited_ms: 0,
            waited: 0,
        },
        head,
        knots,
        clock: at(&counts, 9)?,
        birth: text(counts.get(10).unwrap_or(&Value::Nil))?.to_owned(),
        limited_by: None,
    })
}

/// Notices after `cursor` of a stream read that begins with the entry at the cursor itself.
pub(super) fn notices(reply: &StreamRangeReply, cursor: &Cursor) -> StoreResult<NoticesRead> {
    let own = reply.ids.first().filter(|entry| entry.id == cursor.0);
    let new = &reply.ids[usize::from(own.is_some())..];
    let new = &new[..new.len().min(NOTICES_MAX)];
    let has_gap = own.is_none() && *cursor != Cursor::start();
    let end = match (new.last(), own) {
        (Some(last), _) | (None, Some(last)) => Cursor(last.id.clone()),
        (None, None) => Cursor::start(),
    };
    let mut notices = Vec::with_capacity(new.len());
    for entry in new {
        notices.extend(notice(entry)?);
    }
    Ok(NoticesRead {
        notices,
        end,
        has_gap,
        has_more: new.len() >= NOTICES_MAX,
    })
}

/// One entry of the stream; nothing for a kind that a later version may write.
fn notice(entry: &StreamId) -> StoreResult<Option<Notice>> {
    let field = |name: &str| entry.map.get(name).unwrap_or(&Value::Nil);
    let places = |name: &str| match field(name) {
        Value::BulkString(bytes) => bytes.chunks(16).map(place).collect(),
        other => Err(corrupt(name, other)),
    };
    let until = || timestamp(number(field("until"))?);
    if entry.map.contains_key("look") {
        let places = places("look")?;
        return Ok(Some(Notice::Look { places }));
    }
    let single = || -> StoreResult<PlaceId> {
        let places: Vec<_> = places("places")?;
        let first = places.first().copied();
        first.ok_or_else(|| StoreError::Corrupt("notice of nobody".to_owned()))
    };
    Ok(Some(match text(field("kind"))? {
        "called" => Notice::Called {
            places: places("places")?,
            first_seq: number(field("seq"))?,
            claim_by: until()?,
        },
        "claimed" => Notice::Claimed {
            place: single()?,
            seq: number(field("seq"))?,
            started_at: timestamp(number(field("started"))?)?,
            expires_at: until()?,
        },
        "ended" => Notice::Ended {
            place: single()?,
            // A gateway of an earlier version does not say which: whatever there is.
            seq: match field("seq") {
                Value::Nil => u64::MAX,
                seq => number(seq)?,
            },
        },
        other => {
            tracing::debug!(kind = other, "notice passed over");
            return Ok(None);
        }
    }))
}
