//! Who was present: at the opening, where only they draw, and after a live key was given.

use std::time::Duration;

use contract::Timestamp;
use line::policy::order::{KeyRange, OrderKey};
use line::store::{EXPIRE_BATCH_MAX, Enter, Entry, OnceOpen, Standing};
use test_support::making::{Birth, room_make};

use super::{ABSENCE, Line, START, at, birth, entry, gateway, key, live, place, waiting};

/// Someone who comes with the token of a place that drew the key 100 + `n`, without a connection.
fn drawn(n: u64, enter: Enter) -> Entry {
    Entry {
        once_open: OnceOpen::IfPresent { newcomer: None },
        connected_to: None,
        ..entry(place(n), Some(lot(n)), enter)
    }
}

fn lot(n: u64) -> OrderKey {
    key(100 + n)
}

/// Someone who comes with the token of a live place, without a connection.
fn with_live(n: u64, key: Option<OrderKey>, enter: Enter) -> Entry {
    Entry {
        connected_to: None,
        ..entry(place(n), key, enter)
    }
}

impl Line {
    async fn standing(&self, now: Timestamp, entry: Entry) -> Standing {
        self.enter(now, entry).await.standing
    }

    /// Opens the room, where only who is present draws, after dropping whoever is not.
    async fn draw(&self, now: Timestamp) {
        for _ in 0..9 {
            if self.open_room(now, Some(ABSENCE)).await {
                return;
            }
        }
        panic!("the room does not open");
    }
}

pub(super) async fn a_place_that_was_not_present_at_the_opening_has_no_draw(line: Line) {
    for n in 1..4 {
        line.enter(START, drawn(n, Enter::Join)).await;
    }
    // The first is dropped by a tick, the second by the opening; the third is seen in time.
    line.enter(at(2), drawn(2, Enter::Look)).await;
    line.enter(at(3), drawn(3, Enter::Look)).await;
    line.tick(at(5)).await;
    line.draw(at(7)).await;
    assert_eq!(line.snapshot(at(7)).await.head, [lot(3).get()]);
    for n in [1, 2] {
        for enter in [Enter::Look, Enter::Return] {
            assert_eq!(
                line.standing(at(7), drawn(n, enter)).await,
                Standing::Unknown
            );
        }
    }
    // Whoever joins again does so as a newcomer, behind everyone.
    assert_eq!(
        line.standing(at(7), drawn(1, Enter::Join)).await,
        waiting(live(1))
    );
    let with_lot = Entry {
        once_open: OnceOpen::IfPresent {
            newcomer: Some(key(7)),
        },
        ..drawn(2, Enter::Join)
    };
    assert_eq!(line.standing(at(7), with_lot).await, waiting(key(7)));
    // The old token finds the new place.
    assert_eq!(
        line.standing(at(7), drawn(1, Enter::Look)).await,
        waiting(live(1))
    );
}

pub(super) async fn a_room_opens_when_nobody_is_left_to_be_dropped(line: Line) {
    let many = u64::try_from(EXPIRE_BATCH_MAX).unwrap() + 1;
    let hoard: Vec<_> = (1..=many).map(|n| drawn(n, Enter::Join)).collect();
    for batch in hoard.chunks(500) {
        let entered = line.store.places_enter(&line.room, START, 0, batch).await;
        entered.unwrap();
    }
    let opens = async || line.open_room(at(5), Some(ABSENCE)).await;
    assert!(!opens().await);
    assert_eq!(line.snapshot(at(5)).await.counts.in_line, 1);
    let newcomer = Entry {
        once_open: OnceOpen::Live,
        ..drawn(0, Enter::Join)
    };
    assert_eq!(
        line.standing(at(5), newcomer).await,
        waiting(lot(0)),
        "may still draw"
    );
    assert!(!opens().await);
    assert_eq!(line.store.opening_get(&line.room).await.unwrap(), None);
    assert!(opens().await);
    let opening = line.store.opening_get(&line.room).await.unwrap().unwrap();
    assert_eq!(
        opening.head,
        [lot(0).get()],
        "without those that were dropped"
    );
}

