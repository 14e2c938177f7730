//! Leases, ticks, and calls from popping to publishing.

use line::policy::admission::Bucket;
use line::policy::credit::CREDIT_ONE;
use line::policy::shows::Shows;
use line::store::{
    CLOCKS_APART_MAX, CallOrder, EXPIRE_BATCH_MAX, Enter, Lease, Popped, RoomRef, Standing,
};
use uuid::Uuid;

use super::{Line, START, at, entry, live, order, place, served, waiting};

pub(super) async fn one_leads_until_its_lease_ends(line: Line) {
    let other = Uuid::from_u128(2);
    assert_eq!(line.tick(START).await.lease.fence, 1);
    assert_eq!(line.tick_as(at(1), other).await, None);
    assert_eq!(line.tick(at(1)).await.lease.fence, 1);
    assert_eq!(line.tick_as(at(2), other).await, None);
    assert_eq!(line.tick_as(at(3), other).await.unwrap().lease.fence, 2);
    assert_eq!(line.tick_as(at(3), line.leader).await, None);
}

pub(super) async fn a_lease_of_a_clock_that_was_wrong_binds_nobody(line: Line) {
    let other = Uuid::from_u128(2);
    // As far as two sound clocks may be apart, the lease holds.
    line.tick(START.plus(CLOCKS_APART_MAX)).await;
    assert_eq!(line.tick_as(START, other).await, None);
    line.tick(at(3_600)).await;
    let state = line.tick_as(at(60), other).await.expect("leads");
    assert_eq!(state.lease, Lease { fence: 2 });
}

pub(super) async fn an_outdated_leader_pops_nothing(line: Line) {
    line.join(1).await;
    let old = line.tick(START).await.lease;
    let new = line.tick_as(at(2), Uuid::from_u128(2)).await.unwrap().lease;
    assert!(line.pop(at(2), order(old, 0, 5, 1, 9)).await.is_empty());
    assert_eq!(
        line.tick_as(at(2), Uuid::from_u128(2))
            .await
            .unwrap()
            .bucket,
        Bucket::default()
    );
    assert_eq!(line.pop(at(2), order(new, 0, 6, 1, 9)).await, [place(1)]);
}

pub(super) async fn the_cap_is_checked_once_more_when_popping(line: Line) {
    for n in 1..=6 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    line.claim(START, 1).await;
    let state = line.tick(START).await;
    assert_eq!(state.occupied, 2);
    assert_eq!(
        line.pop(START, order(state.lease, state.seq, 5, 9, 4))
            .await,
        [place(3), place(4)]
    );
    assert!(line.publish(START, 5, 3).await);
    let state = line.tick(START).await;
    assert!(
        line.pop(START, order(state.lease, state.seq, 6, 9, 4))
            .await
            .is_empty()
    );
    assert!(
        line.pop(START, order(state.lease, state.seq, 6, 9, 1))
            .await
            .is_empty()
    );
}

pub(super) async fn the_bucket_pays_for_what_was_popped(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    let state = line.tick(START).await;
    assert_eq!(state.bucket, Bucket::default());
    line.pop(START, order(state.lease, state.seq, 5, 4, 99))
        .await;
    assert_eq!(
        line.tick(START).await.bucket,
        Bucket {
            credit: 0,
            returned: CREDIT_ONE,
            filled_at: Some(START),
            shows: Shows::default(),
        }
    );
}

/// Of a store that went back: a room that calls in batches would call one twice by their credit.
pub(super) async fn calls_that_the_log_adds_are_paid_for(line: Line) {
    for n in 1..=4 {
        line.join(n).await;
    }
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, state.seq, 5, 0, 99))
        .await;
    line.prepare(&[served(1, 1, live(1), None), served(2, 2, live(2), None)])
        .await;
    let bucket = line.tick(START).await.bucket;
    assert_eq!(
        (bucket.credit, bucket.returned),
        (CREDIT_ONE, 2 * CREDIT_ONE)
    );
    let all = [3, 4, 5, 6].map(|n| served(n, n, live(n), None));
    line.prepare(&all).await;
    assert_eq!(line.tick(START).await.bucket.credit, 0);
}

