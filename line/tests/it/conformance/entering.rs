//! Joining, looking, and coming back to a place.

use line::policy::order::LIVE_BASE;
use line::store::{ENTER_BATCH_MAX, Enter, Entered, Entry, OnceOpen, Standing};
use test_support::making::{Birth, room_make};

use super::{Line, START, at, birth, entry, key, live, place, served, waiting};

pub(super) async fn a_joiner_gets_a_growing_live_key_and_keeps_it(line: Line) {
    let first = line.join(1).await;
    assert_eq!(
        first,
        Entered {
            standing: waiting(live(1)),
            key: Some(live(1)),
            fresh: true,
            number: 1,
            in_line_before: 0
        }
    );
    let second = line.join(2).await;
    assert_eq!((second.number, second.in_line_before), (2, 1));
    assert_eq!(second.standing, waiting(live(2)));
    let again = line.join(1).await;
    assert_eq!((again.standing, again.fresh), (waiting(live(1)), false));
    assert_eq!(line.snapshot(START).await.counts.joins, 2);
}

pub(super) async fn the_clock_starts_at_its_floor_and_never_goes_back(line: Line) {
    let enter = |n, floor| {
        let entries = [entry(place(n), None, Enter::Join)];
        let (store, room) = (line.store.clone(), line.room.clone());
        async move {
            store
                .places_enter(&room, START, floor, &entries)
                .await
                .unwrap()[0]
                .unwrap()
        }
    };
    assert_eq!(enter(1, 500).await.standing, waiting(live(500)));
    assert_eq!(enter(2, 500).await.standing, waiting(live(501)));
    assert_eq!(enter(3, 10).await.standing, waiting(live(502)));
    assert_eq!(line.snapshot(START).await.clock, 502);
}

pub(super) async fn a_batch_is_answered_in_its_order(line: Line) {
    let entries: Vec<_> = (0..u64::try_from(ENTER_BATCH_MAX).unwrap())
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    let entered = line
        .store
        .places_enter(&line.room, START, 0, &entries)
        .await
        .unwrap();
    for (n, entered) in (0..).zip(entered.into_iter().flatten()) {
        assert_eq!(entered.standing, waiting(live(n + 1)));
        assert_eq!((entered.number, entered.in_line_before), (n + 1, n));
    }
}

pub(super) async fn one_place_twice_in_a_batch_is_one_place(line: Line) {
    let twice = [entry(place(1), None, Enter::Join); 2];
    let entered = line
        .store
        .places_enter(&line.room, START, 0, &twice)
        .await
        .unwrap();
    let entered: Vec<_> = entered.into_iter().flatten().collect();
    assert_eq!(entered[0].standing, entered[1].standing);
    assert_eq!((entered[0].fresh, entered[1].fresh), (true, false));
    assert_eq!(line.snapshot(START).await.counts.in_line, 1);
}

pub(super) async fn a_batch_may_be_all_in_sessions(line: Line) {
    // The longest answer there is.
    let count = u64::try_from(ENTER_BATCH_MAX).unwrap();
    let log: Vec<_> = (1..=count)
        .map(|n| served(n, n, live(n), Some(at(60))))
        .collect();
    line.prepare(&log).await;
    let looks: Vec<_> = (1..=count)
        .map(|n| entry(place(n), None, Enter::Look))
        .collect();
    let entered = line
        .store
        .places_enter(&line.room, START, 0, &looks)
        .await
        .unwrap();
    for (n, entered) in (1..).zip(entered.into_iter().map(Option::unwrap)) {
        let active = Standing::Active {
            seq: n,
            started_at: START,
            expires_at: at(60),
        };
        assert_eq!((entered.standing, entered.key), (active, Some(live(n))));
    }
}

pub(super) async fn a_token_restores_what_the_store_lost(line: Line) {
    assert_eq!(line.look(START, 1).await, Standing::Unknown);
    let restored = line
        .enter(START, entry(place(1), Some(live(40)), Enter::Look))
        .await;
    assert_eq!(
        (restored.standing, restored.fresh),
        (waiting(live(40)), true)
    );
    // Whoever joins now comes after everyone restored (ORDER).
    assert_eq!(line.join(2).await.standing, waiting(live(41)));
    // A restored place is not counted as a new one.
    assert_eq!(line.snapshot(START).await.counts.joins, 1);
}

pub(super) async fn drawn_keys_stand_before_live_ones(line: Line) {
    line.join(1).await;
    line.enter(START, entry(place(2), Some(key(9)), Enter::Join))
        .await;
    line.enter(START, entry(place(3), Some(key(4)), Enter::Join))
        .await;
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.head, vec![4, 9, LIVE_BASE + 1]);
    assert_eq!(line.call(START, 3).await, [place(3), place(2), place(1)]);
}

pub(super) async fn equal_keys_are_called_by_place(line: Line) {
    for n in [3, 1, 2] {
        line.enter(START, entry(place(n), Some(key(9)), Enter::Join))
            .await;
    }
    assert_eq!(line.call(START, 9).await, [place(1), place(2), place(3)]);
}

pub(super) async fn nobody_new_draws_once_the_room_is_open(line: Line) {
    let draws = |n, once_open| Entry {
        once_open,
        ..entry(place(n), Some(key(9)), Enter::Join)
    };
    let standing = async |entry| line.enter(START, entry).await.standing;
    let lot = OnceOpen::Lot(key(4));
    assert_eq!(standing(draws(1, OnceOpen::Live)).await, waiting(key(9)));
    assert_eq!(standing(draws(2, lot)).await, waiting(key(9)));
    assert!(line.open_room(START, None).await);
    assert_eq!(standing(draws(3, OnceOpen::Live)).await, waiting(live(1)));
    assert_eq!(standing(draws(4, lot)).await, waiting(key(4)));
    // Who has drawn keeps it: in the line, and by the token of a place that the store lost.
    assert_eq!(standing(draws(1, OnceOpen::Live)).await, waiting(key(9)));
    assert_eq!(standing(draws(5, OnceOpen::Keep)).await, waiting(key(9)));
}

pub(super) async fn a_room_made_again_is_open_if_it_was(line: Line) {
    line.store.room_forget(&line.room).await.unwrap();
    let opened = Birth {
        is_open: true,
        ..birth(78)
    };
    let prepare = room_make(&*line.store, &line.room, &opened, &[]);
    prepare.await.unwrap();
    line.confirm(1, 0, 99).await;
    let draws = Entry {
        once_open: OnceOpen::Live,
        ..entry(place(1), Some(key(9)), Enter::Join)
    };
    assert_eq!(line.enter(START, draws).await.standing, waiting(live(1)));
}
