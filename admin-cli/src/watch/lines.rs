//! The figures as lines, where there is no terminal.

use contract::line::Phase;
use contract::room::{LimitedBy, RoomStats, RoomView};
use contract::{Clock, RoomId, SystemClock};
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{REFRESH_MIN, fetch, is_final, one_line};
use super::screen;
use crate::args::WatchArgs;
use crate::client::AdminClient;
use crate::console::{Console, grouped};
use crate::failure::Failure;
use crate::room::tables::{standing, wire_word};

/// One line a refresh.
pub(super) async fn run(
    args: &WatchArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let mut refresh = interval(args.every.max(REFRESH_MIN));
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    let mut remaining = args.count;
    loop {
        refresh.tick().await;
        let answer = fetch(client, &args.room).await;
        remaining = remaining.map(|count| count - 1);
        let last = remaining == Some(0);
        match answer {
            Ok(stats) => {
                let before = seen.replace(stats.phase);
                if console.is_json() {
                    console.document_line(&stats)?;
                } else {
                    if stats.phase == Phase::Idle && before != seen {
                        tell_idle(client, &args.room, console).await;
                    }
                    console.text(&line_of(&stats))?;
                }
            }
            Err(failure) if last || seen.is_none() || is_final(&failure) => return Err(failure),
            Err(failure) => console.note(&format!("{}; trying again", one_line(&failure))),
        }
        if last {
            return Ok(());
        }
    }
}

/// Says on stderr what it means that the room is idle. The figures go on when the room's settings
/// cannot be read.
async fn tell_idle(client: &AdminClient, room: &RoomId, console: &Console) {
    if let Ok(view) = client.get::<RoomView>(&format!("rooms/{room}")).await
        && view.phase == Phase::Idle
    {
        console.note(&standing(&view, SystemClock.now()));
    }
}

/// The expected wait as one word.
fn wait_of(stats: &RoomStats) -> String {
    let text = screen::expected_wait_text(stats);
    if stats.in_line == 0 {
        text.replace(' ', "-")
    } else {
        text.replace(' ', "")
    }
}

/// The figures in one line.
fn line_of(stats: &RoomStats) -> String {
    let clock = stats.updated_at.to_string();
    format!(
        "{} {} phase={} in-line={} called={} active={}/{} calls/s={:.1}/{:.1} joins/s={:.1} \
         claims/s={:.1} no-shows={:.1}% wait={} limited-by={} straight-in={} passed-through={}{}",
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
        wait_of(stats),
        stats.limited_by.map_or("unknown", LimitedBy::as_str),
        grouped(stats.straight_in_total),
        grouped(stats.passed_through_passes),
        addresses_of(stats),
    )
}

/// Of the addresses of an upstream that has several: how many are up, and which are not.
fn addresses_of(stats: &RoomStats) -> String {
    let all = &stats.addresses;
    if all.is_empty() {
        return String::new();
    }
    let down: Vec<_> = all.iter().filter(|one| !one.is_up).collect();
    let up = all.len() - down.len();
    let mut text = format!(" addresses={up}/{}", all.len());
    if !down.is_empty() {
        let urls: Vec<_> = down.iter().map(|one| one.url.as_str()).collect();
        text = format!("{text} down={}", urls.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use contract::room::AddressStats;

    use super::super::model;
    use super::*;

    #[test]
    fn a_line_has_the_figures_in_a_fixed_order() {
        assert_eq!(
            line_of(&model::tests::stats("queueing", 48_211, 1200)),
            "10:00:00 eras phase=queueing in-line=48,211 called=30 active=450/500 \
             calls/s=19.9/20.0 joins/s=55.2 claims/s=18.0 no-shows=2.0% wait=12min30s \
             limited-by=database straight-in=1,250 passed-through=17"
        );
    }

    #[test]
    fn addresses_that_are_down_are_named() {
        let mut stats = model::tests::stats("queueing", 0, 1200);
        for (url, is_up) in [("http://a:1", true), ("http://b:1", false)] {
            stats.addresses.push(AddressStats {
                url: url.to_owned(),
                is_up,
                ejected_until: None,
                fails_checks: !is_up,
                in_flight: 3,
            });
        }
        let line = line_of(&stats);
        assert!(line.ends_with(" addresses=1/2 down=http://b:1"), "{line}");
    }

    #[test]
    fn an_empty_line_has_no_wait() {
        let line = line_of(&model::tests::stats("queueing", 0, 1200));
        assert!(line.contains(" wait=nobody-waits "), "{line}");
    }
}
