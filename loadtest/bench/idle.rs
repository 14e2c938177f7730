//! What rooms cost in which nobody is: a thousand of them on one gateway.
//!
//! A third of the rooms have no schedule, a third open in years, and a third queue everyone who
//! comes. Counted are the CPU time of the gateway and of Redis, and Redis's commands, those that
//! scripts run included. Then fans join a room beside them at a fixed rate; the same is done
//! before the rooms are made. A gateway of another version can take turns with this one.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use contract::RoomId;
use contract::room::RoomSettings;
use serde_json::json;
use tokio::time::Instant;

use crate::gateway::{Gateway, nonce, quiet_room};
use crate::http1::post_json;
use crate::pace::{Pace, Quantiles, keep_pace};
use crate::processes::{cpu_time, family};
use crate::report::{IdleCost, Report, Versus, progress};
use crate::stage::Stage;

const ROOMS: u32 = 1000;
const TURNS: u32 = 3;
/// What a gateway may take until it has looked at all rooms and found nobody.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);
const LASTS: Duration = Duration::from_secs(20);
const PACE: Pace = Pace {
    per_second: 10_000,
    connections: 64,
    lasts: Duration::from_secs(5),
};

/// Measures idle rooms, of the gateway's program `before` too.
pub(crate) async fn measure(
    stage: &Stage,
    before: Option<&Path>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let gateway = stage.gateway().await?;
    let alone = joins(&gateway, 0).await?;
    for number in 0..ROOMS {
        gateway.room_create(&idle_room(number)?).await?;
    }
    gateway.stop().await;
    progress(&format!("idle rooms: {ROOMS} made"));
    let (mut beside, mut beside_before) = (vec![], vec![]);
    for turn in 1..=TURNS {
        let ours = turn_of("Ropeline", stage.gateway().await?, turn, report);
        let ours = ours.await?;
        beside.push((ours, alone));
        if let Some(before) = before {
            let gateway = stage.gateway_of(before).await?;
            let theirs = turn_of("before", gateway, turn + TURNS, report).await?;
            beside_before.push((ours, theirs));
        }
    }
    let versus = Versus {
        name: "joins beside 1,000 idle rooms",
        unit: "10,000 joins/s",
        theirs: "without idle rooms",
    };
    report.latencies(versus, &beside);
    if before.is_some() {
        let theirs = "the gateway before";
        report.latencies(Versus { theirs, ..versus }, &beside_before);
    }
    let gateway = stage.gateway().await?;
    for number in 0..ROOMS {
        gateway.room_delete(&idle_room(number)?.room).await?;
    }
    gateway.stop().await;
    Ok(())
}

/// The costs at rest, and then the latency of joins.
async fn turn_of(
    side: &'static str,
    gateway: Gateway,
    number: u32,
    report: &mut Report,
) -> anyhow::Result<Quantiles> {
    tokio::time::sleep(SETTLES_WITHIN).await;
    let pids = || (family(gateway.pid()), Stage::redis_pids());
    let (ours, redis) = pids();
    let (began, commands) = (Instant::now(), gateway.redis_commands().await?);
    let (gateway_before, redis_before) = (cpu_time(&ours), cpu_time(&redis));
    tokio::time::sleep(LASTS).await;
    let spent = began.elapsed();
    let cost = IdleCost {
        side,
        rooms: ROOMS,
        gateway_cores: share(cpu_time(&ours), gateway_before, spent),
        redis_cores: share(cpu_time(&redis), redis_before, spent),
        redis_commands_per_second: per_second(gateway.redis_commands().await? - commands, spent),
    };
    report.idle(cost);
    let joined = joins(&gateway, number).await?;
    gateway.stop().await;
    Ok(joined)
}

fn share(after: Duration, before: Duration, of: Duration) -> f64 {
    after.saturating_sub(before).as_secs_f64() / of.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_second(count: u64, over: Duration) -> f64 {
    count as f64 / over.as_secs_f64()
}

/// The latency of joins into a room of its own.
async fn joins(gateway: &Gateway, turn: u32) -> anyhow::Result<Quantiles> {
    let room: RoomId = format!("bench-busy-{turn}").parse()?;
    gateway.room_open(&quiet_room(&room)?).await?;
    let path = format!("/_line/v1/rooms/{room}/places");
    let address = gateway.address;
    let request = |connection: u32| {
        let path = path.clone();
        let mut number = u64::from(connection) << 32;
        move || {
            number += 1;
            let body = format!(r#"{{"nonce":"{}"}}"#, nonce(number));
            post_json(address, &path, &body)
        }
    };
    let latency = keep_pace(address, PACE, request).await?;
    gateway.room_delete(&room).await?;
    Ok(latency)
}

fn idle_room(number: u32) -> anyhow::Result<RoomSettings> {
    let room = format!("bench-idle-{number}");
    let settings = match number % 3 {
        0 => json!({"room": room}),
        1 => json!({"room": room, "opensAt": "2035-01-01T12:00:00Z"}),
        _ => json!({"room": room, "queueAll": true}),
    };
    serde_json::from_value(settings).context("no settings of a room")
}
