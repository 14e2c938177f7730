//! Claims, renewals and ends.

use std::time::Duration;

use line::store::{Enter, Standing};

use super::{Line, START, at, entry, live, place, waiting};

pub(super) async fn a_call_is_claimed_once_and_keeps_its_session(line: Line) {
    line.join(1).await;
    assert_eq!(line.claim(START, 1).await, waiting(live(1)));
    assert_eq!(line.claim(START, 9).await, Standing::Unknown);
    line.call(START, 1).await;
    let session = Standing::Active {
        seq: 1,
        started_at: at(1),
        expires_at: at(7),
    };
    assert_eq!(line.claim(at(1), 1).await, session);
    assert_eq!(line.claim(at(2), 1).await, session);
    assert_eq!(line.look(at(2), 1).await, session);
    assert_eq!(line.snapshot(at(2)).await.counts.claims, 1);
    assert_eq!(line.claim(at(7), 1).await, Standing::Ended);
}

pub(super) async fn a_call_past_its_deadline_is_no_session(line: Line) {
    line.join(1).await;
    line.call(START, 1).await;
    let called = Standing::Called {
        seq: 1,
        claim_by: at(3),
    };
    assert_eq!(
        line.look(at(3).minus(Duration::from_millis(1)), 1).await,
        called
    );
    // Until the leader has dealt with it, it is a call whose deadline has passed.
    assert_eq!(line.claim(at(3), 1).await, called);
    assert_eq!(line.look(at(3), 1).await, called);
    let state = line.tick(at(3)).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(
        line.tick(at(3)).await.given_back,
        1,
        "once, until a bucket has it"
    );
    assert_eq!(line.snapshot(at(3)).await.counts.no_shows, 1);
}

pub(super) async fn a_session_is_prolonged_never_shortened_never_revived(line: Line) {
    line.join(1).await;
    line.call(START, 1).await;
    let renew = |now, until| {
        let (store, room) = (line.store.clone(), line.room.clone());
        async move {
            store
                .session_renew(&room, now, place(1), until)
                .await
                .unwrap()
        }
    };
    assert!(!renew(START, at(9)).await);
    line.claim(START, 1).await;
    assert!(renew(at(1), at(9)).await);
    assert!(renew(at(1), at(2)).await);
    let session = Standing::Active {
        seq: 1,
        started_at: START,
        expires_at: at(9),
    };
    assert_eq!(line.look(at(8), 1).await, session);
    assert!(!renew(at(9), at(20)).await);
    assert_eq!(line.tick(at(9)).await.occupied, 0);
    assert_eq!(line.look(at(9), 1).await, Standing::Ended);
}

pub(super) async fn ending_a_session_frees_its_slot_at_once(line: Line) {
    line.join(1).await;
    line.join(2).await;
    line.call(START, 2).await;
    line.claim(START, 1).await;
    let end = |n| line.store.session_end(&line.room, START, place(n));
    assert!(end(1).await.unwrap());
    assert!(!end(1).await.unwrap());
    assert!(end(2).await.unwrap());
    assert!(!end(9).await.unwrap());
    let state = line.tick(START).await;
    assert_eq!((state.occupied, state.given_back), (0, 1));
    assert_eq!(line.look(START, 1).await, Standing::Ended);
    assert_eq!(line.claim(START, 2).await, Standing::Ended);
}

pub(super) async fn whoever_was_called_is_told_their_order_key(line: Line) {
    line.join(1).await;
    line.call(START, 1).await;
    let looks = entry(place(1), None, Enter::Look);
    assert_eq!(line.enter(START, looks).await.key, Some(live(1)));
    line.claim(START, 1).await;
    assert_eq!(line.enter(START, looks).await.key, Some(live(1)));
    assert_eq!(line.enter(at(6), looks).await.key, Some(live(1)));
}
