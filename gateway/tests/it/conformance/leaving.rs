//! Giving a place up, and losing it by absence.

use std::time::Duration;

use gateway::store::{Enter, Entry, Standing};

use super::{Line, START, at, entry, key, live, order, place, waiting};

pub(super) async fn leaving_is_final_for_looks_and_harmless_twice(line: Line) {
    line.join(1).await;
    let leave = || line.store.place_leave(&line.room, START, place(1));
    assert!(leave().await.unwrap());
    assert!(!leave().await.unwrap());
    assert_eq!(line.look(START, 1).await, Standing::Left);
    let returns = entry(place(1), Some(live(1)), Enter::Return);
    assert_eq!(line.enter(START, returns).await.standing, Standing::Left);
    assert_eq!(line.snapshot(START).await.counts.in_line, 0);
}

pub(super) async fn whoever_left_joins_again_behind_everyone(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.store
        .place_leave(&line.room, START, place(1))
        .await
        .unwrap();
    let again = line
        .enter(START, entry(place(1), Some(live(1)), Enter::Join))
        .await;
    assert_eq!((again.standing, again.fresh), (waiting(live(3)), true));
    // A drawn key is the nonce's for good.
    line.enter(START, entry(place(5), Some(key(9)), Enter::Join))
        .await;
    line.store
        .place_leave(&line.room, START, place(5))
        .await
        .unwrap();
    let drawn = line
        .enter(START, entry(place(5), Some(key(9)), Enter::Join))
        .await;
    assert_eq!(drawn.standing, waiting(key(9)));
}

pub(super) async fn leaving_a_call_or_session_frees_its_slot(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.call(START, 2).await;
    line.claim(START, 2).await;
    for n in [1, 2] {
        let leave = || line.store.place_leave(&line.room, START, place(n));
        assert!(leave().await.unwrap());
        assert!(!leave().await.unwrap());
    }
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(line.look(START, 1).await, Standing::Left);
    assert_eq!(line.look(START, 2).await, Standing::Ended);
    assert_eq!(line.snapshot(START).await.counts.ended, 1);
}

pub(super) async fn a_popped_place_cannot_leave(line: Line) {
    line.join(1).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, state.seq, 5, 1, 9))
        .await;
    let left = line.store.place_leave(&line.room, START, place(1)).await;
    assert!(!left.unwrap());
    assert_eq!(line.look(START, 1).await, waiting(live(1)));
    assert!(line.publish(START, 5, 1).await);
    assert!(matches!(
        line.look(START, 1).await,
        Standing::Called { seq: 1, .. }
    ));
}

pub(super) async fn absent_places_are_dropped_after_the_timeout(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    let absent = |now, n| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move { store.places_absent(&room, now, &[place(n)]).await.unwrap() }
    };
    absent(START, 1).await;
    absent(START, 2).await;
    absent(START, 99).await;
    assert_eq!(line.snapshot(START).await.counts.absent, 2);
    // A connection ends the absence.
    line.look(at(1), 2).await;
    assert_eq!(
        line.tick(at(5).minus(Duration::from_millis(1)))
            .await
            .in_line,
        3
    );
    assert_eq!(line.tick(at(5)).await.in_line, 2);
    assert_eq!(line.look(at(5), 1).await, Standing::Unknown);
    // With the token the place comes back where it was.
    let token = entry(place(1), Some(live(1)), Enter::Look);
    assert_eq!(line.enter(at(6), token).await.standing, waiting(live(1)));
}

pub(super) async fn polling_keeps_a_place_without_a_connection(line: Line) {
    let polls = Entry {
        connected: false,
        ..entry(place(1), Some(live(1)), Enter::Look)
    };
    line.enter(START, polls).await;
    line.enter(at(4), polls).await;
    assert_eq!(line.tick(at(8)).await.in_line, 1);
    assert_eq!(line.tick(at(9)).await.in_line, 0);
}

pub(super) async fn a_poll_beside_a_connection_makes_no_one_absent(line: Line) {
    line.join(1).await;
    let polls = Entry {
        connected: false,
        ..entry(place(1), None, Enter::Look)
    };
    line.enter(START, polls).await;
    assert_eq!(line.claim(START, 1).await, waiting(live(1)));
    assert_eq!(line.snapshot(START).await.counts.absent, 0);
    assert_eq!(line.tick(at(60)).await.in_line, 1);
}

pub(super) async fn whoever_left_a_live_place_draws_no_other(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    line.tick(at(3)).await;
    line.call(at(3), 1).await;
    // Of two missed turns, a call and a place in the line.
    for n in 1..=4 {
        let left = line.store.place_leave(&line.room, at(3), place(n)).await;
        assert!(left.unwrap());
        let draws = entry(place(n), Some(key(9)), Enter::Look);
        assert_eq!(line.enter(at(3), draws).await.standing, Standing::Left);
        let draws = entry(place(n), Some(key(9)), Enter::Join);
        let again = line.enter(at(3), draws).await;
        assert_eq!(again.standing, waiting(live(4 + n)));
    }
}
