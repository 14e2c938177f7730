//! What a gateway's follower tells the connections it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use line::follower::Follower;
use line::policy::status::POLL_POLICY;
use line::presence::Presence;
use line::sockets::Socket;
use line::store::{NOTICES_KEPT, NOTICES_MAX, RoomStore, Standing};

use super::ops::Op;
use super::run::World;

/// A fan of the first gateway with a connection, and the follower that is to tell it.
async fn connected(world: &mut World) -> (Arc<Socket>, Follower) {
    world.step(&Op::Join(0)).await.unwrap();
    let room = world.gateways[0].room.clone();
    let token = world.token(0);
    let socket = room.connect(&token, 1).unwrap();
    (socket, Follower::new(room))
}

/// Calls the first in line.
async fn call(world: &mut World) {
    world.step(&Op::Tick(0)).await.unwrap();
    world.step(&Op::AdvanceTime { ms: 300 }).await.unwrap();
    world.step(&Op::Tick(0)).await.unwrap();
}

/// Leaves that many notices about another fan.
async fn chatter(world: &mut World, count: usize) {
    world.step(&Op::Join(2)).await.unwrap();
    let (room, place) = (world.gateways[0].room.store_ref(), world.token(2).place);
    for _ in 0..count {
        let (now, gone) = (world.now(), [place]);
        let marked = world.store.places_absent(&room, now, &gone).await;
        marked.unwrap();
    }
}

/// Connected for real: the store knows of it.
async fn present(world: &mut World) -> (Arc<Socket>, Follower, Presence) {
    world.step(&Op::Pause(true)).await.unwrap();
    world.step(&Op::Tick(1)).await.unwrap();
    let (socket, follower) = connected(world).await;
    world.step(&Op::Return(0)).await.unwrap();
    socket.is_present_set();
    world.is_presence_paused = true;
    let presence = Presence::new(world.gateways[0].room.clone());
    (socket, follower, presence)
}

/// How many wait, and how many of them are absent.
async fn waiting(world: &World) -> (u64, u64) {
    let at = world.gateways[0].room.store_ref();
    let line = world.store.snapshot_take(&at, world.now()).await.unwrap();
    (line.counts.in_line, line.counts.absent)
}

/// The second gateway leads, and nobody renews.
async fn lead(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.step(&Op::AdvanceTime { ms: 1000 }).await.unwrap();
        world.step(&Op::Tick(1)).await.unwrap();
    }
}

fn is_called(socket: &Socket) -> bool {
    matches!(socket.standing(), Standing::Called { .. })
}

#[tokio::test]
async fn a_call_before_the_first_read_is_told() {
    let mut world = World::new();
    world.step(&Op::Tick(0)).await.unwrap();
    let (socket, mut follower) = connected(&mut world).await;
    call(&mut world).await;
    follower.notices_once().await.unwrap();
    assert!(is_called(&socket), "{:?}", socket.standing());
}

#[tokio::test]
async fn a_call_behind_many_notices_is_told_at_once() {
    let mut world = World::new();
    world.step(&Op::Tick(0)).await.unwrap();
    let (socket, mut follower) = connected(&mut world).await;
    follower.notices_once().await.unwrap();
    chatter(&mut world, NOTICES_MAX * 3).await;
    call(&mut world).await;
    follower.notices_once().await.unwrap();
    assert!(is_called(&socket), "{:?}", socket.standing());
}

#[tokio::test]
async fn a_call_whose_notice_is_gone_is_told() {
    let mut world = World::new();
    world.step(&Op::Tick(0)).await.unwrap();
    let (socket, mut follower) = connected(&mut world).await;
    follower.notices_once().await.unwrap();
    call(&mut world).await;
    // The one before is read, so that there is a notice to go on from.
    let mut late = Follower::new(world.gateways[0].room.clone());
    late.notices_once().await.unwrap();
    chatter(&mut world, NOTICES_KEPT + 1).await;
    world.step(&Op::EndSession(0)).await.unwrap();
    late.notices_once().await.unwrap();
    assert_eq!(socket.standing(), Standing::Ended);
}

