//! Rooms that rest: their tasks at work as in a gateway, in paused time.

use std::sync::Arc;
use std::time::Duration;

use contract::line::Phase;
use contract::room::Override;
use line::rest::REST_MAX;
use line::room::Room;
use line::store::live_keys::LiveKeys;
use line::visitor::Claimed;
use tokio::time::sleep;

use super::stage::{START, Stage, join};

const SECOND: Duration = Duration::from_secs(1);
/// A tick, and what a stopped clock and the order of tasks add.
const TICK: Duration = Duration::from_millis(101);
/// Longest until a room in which nobody is rests: rates go back a minute.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);

async fn at_rest(stage: &Stage, rooms: &[&Arc<Room>]) {
    let rest = || rooms.iter().all(|room| room.rest.lasts().is_some());
    stage.until(SETTLES_WITHIN, rest).await;
    // The first look of a gateway at the store wakes its rooms once more.
    sleep(2 * SECOND).await;
    stage.until(SETTLES_WITHIN, rest).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_in_which_nobody_is_asks_the_store_about_once_a_second() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    let before = stage.store.asked();
    sleep(Duration::from_mins(1)).await;
    let asked = stage.store.asked() - before;
    assert!((55..=70).contains(&asked), "{asked} in a minute");
    // The rounds that end a rest are part of the cost.
    let before = stage.store.asked();
    sleep(3 * REST_MAX).await;
    let asked = stage.store.asked() - before;
    let minutes = 3 * REST_MAX.as_secs() / 60;
    assert!(
        asked <= 75 * minutes,
        "{asked} in {minutes} minutes, rounds included"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fan_at_this_gateway_is_called_as_soon_as_if_the_room_had_not_rested() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    join(&room, 1).await;
    let took = stage.until(SECOND, || stage.calls() == 1).await;
    assert!(took <= TICK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fan_at_a_gateway_that_may_not_lead_is_called_within_a_second() {
    let mut stage = Stage::new(|_| {});
    let (room, door) = (stage.gateway(), stage.door());
    at_rest(&stage, &[&room]).await;
    // At every moment of a round.
    for fan in 1..=12 {
        at_rest(&stage, &[&room]).await;
        sleep(Duration::from_millis(83) * fan).await;
        let fan = u8::try_from(fan).unwrap();
        let token = join(&door, fan).await;
        let called = || stage.calls() == usize::from(fan);
        stage.until(SECOND, called).await;
        let claimed = door.claim(&token).await.unwrap();
        assert!(matches!(claimed, Claimed::Pass(_)));
        door.end_session(token.place, None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_gateway_calls_when_the_one_that_led_dies_at_rest() {
    let mut stage = Stage::new(|record| record.settings.absence_timeout_seconds = 600);
    let (first, second, door) = (stage.gateway(), stage.gateway(), stage.door());
    at_rest(&stage, &[&first, &second]).await;
    for (fan, dies) in [(1, &first), (2, &second)] {
        dies.parts.stop.cancel();
        join(&door, fan).await;
        let called = || stage.calls() == usize::from(fan);
        if fan == 1 {
            stage.until(SECOND, called).await;
        } else {
            // Nobody is left.
            sleep(10 * SECOND).await;
            assert!(!called());
        }
    }
    // One that starts only now does it.
    stage.gateway();
    stage.until(3 * SECOND, || stage.calls() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_ends_the_rest_with_the_tick() {
    let at = |seconds| START.plus(Duration::from_secs(seconds));
    let moments = [
        (at(200), Phase::Prequeue),
        (at(500), Phase::Queueing),
        (at(800), Phase::Closed),
    ];
    let mut stage = Stage::new(|record| {
        record.settings.queue_all = false;
        record.settings.prequeue_opens_at = Some(moments[0].0);
        record.settings.opens_at = Some(moments[1].0);
        record.settings.closes_at = Some(moments[2].0);
    });
    let room = stage.gateway();
    for (moment, phase) in moments {
        sleep(moment.minus(SECOND).since(stage.now())).await;
        assert!(room.rest.lasts().is_some(), "at rest before {phase:?}");
        assert_ne!(room.view().phase, phase);
        sleep(SECOND).await;
        stage.until(TICK, || room.view().phase == phase).await;
        if phase == Phase::Queueing {
            let opened = || stage.log.record().opened_at.is_some();
            stage.until(TICK, opened).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_says_is_in_force_at_once() {
    let mut stage = Stage::new(|record| {
        record.settings.queue_all = false;
    });
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    stage.log.record_change(|record| {
        record.overridden = Some(Override::Open);
        record.version += 1;
    });
    room.record_set(stage.log.record());
    let opened = || stage.log.record().opened_at.is_some();
    stage.until(TICK, opened).await;
}

#[tokio::test(start_paused = true)]
async fn a_resting_room_that_the_store_lost_is_made_again_within_a_second() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    stage.store.wipe();
    sleep(SECOND + TICK).await;
    let keys = stage.store.keys_state(&room.store_ref()).await.unwrap();
    assert!(keys.is_confirmed);
}

#[tokio::test(start_paused = true)]
async fn after_a_failover_a_resting_room_may_give_keys_within_a_second() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    stage.store.fail_over();
    sleep(SECOND + TICK).await;
    let keys = stage.store.keys_state(&room.store_ref()).await.unwrap();
    assert!(keys.is_confirmed);
    // Without the records nobody could confirm it now.
    stage.log.set_away(true);
    join(&room, 1).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_every_rest_people_can_join_for_an_hour_without_the_records() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    at_rest(&stage, &[&room]).await;
    for _ in 0..90 {
        sleep(Duration::from_mins(1)).await;
        let keys = stage.store.keys_state(&room.store_ref()).await.unwrap();
        let hour = Duration::from_hours(1);
        let age = stage.now().since(room.record().created_at);
        let needed = line::policy::order::clock_span(age + hour);
        assert!(keys.limit >= needed, "{} < {needed}", keys.limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_with_a_connection_does_not_rest() {
    let mut stage = Stage::new(|record| record.settings.new_users_per_minute = 0);
    let room = stage.gateway();
    let token = join(&room, 1).await;
    let socket = room.connect(&token, 1).unwrap();
    let looked = room.look(&token, line::store::Enter::Return, true).await;
    socket.standing_found(looked.unwrap());
    sleep(5 * SETTLES_WITHIN).await;
    assert!(room.rest.lasts().is_none());
    assert_eq!(room.view().snapshot.as_ref().unwrap().counts.in_line, 1);
    // Also when whoever is connected waits no more: a page that is still open may join again.
    room.leave(token.place).await.unwrap();
    sleep(5 * SETTLES_WITHIN).await;
    assert!(room.rest.lasts().is_none());
    room.sockets.remove(&socket);
    room.absence_note(token.place);
    stage
        .until(2 * SETTLES_WITHIN, || room.rest.lasts().is_some())
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_a_resting_room_are_of_the_last_second_and_its_rates_are_none() {
    let mut stage = Stage::new(|_| {});
    let room = stage.gateway();
    let token = join(&room, 1).await;
    stage.until(SECOND, || stage.calls() == 1).await;
    room.leave(token.place).await.unwrap();
    at_rest(&stage, &[&room]).await;
    assert_eq!(room.rates(), line::room::Rates::default());
    assert_eq!(room.view().calls_per_minute, 0);
    let mut last = room.view().updated_at();
    for _ in 0..700 {
        sleep(SECOND).await;
        let updated_at = room.view().updated_at();
        let age = stage.now().since(updated_at);
        assert!(updated_at >= last && age <= SECOND + TICK, "{age:?}");
        last = updated_at;
    }
    // The age of numbers that nobody can look at tells it.
    room.parts.stop.cancel();
    sleep(SECOND).await;
    assert_eq!(room.view().updated_at(), last);
}
