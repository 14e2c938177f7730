//! Tells connections that what their fans see has changed.
//!
//! Each core tells the connections that it serves, a few at a time. Between them it writes their
//! frames and does what else is due, so that a call waits behind a few frames and not behind those
//! of a whole crowd. A connection whose fan would see nothing new sleeps on. When the room stops, all
//! are woken.

use std::sync::Arc;

use contract::line::StatusDocument;
use contract::{Clock, Timestamp};
use tokio::task::yield_now;

use crate::policy::display::Display;
use crate::policy::place::PlaceToken;
use crate::policy::status::RoomView;
use crate::room::Room;
use crate::sockets::Socket;
use crate::store::Standing;

/// Connections that are told one after the other.
const AT_ONCE: usize = 64;

impl Room {
    /// A connection of the holder of `token`, which is told on this core when what they see
    /// changes; `None` when the place has `max`.
    pub fn connect(self: &Arc<Self>, token: &PlaceToken, max: usize) -> Option<Arc<Socket>> {
        let (key, once_open) = (self.key_of(token), self.once_open(token));
        let socket = self.sockets.add(token.place, key, once_open, max)?;
        if self.sockets.telling_begins() {
            self.work.spawn(tell(self.clone(), self.sockets.own_core()));
        }
        Some(socket)
    }

    /// The status of the fan of a connection, unless they are shown it already.
    pub fn news(
        &self,
        token: &PlaceToken,
        socket: &Socket,
        standing: Standing,
        now: Timestamp,
    ) -> Option<StatusDocument> {
        let view = self.view();
        let display = display(&view, socket, standing, now)?;
        let is_new = socket.show(display);
        is_new.then(|| self.status_in(&view, token, standing, now))?
    }
}

/// What the fan of a connection, who stands so, sees of `view`; `None` when there is no place any
/// more.
fn display(
    view: &RoomView,
    socket: &Socket,
    standing: Standing,
    now: Timestamp,
) -> Option<Display> {
    let key = standing.waits_at().unwrap_or(socket.key);
    Some(Display::of(view, key, standing.seen()?, now))
}

/// Tells the connections of core number `core` of each new view, until there are none.
async fn tell(room: Arc<Room>, core: usize) {
    let mut views = room.view_watch();
    // The view may have changed since the first connection read it.
    views.mark_changed();
    loop {
        let stopped = room
            .stop
            .run_until_cancelled(views.changed())
            .await
            .is_none();
        let Some(sockets) = room.sockets.of_core(core) else {
            return;
        };
        if stopped {
            for socket in &sockets {
                socket.wake();
            }
            return;
        }
        let view = views.borrow_and_update().clone();
        for few in sockets.chunks(AT_ONCE) {
            let now = room.parts.clock.now();
            for socket in few {
                if let Some(display) = display(&view, socket, socket.standing(), now) {
                    socket.display_is(display);
                }
            }
            yield_now().await;
        }
    }
}
