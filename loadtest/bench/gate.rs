//! Requests a second through the gate, to an upstream over HTTP.
//!
//! The gateway finds the room that protects the path, checks the pass and its session, and
//! passes the request on. nginx, HAProxy and Pingora pass the same request on to the same upstream
//! and check nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use contract::RoomId;
use contract::room::RoomSettings;

use crate::bare::{Bare, BareSizes, PAGE_PATH};
use crate::gateway::{Gateway, quiet_room};
use crate::haproxy;
use crate::http1::get;
use crate::nginx;
use crate::pace::{Pace, keep_pace};
use crate::peer::Peer;
use crate::pingora;
use crate::processes::family;
use crate::report::{Report, Versus, progress};
use crate::rounds::take_turns;
use crate::stage::Stage;
use crate::wrk::Load;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);
const PACE: Pace = Pace {
    per_second: 1000,
    connections: 32,
    lasts: Duration::from_secs(5),
};
const PACE_ROUNDS: usize = 3;
/// An API's answer rather than a page with pictures: the less there is to copy, the more the
/// proxy's own work shows.
const PAGE_BYTES: usize = 1024;
const THEIRS: &str = "nginx as a plain proxy";
/// Fans whose passes take turns.
const PASSES: u64 = 8;

/// Measures the gate, also against the program `pingora`.
pub(crate) async fn measure(
    stage: &Stage,
    pingora: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sizes = BareSizes {
        page: PAGE_BYTES,
        ..BareSizes::default()
    };
    let upstream = Bare::start(sizes, stage.dir()).await?;
    let nginx = nginx::start(upstream.address, stage.dir()).await?;
    let haproxy = haproxy::start(upstream.address, stage.dir()).await?;
    let pingora = pingora::start(pingora, upstream.address, stage.dir()).await?;
    let gateway = stage.gateway().await?;
    let room: RoomId = "bench-gate".parse()?;
    let settings = RoomSettings {
        upstream: format!("http://{}", upstream.address).as_str().into(),
        paths: vec!["/bench".to_owned()],
        new_users_per_minute: 600,
        ..quiet_room(&room)?
    };
    gateway.room_open(&settings).await?;
    let mut cookies = Vec::new();
    for number in 0..PASSES {
        cookies.push(gateway.pass_cookie(&room, number).await?);
    }
    progress(&format!("gate: pages of {PAGE_BYTES} bytes"));
    let rivals = [
        ("gate", THEIRS, &nginx),
        ("gate (HAProxy)", "HAProxy as a plain proxy", &haproxy),
        ("gate (Pingora)", "Pingora as a plain proxy", &pingora),
    ];
    for (name, theirs, peer) in rivals {
        let rival = Rival { name, theirs, peer };
        rates(stage, &gateway, rival, &cookies, report).await?;
    }
    latencies(&gateway, &nginx, &cookies[0], report).await?;
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    nginx.stop().await;
    haproxy.stop().await;
    pingora.stop().await;
    upstream.stop().await;
    Ok(())
}

/// A proxy that the gate is compared with.
struct Rival<'a> {
    /// Names the comparison.
    name: &'static str,
    theirs: &'static str,
    peer: &'a Peer,
}

async fn rates(
    stage: &Stage,
    gateway: &Gateway,
    rival: Rival<'_>,
    cookies: &[String],
    report: &mut Report,
) -> anyhow::Result<()> {
    let load = |address: SocketAddr| {
        let url = format!("http://{address}{PAGE_PATH}");
        Load::reads_as(stage.dir(), url, cookies)
    };
    let (ours, theirs) = (load(gateway.address)?, load(rival.peer.address)?);
    let our_pids = || family(gateway.pid());
    let their_pids = || rival.peer.pids();
    ours.send(WARM_UP, 0, our_pids).await?;
    theirs.send(WARM_UP, 0, their_pids).await?;
    let rounds = take_turns(
        ROUNDS,
        async || ours.send(ROUND, 0, our_pids).await,
        async || theirs.send(ROUND, 0, their_pids).await,
    );
    let versus = Versus {
        name: rival.name,
        unit: "requests/s",
        theirs: rival.theirs,
    };
    report.rates(versus, rounds.await?);
    Ok(())
}

async fn latencies(
    gateway: &Gateway,
    nginx: &Peer,
    cookie: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut latencies = Vec::new();
    for _ in 0..PACE_ROUNDS {
        let mut pair = Vec::new();
        for address in [gateway.address, nginx.address] {
            let request = get(address, PAGE_PATH, &format!("Cookie: {cookie}\r\n"));
            let requests = move |_| {
                let request = request.clone();
                move || request.clone()
            };
            pair.push(keep_pace(address, PACE, requests).await?);
        }
        latencies.push((pair[0], pair[1]));
    }
    let versus = Versus {
        name: "gate latency",
        unit: "1,000 requests/s",
        theirs: THEIRS,
    };
    report.latencies(versus, &latencies);
    Ok(())
}
