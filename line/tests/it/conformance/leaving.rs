//! Giving a place up, and losing it by absence.

use std::time::Duration;

use line::policy::outcome::{Fate, Outcome};
use line::store::{Enter, Entry, Notice, Standing};

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

/// Pops the first `count` places into batch 5.
async fn popped(line: &Line, count: u64) {
    let state = line.tick(START).await;
    let popped = line
        .pop(START, order(state.lease, state.seq, 5, count, 9))
        .await;
    assert_eq!(popped.len(), usize::try_from(count).unwrap());
}

pub(super) async fn whoever_leaves_a_popped_place_is_not_called(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    popped(&line, 3).await;
    let leave = || line.store.place_leave(&line.room, START, place(2));
    assert!(leave().await.unwrap());
    assert!(!leave().await.unwrap());
    assert_eq!(line.look(START, 2).await, Standing::Left);
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    assert!(line.publish(START, 5, 1).await);
    assert_eq!(line.look(START, 2).await, Standing::Left);
    for (n, seq) in [(1, 1), (3, 3)] {
        let claim_by = at(3);
        let called = Standing::Called { seq, claim_by };
        assert_eq!(line.look(START, n).await, called);
    }
    // Slot and credit are free, and nobody is told that they were called.
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.given_back, state.seq), (2, 1, 3));
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    let told = |n, first_seq| Notice::Called {
        places: vec![place(n)],
        first_seq,
        claim_by: at(3),
    };
    assert_eq!(read.notices, [told(1, 1), told(3, 3)]);
    // It is of this admission that they left.
    let outcomes = line.store.outcomes_take(&line.room).await.unwrap();
    let left = Outcome {
        place: place(2),
        seq: 3,
        fate: Fate::Left,
    };
    assert_eq!(outcomes, [left]);
}

pub(super) async fn whoever_joins_again_before_the_call_is_called(line: Line) {
    line.join(1).await;
    popped(&line, 1).await;
    let left = line.store.place_leave(&line.room, START, place(1)).await;
    assert!(left.unwrap());
    assert_eq!(line.join(1).await.standing, waiting(live(1)));
    assert!(line.publish(START, 5, 1).await);
    let claim_by = at(3);
    let called = Standing::Called { seq: 1, claim_by };
    assert_eq!(line.look(START, 1).await, called);
    assert_eq!(line.tick(START).await.given_back, 0);
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
        connected_to: None,
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
        connected_to: None,
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
