//! What an idle room does, for people: it holds nobody up.

use contract::Timestamp;
use contract::line::Phase;
use contract::room::{QueueingMethod, RoomView};

use crate::when::distance_text;

/// What an idle room does, in few words.
pub const PASS_THROUGH: &str = "everyone passes through";

/// What it means that `room` is idle, and what ends it: `everyone passes through until …`. `None`
/// for a room that is not idle.
pub fn meaning(room: &RoomView, now: Timestamp) -> Option<String> {
    (room.phase == Phase::Idle).then(|| format!("{PASS_THROUGH} {}", end(room, now)))
}

/// What ends the idling, in the order in which the gateway decides on the phase: out of use, the
/// queueing method, the first time of the schedule. The gateway said that the room is idle, so
/// none of its times has come, whatever the clock of this machine says.
fn end(room: &RoomView, now: Timestamp) -> String {
    let settings = &room.settings;
    let name = &settings.room;
    if settings.suspended {
        return format!(
            "while the room is out of use; `ropeline room set {name} --no-suspended` puts it back"
        );
    }
    if settings.queueing_method == QueueingMethod::Passthrough {
        return "as long as its queueing method is passthrough".to_owned();
    }
    let begins = [
        (settings.prequeue_opens_at, "when it starts collecting"),
        (settings.opens_at, "when it starts calling"),
    ];
    for (at, what) in begins {
        if let Some(at) = at {
            return format!("until {}, {what}", distance_text(at, now));
        }
    }
    match settings.closes_at {
        None => format!("until you open it: `ropeline room open {name}`"),
        Some(at) => format!(
            "until you open it (`ropeline room open {name}`) or it closes, {}",
            distance_text(at, now)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn check(settings: Value, expected: Option<&str>) {
        let mut room = json!({
            "room": "eras", "phase": "idle", "override": null, "pausedReason": null,
            "drawCommitment": "aa", "version": 3,
            "createdAt": "2026-11-22T09:00:00Z", "updatedAt": "2026-11-22T09:30:00Z"
        });
        let named: Map<String, Value> = serde_json::from_value(settings).unwrap();
        room.as_object_mut().unwrap().extend(named);
        let room: RoomView = serde_json::from_value(room).unwrap();
        let now = Timestamp::parse("2026-11-22T09:50:00Z").unwrap();
        assert_eq!(meaning(&room, now).as_deref(), expected);
    }

    #[test]
    fn an_idle_room_says_until_when_everyone_passes() {
        check(
            json!({}),
            Some("everyone passes through until you open it: `ropeline room open eras`"),
        );
        check(
            json!({"opensAt": "2026-11-22T10:00:00Z", "closesAt": "2026-11-22T12:00:00Z"}),
            Some(
                "everyone passes through until 2026-11-22 10:00:00 UTC (in 10 min), when it \
                 starts calling",
            ),
        );
        check(
            json!({"prequeueOpensAt": "2026-11-22T09:55:00Z", "opensAt": "2026-11-22T10:00:00Z"}),
            Some(
                "everyone passes through until 2026-11-22 09:55:00 UTC (in 5 min), when it \
                 starts collecting",
            ),
        );
        check(
            json!({"closesAt": "2026-11-22T10:00:00Z"}),
            Some(
                "everyone passes through until you open it (`ropeline room open eras`) or it \
                 closes, 2026-11-22 10:00:00 UTC (in 10 min)",
            ),
        );
        check(
            json!({"queueingMethod": "passthrough", "opensAt": "2026-11-22T10:00:00Z"}),
            Some("everyone passes through as long as its queueing method is passthrough"),
        );
        check(
            json!({"suspended": true}),
            Some(
                "everyone passes through while the room is out of use; `ropeline room set eras \
                 --no-suspended` puts it back",
            ),
        );
    }

    #[test]
    fn a_room_that_is_not_idle_lets_nobody_through() {
        check(json!({"phase": "queueing"}), None);
        check(json!({"phase": "closed"}), None);
    }
}