pub(super) async fn one_batch_is_pending_at_a_time_and_can_be_read_again(line: Line) {
    line.join(1).await;
    line.join(2).await;
    let state = line.tick(START).await;
    line.pop(START, order(state.lease, state.seq, 5, 1, 9))
        .await;
    assert!(
        line.pop(START, order(state.lease, state.seq, 6, 1, 9))
            .await
            .is_empty()
    );
    let state = line.tick(START).await;
    assert_eq!(state.pending, Some(Uuid::from_u128(5)));
    assert_eq!((state.in_line, state.occupied), (1, 1));
    let pending = line.store.call_pending(&line.room).await.unwrap();
    assert_eq!(pending.places, [(place(1), live(1))]);
    assert!(!line.publish(START, 6, 1).await);
    assert!(line.publish(START, 5, 1).await);
    assert!(!line.publish(START, 5, 1).await);
    let state = line.tick(START).await;
    assert_eq!((state.pending, state.seq), (None, 1));
    let none = Popped { places: vec![] };
    assert_eq!(line.store.call_pending(&line.room).await.unwrap(), none);
}

pub(super) async fn a_missed_turn_is_forgiven_within_its_grace(line: Line) {
    for n in 1..=3 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    line.tick(at(3)).await;
    let missed = Standing::Missed {
        key: live(1),
        until: at(7),
    };
    assert_eq!(line.look(at(4), 1).await, missed);
    assert_eq!(line.claim(at(4), 1).await, missed);
    let returns = entry(place(1), None, Enter::Return);
    let back = line.enter(at(4), returns).await;
    assert_eq!((back.standing, back.fresh), (waiting(live(1)), true));
    assert_eq!(line.call(at(4), 1).await, [place(1)]);
    // A turn that was forgiven is forgotten: the next one may end within its grace.
    line.claim(at(4), 1).await;
    let ended = line.store.session_end(&line.room, at(5), place(1)).await;
    assert!(ended.unwrap());
    assert_eq!(line.look(at(5), 1).await, Standing::Ended);
    // Too late for the other one.
    let late = entry(place(2), None, Enter::Return);
    assert_eq!(line.enter(at(7), late).await.standing, Standing::Ended);
    line.tick(at(7)).await;
    assert_eq!(line.look(at(7), 2).await, Standing::Ended);
    let joins = entry(place(2), Some(live(2)), Enter::Join);
    assert_eq!(line.enter(at(7), joins).await.standing, Standing::Ended);
}

pub(super) async fn a_tick_deals_with_a_bounded_number_of_overdue_places(line: Line) {
    let extra = 3;
    let count = u64::try_from(EXPIRE_BATCH_MAX).unwrap() + extra;
    let served: Vec<_> = (0..count)
        .map(|n| served(n + 1, n, live(n + 1), Some(at(1))))
        .collect();
    let other = Line {
        room: RoomRef {
            epoch: 2,
            ..line.room.clone()
        },
        ..line
    };
    other.prepare(&served).await;
    assert_eq!(other.tick(START).await.occupied, count);
    assert_eq!(other.tick(at(1)).await.occupied, extra);
    assert_eq!(other.tick(at(1)).await.occupied, 0);
}

pub(super) async fn a_store_that_went_back_pops_nothing(line: Line) {
    line.join(1).await;
    let state = line.tick(START).await;
    let popped = line.pop(START, order(state.lease, state.seq + 1, 5, 1, 9));
    assert!(popped.await.is_empty());
    let state = line.tick(START).await;
    assert_eq!((state.in_line, state.bucket), (1, Bucket::default()));
    let popped = line.pop(START, order(state.lease, state.seq, 5, 1, 9));
    assert_eq!(popped.await, [place(1)]);
}

/// The bucket is kept by the step that says it has the credit, so that a tick whose pop was not
/// heard of, or never came, loses nothing and counts nothing twice.
pub(super) async fn what_was_given_back_is_credited_once(line: Line) {
    for n in 1..=2 {
        line.join(n).await;
    }
    line.call(START, 2).await;
    assert_eq!(line.tick(at(3)).await.given_back, 2);
    let state = line.tick(at(3)).await;
    assert_eq!(state.given_back, 2, "no pop has it yet");
    let popped = CallOrder {
        given_back: state.given_back,
        ..order(state.lease, state.seq, 6, 0, 9)
    };
    line.pop(at(3), popped).await;
    assert_eq!(line.tick(at(3)).await.given_back, 0);
    // An outdated leader has kept nothing, and takes nothing.
    line.join(3).await;
    line.call(at(3), 1).await;
    let state = line.tick(at(6)).await;
    let lease = Lease {
        fence: state.lease.fence + 1,
    };
    let outdated = CallOrder {
        lease,
        given_back: 1,
        ..order(lease, state.seq, 7, 0, 9)
    };
    line.pop(at(6), outdated).await;
    assert_eq!(line.tick(at(6)).await.given_back, 1);
}
