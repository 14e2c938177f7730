//! Stand-by: newcomers who go straight in.

use contract::PlaceId;
use line::store::standby::{Closed, StandbyOrder, StandbyPopped};
use line::store::{Notice, Standing};
use test_support::making::{Birth, room_make};
use uuid::Uuid;

use super::{Enter, Line, RATE, SESSION, START, at, birth, entry, live, order, place};

fn straight(batch: u128, places: impl IntoIterator<Item = u64>, cap: u64) -> StandbyOrder {
    StandbyOrder {
        batch: Uuid::from_u128(batch),
        places: places.into_iter().map(place).collect(),
        active_max: cap,
        calls_per_minute: RATE,
        expires_at: START.plus(SESSION),
    }
}

/// Opens the room in the store, as its leader does.
async fn opened(line: &Line) {
    assert!(line.open_room(START, None).await);
}

async fn pop(line: &Line, seconds: u64, order: &StandbyOrder) -> StandbyPopped {
    let popped = line.store.standby_pop(&line.room, at(seconds), 0, order);
    popped.await.unwrap()
}

async fn closed(line: &Line, seconds: u64, order: &StandbyOrder) -> Option<Closed> {
    let popped = pop(line, seconds, order).await;
    assert!(popped.places.is_empty(), "{popped:?}");
    popped.closed
}

pub(super) async fn newcomers_go_straight_in_and_their_sessions_begin_once_published(line: Line) {
    opened(&line).await;
    let from = line.store.notices_end(&line.room).await.unwrap();
    let popped = pop(&line, 0, &straight(5, [1, 2], 9)).await;
    let expected = [(place(1), live(1)), (place(2), live(2))];
    assert_eq!(
        (popped.places.as_slice(), popped.closed),
        (&expected[..], None)
    );
    let counts = line.snapshot(START).await.counts;
    assert_eq!((counts.active, counts.straight), (0, 2));
    assert!(line.publish(START, 5, 1).await);
    assert!(!line.publish(START, 5, 1).await, "once");
    let session = |seq| Standing::Active {
        seq,
        started_at: START,
        expires_at: START.plus(SESSION),
    };
    assert_eq!(line.look(START, 1).await, session(1));
    assert_eq!(
        line.claim(START, 2).await,
        session(2),
        "it is there already"
    );
    let counts = line.snapshot(START).await.counts;
    assert_eq!((counts.called, counts.active), (0, 2));
    assert_eq!((counts.calls, counts.claims, counts.joins), (2, 2, 0));
    let told = line.store.notices_after(&line.room, &from).await.unwrap();
    let told: Vec<_> = told.notices.into_iter().map(claimed).collect();
    assert_eq!(told, [place(1), place(2)]);
    let outcomes = line.store.outcomes_take(&line.room).await.unwrap();
    assert_eq!(outcomes.len(), 2, "a line made again knows the sessions");
    // A joiner comes after them.
    assert_eq!(line.join(3).await.key, Some(live(3)));
}

fn claimed(notice: Notice) -> PlaceId {
    match notice {
        Notice::Claimed { place, .. } => place,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn nobody_goes_straight_in_past_those_who_wait(line: Line) {
    assert_eq!(
        closed(&line, 0, &straight(5, [1], 9)).await,
        Some(Closed::Unopened)
    );
    opened(&line).await;
    line.enter(START, entry(place(7), None, Enter::Join)).await;
    assert_eq!(
        closed(&line, 0, &straight(5, [1], 9)).await,
        Some(Closed::Line)
    );
    line.call(START, 1).await;
    assert_eq!(pop(&line, 0, &straight(6, [1], 9)).await.places.len(), 1);
}

pub(super) async fn stand_by_keeps_to_cap_and_rate_and_all_calls_draw_on_its_meter(line: Line) {
    opened(&line).await;
    let popped = pop(&line, 0, &straight(5, 1..=9, 2)).await;
    assert_eq!((popped.places.len(), popped.closed), (2, Some(Closed::Cap)));
    line.publish(START, 5, 1).await;
    assert_eq!(
        closed(&line, 0, &straight(6, [3], 2)).await,
        Some(Closed::Cap)
    );
    // Three calls are saved up at first, and one comes with every second.
    let popped = pop(&line, 0, &straight(7, 11..=19, 99)).await;
    assert_eq!(
        (popped.places.len(), popped.closed),
        (1, Some(Closed::Rate))
    );
    line.publish(START, 7, 3).await;
    assert_eq!(
        closed(&line, 0, &straight(8, [21], 99)).await,
        Some(Closed::Rate)
    );
    // The leader calls five, from what was given back: the meter owes for them.
    for n in 31..=35 {
        line.join(n).await;
    }
    assert_eq!(line.call(at(1), 5).await.len(), 5);
    assert_eq!(
        closed(&line, 3, &straight(9, [41], 99)).await,
        Some(Closed::Rate)
    );
    // It owes three at most.
    let popped = pop(&line, 5, &straight(10, 51..=59, 99)).await;
    assert_eq!(
        (popped.places.len(), popped.closed),
        (1, Some(Closed::Rate))
    );
}

pub(super) async fn stand_by_waits_for_what_is_on_its_way(line: Line) {
    opened(&line).await;
    assert_eq!(pop(&line, 0, &straight(5, [1], 9)).await.places.len(), 1);
    assert_eq!(
        closed(&line, 0, &straight(6, [2], 9)).await,
        Some(Closed::Pending)
    );
    line.publish(START, 5, 1).await;
    assert!(!line.confirm(1, 9, 9).await, "the term is not new");
    line.backing.fail_over(&line.room.room).await;
    assert_eq!(
        closed(&line, 0, &straight(6, [2], 9)).await,
        Some(Closed::Keyless)
    );
    // Those who waited when the server changed come back first.
    let room = &line.room;
    line.store.room_forget(room).await.unwrap();
    let held_until = Some(at(4));
    let birth = Birth {
        held_until,
        is_open: true,
        ..birth(78)
    };
    room_make(&*line.store, room, &birth, &[]).await.unwrap();
    line.confirm(2, 9, u64::from(u32::MAX)).await;
    assert_eq!(
        closed(&line, 3, &straight(6, [2], 9)).await,
        Some(Closed::Held)
    );
    assert_eq!(
        pop(&line, 4, &straight(6, [2], 9)).await.places,
        [(place(2), live(10))]
    );
}

pub(super) async fn a_leader_sees_whose_batch_is_pending(line: Line) {
    opened(&line).await;
    pop(&line, 0, &straight(5, [1], 9)).await;
    let state = line.tick(at(1)).await;
    assert_eq!(state.pending, Some(Uuid::from_u128(5)));
    assert_eq!(state.standby_at, Some(START));
    line.publish(at(1), 5, 1).await;
    let state = line.tick(at(1)).await;
    assert_eq!((state.pending, state.standby_at), (None, None));
    assert_eq!((state.occupied, state.claims, state.seq), (1, 1, 1));
    line.join(2).await;
    line.pop(at(1), order(state.lease, 1, 6, 1, 9)).await;
    assert_eq!(line.tick(at(1)).await.standby_at, None, "a leader's own");
}
