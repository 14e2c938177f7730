//! Rooms made in a store without records behind it.

use contract::Timestamp;
use line::store::{Making, MakingEnd, RoomRef, SERVED_PAGE_MAX, Served, ServedPage, StoreResult};
use uuid::Uuid;

/// How a room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// A fresh name for this.
    pub name: Uuid,
    /// When.
    pub now: Timestamp,
    /// The last ordinal of the log.
    pub seq: u64,
    /// Nobody is called before.
    pub held_until: Option<Timestamp>,
    /// Whether it has opened before.
    pub is_open: bool,
}

/// Makes the room, or adds what it lacks of `served`.
pub async fn room_make<S: Making + ?Sized>(
    store: &S,
    room: &RoomRef,
    birth: &Birth,
    served: &[Served],
) -> StoreResult<()> {
    let Birth { name, now, .. } = *birth;
    let mut after = store.making_begin(room, name, now).await?;
    for served in served.chunks(SERVED_PAGE_MAX) {
        let page = ServedPage {
            served,
            after,
            upto: served.last().map_or(0, |last| last.seq),
            end: None,
        };
        store.making_add(room, name, now, &page).await?;
        after = after.max(page.upto);
    }
    let end = ServedPage {
        served: &[],
        after,
        upto: birth.seq,
        end: Some(MakingEnd {
            birth: name,
            held_until: birth.held_until,
            is_open: birth.is_open,
        }),
    };
    store.making_add(room, name, now, &end).await
}
