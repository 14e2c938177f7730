//! Making a room, forgetting it, and adding what the log knows.

use line::store::{
    Enter, Lease, Notice, Popped, RoomRef, Served, ServedState, Standing, TickSettings,
};
use test_support::making::{Birth, room_make};
use uuid::Uuid;

use super::{
    ABSENCE, GATEWAY_LEASE, GRACE, LEASE, Line, REMEMBERED, START, assert_refused, at, birth,
    entry, live, order, place, served, waiting,
};

pub(super) async fn a_room_at_another_epoch_takes_nothing(line: Line) {
    line.join(1).await;
    let newer = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let newborn = birth(78);
    let looks = [entry(place(1), None, Enter::Look)];
    assert_refused(&line.store.places_enter(&newer, START, 0, &looks).await);
    room_make(&*line.store, &newer, &newborn, &[])
        .await
        .unwrap();
    let old = &line.room;
    assert_refused(&line.store.places_enter(old, START, 0, &looks).await);
    assert_refused(&line.store.place_leave(old, START, place(1)).await);
    assert_refused(&line.store.places_absent(old, START, &[place(1)]).await);
    let settings = TickSettings {
        lease: LEASE,
        absence_timeout: ABSENCE,
        missed_grace: GRACE,
        gateway_lease: GATEWAY_LEASE,
        remembered: REMEMBERED,
    };
    assert_refused(
        &line
            .store
            .tick_begin(old, START, line.leader, settings)
            .await,
    );
    let lease = Lease { fence: 1 };
    assert_refused(
        &line
            .store
            .call_pop(old, START, &order(lease, 0, 5, 1, 1))
            .await,
    );
    assert_refused(
        &line
            .store
            .call_publish(old, START, Uuid::from_u128(5), 1, START)
            .await,
    );
    assert_refused(&line.store.session_claim(old, START, place(1), at(1)).await);
    assert_refused(&line.store.session_renew(old, START, place(1), at(1)).await);
    assert_refused(&line.store.session_end(old, START, place(1)).await);
    assert_refused(&line.store.snapshot_take(old, START).await);
    assert_refused(&room_make(&*line.store, old, &birth(79), &[]).await);
    // The new epoch began empty.
    let entered = line.store.places_enter(&newer, START, 0, &looks).await;
    assert_eq!(entered.unwrap()[0].unwrap().standing, Standing::Unknown);
    let taken = line.store.snapshot_take(&newer, START).await.unwrap();
    assert_eq!((taken.clock, taken.epoch), (0, 2));
    assert_eq!(taken.birth, Uuid::from_u128(78).to_string());
}

pub(super) async fn a_forgotten_room_is_gone(line: Line) {
    line.join(1).await;
    line.store.room_forget(&line.room).await.unwrap();
    let looks = [entry(place(1), None, Enter::Look)];
    assert_refused(&line.store.places_enter(&line.room, START, 0, &looks).await);
    let nothing = Popped { places: vec![] };
    assert_eq!(line.store.call_pending(&line.room).await.unwrap(), nothing);
    assert_eq!(line.store.snapshot_get(&line.room).await.unwrap(), None);
    assert_eq!(line.store.opening_get(&line.room).await.unwrap(), None);
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert_eq!((read.notices, read.has_gap), (vec![], false));
    line.store.room_forget(&line.room).await.unwrap();
}

pub(super) async fn what_the_log_knows_is_served_and_counts(line: Line) {
    let room = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let line = Line { room, ..line };
    line.prepare(&[
        served(1, 1, live(1), None),
        served(2, 2, live(2), Some(at(9))),
    ])
    .await;
    // Served places do not come back, whatever they hold (PLACE-ONCE).
    for (n, enter) in [(1, Enter::Look), (1, Enter::Join), (1, Enter::Return)] {
        let entered = line
            .enter(START, entry(place(n), Some(live(n)), enter))
            .await;
        assert_eq!(entered.standing, Standing::Ended);
    }
    let session = Standing::Active {
        seq: 2,
        started_at: START,
        expires_at: at(9),
    };
    assert_eq!(line.look(START, 2).await, session);
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.seq), (1, 2));
}

pub(super) async fn a_long_log_is_taken_in_pieces(line: Line) {
    let room = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let line = Line { room, ..line };
    let log: Vec<_> = (1..=2500).map(|n| served(n, n, live(n), None)).collect();
    line.prepare(&log).await;
    for n in [1, 1000, 1001, 2500] {
        assert_eq!(line.look(START, n).await, Standing::Ended);
    }
    assert_eq!(line.tick(START).await.seq, 2500);
}

pub(super) async fn admissions_that_the_store_lost_are_added(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    line.prepare(&[
        served(1, 1, live(1), Some(at(9))),
        served(2, 2, live(2), None),
    ])
    .await;
    assert!(matches!(
        line.look(START, 1).await,
        Standing::Active { seq: 1, .. }
    ));
    assert_eq!(line.look(START, 2).await, Standing::Ended);
    let state = line.tick(START).await;
    assert_eq!((state.in_line, state.occupied, state.seq), (1, 1, 2));
}