#[tokio::test]
async fn after_a_wipe_connected_fans_are_back_with_the_next_notices() {
    let mut world = World::new();
    world.step(&Op::Pause(true)).await.unwrap();
    world.step(&Op::Tick(0)).await.unwrap();
    let (_socket, mut follower) = connected(&mut world).await;
    chatter(&mut world, 1).await;
    follower.notices_once().await.unwrap();
    world.step(&Op::StoreWipe).await.unwrap();
    world.step(&Op::Tick(0)).await.unwrap();
    follower.notices_once().await.unwrap();
    let at = world.gateways[0].room.store_ref();
    let line = world.store.snapshot_take(&at, world.now()).await.unwrap();
    assert_eq!((line.counts.in_line, line.counts.absent), (1, 0));
}

#[tokio::test]
async fn after_a_wipe_newcomers_are_not_called_before_those_who_waited() {
    let mut world = World::new();
    world.step(&Op::Pause(true)).await.unwrap();
    world.step(&Op::Join(0)).await.unwrap();
    world.step(&Op::AdvanceTime { ms: 60_000 }).await.unwrap();
    world.step(&Op::Pause(false)).await.unwrap();
    world.step(&Op::StoreWipe).await.unwrap();
    world.step(&Op::Join(2)).await.unwrap();
    // Whoever polls was told to come back after so long, and some need a little more.
    let longest = POLL_POLICY.ceiling_ms + 1_000;
    for _ in 0..4 {
        world.step(&Op::Tick(0)).await.unwrap();
        let ms = longest / 4;
        world.step(&Op::AdvanceTime { ms }).await.unwrap();
    }
    assert_eq!(world.log.admissions(), []);
    world.step(&Op::Look(0)).await.unwrap();
    world.step(&Op::AdvanceTime { ms: 4000 }).await.unwrap();
    world.step(&Op::Tick(0)).await.unwrap();
    let first = world.log.admissions()[0].place;
    assert_eq!(first, world.token(0).place);
}

#[tokio::test]
async fn after_a_failover_a_fan_of_the_lost_second_who_polls_is_not_overtaken() {
    let mut world = World::new();
    let step = async |world: &mut World, op| world.step(&op).await.unwrap();
    step(&mut world, Op::Tick(0)).await;
    step(&mut world, Op::Pause(true)).await;
    step(&mut world, Op::Join(0)).await;
    step(&mut world, Op::StoreLags).await;
    step(&mut world, Op::Join(1)).await;
    step(&mut world, Op::Join(2)).await;
    step(&mut world, Op::StoreGoesBack).await;
    step(&mut world, Op::Pause(false)).await;
    // The later of the two is back at once, and so is a newcomer there.
    step(&mut world, Op::Look(2)).await;
    step(&mut world, Op::Join(3)).await;
    for _ in 0..9 {
        step(&mut world, Op::AdvanceTime { ms: 3_000 }).await;
        step(&mut world, Op::Tick(0)).await;
        step(&mut world, Op::Look(2)).await;
        step(&mut world, Op::Look(3)).await;
    }
    // Those whom the line kept are called meanwhile.
    let called = |world: &World| -> Vec<_> {
        let log = world.log.admissions();
        log.iter().map(|admission| admission.place).collect()
    };
    assert_eq!(called(&world), [world.token(0).place]);
    for _ in 0..9 {
        for fan in [1, 2, 3] {
            step(&mut world, Op::Look(fan)).await;
        }
        step(&mut world, Op::AdvanceTime { ms: 3_000 }).await;
        step(&mut world, Op::Tick(0)).await;
    }
    let expected = [0, 1, 2, 3].map(|fan| world.token(fan).place);
    assert_eq!(called(&world), expected);
}

/// A fan with a connection, whose call the line lost in going back: what it was told before, and
/// the follower that looks after it.
async fn called_and_forgotten() -> (World, Arc<Socket>, Follower) {
    let mut world = World::new();
    world.step(&Op::Tick(0)).await.unwrap();
    let (socket, mut follower) = connected(&mut world).await;
    chatter(&mut world, 1).await;
    follower.notices_once().await.unwrap();
    world.step(&Op::StoreLags).await.unwrap();
    call(&mut world).await;
    follower.notices_once().await.unwrap();
    assert!(is_called(&socket), "{:?}", socket.standing());
    world.step(&Op::StoreGoesBack).await.unwrap();
    (world, socket, follower)
}

