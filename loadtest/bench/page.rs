//! Waiting pages a second, for visitors who have no place yet: what a crowd asks for first.
//!
//! nginx serves the same bytes from a file.

use std::time::Duration;

use anyhow::Context as _;
use contract::RoomId;

use crate::gateway::{Gateway, quiet_room};
use crate::nginx;
use crate::peer::Peer;
use crate::processes::family;
use crate::report::{Report, Versus, progress};
use crate::rounds::take_turns;
use crate::stage::Stage;
use crate::wrk::Load;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures the waiting page.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let room: RoomId = "bench-page".parse()?;
    let gateway = stage.gateway().await?;
    gateway.room_open(&quiet_room(&room)?).await?;
    let path = format!("/_line/rooms/{room}?to=/shows/1");
    let page = gateway.page(&path).await.context("no waiting page")?;
    let nginx = nginx::start_before(&page, stage.dir()).await?;
    progress(&format!("waiting page: {} bytes", page.len()));
    for is_fresh in [false, true] {
        rates(stage, (&gateway, &nginx), &path, is_fresh, report).await?;
    }
    nginx.stop().await;
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    Ok(())
}

async fn rates(
    stage: &Stage,
    (gateway, nginx): (&Gateway, &Peer),
    path: &str,
    is_fresh: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let load = |address| {
        let load = Load::reads(stage.dir(), format!("http://{address}{path}"))?;
        Ok::<_, anyhow::Error>(if is_fresh {
            load.on_fresh_connections()
        } else {
            load
        })
    };
    let (ours, theirs) = (load(gateway.address)?, load(nginx.address)?);
    let our_pids = || family(gateway.pid());
    let their_pids = || nginx.pids();
    ours.send(WARM_UP, 0, our_pids).await?;
    theirs.send(WARM_UP, 0, their_pids).await?;
    let rounds = take_turns(
        ROUNDS,
        async || ours.send(ROUND, 0, our_pids).await,
        async || theirs.send(ROUND, 0, their_pids).await,
    );
    let versus = Versus {
        name: if is_fresh {
            "waiting page, fresh connections"
        } else {
            "waiting page"
        },
        unit: "pages/s",
        theirs: "nginx, the same file",
    };
    report.rates(versus, rounds.await?);
    Ok(())
}
