//! Waiting for the end of a session, for connections that outlive the request they began with.

use std::sync::Arc;
use std::time::Duration;

use contract::Clock;
use contract::pass::PassClaims;
use tokio::sync::Notify;

use crate::room::Room;

/// How long a connection may go on after its session ended by time: sessions slide, and rooms
/// open, so the end is looked for and not awaited.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the one who came in with `pass`, or without one while nobody waited, is no longer
/// inside `room`.
pub async fn over(room: Arc<Room>, pass: Option<Arc<PassClaims>>) {
    let ending = pass.as_ref().map(|pass| room.sessions.endings.of(pass.sub));
    let nobody = Notify::new();
    let notify = ending.as_ref().map_or(&nobody, |ending| &*ending.notify);
    loop {
        let woken = notify.notified();
        tokio::pin!(woken);
        // Begun before the look, so that an end in between is not missed.
        woken.as_mut().enable();
        if !is_inside(&room, pass.as_deref()).await {
            return;
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn is_inside(room: &Room, pass: Option<&PassClaims>) -> bool {
    if room.is_idle() {
        return true;
    }
    let now = room.parts.clock.now();
    match pass {
        Some(pass) => room.sessions.look(room, pass, now).await.is_some(),
        None => false,
    }
}
