//! Whether anyone is in a room.

use line::store::RoomRef;
use line::store::emptiness::Look;

use super::{Line, START, at, order, place};

async fn look(line: &Line, rooms: &[&str]) -> Vec<Look> {
    let epoch = line.room.epoch;
    let asked = rooms.iter().map(|room| RoomRef {
        room: room.parse().unwrap(),
        epoch,
    });
    let asked: Vec<_> = asked.collect();
    let found = line.store.rooms_look(&asked).await.unwrap();
    found
        .into_iter()
        .map(|look| look.expect("a look"))
        .collect()
}

fn empty(looks: &[Look]) -> Vec<bool> {
    looks.iter().map(|look| look.is_empty).collect()
}

async fn is_empty(line: &Line) -> bool {
    empty(&look(line, &["eras"]).await) == [true]
}

pub(super) async fn a_room_is_empty_while_nobody_waits_is_called_or_inside(line: Line) {
    assert!(is_empty(&line).await);
    line.join(1).await;
    assert!(!is_empty(&line).await, "waiting");
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, 0, 5, 1, 9)).await;
    assert!(!is_empty(&line).await, "popped");
    assert!(line.publish(START, 5, 1).await);
    assert!(!is_empty(&line).await, "called");
    line.claim(at(1), 1).await;
    assert!(!is_empty(&line).await, "inside");
    let ended = line.store.session_end(&line.room, at(2), place(1)).await;
    assert!(ended.unwrap());
    assert!(is_empty(&line).await);
}

pub(super) async fn rooms_are_looked_at_together_and_one_that_is_gone_is_not_empty(line: Line) {
    line.join(1).await;
    let found = look(&line, &["eras", "gone", "eras"]).await;
    assert_eq!(empty(&found), [false, false, false]);
    let left = line.store.place_leave(&line.room, START, place(1)).await;
    assert!(left.unwrap());
    let again = look(&line, &["eras", "gone", "eras"]).await;
    assert_eq!(empty(&again), [true, false, true]);
    assert_eq!(found[0].server, again[0].server);
    assert_eq!(look(&line, &[]).await, []);
}
