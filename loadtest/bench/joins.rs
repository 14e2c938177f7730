//! Joins a second.
//!
//! The gateway reads the request, makes a place, puts it into the line in Redis, signs the place
//! token and says how the fan stands. The bare handler reads the same body and sends as many
//! bytes of JSON.

use std::cell::Cell;
use std::time::Duration;

use contract::RoomId;

use crate::bare::{Bare, BareSizes};
use crate::gateway::{Gateway, nonce, quiet_room};
use crate::http1::post_json;
use crate::pace::{Pace, keep_pace};
use crate::processes::family;
use crate::report::{Report, Versus, progress};
use crate::rounds::take_turns;
use crate::stage::Stage;
use crate::wrk::Load;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);
/// Latency is measured at a rate both sides can keep with ease.
const PACE: Pace = Pace {
    per_second: 1000,
    connections: 32,
    lasts: Duration::from_secs(5),
};
const PACE_ROUNDS: u64 = 3;

/// Measures joins.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let room: RoomId = "bench-joins".parse()?;
    let gateway = stage.gateway().await?;
    gateway.room_open(&quiet_room(&room)?).await?;
    let (_, join_bytes) = gateway.join(&room, 0).await?;
    let sizes = BareSizes {
        join: join_bytes,
        ..BareSizes::default()
    };
    let bare = Bare::start(sizes, stage.dir()).await?;
    progress(&format!("joins: answers of {join_bytes} bytes"));
    rates(stage, &gateway, &bare, &room, report).await?;
    fresh_connections(stage, &gateway, &room, report).await?;
    latencies(&gateway, &bare, &room, report).await?;
    bare.stop().await;
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    Ok(())
}

async fn rates(
    stage: &Stage,
    gateway: &Gateway,
    bare: &Bare,
    room: &RoomId,
    report: &mut Report,
) -> anyhow::Result<()> {
    let path = format!("/_line/v1/rooms/{room}/places");
    let load = |address| Load::joins(stage.dir(), format!("http://{address}{path}"));
    let (ours, theirs) = (load(gateway.address)?, load(bare.address)?);
    let our_pids = || {
        let mut pids = family(gateway.pid());
        pids.extend(Stage::redis_pids());
        pids
    };
    let their_pids = || vec![bare.pid()];
    // No two rounds draw the same nonces.
    let seed = Cell::new(0);
    let next = || {
        seed.set(seed.get() + 1);
        seed.get()
    };
    ours.send(WARM_UP, next(), our_pids).await?;
    theirs.send(WARM_UP, next(), their_pids).await?;
    let rounds = take_turns(
        ROUNDS,
        async || ours.send(ROUND, next(), our_pids).await,
        async || theirs.send(ROUND, next(), their_pids).await,
    );
    let versus = Versus {
        name: "joins",
        unit: "joins/s",
        theirs: "bare axum handler",
    };
    report.rates(versus, rounds.await?);
    Ok(())
}

/// Each join on a connection of its own, against joins on kept connections of the same gateway.
async fn fresh_connections(
    stage: &Stage,
    gateway: &Gateway,
    room: &RoomId,
    report: &mut Report,
) -> anyhow::Result<()> {
    let url = || format!("http://{}/_line/v1/rooms/{room}/places", gateway.address);
    let fresh = Load::joins_afresh(stage.dir(), url())?;
    let kept = Load::joins(stage.dir(), url())?;
    let pids = || {
        let mut pids = family(gateway.pid());
        pids.extend(Stage::redis_pids());
        pids
    };
    let seed = Cell::new(1_000);
    let next = || {
        seed.set(seed.get() + 1);
        seed.get()
    };
    let rounds = take_turns(
        ROUNDS,
        async || fresh.send(ROUND, next(), pids).await,
        async || kept.send(ROUND, next(), pids).await,
    );
    let versus = Versus {
        name: "joins on fresh connections",
        unit: "joins/s",
        theirs: "joins on kept connections",
    };
    report.rates(versus, rounds.await?);
    Ok(())
}

async fn latencies(
    gateway: &Gateway,
    bare: &Bare,
    room: &RoomId,
    report: &mut Report,
) -> anyhow::Result<()> {
    let path = format!("/_line/v1/rooms/{room}/places");
    let mut latencies = Vec::new();
    for round in 0..PACE_ROUNDS {
        let mut pair = Vec::new();
        for address in [gateway.address, bare.address] {
            let path = path.clone();
            let request = move |connection: u32| {
                let path = path.clone();
                // Fans of the paced rounds have numbers of their own.
                let mut number = (round + 1) << 48 | u64::from(connection) << 32;
                move || {
                    number += 1;
                    let body = format!(r#"{{"nonce":"{}"}}"#, nonce(number));
                    post_json(address, &path, &body)
                }
            };
            pair.push(keep_pace(address, PACE, request).await?);
        }
        latencies.push((pair[0], pair[1]));
    }
    let versus = Versus {
        name: "join latency",
        unit: "1,000 joins/s",
        theirs: "bare axum handler",
    };
    report.latencies(versus, &latencies);
    Ok(())
}