#[tokio::test]
async fn a_call_that_the_line_lost_is_told_again() {
    let (mut world, socket, mut follower) = called_and_forgotten().await;
    // The follower may look before the leader has compared line and log.
    let _early = follower.notices_once().await;
    world.step(&Op::AdvanceTime { ms: 300 }).await.unwrap();
    for _ in 0..2 {
        world.step(&Op::Tick(0)).await.unwrap();
    }
    follower.notices_once().await.unwrap();
    assert!(is_called(&socket), "{:?}", socket.standing());
}

#[tokio::test]
async fn a_claim_that_was_written_down_is_a_session_after_a_wipe() {
    let mut world = World::new();
    world.step(&Op::Tick(0)).await.unwrap();
    world.step(&Op::Join(0)).await.unwrap();
    call(&mut world).await;
    world.step(&Op::Claim(0)).await.unwrap();
    world.step(&Op::AdvanceTime { ms: 1100 }).await.unwrap();
    world.step(&Op::Tick(0)).await.unwrap();
    world.step(&Op::StoreWipe).await.unwrap();
    // Long after the window in which the call could be claimed.
    world.step(&Op::AdvanceTime { ms: 4000 }).await.unwrap();
    for _ in 0..2 {
        world.step(&Op::Tick(0)).await.unwrap();
    }
    let room = world.gateways[0].room.clone();
    let token = world.token(0);
    let look = room.look(&token, line::store::Enter::Look, false).await;
    assert!(matches!(look.unwrap(), Standing::Active { seq: 1, .. }));
}

#[tokio::test]
async fn a_claim_that_the_line_lost_is_told_again() {
    let (mut world, socket, mut follower) = called_and_forgotten().await;
    let (room, token) = (world.gateways[0].room.clone(), world.token(0));
    // The line that is gone had the claim.
    let (now, seq) = (world.now(), 1);
    let until = now.plus(std::time::Duration::from_secs(8));
    room.sessions.claimed(token.place, seq, now, until);
    world.step(&Op::AdvanceTime { ms: 300 }).await.unwrap();
    for _ in 0..2 {
        world.step(&Op::Tick(0)).await.unwrap();
    }
    follower.notices_once().await.unwrap();
    let standing = socket.standing();
    assert!(
        matches!(standing, Standing::Active { seq: 1, .. }),
        "{standing:?}"
    );
}

#[tokio::test]
async fn a_claim_whose_call_the_line_lost_too_is_told_again_by_whoever_heard_it() {
    let (mut world, socket, mut follower) = called_and_forgotten().await;
    let (room, token) = (world.gateways[0].room.clone(), world.token(0));
    let (now, seq) = (world.now(), 1);
    let until = now.plus(std::time::Duration::from_secs(8));
    room.sessions.claimed(token.place, seq, now, until);
    // The line has no call to claim, until another gateway leads and puts it back.
    let _early = follower.notices_once().await;
    world.step(&Op::AdvanceTime { ms: 2_100 }).await.unwrap();
    for _ in 0..2 {
        world.step(&Op::Tick(1)).await.unwrap();
    }
    // The word of the call, and then that of its claim.
    follower.notices_once().await.unwrap();
    follower.notices_once().await.unwrap();
    let standing = socket.standing();
    assert!(
        matches!(standing, Standing::Active { seq: 1, .. }),
        "{standing:?}"
    );
}

#[tokio::test]
async fn a_session_that_ended_is_over_when_its_call_is_put_back() {
    for ends_before_it_is_told in [true, false] {
        let (mut world, socket, mut follower) = called_and_forgotten().await;
        let (room, token) = (world.gateways[0].room.clone(), world.token(0));
        let (now, seq) = (world.now(), 1);
        let until = now.plus(std::time::Duration::from_secs(8));
        room.sessions.claimed(token.place, seq, now, until);
        if ends_before_it_is_told {
            room.sessions.ended(token.place, None, now);
        }
        let _early = follower.notices_once().await;
        room.sessions.ended(token.place, None, now);
        world.step(&Op::AdvanceTime { ms: 2_100 }).await.unwrap();
        for _ in 0..2 {
            world.step(&Op::Tick(1)).await.unwrap();
        }
        for _ in 0..2 {
            follower.notices_once().await.unwrap();
        }
        let standing = socket.standing();
        assert!(matches!(standing, Standing::Ended), "{standing:?}");
    }
}

