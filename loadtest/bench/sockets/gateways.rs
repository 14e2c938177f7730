//! A crowd of a hundred thousand over seven gateways, and its reconnects.
//!
//! First everyone watches the line move. Then sockets hang up and are opened again, two hundred
//! thousand a minute, while ten thousand a minute are called.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::RoomId;
use contract::room::RoomSettings;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::calls::CallLatency;
use super::crowd::Watched;
use super::watcher::{Order, READY, Seen};
use crate::gateway::{Gateway, quiet_room};
use crate::processes::resident_bytes;
use crate::report::{Report, progress};
use crate::stage::Stage;

const GATEWAYS: u32 = 7;
const SOCKETS_PER_GATEWAY: u32 = 14_300;
/// While the line is watched.
const SLOW_PER_MINUTE: u64 = 600;
const WATCH_SECONDS: u64 = 20;
const CALLS_PER_MINUTE: u64 = 10_000;
/// Over all gateways.
const RECONNECTS_PER_MINUTE: u32 = 200_000;
const STORM_SECONDS: u64 = 60;

/// Measures the crowd.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(stage.gateway().await?);
    }
    let settings = RoomSettings {
        total_active_users: 1_000_000,
        ..quiet_room(&"bench-gateways".parse()?)?
    };
    gateways[0].room_open(&settings).await?;
    let mut watchers = Vec::new();
    for (number, gateway) in (0..).zip(&gateways) {
        gateway.room_known(&settings.room).await?;
        let from = number * SOCKETS_PER_GATEWAY;
        watchers.push(Watcher::start(gateway, &settings.room, from).await?);
        progress(&format!("sockets: {} are open", from + SOCKETS_PER_GATEWAY));
    }
    let outcome = watch(&gateways, &settings, &mut watchers, report).await;
    for watcher in watchers {
        watcher.stop().await?;
    }
    gateways[0].room_delete(&settings.room).await?;
    for gateway in gateways {
        gateway.stop().await;
    }
    outcome
}

async fn watch(
    gateways: &[Gateway],
    settings: &RoomSettings,
    watchers: &mut [Watcher],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut bytes = 0;
    for gateway in gateways {
        bytes += resident_bytes(gateway.pid())?;
    }
    progress(&format!("sockets: the gateways take {} MiB", bytes >> 20));
    let sockets = GATEWAYS * SOCKETS_PER_GATEWAY;
    let at = format!("{sockets} sockets, {GATEWAYS} gateways");
    calls_each_minute(&gateways[0], settings, SLOW_PER_MINUTE).await?;
    let seconds = WATCH_SECONDS;
    let seen = order(watchers, Order::Watch { seconds }).await?;
    report.seen("change to frame", &at, &seen.changes);

    let at = format!("{RECONNECTS_PER_MINUTE} reconnects/min, {CALLS_PER_MINUTE} calls/min");
    calls_each_minute(&gateways[0], settings, CALLS_PER_MINUTE).await?;
    let storm = Order::Storm {
        seconds: STORM_SECONDS,
        per_second: RECONNECTS_PER_MINUTE / 60 / GATEWAYS,
    };
    let seen = order(watchers, storm).await?;
    progress(&format!(
        "sockets: {} reconnects in {STORM_SECONDS} s, refused and tried again: {:?}",
        seen.reconnects, seen.refused
    ));
    report.reconnects(seen.reconnects, seen.refused);
    let latency = CallLatency::of(&gateways[0], settings, &seen.calls).await?;
    report.seen(
        "call to frame, from the decision",
        &at,
        &latency.from_decision,
    );
    report.seen(
        "call to frame, from the log",
        &at,
        &latency.from_publication,
    );
    Ok(())
}

async fn calls_each_minute(
    gateway: &Gateway,
    settings: &RoomSettings,
    per_minute: u64,
) -> anyhow::Result<()> {
    let settings = RoomSettings {
        new_users_per_minute: per_minute,
        ..settings.clone()
    };
    gateway.room_change(&settings).await
}

/// Has all watchers do the same at the same time, and puts together what they saw.
async fn order(watchers: &mut [Watcher], order: Order) -> anyhow::Result<Watched> {
    for watcher in &mut *watchers {
        watcher.send(order).await?;
    }
    let mut all = Watched::nothing()?;
    for watcher in watchers {
        let seen: Seen = serde_json::from_str(&watcher.line().await?)?;
        all.changes.add_counts(&seen.changes)?;
        all.calls.extend(seen.calls);
        all.reconnects += seen.reconnects;
        for (why, count) in seen.refused {
            *all.refused.entry(why).or_default() += count;
        }
    }
    Ok(all)
}

/// A process that stands for the fans of one gateway.
struct Watcher {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    async fn start(gateway: &Gateway, room: &RoomId, from: u32) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("watcher")
            .args(["--address", &gateway.address.to_string()])
            .args(["--room", room.as_str()])
            .args(["--from", &from.to_string()])
            .args(["--count", &SOCKETS_PER_GATEWAY.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("a watcher has no input")?;
        let output = child.stdout.take().context("a watcher has no output")?;
        let mut watcher = Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        };
        match watcher.line().await?.as_str() {
            READY => Ok(watcher),
            other => bail!("a watcher says {other}"),
        }
    }

    async fn send(&mut self, order: Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        Ok(self.input.write_all(&line).await?)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next_line().await?;
        line.context("a watcher ended")
    }

    /// Ends it by ending its input.
    async fn stop(self) -> anyhow::Result<()> {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        // It may take a while to hang up, and is killed when this is dropped.
        let _slow = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        Ok(())
    }
}
