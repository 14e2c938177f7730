//! How long a line of millions of served places takes to be made again after Redis lost it, what
//! memory that takes, and how long fans who join another room wait meanwhile.
//!
//! The admissions are written into the log by SQL, called within the last twenty hours, so that a
//! rebuild has to read all of them. Then the keys of the room are removed from Redis, once with
//! nothing else to do, and once beside joins into another room. A gateway of another version can
//! take turns with this one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::RoomId;
use line::store::keys::RoomKeys;
use redis::aio::MultiplexedConnection;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use crate::gateway::{Gateway, nonce, quiet_room};
use crate::http1::post_json;
use crate::pace::{Pace, Quantiles, keep_pace};
use crate::processes::resident_bytes;
use crate::report::{RebuildCost, Report, Versus, progress};
use crate::stage::Stage;

/// Places that were served.
const SERVED: i64 = 2_000_000;
/// Time between looks whether the room is there.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest that a rebuild may take.
const REBUILT_WITHIN: Duration = Duration::from_mins(5);
/// Joins into the other room, with nothing else going on.
const PACE: Pace = Pace {
    per_second: 1000,
    connections: 32,
    lasts: Duration::from_secs(10),
};
/// How long the gateway is left alone before its memory is read.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Fills the log of a room that is there.
const FILL: [&str; 6] = [
    "insert into admissions (room, seq, place, order_key, called_at, hash)
     select $1, n, decode(md5(n::text), 'hex'), (1::bigint << 52) + n,
         now() - interval '20 hours' + n * interval '20 hours' / $2, sha256(n::text::bytea)
     from generate_series(1, $2) as n",
    "insert into admission_outcomes (room, place, seq, fate)
     select $1, decode(md5(n::text), 'hex'), n, case n % 10 when 0 then 'left' else 'ended' end
     from generate_series(1, $2) as n",
    "update admission_heads set seq = $2 where room = $1",
    "update rooms set created_at = now() - interval '2 days' where slug = $1 and $2 > 0",
    // As autovacuum does within a minute.
    "analyze admissions",
    "analyze admission_outcomes",
];

/// What the figures of a gateway of another version are called.
const BEFORE: &str = "before";

/// What one rebuild took.
struct Rebuilt {
    took: Duration,
    memory_before: u64,
    memory_peak: u64,
}

/// Measures rebuilds, of the gateway's program `before` too.
pub(crate) async fn measure(
    stage: &Stage,
    before: Option<&Path>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let room: RoomId = "bench-rebuild".parse()?;
    let gateway = stage.gateway().await?;
    gateway.room_open(&quiet_room(&room)?).await?;
    gateway.stop().await;
    fill(&stage.database_url()?, &room).await?;
    progress(&format!("rebuild: {SERVED} admissions in the log"));
    if let Some(before) = before {
        let gateway = stage.gateway_of(before).await?;
        side(BEFORE, gateway, &room, report).await?;
    }
    side("Ropeline", stage.gateway().await?, &room, report).await?;
    let gateway = stage.gateway().await?;
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    Ok(())
}

async fn fill(database_url: &str, room: &RoomId) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(database_url).await?;
    for statement in FILL {
        let mut statement_of_room = sqlx::query(statement);
        if statement.contains("$1") {
            statement_of_room = statement_of_room.bind(room.as_str()).bind(SERVED);
        }
        statement_of_room.execute(&mut database).await?;
    }
    database.close().await?;
    Ok(())
}

/// Rebuilds of one gateway: alone, and beside joins into another room.
async fn side(
    name: &'static str,
    gateway: Gateway,
    room: &RoomId,
    report: &mut Report,
) -> anyhow::Result<()> {
    let client = redis::Client::open(gateway.redis_url())?;
    let redis = client.get_multiplexed_async_connection().await?;
    let beside: RoomId = format!("bench-beside-{}", name.to_lowercase()).parse()?;
    gateway.room_open(&quiet_room(&beside)?).await?;
    let alone = joins(&gateway, &beside, 0, PACE.lasts).await?;
    tokio::time::sleep(SETTLES_WITHIN).await;
    let quiet = rebuild(&gateway, redis.clone(), room).await?;
    let joining = joins(&gateway, &beside, 1, quiet.took.max(Duration::from_secs(1)));
    let (busy, meanwhile) = tokio::join!(rebuild(&gateway, redis, room), joining);
    let busy = busy?;
    report.rebuild(RebuildCost {
        side: name,
        served: SERVED.unsigned_abs(),
        seconds: quiet.took.as_secs_f64(),
        seconds_beside_joins: busy.took.as_secs_f64(),
        memory_bytes_before: quiet.memory_before,
        memory_bytes_peak: quiet.memory_peak,
    });
    let versus = Versus {
        name: match name {
            BEFORE => "joins beside a rebuild, the gateway before",
            _ => "joins beside a rebuild of another room",
        },
        unit: "1,000 joins/s",
        theirs: "without a rebuild",
    };
    report.latencies(versus, &[(meanwhile?, alone)]);
    gateway.room_delete(&beside).await?;
    gateway.stop().await;
    Ok(())
}

/// Removes the room from Redis, has somebody join it, and waits until it is there again.
async fn rebuild(
    gateway: &Gateway,
    mut redis: MultiplexedConnection,
    room: &RoomId,
) -> anyhow::Result<Rebuilt> {
    let keys = RoomKeys::new("", room);
    let mut wipe = redis::cmd("UNLINK");
    let memory_before = resident_bytes(gateway.pid())?;
    let began = Instant::now();
    wipe.arg(keys.all()).query_async::<()>(&mut redis).await?;
    let made = async {
        let mut memory_peak = memory_before;
        loop {
            memory_peak = memory_peak.max(resident_bytes(gateway.pid())?);
            let mut look = redis::cmd("HEXISTS");
            let look = look.arg(keys.meta()).arg("epoch");
            if look.query_async(&mut redis).await? {
                return anyhow::Ok(memory_peak);
            }
            if began.elapsed() > REBUILT_WITHIN {
                bail!("the room was not there after {REBUILT_WITHIN:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // Refused for as long as the room is not there.
    let (_joined, memory_peak) = tokio::join!(gateway.join(room, 0), made);
    let memory_peak = memory_peak.context("a rebuild")?;
    let took = began.elapsed();
    let served: u64 = redis::cmd("HLEN")
        .arg(keys.done())
        .query_async(&mut redis)
        .await?;
    if served != SERVED.unsigned_abs() {
        bail!("{served} of {SERVED} places are known to be served");
    }
    progress(&format!("rebuild: {:.1} s", took.as_secs_f64()));
    Ok(Rebuilt {
        took,
        memory_before,
        memory_peak,
    })
}

/// The latency of joins into `room`.
async fn joins(
    gateway: &Gateway,
    room: &RoomId,
    turn: u64,
    lasts: Duration,
) -> anyhow::Result<Quantiles> {
    let path = format!("/_line/v1/rooms/{room}/places");
    let address = gateway.address;
    let request = |connection: u32| {
        let path = path.clone();
        let mut number = (turn << 48) | (u64::from(connection) << 32);
        move || {
            number += 1;
            let body = format!(r#"{{"nonce":"{}"}}"#, nonce(number));
            post_json(address, &path, &body)
        }
    };
    keep_pace(address, Pace { lasts, ..PACE }, request).await
}