pub(super) async fn a_place_that_was_present_keeps_its_draw(line: Line) {
    for n in 1..4 {
        line.enter(at(2), drawn(n, Enter::Join)).await;
    }
    line.draw(at(6)).await;
    // Dropped, left, or in line: what was drawn is the place's for good.
    let left = line.store.place_leave(&line.room, at(6), place(2)).await;
    assert!(left.unwrap());
    line.enter(at(6), drawn(3, Enter::Look)).await;
    line.tick(at(7)).await;
    assert_eq!(line.snapshot(at(7)).await.head, [lot(3).get()]);
    assert_eq!(
        line.standing(at(7), drawn(1, Enter::Look)).await,
        waiting(lot(1))
    );
    assert_eq!(
        line.standing(at(7), drawn(2, Enter::Look)).await,
        Standing::Left
    );
    assert_eq!(
        line.standing(at(7), drawn(2, Enter::Join)).await,
        waiting(lot(2))
    );
    // Also when it happens again.
    line.tick(at(20)).await;
    assert_eq!(line.snapshot(at(20)).await.counts.in_line, 0);
    for n in 1..4 {
        assert_eq!(
            line.standing(at(20), drawn(n, Enter::Return)).await,
            waiting(lot(n))
        );
    }
}

pub(super) async fn whoever_gave_up_a_drawn_place_before_the_opening_has_no_draw(line: Line) {
    line.enter(START, drawn(1, Enter::Join)).await;
    let left = line.store.place_leave(&line.room, START, place(1)).await;
    assert!(left.unwrap());
    line.draw(at(5)).await;
    assert_eq!(
        line.standing(at(5), drawn(1, Enter::Join)).await,
        waiting(live(1))
    );
}

pub(super) async fn where_it_is_not_known_who_was_present_every_draw_holds(line: Line) {
    let holds = async |now: Timestamp, n| {
        let looked = line.standing(now, drawn(n, Enter::Look)).await;
        assert_eq!(looked, waiting(lot(n)), "place {n}");
    };
    let again = async |birth: Birth| {
        line.store.room_forget(&line.room).await.unwrap();
        let prepared = room_make(&*line.store, &line.room, &birth, &[]);
        prepared.await.unwrap();
    };
    // A room that was made again since the opening, and one that does not ask.
    let is_open = true;
    again(Birth {
        is_open,
        ..birth(1)
    })
    .await;
    line.confirm(1, 0, 99).await;
    holds(START, 1).await;
    again(birth(2)).await;
    line.confirm(1, 0, 99).await;
    assert!(line.open_room(START, None).await);
    holds(START, 2).await;
    // A room that was made again, or had a failover, shortly before the opening.
    let now = at(1);
    again(Birth { now, ..birth(3) }).await;
    line.confirm(1, 0, 99).await;
    line.draw(at(6).minus(Duration::from_millis(1))).await;
    holds(at(6), 3).await;
    again(birth(4)).await;
    line.confirm(1, 0, 99).await;
    line.backing.fail_over(&line.room.room).await;
    let range = KeyRange {
        term: 2,
        after: 99,
        limit: 199,
        is_ahead: false,
    };
    line.confirm_keeping(&range, START, at(1)).await;
    line.draw(at(5)).await;
    holds(at(5), 4).await;
    // A failover that nobody has noticed yet.
    again(birth(5)).await;
    line.confirm(1, 0, 99).await;
    line.backing.fail_over(&line.room.room).await;
    line.draw(START).await;
    holds(START, 5).await;
    // When all that was long enough ago, it is known.
    again(Birth { now, ..birth(6) }).await;
    line.confirm(1, 0, 99).await;
    line.draw(at(6)).await;
    assert_eq!(
        line.standing(at(6), drawn(6, Enter::Look)).await,
        Standing::Unknown
    );
}

