//! What the gateways are told.

use line::store::{ENTER_BATCH_MAX, Enter, NOTICES_KEPT, NOTICES_MAX, Notice, NoticesRead};

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
    let read = after(start).await;
    assert_eq!(
        read.notices,
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
            Notice::Ended {
                place: place(1),
                seq: 1
            },
        ]
    );
    let end = read.end;
    let nothing = NoticesRead {
        notices: vec![],
        end: end.clone(),
        has_gap: false,
        has_more: false,
    };
    assert_eq!(after(end.clone()).await, nothing);
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
    let first = line.store.notices_after(&line.room, &start).await.unwrap();
    let rest = line.store.notices_after(&line.room, &first.end).await;
    let rest = rest.unwrap();
    assert_eq!((first.notices.len(), rest.notices.len()), (NOTICES_MAX, 6));
    assert_eq!((first.has_more, rest.has_more), (true, false));
    assert_eq!((first.has_gap, rest.has_gap), (false, false));
}

/// What one operation tells.
async fn told(line: &Line, act: impl AsyncFnOnce(&Line)) -> Vec<Notice> {
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    act(line).await;
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert!(!read.has_gap);
    read.notices
}

pub(super) async fn whoever_goes_or_comes_back_is_to_be_looked_at(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    line.call(START, 1).await;
    let look = |places: &[u64]| {
        let places = places.iter().map(|n| place(*n)).collect();
        [Notice::Look { places }]
    };
    let absent = told(&line, async |line| {
        let gone = [place(2), place(9), place(3)];
        let marked = line.store.places_absent(&line.room, START, &gone).await;
        marked.unwrap();
    });
    assert_eq!(absent.await, look(&[2, 3]));
    let nobody = told(&line, async |line| {
        let gone = [place(9)];
        let marked = line.store.places_absent(&line.room, START, &gone).await;
        marked.unwrap();
    });
    assert_eq!(nobody.await, []);
    for n in [1, 4] {
        let leaves = told(&line, async |line| {
            let left = line.store.place_leave(&line.room, START, place(n));
            assert!(left.await.unwrap());
        });
        assert_eq!(leaves.await, look(&[n]), "from a call and from the line");
    }
    let joins = told(&line, async |line| {
        line.join(4).await;
        line.join(5).await;
    });
    assert_eq!(joins.await, look(&[4]), "and no one who is new");
    line.call(START, 1).await;
    line.tick(at(3)).await;
    let returns = told(&line, async |line| {
        line.enter(at(3), entry(place(2), None, Enter::Return))
            .await;
    });
    assert_eq!(returns.await, look(&[2]));
}

pub(super) async fn notices_that_are_gone_leave_a_gap(line: Line) {
    line.join(1).await;
    let absent = async || {
        let gone = [place(1)];
        let marked = line.store.places_absent(&line.room, START, &gone).await;
        marked.unwrap();
    };
    absent().await;
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    // Redis trims whole blocks, so some more may be kept.
    for _ in 0..NOTICES_KEPT + 500 {
        absent().await;
    }
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert!(read.has_gap && read.has_more);
    let next = line.store.notices_after(&line.room, &read.end).await;
    assert!(!next.unwrap().has_gap);
    line.store.room_forget(&line.room).await.unwrap();
    let lost = line.store.notices_after(&line.room, &cursor).await.unwrap();
    assert!(lost.has_gap);
    let next = line.store.notices_after(&line.room, &lost.end).await;
    assert!(!next.unwrap().has_gap);
}