pub(super) async fn admissions_that_the_store_knows_change_nothing(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    line.call(START, 4).await;
    line.claim(START, 1).await;
    line.store
        .session_end(&line.room, START, place(1))
        .await
        .unwrap();
    line.store
        .place_leave(&line.room, START, place(2))
        .await
        .unwrap();
    line.enter(START, entry(place(2), None, Enter::Join)).await;
    line.tick(at(3)).await;
    line.enter(at(3), entry(place(3), None, Enter::Return))
        .await;
    let before = line.snapshot(at(3)).await;
    let log: Vec<_> = (1..=4)
        .map(|n| served(n, n, live(n), Some(at(60))))
        .collect();
    line.prepare(&log).await;
    assert_eq!(line.snapshot(at(3)).await, before);
    assert_eq!(line.look(at(3), 1).await, Standing::Ended);
    assert_eq!(line.look(at(3), 2).await, waiting(live(5)));
    assert_eq!(line.look(at(3), 3).await, waiting(live(3)));
    assert!(matches!(line.look(at(3), 4).await, Standing::Missed { .. }));
}

pub(super) async fn a_logged_batch_that_is_pending_stays_pending(line: Line) {
    line.join(1).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, state.seq, 5, 1, 9))
        .await;
    // The process died after logging the batch and before publishing it.
    line.prepare(&[served(1, 1, live(1), Some(at(9)))]).await;
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.seq), (1, 1));
    assert!(line.publish(START, 5, 1).await);
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.seq), (1, 1));
    let called = Standing::Called {
        seq: 1,
        claim_by: at(3),
    };
    assert_eq!(line.look(START, 1).await, called);
}

pub(super) async fn the_end_of_the_log_is_known_also_without_its_admissions(line: Line) {
    let room = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let line = Line { room, ..line };
    let of_another_room = Birth {
        seq: 3000,
        ..birth(78)
    };
    let log: Vec<_> = (1..=1500).map(|n| served(n, n, live(n), None)).collect();
    let prepare = room_make(&*line.store, &line.room, &of_another_room, &log);
    prepare.await.unwrap();
    assert_eq!(line.tick(START).await.seq, 3000);
    // Nor does it go back.
    line.prepare(&log).await;
    assert_eq!(line.tick(START).await.seq, 3000);
}

pub(super) async fn a_room_made_again_holds_its_calls(line: Line) {
    assert_eq!(line.tick(START).await.held_until, None);
    let holding = Birth {
        held_until: Some(at(5)),
        ..birth(78)
    };
    let prepare = room_make(&*line.store, &line.room, &holding, &[]);
    prepare.await.unwrap();
    assert_eq!(line.tick(START).await.held_until, None, "it is there");
    line.store.room_forget(&line.room).await.unwrap();
    let prepare = room_make(&*line.store, &line.room, &holding, &[]);
    prepare.await.unwrap();
    assert_eq!(line.tick(START).await.held_until, Some(at(5)));
}

pub(super) async fn whoever_the_log_adds_as_called_is_told(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    let called = |seq, n| Served {
        state: ServedState::Called(at(3)),
        ..served(seq, n, live(n), None)
    };
    line.prepare(&[
        called(1, 1),
        called(2, 2),
        served(3, 3, live(3), Some(at(9))),
    ])
    .await;
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    let told = Notice::Called {
        places: vec![place(1), place(2)],
        first_seq: 1,
        claim_by: at(3),
    };
    let look = Notice::Look {
        places: vec![place(3)],
    };
    assert_eq!(read.notices, [told, look]);
    let claim_by = at(3);
    let standing = Standing::Called { seq: 2, claim_by };
    assert_eq!(line.look(START, 2).await, standing);
    assert!(matches!(
        line.claim(START, 2).await,
        Standing::Active { seq: 2, .. }
    ));
    let state = line.tick(START).await;
    assert_eq!((state.in_line, state.occupied), (1, 3));
}

pub(super) async fn a_room_made_again_is_not_forgotten_with_the_old_one(line: Line) {
    let newer = RoomRef {
        epoch: 2,
        ..line.room.clone()
    };
    let newborn = birth(78);
    let prepared = room_make(&*line.store, &newer, &newborn, &[]);
    prepared.await.unwrap();
    let old = line.room.clone();
    let line = Line {
        room: newer,
        ..line
    };
    line.confirm(1, 0, 99).await;
    line.join(1).await;
    line.store.room_forget(&old).await.unwrap();
    assert_eq!(line.tick(START).await.in_line, 1);
    line.store.room_forget(&line.room).await.unwrap();
    let looks = [entry(place(1), None, Enter::Look)];
    assert_refused(&line.store.places_enter(&line.room, START, 0, &looks).await);
}
