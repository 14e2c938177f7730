//! Fans whose gateway is gone, and those whose gateway is there.

use std::time::Duration;

use contract::Timestamp;
use line::policy::order::OrderKey;
use line::store::{EXPIRE_BATCH_MAX, Enter, Entry, Lapse, Notice};
use uuid::Uuid;

use super::{GATEWAY_LEASE, Line, START, at, entry, gateway, key, live, place};

/// Joins and is connected to `gateway`.
async fn connect(line: &Line, now: Timestamp, n: u64, gateway: Uuid) -> Option<OrderKey> {
    let joins = Entry {
        connected_to: Some(gateway),
        ..entry(place(n), None, Enter::Join)
    };
    line.enter(now, joins).await.key
}

async fn renew(line: &Line, now: Timestamp, gateway: Uuid, surplus: u64) -> u64 {
    let renewed = line.store.presence_renew(&line.room, now, gateway, surplus);
    renewed.await.unwrap()
}

/// Marks fans of `gateway`, as a leader does at `now`.
async fn lapse(line: &Line, now: Timestamp, gateway: Uuid) -> u64 {
    let lease = line.tick(now).await.lease;
    let order = Lapse {
        lease,
        gateway,
        renewed_before: now.minus(GATEWAY_LEASE),
        seen_since: now.minus(Duration::from_secs(4)),
    };
    line.store.presence_lapse(&line.room, &order).await.unwrap()
}

async fn absent(line: &Line, now: Timestamp) -> u64 {
    line.snapshot(now).await.counts.absent
}

pub(super) async fn fans_of_a_gateway_that_is_gone_are_absent_since_its_last_renewal(line: Line) {
    for n in 1..=2 {
        connect(&line, START, n, gateway(1)).await;
    }
    connect(&line, START, 3, gateway(2)).await;
    assert_eq!(line.tick(at(1)).await.lapsed, None);
    renew(&line, at(2), gateway(2), 0).await;
    assert_eq!(line.tick(at(2)).await.lapsed, Some(gateway(1)));
    // A leader that was replaced marks nobody.
    let lease = line.tick(at(2)).await.lease;
    let order = Lapse {
        lease: line::store::Lease {
            fence: lease.fence + 1,
        },
        gateway: gateway(1),
        renewed_before: at(2),
        seen_since: START,
    };
    let marked = line.store.presence_lapse(&line.room, &order).await.unwrap();
    assert_eq!(marked, 0);
    let cursor = line.store.notices_end(&line.room).await.unwrap();
    assert_eq!(lapse(&line, at(3), gateway(1)).await, 2);
    assert_eq!(absent(&line, at(3)).await, 2);
    let read = line.store.notices_after(&line.room, &cursor).await.unwrap();
    let places = vec![place(1), place(2)];
    assert_eq!(read.notices, [Notice::Look { places }]);
    assert_eq!(line.tick(at(3)).await.lapsed, None);
    // The timeout counts from the last renewal, which was at the start.
    renew(&line, at(4), gateway(2), 0).await;
    let state = line.tick(at(5)).await;
    assert_eq!((state.in_line, state.lapsed), (1, None));
    // However long ago that was, other gateways have a moment to say that a fan is theirs.
    assert_eq!(lapse(&line, at(60), gateway(2)).await, 1);
    assert_eq!(line.tick(at(60)).await.in_line, 1);
    assert_eq!(line.tick(at(61)).await.in_line, 0);
}

pub(super) async fn a_gateway_that_renews_keeps_its_fans(line: Line) {
    connect(&line, START, 1, gateway(1)).await;
    assert_eq!(renew(&line, at(2), gateway(1), 0).await, 1);
    assert_eq!(lapse(&line, at(3), gateway(1)).await, 0);
    // So does one that lets in a fan, which nobody else could know of.
    connect(&line, at(4), 2, gateway(1)).await;
    assert_eq!(lapse(&line, at(5), gateway(1)).await, 0);
    assert_eq!(renew(&line, at(6), gateway(1), 0).await, 2);
    assert_eq!(absent(&line, at(6)).await, 0);
    // One that nobody was ever connected to has no lease.
    assert_eq!(renew(&line, at(6), gateway(9), 0).await, 0);
    assert_eq!(line.tick(at(7)).await.lapsed, None);
}

pub(super) async fn a_fan_of_two_gateways_is_present_by_the_other(line: Line) {
    connect(&line, START, 1, gateway(1)).await;
    connect(&line, START, 1, gateway(2)).await;
    renew(&line, at(2), gateway(2), 0).await;
    assert_eq!(lapse(&line, at(3), gateway(1)).await, 1);
    // The notice of it makes the other one say so.
    let looks = Entry {
        connected_to: Some(gateway(2)),
        ..entry(place(1), Some(live(1)), Enter::Look)
    };
    line.enter(at(3), looks).await;
    assert_eq!(absent(&line, at(3)).await, 0);
    assert_eq!(renew(&line, at(4), gateway(2), 0).await, 2);
    assert_eq!(line.tick(at(60)).await.in_line, 1);
    // A fan who was absent before stays so since then.
    let gone = [place(1)];
    let marked = line.store.places_absent(&line.room, at(60), &gone);
    marked.await.unwrap();
    assert_eq!(lapse(&line, at(60), gateway(2)).await, 0);
    assert_eq!(line.tick(at(64)).await.in_line, 1);
    assert_eq!(line.tick(at(65)).await.in_line, 0);
}

pub(super) async fn entries_are_forgotten_in_order(line: Line) {
    for n in 1..=3 {
        connect(&line, START, n, gateway(1)).await;
    }
    assert_eq!(renew(&line, START, gateway(1), 2).await, 1);
    assert_eq!(lapse(&line, at(2), gateway(1)).await, 1);
    assert_eq!(line.look(at(2), 3).await, super::waiting(live(3)));
    assert_eq!(lapse(&line, at(9), gateway(1)).await, 1);
    connect(&line, at(9), 4, gateway(2)).await;
    assert_eq!(renew(&line, at(9), gateway(2), 7).await, 0);
    assert_eq!(line.tick(at(60)).await.lapsed, None);
}

pub(super) async fn a_bounded_number_of_fans_is_marked_at_a_time(line: Line) {
    let most = u64::try_from(EXPIRE_BATCH_MAX).unwrap();
    for n in 0..most + 3 {
        connect(&line, START, n, gateway(1)).await;
    }
    assert_eq!(lapse(&line, at(2), gateway(1)).await, most);
    assert_eq!(line.tick(at(2)).await.lapsed, Some(gateway(1)));
    assert_eq!(lapse(&line, at(2), gateway(1)).await, 3);
    assert_eq!(line.tick(at(2)).await.lapsed, None);
}

pub(super) async fn whoever_waits_no_more_is_not_marked(line: Line) {
    for n in 1..=3 {
        connect(&line, START, n, gateway(1)).await;
    }
    let drawn = Entry {
        connected_to: Some(gateway(1)),
        ..entry(place(4), Some(key(9)), Enter::Join)
    };
    line.enter(START, drawn).await;
    // The drawn place and the first to join are called; the second leaves.
    line.call(START, 2).await;
    let left = line.store.place_leave(&line.room, START, place(2)).await;
    assert!(left.unwrap());
    assert_eq!(lapse(&line, at(2), gateway(1)).await, 1);
    assert_eq!(line.look(at(2), 3).await, super::waiting(live(3)));
}
