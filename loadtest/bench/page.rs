//! Pages a second: the waiting page for visitors who have no place yet, which a crowd asks for
//! first, the page of a show, and a hall's map.
//!
//! nginx serves the same bytes from a file.

use std::time::Duration;

use anyhow::Context as _;
use contract::{RoomId, ShowId};

use crate::gateway::{Gateway, quiet_room};
use crate::nginx;
use crate::processes::family;
use crate::report::{Report, Versus, progress};
use crate::rounds::take_turns;
use crate::stage::Stage;
use crate::wrk::Load;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);

/// The hall whose map is read: 30,000 seats.
const ROWS: u32 = 300;
const SEATS_PER_ROW: u32 = 100;

/// What is asked for.
struct Page {
    name: &'static str,
    path: String,
    /// Asked for compressed, as every browser does. Documents that are made anew now and then are
    /// compared as they are.
    is_compressed: bool,
    /// Each on a connection of its own.
    is_fresh: bool,
}

/// Measures pages.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let room: RoomId = "bench-page".parse()?;
    let show: ShowId = "bench-page".parse()?;
    let gateway = stage.gateway().await?;
    gateway.room_open(&quiet_room(&room)?).await?;
    gateway.show_import(&show, ROWS, SEATS_PER_ROW).await?;
    let waiting = |name, is_fresh| Page {
        name,
        path: format!("/_line/rooms/{room}?to=/shows/1"),
        is_compressed: false,
        is_fresh,
    };
    let of_show = |name, path, is_compressed| Page {
        name,
        path,
        is_compressed,
        is_fresh: false,
    };
    let map = format!("/api/v1/shows/{show}/seatmap/compact");
    for page in [
        waiting("waiting page", false),
        waiting("waiting page, fresh connections", true),
        of_show("show page", format!("/shows/{show}"), false),
        of_show("seat map of 30,000 seats, gzip", map, true),
    ] {
        rates(stage, &gateway, &page, report).await?;
    }
    gateway.room_delete(&room).await?;
    gateway.stop().await;
    Ok(())
}

async fn rates(
    stage: &Stage,
    gateway: &Gateway,
    page: &Page,
    report: &mut Report,
) -> anyhow::Result<()> {
    let bytes = gateway.page(&page.path, page.is_compressed).await;
    let bytes = bytes.with_context(|| format!("no {}", page.name))?;
    let nginx = nginx::start_before(&bytes, stage.dir()).await?;
    progress(&format!("{}: {} bytes", page.name, bytes.len()));
    let load = |address| {
        let mut load = Load::reads(stage.dir(), format!("http://{address}{}", page.path))?;
        if page.is_fresh {
            load = load.on_fresh_connections();
        }
        if page.is_compressed {
            load = load.compressed();
        }
        Ok::<_, anyhow::Error>(load)
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
        name: page.name,
        unit: "pages/s",
        theirs: "nginx, the same file",
    };
    report.rates(versus, rounds.await?);
    nginx.stop().await;
    Ok(())
}
