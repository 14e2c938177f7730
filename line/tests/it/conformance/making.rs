//! Making a room page by page: one process at a time, and another one when it dies.

use std::time::Duration;

use contract::Timestamp;
use line::store::{
    Enter, MAKING_MAX, MakingEnd, RoomRef, Served, ServedPage, Standing, StoreResult,
};
use uuid::Uuid;

use super::{Line, START, assert_refused, at, birth, entry, live, place, served};

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

/// The room at an epoch at which it was never made.
fn unmade(line: Line) -> Line {
    let room = RoomRef {
        epoch: line.room.epoch + 1,
        ..line.room.clone()
    };
    Line { room, ..line }
}

/// Admissions of the places with the numbers of their ordinals.
fn admissions(seqs: std::ops::RangeInclusive<u64>) -> Vec<Served> {
    seqs.map(|n| served(n, n, live(n), None)).collect()
}

async fn begin(line: &Line, process: Uuid, now: Timestamp) -> StoreResult<u64> {
    line.store.making_begin(&line.room, process, now).await
}

/// Adds admissions after the one before the first of them.
async fn add(
    line: &Line,
    process: Uuid,
    now: Timestamp,
    served: &[Served],
    end: Option<MakingEnd>,
) -> StoreResult<()> {
    let page = ServedPage {
        served,
        after: served[0].seq - 1,
        upto: served[served.len() - 1].seq,
        end,
    };
    let added = line.store.making_add(&line.room, process, now, &page);
    added.await
}

fn end() -> MakingEnd {
    MakingEnd {
        birth: Uuid::from_u128(9),
        ..MakingEnd::default()
    }
}

pub(super) async fn whoever_makes_a_room_is_not_disturbed(line: Line) {
    let line = unmade(line);
    assert_eq!(begin(&line, FIRST, START).await.unwrap(), 0);
    // The answer may have been lost.
    assert_eq!(begin(&line, FIRST, START).await.unwrap(), 0);
    let almost = START.plus(MAKING_MAX).minus(Duration::from_millis(1));
    assert_refused(&begin(&line, SECOND, almost).await);
    assert_refused(&add(&line, SECOND, almost, &admissions(1..=2), Some(end())).await);
    // Each page tells that it is alive.
    let added = add(&line, FIRST, almost, &admissions(1..=2), None).await;
    added.unwrap();
    assert_refused(&begin(&line, SECOND, START.plus(MAKING_MAX)).await);
    let added = add(&line, FIRST, almost, &admissions(3..=3), Some(end())).await;
    added.unwrap();
    assert_eq!(line.look(START, 2).await, Standing::Ended);
    assert_eq!(line.tick(START).await.seq, 3);
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.birth, Uuid::from_u128(9).to_string());
}

pub(super) async fn another_process_goes_on_where_one_that_died_stopped(line: Line) {
    let line = unmade(line);
    begin(&line, FIRST, START).await.unwrap();
    let added = add(&line, FIRST, START, &admissions(1..=2), None).await;
    added.unwrap();
    let later = START.plus(MAKING_MAX);
    assert_eq!(begin(&line, SECOND, later).await.unwrap(), 2);
    // The first one was only slow.
    assert_refused(&add(&line, FIRST, later, &admissions(3..=4), None).await);
    assert_refused(&begin(&line, FIRST, later).await);
    // It may not leave out what the first one had on its way.
    assert_refused(&add(&line, SECOND, later, &admissions(4..=4), Some(end())).await);
    let added = add(&line, SECOND, later, &admissions(3..=4), Some(end())).await;
    added.unwrap();
    for n in 1..=4 {
        assert_eq!(line.look(later, n).await, Standing::Ended, "{n}");
    }
    assert_eq!(line.tick(later).await.seq, 4);
}

pub(super) async fn a_room_that_is_being_made_takes_nothing_else(line: Line) {
    let line = unmade(line);
    begin(&line, FIRST, START).await.unwrap();
    let added = add(&line, FIRST, START, &admissions(1..=1), None).await;
    added.unwrap();
    for n in 1..=2 {
        let entries = [entry(place(n), Some(live(n)), Enter::Look)];
        let entered = line
            .store
            .places_enter(&line.room, START, 0, &entries)
            .await;
        assert_refused(&entered);
    }
    let claimed = line.store.session_claim(&line.room, START, place(1), at(9));
    assert_refused(&claimed.await);
    assert_refused(&line.store.snapshot_take(&line.room, START).await);
}

pub(super) async fn a_room_of_a_later_epoch_is_made_at_once(line: Line) {
    let older = unmade(line);
    begin(&older, FIRST, START).await.unwrap();
    let added = add(&older, FIRST, START, &admissions(1..=1), None).await;
    added.unwrap();
    let newer = Line {
        store: older.store.clone(),
        backing: older.backing.clone(),
        room: RoomRef {
            epoch: older.room.epoch + 1,
            ..older.room.clone()
        },
        leader: older.leader,
    };
    assert_eq!(begin(&newer, SECOND, START).await.unwrap(), 0);
    assert_refused(&begin(&older, FIRST, START).await);
    assert_refused(&add(&older, FIRST, START, &admissions(2..=2), Some(end())).await);
    let added = add(&newer, SECOND, START, &admissions(1..=1), Some(end())).await;
    added.unwrap();
    assert_eq!(newer.tick(START).await.seq, 1);
}

pub(super) async fn a_page_that_is_repeated_changes_nothing(line: Line) {
    let line = unmade(line);
    begin(&line, FIRST, START).await.unwrap();
    // Called twice: the second call is the one that counts.
    let mut log = admissions(1..=2);
    log.push(served(3, 1, live(1), Some(at(9))));
    for _ in 0..2 {
        add(&line, FIRST, START, &log, Some(end())).await.unwrap();
        let session = Standing::Active {
            seq: 3,
            started_at: START,
            expires_at: at(9),
        };
        assert_eq!(line.look(START, 1).await, session);
        assert_eq!(line.tick(START).await.occupied, 1);
    }
    line.store
        .session_end(&line.room, START, place(1))
        .await
        .unwrap();
    add(&line, FIRST, START, &log, Some(end())).await.unwrap();
    assert_eq!(line.look(START, 1).await, Standing::Ended);
}

pub(super) async fn what_a_room_lost_is_added_by_one_process_at_a_time(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    assert_eq!(begin(&line, FIRST, START).await.unwrap(), 0);
    assert_refused(&begin(&line, SECOND, START).await);
    let added = add(&line, FIRST, START, &admissions(1..=1), None).await;
    added.unwrap();
    // Whoever waits does so meanwhile.
    assert_eq!(line.look(START, 2).await, super::waiting(live(2)));
    let later = START.plus(MAKING_MAX);
    assert_eq!(begin(&line, SECOND, later).await.unwrap(), 1);
    let added = add(&line, SECOND, later, &admissions(2..=2), Some(end())).await;
    added.unwrap();
    let state = line.tick(later).await;
    assert_eq!((state.in_line, state.seq), (1, 2));
    // It is there, and was not made again.
    let birth = birth(77).name.to_string();
    assert_eq!(line.snapshot(later).await.birth, birth);
    assert_eq!(begin(&line, FIRST, later).await.unwrap(), 2);
}
