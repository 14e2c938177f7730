//! How much is done to make a line again from a long log.

use std::time::Duration;

use line::WorkError;
use line::store::{
    Enter, Entry, MAKING_MAX, Making as _, OnceOpen, RoomStore, Standing, StoreError,
};
use uuid::Uuid;

use super::log::filled;
use super::run::World;

const LONG: u64 = 200_000;

/// How the place of the admission `seq` stands.
async fn standing(world: &World, seq: u64) -> Standing {
    let look = Entry {
        place: filled(seq),
        key: None,
        once_open: OnceOpen::Keep,
        enter: Enter::Look,
        connected_to: None,
    };
    let at = world.gateways[0].room.store_ref();
    let entered = world.store.places_enter(&at, world.now(), 0, &[look]).await;
    entered.unwrap()[0].unwrap().standing
}

#[tokio::test]
async fn a_line_is_made_again_once_although_door_and_leader_ask() {
    let world = World::new();
    world.log.fill((0..LONG).map(|_| world.now()));
    let room = &world.gateways[0].room;
    let (door, leader) = tokio::join!(room.rebuild(), room.rebuild());
    door.unwrap();
    leader.unwrap();
    // Where the young ones begin was looked for, besides.
    let read = world.log.read_count();
    assert!((LONG..LONG + 30).contains(&read), "{read} were read");
    for seq in [1, LONG / 2, LONG] {
        assert_eq!(standing(&world, seq).await, Standing::Ended);
    }
    // The next loss is another matter.
    world.store.wipe();
    room.rebuild().await.unwrap();
    assert_eq!(standing(&world, 1).await, Standing::Ended);
}

#[tokio::test]
async fn one_process_of_several_makes_a_line_again() {
    let world = World::new();
    world.log.fill((0..LONG).map(|_| world.now()));
    let [here, there] = [0, 1].map(|gateway| world.gateways[gateway].room.clone());
    let (made, refused) = tokio::join!(here.rebuild(), there.rebuild());
    made.unwrap();
    let is_refused = matches!(refused, Err(WorkError::Store(StoreError::NoRoom)));
    assert!(is_refused, "{refused:?}");
    let read = world.log.read_count();
    assert!((LONG..LONG + 30).contains(&read), "{read} were read");
    // To the other one it is there.
    there.rebuild().await.unwrap();
    assert!(world.log.read_count() < LONG + 60);
    assert_eq!(standing(&world, LONG).await, Standing::Ended);
}

#[tokio::test]
async fn another_process_goes_on_with_a_line_when_the_one_that_made_it_dies() {
    /// What is read before it is in the store: two batches.
    const ON_THE_WAY: u64 = 20_000;
    let mut world = World::new();
    world.log.fill((0..LONG).map(|_| world.now()));
    let [here, there] = [0, 1].map(|gateway| world.gateways[gateway].room.clone());
    let log = world.log.clone();
    tokio::select! {
        biased;
        made = here.rebuild() => panic!("{made:?} before half of it was read"),
        () = async { while log.read_count() < LONG / 2 { tokio::task::yield_now().await; } } => {}
    }
    let read = log.read_count();
    let refused = there.rebuild().await;
    assert!(refused.is_err(), "it may live");
    world.advance(MAKING_MAX);
    let (at, now) = (there.store_ref(), world.now());
    let looking = world.store.making_begin(&at, Uuid::max(), now);
    let has = looking.await.unwrap();
    assert!(
        has + ON_THE_WAY + 30 >= read,
        "{has} in the store of {read} read"
    );
    world.advance(MAKING_MAX);
    there.rebuild().await.unwrap();
    let read = log.read_count();
    assert!(read < LONG + ON_THE_WAY + 60, "{read} were read");
    for seq in [1, has, has + 1, LONG] {
        assert_eq!(standing(&world, seq).await, Standing::Ended, "{seq}");
    }
}

#[tokio::test]
async fn what_no_token_is_young_enough_for_is_not_read() {
    let mut world = World::new();
    let start = world.now();
    // A week, of which the last day and what a session takes count.
    let week = Duration::from_hours(7 * 24);
    let step = week / u32::try_from(LONG).unwrap();
    let called_at = (0..LONG).map(|n| start.plus(step * u32::try_from(n).unwrap()));
    world.log.fill(called_at);
    world.advance(week);
    let room = world.gateways[0].room.clone();
    room.rebuild().await.unwrap();
    let (read, of_a_day) = (world.log.read_count(), LONG / 7);
    assert!(
        (of_a_day..of_a_day * 11 / 10).contains(&read),
        "{read} were read"
    );
    assert_eq!(standing(&world, LONG).await, Standing::Ended);
    assert_eq!(standing(&world, 1).await, Standing::Unknown);
    // Calls go on after the last one.
    let at = room.store_ref();
    let settings = line::store::TickSettings {
        lease: Duration::from_secs(2),
        absence_timeout: Duration::from_secs(6),
        missed_grace: Duration::from_secs(6),
        gateway_lease: Duration::from_secs(6),
        remembered: week,
    };
    let begun = world
        .store
        .tick_begin(&at, world.now(), uuid::Uuid::max(), settings);
    assert_eq!(begun.await.unwrap().unwrap().seq, LONG);
}
