//! What a visitor of a room in stand-by waits for at the gate.
//!
//! Visitors come at nine tenths of the rate, and nobody may see the waiting page. Each of them has a
//! session begun for them, which is in the admission log before their request is passed on. They are
//! compared with visitors who bring a pass, and the difference with a commit of one row to the same
//! database.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use contract::RoomId;
use contract::room::RoomSettings;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::time::{Instant, sleep};

use crate::bare::{Bare, BareSizes, PAGE_PATH};
use crate::gateway::{Gateway, quiet_room};
use crate::http1::get;
use crate::pace::{Latencies, Pace, Quantiles, keep_pace};
use crate::report::{Report, Versus, progress};
use crate::stage::Stage;

const RATE_PER_MINUTE: u64 = 12_000;
/// Nine tenths of the rate.
const PACE: Pace = Pace {
    per_second: 180,
    connections: 16,
    lasts: Duration::from_secs(10),
};
const ROUNDS: usize = 3;
const COMMITS: u32 = 1000;
const BETWEEN_COMMITS: Duration = Duration::from_millis(5);
/// What a browser sends that opens a page.
const NAVIGATES: &str =
    "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

/// Measures stand-by.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let upstream = Bare::start(BareSizes::default(), stage.dir()).await?;
    let gateway = stage.gateway().await?;
    let room: RoomId = "bench-standby".parse()?;
    let settings = RoomSettings {
        upstream: format!("http://{}", upstream.address).as_str().into(),
        paths: vec!["/bench".to_owned()],
        new_users_per_minute: RATE_PER_MINUTE,
        total_active_users: 1_000_000,
        queue_all: false,
        ..quiet_room(&room)?
    };
    gateway.room_open(&settings).await?;
    let cookie = gateway.pass_cookie(&room, 0).await?;
    progress("stand-by: visitors at nine tenths of the rate");
    let mut latencies = Vec::new();
    for _ in 0..ROUNDS {
        let straight = straight_in(&gateway, &room).await?;
        let with_pass = visit(gateway.address, &format!("Cookie: {cookie}\r\n")).await?;
        latencies.push((straight, with_pass));
    }
    let versus = Versus {
        name: "stand-by",
        unit: "0.9 of the rate",
        theirs: "with a pass",
    };
    report.latencies(versus, &latencies);
    report.seen("commit of a row", "200 a second", &commits(stage).await?);
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    upstream.stop().await;
    Ok(())
}

/// Visitors without a pass. Each of them has to get straight in.
async fn straight_in(gateway: &Gateway, room: &RoomId) -> anyhow::Result<Quantiles> {
    let before = gateway.room_stats(room).await?.straight_in_total;
    let quantiles = visit(gateway.address, "").await?;
    // The room's figures are of the last second.
    sleep(Duration::from_secs(2)).await;
    let straight = gateway.room_stats(room).await?.straight_in_total - before;
    if straight != quantiles.count {
        let visitors = quantiles.count;
        bail!("{straight} of {visitors} visitors went straight in, the others saw the page");
    }
    Ok(quantiles)
}

async fn visit(address: SocketAddr, cookie: &str) -> anyhow::Result<Quantiles> {
    let request = get(address, PAGE_PATH, &format!("{NAVIGATES}{cookie}"));
    let requests = |_| {
        let request = request.clone();
        move || request.clone()
    };
    keep_pace(address, PACE, requests).await
}

/// How long a commit of one row takes.
async fn commits(stage: &Stage) -> anyhow::Result<Latencies> {
    let mut connection = PgConnection::connect(&stage.database_url()?).await?;
    let table = "create table bench_commits (number bigint primary key, at timestamptz not null)";
    connection.execute(table).await?;
    let mut latencies = Latencies::new()?;
    for number in 0..COMMITS {
        let began = Instant::now();
        sqlx::query("insert into bench_commits values ($1, now())")
            .bind(i64::from(number))
            .execute(&mut connection)
            .await?;
        latencies.add(began.elapsed());
        sleep(BETWEEN_COMMITS).await;
    }
    connection.execute("drop table bench_commits").await?;
    connection.close().await?;
    Ok(latencies)
}