#[tokio::test]
async fn fans_of_a_killed_gateway_who_do_not_return_are_not_called() {
    let mut world = World::new();
    world.step(&Op::Pause(true)).await.unwrap();
    world.step(&Op::Tick(1)).await.unwrap();
    for fan in 0..4 {
        world.step(&Op::Join(fan)).await.unwrap();
        world.step(&Op::Return(fan)).await.unwrap();
    }
    world.step(&Op::GatewayDies(0)).await.unwrap();
    assert_eq!(waiting(&world).await, (4, 0));
    world.step(&Op::LeadOn(1)).await.unwrap();
    // Those of the other one are there.
    assert_eq!(waiting(&world).await, (2, 0));
    world.step(&Op::Pause(false)).await.unwrap();
    world.step(&Op::LeadOn(1)).await.unwrap();
    let log = world.log.admissions();
    let called: BTreeSet<_> = log.iter().map(|admission| admission.place).collect();
    assert_eq!(called, [1, 3].map(|fan| world.token(fan).place).into());
    // Whoever comes back was not there for the draw, and joins anew.
    world.step(&Op::Return(0)).await.unwrap();
    assert_eq!(waiting(&world).await, (0, 0));
    world.step(&Op::Join(0)).await.unwrap();
    assert_eq!(waiting(&world).await, (1, 1));
}

#[tokio::test]
async fn a_gateway_that_was_paused_says_that_its_fans_are_there() {
    let mut world = World::new();
    let (_socket, mut follower, mut presence) = present(&mut world).await;
    follower.notices_once().await.unwrap();
    lead(&mut world, 6).await;
    assert_eq!(waiting(&world).await.1, 1);
    follower.notices_once().await.unwrap();
    assert_eq!(waiting(&world).await, (1, 0));
    // Paused for longer than fans may be absent: they are put back where they were.
    lead(&mut world, 16).await;
    assert_eq!(waiting(&world).await.0, 0);
    follower.notices_once().await.unwrap();
    assert_eq!(waiting(&world).await, (1, 0));
    for _ in 0..20 {
        presence.renew_once().await.unwrap();
        lead(&mut world, 1).await;
    }
    assert_eq!(waiting(&world).await, (1, 0));
}

#[tokio::test]
async fn after_an_outage_of_the_store_gateways_have_time_to_renew() {
    let mut world = World::new();
    let (_socket, _, mut presence) = present(&mut world).await;
    presence.renew_once().await.unwrap();
    world.step(&Op::AdvanceTime { ms: 60_000 }).await.unwrap();
    lead(&mut world, 4).await;
    assert_eq!(waiting(&world).await, (1, 0));
    presence.renew_once().await.unwrap();
    lead(&mut world, 5).await;
    assert_eq!(waiting(&world).await, (1, 0));
}

#[tokio::test]
async fn connections_that_the_store_lost_are_told_again() {
    let mut world = World::new();
    world.step(&Op::Pause(true)).await.unwrap();
    world.step(&Op::Tick(1)).await.unwrap();
    world.step(&Op::StoreLags).await.unwrap();
    let (_socket, mut follower, mut presence) = present(&mut world).await;
    follower.notices_once().await.unwrap();
    presence.renew_once().await.unwrap();
    world.step(&Op::StoreGoesBack).await.unwrap();
    assert_eq!(waiting(&world).await, (0, 0));
    // No notice was lost that would tell of it.
    presence.renew_once().await.unwrap();
    assert_eq!(waiting(&world).await, (1, 0));
}

#[tokio::test]
async fn entries_of_connections_that_are_gone_are_forgotten() {
    let mut world = World::new();
    let (socket, _, mut presence) = present(&mut world).await;
    let room = world.gateways[0].room.clone();
    let token = world.token(0);
    for _ in 0..1100 {
        let look = room.look(&token, line::store::Enter::Look, true).await;
        look.unwrap();
    }
    let entries = async || {
        let (at, now, process) = (room.store_ref(), world.now(), room.parts.process);
        let renewed = world.store.presence_renew(&at, now, process, 0);
        renewed.await.unwrap()
    };
    assert!(entries().await > 1100);
    presence.renew_once().await.unwrap();
    assert_eq!(entries().await, 1);
    room.sockets.remove(&socket);
    presence.renew_once().await.unwrap();
    assert_eq!(entries().await, 0);
}
