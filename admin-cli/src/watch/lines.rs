//! The figures as lines, where there is no terminal.

use contract::room::{LimitedBy, RoomStats};
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{REFRESH_MIN, fetch, is_final, one_line};
use super::screen;
use crate::args::WatchArgs;
use crate::client::AdminClient;
use crate::console::{Console, grouped};
use crate::failure::Failure;
use crate::room::tables::wire_word;

/// One line a refresh.
pub(super) async fn run(
    args: &WatchArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
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

/// The figures in one line.
fn line_of(stats: &RoomStats) -> String {
    let clock = stats.updated_at.to_string();
    format!(
        "{} {} phase={} in-line={} called={} active={}/{} calls/s={:.1}/{:.1} joins/s={:.1} \
         claims/s={:.1} no-shows={:.1}% wait={} limited-by={}",
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
        stats.limited_by.map_or("unknown", LimitedBy::as_str),
    )
}

#[cfg(test)]
mod tests {
    use super::super::model;
    use super::*;

    #[test]
    fn a_line_has_the_figures_in_a_fixed_order() {
        assert_eq!(
            line_of(&model::tests::stats("queueing", 48_211, 1200)),
            "10:00:00 eras phase=queueing in-line=48,211 called=30 active=450/500 \
             calls/s=19.9/20.0 joins/s=55.2 claims/s=18.0 no-shows=2.0% wait=12min30s \
             limited-by=database"
        );
    }
}
