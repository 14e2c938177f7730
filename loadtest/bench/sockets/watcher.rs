//! A part of a crowd, as a process of its own: one process may not open as many files.
//!
//! It joins, opens its sockets and says so. Then it reads orders from its input, one in each line,
//! and answers each with a line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use contract::RoomId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

use super::crowd::{CalledFrame, Crowd, Watched};
use super::join::join_all;

/// What it says when everyone has a frame.
pub(super) const READY: &str = "ready";

/// Whom it stands for.
#[derive(clap::Args, Clone)]
pub(crate) struct WatcherOptions {
    #[arg(long)]
    pub(super) address: SocketAddr,
    #[arg(long)]
    pub(super) room: RoomId,
    /// Number of its first fan
    #[arg(long)]
    pub(super) from: u32,
    /// Its fans
    #[arg(long)]
    pub(super) count: u32,
}

/// What it is to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Order {
    /// Watch.
    Watch { seconds: u64 },
    /// Watch, while sockets hang up and are opened again.
    Storm { seconds: u64, per_second: u32 },
}

/// What it saw.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    /// Latencies of changes in microseconds, each with how often it occurred.
    pub(super) changes: Vec<(u64, u64)>,
    pub(super) calls: Vec<CalledFrame>,
    pub(super) reconnects: u64,
    pub(super) refused: BTreeMap<String, u64>,
}

/// Joins and obeys until its input ends.
#[expect(clippy::print_stdout, reason = "the parent reads what was seen")]
pub(crate) async fn serve(options: WatcherOptions) -> anyhow::Result<()> {
    let WatcherOptions {
        address,
        room,
        from,
        count,
    } = options;
    let places = join_all(address, &room, from, count).await?;
    let path = format!("/_line/v1/rooms/{room}/place/live");
    let mut crowd = Crowd::gather(address, &path, places).await?;
    println!("{READY}");
    let mut orders = BufReader::new(stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        let order: Order = serde_json::from_str(&order).context("no order")?;
        let watched = match order {
            Order::Watch { seconds } => crowd.watch(Duration::from_secs(seconds)).await?,
            Order::Storm {
                seconds,
                per_second,
            } => {
                let lasts = Duration::from_secs(seconds);
                crowd.storm(lasts, per_second).await?
            }
        };
        let Watched {
            changes,
            calls,
            reconnects,
            refused,
        } = watched;
        let seen = Seen {
            changes: changes.counts(),
            calls,
            reconnects,
            refused,
        };
        println!("{}", serde_json::to_string(&seen)?);
    }
    crowd.leave().await;
    Ok(())
}
