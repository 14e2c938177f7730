//! `ropeline room watch`: a room's figures, live.
//!
//! [`model`] decides, [`screen`] draws, [`live`] joins them to the terminal and the gateway.
//! Without a terminal the figures come as lines instead.

pub mod live;
pub mod model;
pub mod screen;

use std::time::Duration;

use contract::RoomId;
use contract::room::RoomStats;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::WatchArgs;
use crate::client::AdminClient;
use crate::console::{Console, grouped};
use crate::failure::{Exit, Failure};
use crate::room::tables::wire_word;

/// The shortest time between refreshes: the gateway takes new figures no faster than this.
const REFRESH_MIN: Duration = Duration::from_millis(100);

/// Runs the command.
pub(crate) async fn run(
    args: &WatchArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let plain = args.plain || console.is_json() || !console.is_terminal();
    if plain || !console.is_interactive() {
        return lines(args, client, console).await;
    }
    live::run(args, client, console).await
}

/// One line a refresh.
async fn lines(args: &WatchArgs, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let mut refresh = interval(args.every.max(REFRESH_MIN));
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = false;
    let mut remaining = args.count;
    loop {
        refresh.tick().await;
        let answer = fetch(client, &args.room).await;
        remaining = remaining.map(|count| count - 1);
        let last = remaining == Some(0);
        match answer {
            Ok(stats) => {
                seen = true;
                if console.is_json() {
                    console.document_line(&stats)?;
                } else {
                    console.text(&line_of(&stats))?;
                }
            }
            Err(failure) if last || !seen || is_final(&failure) => return Err(failure),
            Err(failure) => console.note(&format!("{}; trying again", one_line(&failure))),
        }
        if last {
            return Ok(());
        }
    }
}

/// The room's present figures.
pub async fn fetch(client: &AdminClient, room: &RoomId) -> Result<RoomStats, Failure> {
    client.get(&format!("rooms/{room}/stats")).await
}

/// Whether trying again would fail the same way.
fn is_final(failure: &Failure) -> bool {
    matches!(
        failure.exit,
        Exit::NotAuthorised | Exit::NotFound | Exit::Usage
    )
}

/// A failure in one line, for where there is only one.
fn one_line(failure: &Failure) -> String {
    match &failure.detail {
        Some(detail) => format!("{}: {detail}", failure.title),
        None => failure.title.clone(),
    }
}

/// The figures in one line.
fn line_of(stats: &RoomStats) -> String {
    let clock = stats.updated_at.to_string();
    format!(
        "{} {} phase={} in-line={} called={} active={}/{} calls/s={:.1}/{:.1} joins/s={:.1} \
         claims/s={:.1} no-shows={:.1}% wait={}",
        &clock[11..19],
        stats.room,
        wire_word(&stats.phase),
        grouped(stats.in_line),
        grouped(stats.called),
        grouped(stats.active),
        grouped(stats.total_active_users),
        stats.calls_per_second,
        screen::rate_per_second(stats),
        stats.joins_per_second,
        stats.claims_per_second,
        stats.no_show_share * 100.0,
        screen::wait_text(stats.expected_wait_seconds).replace(' ', ""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_figures_in_a_fixed_order() {
        assert_eq!(
            line_of(&model::tests::stats("queueing", 48_211, 1200)),
            "10:00:00 eras phase=queueing in-line=48,211 called=30 active=450/500 \
             calls/s=19.9/20.0 joins/s=55.2 claims/s=18.0 no-shows=2.0% wait=12min30s"
        );
    }
}
