//! For how long a fan is inside a room.

use std::sync::Arc;

use contract::Timestamp;
use contract::pass::PassClaims;
use line::room::Room;
use line::session_end;

use super::refusal::Asked;
use crate::proxy::End;

/// Until when the session of `claims` lasts; `None` if it has ended.
pub(super) async fn inside_until(
    room: &Arc<Room>,
    claims: &Arc<PassClaims>,
    asked: Asked,
    now: Timestamp,
) -> Option<Timestamp> {
    if room.is_idle() {
        Some(claims.expires_at())
    } else if asked.only_looks {
        room.sessions.peek(room, claims, now).await
    } else {
        room.sessions.look(room, claims, now).await
    }
}

/// When an event stream or a tunnel is cut off: when the session in `room` ends that it needs, if it
/// needs one.
pub(super) fn end_of(room: Option<Arc<Room>>, pass: Option<Arc<PassClaims>>) -> End {
    match room {
        Some(room) => Box::pin(session_end::over(room, pass)),
        None => Box::pin(std::future::pending()),
    }
}
