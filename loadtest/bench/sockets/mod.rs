//! Memory per waiting socket, and how soon a change and a call are seen.
//!
//! A crowd of fans joins, opens sockets and waits in a room that moves slowly. What the gateway
//! has grown by, all in all, is divided by the sockets. Bare WebSockets on the same library, with
//! small and with default buffers, are measured in the same way. Then the room calls fans at a
//! fair rate, with the whole crowd watching, and every fan notes when frames came.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `crowd` | open sockets and what they note |
//! | `calls` | from a call to its frame, by the log |
//! | `join` | fans who join first |
//! | `gateways` | a crowd over several gateways, and its reconnects |
//! | `watcher` | a part of that crowd, as a process of its own |

mod calls;
mod crowd;
pub(crate) mod gateways;
mod join;
pub(crate) mod watcher;

use std::time::Duration;

use contract::RoomId;
use contract::room::RoomSettings;

use self::calls::CallLatency;
use self::crowd::Crowd;
use self::join::join_all;
use crate::bare::{Bare, BareSizes};
use crate::gateway::{Gateway, quiet_room};
use crate::processes::resident_bytes;
use crate::report::{Memory, Report, progress};
use crate::stage::Stage;

/// Sockets of a crowd: what fits into the 20,000 open files that are common for a process.
const SOCKETS: u32 = 15_000;
/// With default buffers a crowd takes sixteen times the memory.
const DEFAULT_BUFFER_SOCKETS: u32 = 1000;
/// Sockets that come and go first, so that what is needed once is there already.
const WARM_UP_SOCKETS: u32 = 200;
/// Memory counts once it has changed by less than this share for three seconds.
const SETTLED_SHARE: u64 = 500;
const SETTLED_SECONDS: u32 = 3;
const SETTLE_SECONDS_MAX: u32 = 20;

/// While memory is measured, one fan is called every ten seconds.
const SLOW_PER_MINUTE: u64 = 6;
/// While calls are timed.
const CALLS_PER_MINUTE: u64 = 6000;
const CALLS_LAST: Duration = Duration::from_secs(10);

/// Measures sockets.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let gateway = stage.gateway().await?;
    let settings = RoomSettings {
        new_users_per_minute: SLOW_PER_MINUTE,
        total_active_users: 10_000,
        ..quiet_room(&"bench-sockets".parse()?)?
    };
    gateway.room_open(&settings).await?;
    progress(&format!("sockets: {SOCKETS} fans"));
    let (memory, mut crowd) = gateway_memory(&gateway, &settings.room).await?;
    let frame_bytes = crowd.frame_bytes();
    report.memory(memory);
    let faster = RoomSettings {
        new_users_per_minute: CALLS_PER_MINUTE,
        ..settings.clone()
    };
    gateway.room_change(&faster).await?;
    let watched = crowd.watch(CALLS_LAST).await?;
    let at = format!("{SOCKETS} sockets, {CALLS_PER_MINUTE} calls/min");
    report.seen("change to frame", &at, &watched.changes);
    let calls = CallLatency::of(&gateway, &settings, &watched.calls).await?;
    report.seen(
        "call to frame, from the decision",
        &at,
        &calls.from_decision,
    );
    report.seen("call to frame, from the log", &at, &calls.from_publication);
    crowd.leave().await;
    gateway.room_delete(&settings.room).await?;
    gateway.stop().await;
    for (name, path, count) in [
        ("bare axum, small buffers", "/live/small", SOCKETS),
        (
            "bare axum, default buffers",
            "/live/default",
            DEFAULT_BUFFER_SOCKETS,
        ),
    ] {
        report.memory(bare_memory(stage, name, path, count, frame_bytes).await?);
    }
    Ok(())
}

async fn gateway_memory(gateway: &Gateway, room: &RoomId) -> anyhow::Result<(Memory, Crowd)> {
    let path = format!("/_line/v1/rooms/{room}/place/live");
    let gather = async |from: u32, count: u32| {
        let places = join_all(gateway.address, room, from, count).await?;
        Crowd::gather(gateway.address, &path, places).await
    };
    gather(SOCKETS, WARM_UP_SOCKETS).await?.leave().await;
    let before = settled_bytes(gateway.pid()).await?;
    let crowd = gather(0, SOCKETS).await?;
    let after = settled_bytes(gateway.pid()).await?;
    let memory = Memory::new("gateway", SOCKETS, before, after);
    Ok((memory, crowd))
}

async fn bare_memory(
    stage: &Stage,
    name: &'static str,
    path: &str,
    count: u32,
    frame_bytes: usize,
) -> anyhow::Result<Memory> {
    let sizes = BareSizes {
        frame: frame_bytes,
        ..BareSizes::default()
    };
    let bare = Bare::start(sizes, stage.dir()).await?;
    let nobodies = |count: u32| (0..count).map(|_| String::new()).collect();
    let warm_up = Crowd::gather(bare.address, path, nobodies(WARM_UP_SOCKETS)).await?;
    warm_up.leave().await;
    let before = settled_bytes(bare.pid()).await?;
    let crowd = Crowd::gather(bare.address, path, nobodies(count)).await?;
    let after = settled_bytes(bare.pid()).await?;
    crowd.leave().await;
    bare.stop().await;
    Ok(Memory::new(name, count, before, after))
}

/// The memory of a process once it does not change any more.
async fn settled_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut bytes = resident_bytes(pid)?;
    let mut still = 0;
    for _ in 0..SETTLE_SECONDS_MAX {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = resident_bytes(pid)?;
        still = if now.abs_diff(bytes) < bytes / SETTLED_SHARE {
            still + 1
        } else {
            0
        };
        bytes = now;
        if still == SETTLED_SECONDS {
            break;
        }
    }
    Ok(bytes)
}