pub(super) async fn a_live_place_that_nobody_saw_is_given_up_when_it_is_dropped(line: Line) {
    let joined = with_live(1, None, Enter::Join);
    assert_eq!(line.standing(START, joined).await, waiting(live(1)));
    line.tick(at(4)).await;
    assert_eq!(line.snapshot(at(4)).await.counts.in_line, 1);
    line.tick(at(5)).await;
    assert_eq!(line.snapshot(at(5)).await.counts.in_line, 0);
    let token = |enter| with_live(1, Some(live(1)), enter);
    assert_eq!(
        line.standing(at(5), token(Enter::Look)).await,
        Standing::Left
    );
    assert_eq!(
        line.standing(at(5), token(Enter::Return)).await,
        Standing::Left
    );
    let again = line.standing(at(5), token(Enter::Join)).await;
    assert_eq!(again, waiting(live(2)), "behind everyone");
    // The new key is one that nobody has seen either.
    line.tick(at(10)).await;
    let token = with_live(1, Some(live(2)), Enter::Look);
    assert_eq!(line.standing(at(10), token).await, Standing::Left);
}

pub(super) async fn a_live_place_that_was_seen_keeps_its_key(line: Line) {
    for n in 1..5 {
        line.enter(START, with_live(n, None, Enter::Join)).await;
    }
    // By a poll, a connection that closed since, a second request to join, and one that was lost.
    line.enter(at(1), with_live(1, Some(live(1)), Enter::Look))
        .await;
    let connected = Entry {
        connected_to: Some(gateway(1)),
        ..with_live(2, Some(live(2)), Enter::Return)
    };
    line.enter(at(1), connected).await;
    let closed = &[place(2)];
    let marked = line.store.places_absent(&line.room, at(1), closed);
    marked.await.unwrap();
    line.enter(at(1), with_live(3, Some(live(3)), Enter::Join))
        .await;
    line.enter(at(1), with_live(5, Some(live(5)), Enter::Join))
        .await;
    line.tick(at(6)).await;
    assert_eq!(line.snapshot(at(6)).await.counts.in_line, 0);
    for n in [1, 2, 3, 5] {
        let token = with_live(n, Some(live(n)), Enter::Look);
        assert_eq!(line.standing(at(6), token).await, waiting(live(n)));
    }
    let token = with_live(4, Some(live(4)), Enter::Look);
    assert_eq!(line.standing(at(6), token).await, Standing::Left);
}

pub(super) async fn a_visit_that_may_be_lost_counts(line: Line) {
    line.enter(START, with_live(1, None, Enter::Join)).await;
    line.enter(at(1), with_live(2, None, Enter::Join)).await;
    let holds = async |now, n| {
        let token = with_live(n, Some(live(n)), Enter::Look);
        assert_eq!(line.standing(now, token).await, waiting(live(n)));
    };
    line.backing.fail_over(&line.room.room).await;
    line.tick(at(5)).await;
    holds(at(5), 1).await;
    let range = KeyRange {
        term: 2,
        after: u64::from(u32::MAX),
        limit: u64::from(u32::MAX) + 99,
        is_ahead: false,
    };
    line.confirm_keeping(&range, at(5), at(7)).await;
    line.tick(at(6)).await;
    holds(at(6), 2).await;
}

pub(super) async fn what_is_done_is_remembered_for_a_generation(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.tick(START).await;
    line.enter(at(50), entry(place(3), Some(key(3)), Enter::Look))
        .await;
    assert_eq!(line.call(at(55), 1).await, [place(3)]);
    assert_eq!(line.call(at(56), 1).await, [place(1)]);
    let left = line.store.place_leave(&line.room, at(58), place(2)).await;
    assert!(left.unwrap());
    // The next generation begins after a minute, and the one after it after two.
    for seconds in [59, 60, 61, 118, 119] {
        line.tick(at(seconds)).await;
        assert_eq!(line.look(at(seconds), 2).await, Standing::Left);
    }
    assert_eq!(line.look(at(119), 1).await, Standing::Ended);
    // Whoever comes back from the generation before is not done any more.
    let joined = entry(place(2), None, Enter::Join);
    assert_eq!(line.standing(at(119), joined).await, waiting(live(3)));
    assert_eq!(line.look(at(119), 2).await, waiting(live(3)));
    line.tick(at(120)).await;
    assert_eq!(line.look(at(120), 1).await, Standing::Unknown);
    assert_eq!(line.look(at(120), 3).await, Standing::Unknown);
    assert_eq!(line.look(at(120), 2).await, waiting(live(3)));
    // The room goes on being counted from where it is.
    assert_eq!(line.tick(at(120)).await.seq, 2);
}
