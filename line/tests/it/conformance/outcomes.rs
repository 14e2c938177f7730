//! What became of admissions.

use line::policy::outcome::{Fate, Outcome};
use line::store::{Enter, Served, ServedState, Standing};
use test_support::making::{Birth, room_make};

use super::{GRACE, Line, SESSION, START, at, birth, entry, live, order, place, served, waiting};

/// The journal, by place.
async fn journal(line: &Line) -> Vec<Outcome> {
    let mut taken = line.store.outcomes_take(&line.room).await.unwrap();
    taken.sort_by_key(|outcome| outcome.place);
    taken
}

fn outcome(n: u64, seq: u64, fate: Fate) -> Outcome {
    let place = place(n);
    Outcome { place, seq, fate }
}

pub(super) async fn what_becomes_of_an_admission_is_kept_until_it_is_written_down(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    line.call(START, 4).await;
    for n in [1, 2] {
        line.claim(START, n).await;
    }
    let until = START.plus(SESSION);
    let claimed = Fate::Claimed { until };
    let claims = [outcome(1, 4, claimed), outcome(2, 4, claimed)];
    assert_eq!(journal(&line).await, claims);
    let later = until.plus(SESSION);
    let renewed = line
        .store
        .session_renew(&line.room, START, place(2), later)
        .await;
    assert!(renewed.unwrap());
    let prolonged = Fate::Claimed { until: later };
    assert_eq!(journal(&line).await[1], outcome(2, 4, prolonged));
    let ended = line.store.session_end(&line.room, START, place(1)).await;
    assert!(ended.unwrap());
    for n in [2, 3] {
        let left = line.store.place_leave(&line.room, START, place(n)).await;
        assert!(left.unwrap());
    }
    line.tick(at(3)).await;
    let until = at(3).plus(GRACE);
    let before = journal(&line).await;
    let expected = [
        outcome(1, 4, Fate::Ended),
        outcome(2, 4, Fate::Ended),
        outcome(3, 4, Fate::Left),
        outcome(4, 4, Fate::Missed { until }),
    ];
    assert_eq!(before, expected);
    line.enter(at(4), entry(place(4), None, Enter::Return))
        .await;
    // What has changed since it was read stays.
    let done = line.store.outcomes_done(&line.room, &before).await;
    done.unwrap();
    assert_eq!(journal(&line).await, [outcome(4, 4, Fate::Returned)]);
}

pub(super) async fn what_was_written_down_is_how_a_room_made_again_stands(line: Line) {
    line.store.room_forget(&line.room).await.unwrap();
    let log = [
        Served {
            state: ServedState::Missed(at(5)),
            ..served(1, 1, live(1), None)
        },
        Served {
            state: ServedState::Left,
            ..served(2, 2, live(2), None)
        },
    ];
    let birth = Birth {
        seq: 2,
        ..birth(78)
    };
    let prepared = room_make(&*line.store, &line.room, &birth, &log).await;
    prepared.unwrap();
    line.confirm(1, 10, 99).await;
    let missed = Standing::Missed {
        key: live(1),
        until: at(5),
    };
    assert_eq!(line.look(START, 1).await, missed);
    let returns = entry(place(1), None, Enter::Return);
    assert_eq!(line.enter(START, returns).await.standing, waiting(live(1)));
    assert_eq!(line.look(START, 2).await, Standing::Left);
    let joins = entry(place(2), Some(live(2)), Enter::Join);
    assert_eq!(line.enter(START, joins).await.standing, waiting(live(11)));
    let state = line.tick(START).await;
    let popped = line
        .pop(START, order(state.lease, state.seq, 5, 9, 9))
        .await;
    assert_eq!(popped, [place(1), place(2)]);
}
