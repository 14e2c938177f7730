//! Sees to it that the store gives live keys that nobody has, and that it can go on giving them
//! while the records are away.
//!
//! Keys are reserved in the records before the store gives them, under the term of the server that
//! gives them. The server that follows it, after a failover or a restart, gets keys above all that
//! were reserved: whatever the one before it gave and lost is below them. Fans whose places it lost
//! are put back when they are heard of next; until they can be, calls keep to earlier keys.

use std::time::Duration;

use crate::error::WorkError;
use crate::policy::order::{clock_floor, clock_span};
use crate::rebuild::HOLD;
use crate::rest::REST_MAX;
use crate::room::Room;
use crate::store::StoreError;
use crate::store::live_keys::KeyState;

/// How long joining goes on at least without the records.
const WITHOUT_RECORDS: Duration = Duration::from_hours(1);

/// How far ahead of the time keys are reserved at least while the records answer: a room that
/// rests looks at them when it wakes.
pub const RESERVED_MIN: Duration = WITHOUT_RECORDS.saturating_add(REST_MAX);

/// How far ahead they are reserved when that is no longer so. The difference bounds how often.
const RESERVED: Duration = RESERVED_MIN.saturating_add(Duration::from_mins(10));

/// How far ahead they are reserved for a server that is new: several gateways may reserve for it at
/// the same moment, and the leader extends what one of them got.
const RESERVED_FIRST: Duration = Duration::from_mins(1);

/// Lets the store give live keys for at least as long as `ahead` from now. Who may give them then.
/// Fails while the records are away, unless that is so already.
pub async fn ensure(room: &Room, ahead: Duration) -> Result<KeyState, WorkError> {
    let mut term_seen = room.key_term.lock().await;
    let (parts, at) = (&room.parts, room.store_ref());
    let state = parts.store.keys_state(&at).await?;
    parts.skew.measure_first().await?;
    let time = clock_floor(room.record().created_at, parts.now());
    let reached = state.clock.max(time);
    // An earlier term is that of a server which another has followed since.
    if state.is_confirmed && state.term >= *term_seen {
        *term_seen = state.term;
        if state.limit >= reached.saturating_add(clock_span(ahead)) {
            return Ok(state);
        }
        let limit = reached.saturating_add(clock_span(RESERVED));
        let extended = parts.durable.keys_extend(&room.id, state.term, limit);
        if let Some(limit) = extended.await?
            && parts.store.keys_extend(&at, state.term, limit).await?
        {
            return Ok(KeyState { limit, ..state });
        }
    }
    let count = clock_span(RESERVED_FIRST);
    let reserved = parts.durable.keys_reserve(&room.id, reached, count).await?;
    let range = reserved.ok_or(WorkError::Store(StoreError::NoRoom))?;
    let now = parts.now();
    let confirmed = parts.store.keys_confirm(&at, now, &range, now.plus(HOLD));
    confirmed.await?;
    *term_seen = range.term;
    if state.term > 0 {
        tracing::warn!(room = %room.id, term = range.term, "the line has another server; live keys go on above all that were reserved");
    }
    Ok(parts.store.keys_state(&at).await?)
}
