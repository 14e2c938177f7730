//! Which live keys a server of the store may give.

use line::policy::order::{KeyRange, LIFTS_MAX};
use line::store::live_keys::KeyState;
use line::store::{Enter, Entered, Standing};

use super::{Line, START, at, entry, key, live, place, waiting};

async fn state(line: &Line) -> KeyState {
    line.store.keys_state(&line.room).await.unwrap()
}

/// What a newcomer gets: `None` when the store may not give a live key.
async fn newcomer(line: &Line, n: u64) -> Option<Standing> {
    let entered = line.try_enter(START, entry(place(n), None, Enter::Join));
    entered.await.map(|entered| entered.standing)
}

pub(super) async fn a_server_that_is_not_confirmed_gives_no_live_key(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.call(START, 1).await;
    line.store
        .place_leave(&line.room, START, place(2))
        .await
        .unwrap();
    line.backing.fail_over(&line.room.room).await;
    let before = (state(&line).await, line.snapshot(START).await);
    assert!(!before.0.is_confirmed);
    assert_eq!(newcomer(&line, 3).await, None);
    // Whoever left a live place would get a new key too, and stays gone.
    let again = entry(place(2), Some(live(2)), Enter::Join);
    assert_eq!(line.try_enter(START, again).await, None);
    assert_eq!(line.look(START, 2).await, Standing::Left);
    assert_eq!(before, (state(&line).await, line.snapshot(START).await));
    // Everyone who has a key is let in, in the same batch too.
    let batch = [
        entry(place(4), None, Enter::Join),
        entry(place(1), None, Enter::Join),
        entry(place(5), Some(live(9)), Enter::Look),
        entry(place(6), Some(key(4)), Enter::Join),
        entry(place(7), None, Enter::Look),
    ];
    let entered = line.store.places_enter(&line.room, START, 0, &batch).await;
    let standing = |entered: Option<Entered>| entered.map(|entered| entered.standing);
    let standings: Vec<_> = entered.unwrap().into_iter().map(standing).collect();
    let called = Standing::Called {
        seq: 1,
        claim_by: at(3),
    };
    assert_eq!(
        standings,
        [
            None,
            Some(called),
            Some(waiting(live(9))),
            Some(waiting(key(4))),
            Some(Standing::Unknown)
        ]
    );
    // What comes back does not move the clock of a server that gives no keys.
    assert_eq!(state(&line).await.clock, 2);
    assert!(line.confirm(2, 20, 40).await);
    assert_eq!(newcomer(&line, 3).await, Some(waiting(live(21))));
}

pub(super) async fn no_live_key_beyond_the_limit_is_given(line: Line) {
    assert!(line.confirm(2, 7, 9).await);
    assert_eq!(newcomer(&line, 1).await, Some(waiting(live(8))));
    assert_eq!(newcomer(&line, 2).await, Some(waiting(live(9))));
    assert_eq!(newcomer(&line, 3).await, None);
    let extended = line.store.keys_extend(&line.room, 2, 10).await;
    assert!(extended.unwrap());
    // A limit never sinks.
    let lowered = line.store.keys_extend(&line.room, 2, 1).await;
    assert!(lowered.unwrap());
    // The time counts as well: it is past the limit.
    let joins = [entry(place(4), None, Enter::Join)];
    let entered = line.store.places_enter(&line.room, START, 12, &joins).await;
    assert_eq!(entered.unwrap(), [None]);
    assert_eq!(newcomer(&line, 3).await, Some(waiting(live(10))));
    assert_eq!(newcomer(&line, 5).await, None);
}

pub(super) async fn a_server_goes_on_above_what_the_one_before_it_may_have_given(line: Line) {
    line.join(1).await;
    line.backing.fail_over(&line.room.room).await;
    assert!(line.confirm(2, 50, 60).await);
    let now = state(&line).await;
    assert_eq!(
        (now.is_confirmed, now.term, now.clock, now.limit),
        (true, 2, 50, 60)
    );
    assert_eq!(newcomer(&line, 2).await, Some(waiting(live(51))));
    // A range that begins below the clock does not take it back.
    assert!(line.confirm(3, 40, 70).await);
    assert_eq!(newcomer(&line, 3).await, Some(waiting(live(52))));
}

pub(super) async fn an_outdated_term_changes_nothing(line: Line) {
    assert!(line.confirm(3, 10, 20).await);
    let before = state(&line).await;
    assert!(!line.confirm(3, 30, 40).await);
    assert!(!line.confirm(2, 30, 40).await);
    let extended = line.store.keys_extend(&line.room, 2, 50).await;
    assert!(!extended.unwrap());
    assert_eq!(state(&line).await, before);
    // Nor does one that was confirmed already confirm another server.
    line.backing.fail_over(&line.room.room).await;
    assert!(!line.confirm(3, 30, 40).await);
    assert!(!state(&line).await.is_confirmed);
}

pub(super) async fn where_the_clock_was_set_ahead_is_remembered(line: Line) {
    assert!(state(&line).await.lifts.is_empty());
    let count = u64::try_from(LIFTS_MAX).unwrap() + 3;
    for term in 2..2 + count {
        let range = KeyRange {
            term,
            after: term * 10,
            limit: term * 10 + 5,
            is_ahead: term != 2,
        };
        assert!(line.confirm_keeping(&range, START, START).await);
    }
    // The newest, and not the one that was not ahead.
    let newest: Vec<_> = (2..2 + count).map(|term| term * 10).collect();
    assert_eq!(state(&line).await.lifts, newest[3..]);
}

pub(super) async fn after_a_failover_calls_keep_to_earlier_keys_for_a_while(line: Line) {
    let range = |term| KeyRange {
        term,
        after: term * 50,
        limit: term * 50 + 9,
        is_ahead: false,
    };
    line.join(1).await;
    line.join(2).await;
    line.backing.fail_over(&line.room.room).await;
    assert!(!line.tick(START).await.is_confirmed);
    // One of those who joined after the copy is back, one before them is not.
    line.enter(START, entry(place(4), Some(live(4)), Enter::Look))
        .await;
    assert!(line.confirm_keeping(&range(2), START, at(30)).await);
    assert!(line.tick(START).await.is_confirmed);
    line.join(5).await;
    assert_eq!(line.call(at(1), 9).await, [place(1), place(2)]);
    assert_eq!(line.call(at(2), 9).await, []);
    // The next failover leaves the limit where it is, for longer.
    line.backing.fail_over(&line.room.room).await;
    assert!(line.confirm_keeping(&range(3), at(10), at(40)).await);
    line.enter(at(10), entry(place(3), Some(live(3)), Enter::Look))
        .await;
    assert_eq!(line.call(at(39), 9).await, []);
    assert_eq!(line.call(at(40), 9).await, [place(3), place(4), place(5)]);
    // A server that is confirmed again, for more keys, limits nothing.
    assert!(line.confirm_keeping(&range(4), at(41), at(90)).await);
    line.join(6).await;
    assert_eq!(line.call(at(42), 9).await, [place(6)]);
}
