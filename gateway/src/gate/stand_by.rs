//! Who goes straight in, without the waiting page, while a room is in stand-by.

use contract::{PlaceId, Timestamp};
use line::passes::Minted;
use line::room::Room;
use line::store::{Enter, Standing};

use super::refusal::Asked;
use crate::edge::presented::Presented;
use crate::edge::rate_limit::RateLimits;
use crate::http::presented::{place, shows_place};

/// Begins a session for a visitor without a pass, if the room lets visitors straight in. Only the
/// opening of a page begins one, and only as often for an address as it may join lines: a client
/// that keeps no cookies would use up the room's cap otherwise.
pub(super) async fn straight_in(
    room: &Room,
    limits: &RateLimits,
    asked: Asked,
    presented: &Presented,
    now: Timestamp,
) -> Option<(PlaceId, Minted)> {
    if !asked.navigates || asked.only_looks || !room.is_standby() {
        return None;
    }
    if shows_place(room, presented) && has_place(room, presented).await {
        return None;
    }
    limits.check_join(presented.client).ok()?;
    room.straight_in(now).await
}

/// Whether the visitor may be in the line already, or called from it: the waiting page knows what
/// is next for them (PLACE-ONCE).
async fn has_place(room: &Room, presented: &Presented) -> bool {
    let Ok(Some(held)) = place(room, presented) else {
        // A token that is no good is no place.
        return false;
    };
    let standing = room.look(&held.token, Enter::Look, false).await;
    !matches!(standing, Ok(Standing::Ended | Standing::Left))
}
