//! The largest opening: millions of fans join one room through the HTTP API, then ten minutes of
//! calls, and an audit of both.
//!
//! The room is open while fans join, so each has a live key, and it calls nobody until all are in
//! line. Called fans claim their turn and end their session.

mod audit;
mod callers;
mod joiners;

use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::RoomId;
use contract::room::RoomSettings;
use tokio::time::Instant;

use self::audit::audit;
use self::joiners::{Joined, join};
use crate::gateway::{Gateway, quiet_room};
use crate::opening_figures::Opening;
use crate::pace::{Latencies, Quantiles};
use crate::processes::{cpu_time, family, resident_bytes};
use crate::report::{Report, progress};
use crate::stage::Stage;

const CALLS_PER_MINUTE: u64 = 10_000;
/// Nobody is called away by being absent: these fans have no connection while they wait.
const ABSENCE_TIMEOUT: Duration = Duration::from_hours(1);
const SNAPSHOTS: u32 = 20;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct OpeningOptions {
    /// Fans of the opening
    #[arg(long, default_value_t = 14_000_000)]
    fans: u64,
    /// Minutes of calls after the last join
    #[arg(long, default_value_t = 10)]
    call_minutes: u64,
}

/// Measures an opening.
pub(crate) async fn measure(
    stage: &Stage,
    options: &OpeningOptions,
    report: &mut Report,
) -> anyhow::Result<()> {
    let gateway = stage.gateway().await?;
    let settings = RoomSettings {
        total_active_users: 1_000_000,
        absence_timeout_seconds: ABSENCE_TIMEOUT.as_secs(),
        ..quiet_room(&"bench-opening".parse()?)?
    };
    gateway.room_open(&settings).await?;
    let redis_url = gateway.redis_url();
    let empty = redis_bytes(redis_url).await?;
    let cpu = || {
        (
            cpu_time(&family(gateway.pid())),
            cpu_time(&Stage::redis_pids()),
        )
    };
    let (gateway_before, redis_before) = cpu();
    progress(&format!("opening: {} fans join", options.fans));
    let began = Instant::now();
    let joined = join(gateway.address, &settings.room, options.fans).await?;
    let took = began.elapsed();
    let (gateway_after, redis_after) = cpu();
    let full = redis_bytes(redis_url).await?;
    let snapshots = snapshots(&gateway, &settings.room).await?;
    let (joins, joins_repeated) = (joined.latencies.quantiles(), joined.repeated);
    let calls = call(&gateway, &settings, &joined, options.call_minutes).await?;
    let log = gateway.admissions(&settings.room).await?;
    let judged = audit(joined, options.fans, &log, &calls, CALLS_PER_MINUTE);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let per_fan = |sum: f64| sum / options.fans as f64;
    let micros =
        |after: Duration, before| per_fan(after.saturating_sub(before).as_secs_f64() * 1e6);
    report.opening(Opening {
        fans: options.fans,
        join_seconds: took.as_secs_f64(),
        gateway_micros: micros(gateway_after, gateway_before),
        redis_micros: micros(redis_after, redis_before),
        joins,
        joins_repeated,
        #[expect(clippy::cast_precision_loss, reason = "bytes of one machine")]
        redis_bytes_per_fan: per_fan(full.saturating_sub(empty) as f64),
        gateway_bytes: resident_bytes(gateway.pid())?,
        snapshots,
        calls: log.len() as u64,
        claims: calls.claimed,
        calls_in_ten_seconds: judged.calls_in_ten_seconds,
    });
    gateway.room_delete(&settings.room).await?;
    gateway.stop().await;
    if !judged.breaches.is_empty() {
        bail!(
            "the audit of the opening failed: {}",
            judged.breaches.join("; ")
        );
    }
    progress("opening: the audit is clean");
    Ok(())
}

/// Calls for some minutes, while called fans claim.
async fn call(
    gateway: &Gateway,
    settings: &RoomSettings,
    joined: &Joined,
    minutes: u64,
) -> anyhow::Result<callers::Calls> {
    let faster = RoomSettings {
        new_users_per_minute: CALLS_PER_MINUTE,
        ..settings.clone()
    };
    gateway.room_change(&faster).await?;
    progress(&format!("opening: {minutes} minutes of calls"));
    let ends = Instant::now() + Duration::from_mins(minutes);
    let calls = callers::attend(gateway, &settings.room, joined, ends).await?;
    gateway.room_change(settings).await?;
    Ok(calls)
}

/// Memory that Redis has in use.
async fn redis_bytes(url: &str) -> anyhow::Result<u64> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut ask = redis::cmd("INFO");
    let memory: String = ask.arg("memory").query_async(&mut connection).await?;
    let mut lines = memory.lines();
    let bytes = lines.find_map(|line| line.strip_prefix("used_memory:"));
    Ok(bytes.context("Redis tells no memory")?.trim().parse()?)
}

/// How long the room's figures take, for which the gateway reads the line's snapshot.
async fn snapshots(gateway: &Gateway, room: &RoomId) -> anyhow::Result<Quantiles> {
    let mut latencies = Latencies::new()?;
    for _ in 0..SNAPSHOTS {
        let began = Instant::now();
        gateway.room_stats(room).await?;
        latencies.add(began.elapsed());
    }
    Ok(latencies.quantiles())
}
