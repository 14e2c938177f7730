//! What the gateways are told.

use gateway::store::{ENTER_BATCH_MAX, Enter, NOTICES_MAX, Notice};

use super::{Line, START, at, entry, place};

pub(super) async fn notices_tell_calls_claims_and_ends_in_order(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let start = line.store.notices_end(&line.room).await.unwrap();
    line.call(START, 2).await;
    line.claim(at(1), 1).await;
    line.store
        .session_end(&line.room, at(1), place(1))
        .await
        .unwrap();
    let after = |cursor| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move { store.notices_after(&room, &cursor).await.unwrap() }
    };
    let (notices, end) = after(start).await;
    assert_eq!(
        notices,
        [
            Notice::Called {
                places: vec![place(1), place(2)],
                first_seq: 1,
                claim_by: at(3)
            },
            Notice::Claimed {
                place: place(1),
                seq: 1,
                started_at: at(1),
                expires_at: at(7)
            },
            Notice::Ended { place: place(1) },
        ]
    );
    assert_eq!(after(end.clone()).await, (vec![], end.clone()));
    assert_eq!(line.store.notices_end(&line.room).await.unwrap(), end);
}

pub(super) async fn notices_are_read_in_bounded_pieces(line: Line) {
    let start = line.store.notices_end(&line.room).await.unwrap();
    let count = NOTICES_MAX + 5;
    let entries: Vec<_> = (0..u64::try_from(count).unwrap())
        .map(|n| entry(place(n), None, Enter::Join))
        .collect();
    for batch in entries.chunks(ENTER_BATCH_MAX) {
        line.store
            .places_enter(&line.room, START, 0, batch)
            .await
            .unwrap();
    }
    assert_eq!(line.call(START, 1000).await.len(), count);
    for entry in &entries {
        assert!(
            line.store
                .session_end(&line.room, START, entry.place)
                .await
                .unwrap()
        );
    }
    let (first, cursor) = line.store.notices_after(&line.room, &start).await.unwrap();
    let (rest, _) = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert_eq!((first.len(), rest.len()), (NOTICES_MAX, 6));
}
