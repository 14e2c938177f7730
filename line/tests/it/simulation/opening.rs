//! What happens while a room opens.

use contract::room::Override;
use futures_util::FutureExt;
use line::store::RoomStore;
use line::visitor::{Joined, Joiner};

use super::run::World;

#[tokio::test]
async fn a_pause_that_was_read_while_the_room_opened_stays() {
    let mut world = World::new();
    let room = world.gateways[0].room.clone();
    let (log, paused) = (world.log.clone(), room.clone());
    world.log.on_reveal(Box::new(move || {
        log.record_change(|record| record.overridden = Some(Override::Pause));
        paused.record_set(log.record());
    }));
    world.gateways[0].leader.tick_once().await.unwrap();
    let record = room.record();
    assert_eq!(record.overridden, Some(Override::Pause));
    assert!(record.opened_at.is_some() && record.seed_revealed_at.is_some());
}

#[tokio::test]
async fn the_opening_is_kept_before_the_seed_is_out() {
    let mut world = World::new();
    let (store, at) = (world.store.clone(), world.gateways[0].room.store_ref());
    let (sender, receiver) = std::sync::mpsc::channel();
    world.log.on_reveal(Box::new(move || {
        let opening = store.opening_get(&at).now_or_never();
        let is_kept = opening.unwrap().unwrap().is_some();
        sender.send(is_kept).unwrap();
    }));
    world.gateways[0].leader.tick_once().await.unwrap();
    assert_eq!(receiver.try_recv(), Ok(true));
}

#[tokio::test]
async fn a_gateway_that_has_not_read_of_the_opening_lets_nobody_draw() {
    let mut world = World::new();
    world.log.record_change(|record| {
        record.settings.queue_all = false;
        record.settings.prequeue_opens_at = Some(record.created_at);
    });
    for gateway in &world.gateways {
        gateway.room.record_set(world.log.record());
    }
    let behind = world.gateways[1].room.clone();
    let joined = async |nonce: u8| {
        let joiner = Joiner {
            nonce: Some([nonce; 16]),
            ..Joiner::default()
        };
        let Joined::Placed { token, .. } = behind.join(joiner).await.unwrap() else {
            panic!("no place");
        };
        behind.key_of(&token)
    };
    assert!(!joined(1).await.is_live());
    world
        .log
        .record_change(|record| record.overridden = Some(Override::Open));
    world.gateways[0].room.record_set(world.log.record());
    world.gateways[0].leader.tick_once().await.unwrap();
    assert!(behind.record().opened_at.is_none());
    assert!(joined(2).await.is_live());
    assert!(!joined(1).await.is_live(), "who drew keeps it");
}
