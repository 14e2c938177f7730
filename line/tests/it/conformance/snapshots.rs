//! What positions are read from.

use line::policy::order::LIVE_BASE;
use line::policy::snapshot::HEAD_PLACES;
use line::store::{ENTER_BATCH_MAX, Enter};

use super::{Line, START, at, entry, opening, order, place};

pub(super) async fn a_snapshot_lists_the_head_and_spaces_knots_behind(line: Line) {
    let count = 2500;
    let entries: Vec<_> = (0..count)
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    for batch in entries.chunks(ENTER_BATCH_MAX) {
        line.store
            .places_enter(&line.room, START, 0, batch)
            .await
            .unwrap();
    }
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.head.len(), HEAD_PLACES);
    let head: Vec<_> = (1..=1000).map(|n| LIVE_BASE + n).collect();
    assert_eq!(snapshot.head, head);
    assert_eq!(snapshot.knots.first(), Some(&(LIVE_BASE + 1000, 999)));
    assert_eq!(snapshot.knots.last(), Some(&(LIVE_BASE + 2500, 2499)));
    for (key, rank) in &snapshot.knots {
        assert_eq!(*key, LIVE_BASE + rank + 1);
    }
    assert_eq!((snapshot.counts.in_line, snapshot.clock), (2500, 2500));
}

pub(super) async fn a_popped_place_still_counts_as_in_line(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, state.seq, 5, 1, 9))
        .await;
    let snapshot = line.snapshot(START).await;
    assert_eq!(snapshot.counts.in_line, 2);
    assert_eq!(snapshot.head, [LIVE_BASE + 2]);
}

pub(super) async fn snapshots_are_left_for_others_and_the_opening_stays(line: Line) {
    let (store, room) = (&line.store, &line.room);
    assert_eq!(store.snapshot_get(room).await.unwrap(), None);
    assert_eq!(store.opening_get(room).await.unwrap(), None);
    line.join(1).await;
    let first = line.snapshot(START).await;
    line.join(2).await;
    let second = line.snapshot(at(1)).await;
    for snapshot in [&first, &second] {
        store.snapshot_put(room, snapshot).await.unwrap();
        let opened = store.opening_put(room, snapshot, opening(START, None));
        assert!(opened.await.unwrap());
    }
    assert_eq!(store.snapshot_get(room).await.unwrap(), Some(second));
    assert_eq!(store.opening_get(room).await.unwrap(), Some(first));
}
