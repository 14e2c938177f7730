//! Rooms as tables for people.

use comfy_table::{Cell, CellAlignment, Color, Table};
use contract::Timestamp;
use contract::line::Phase;
use contract::room::{FailMode, Override, RoomSettings, RoomView, UpstreamHealth};
use serde_json::Value;

use super::change::Difference;
use super::idle;
use crate::console::{coloured, grouped, table_of};
use crate::when::{distance_text, past_text, span_text};

/// The rooms, one a row.
pub fn list(rooms: &[RoomView], now: Timestamp) -> Table {
    let mut table = table_of(&[
        "room", "phase", "rate/min", "cap", "opens", "upstream", "paths",
    ]);
    for room in rooms {
        let settings = &room.settings;
        let opens = settings.opens_at.map(|at| distance_text(at, now));
        table.add_row([
            Cell::new(&settings.room),
            phase_cell(room.phase),
            number(settings.new_users_per_minute),
            number(settings.total_active_users),
            Cell::new(opens.unwrap_or_else(|| "by command".to_owned())),
            Cell::new(settings.upstream.texts().join("\n")),
            Cell::new(settings.paths.join("\n")),
        ]);
    }
    table
}

/// How the addresses of an upstream are checked.
fn health_text(health: &UpstreamHealth) -> String {
    format!(
        "{} every {}, at most {}; up after {} good, down after {} failed",
        health.path,
        seconds(health.interval_seconds),
        seconds(health.timeout_seconds),
        health.healthy_after,
        health.unhealthy_after,
    )
}

/// What is behind the room, and what it is told.
fn service_rows(settings: &RoomSettings, row: &mut impl FnMut(&str, String)) {
    row("upstream", settings.upstream.texts().join("\n"));
    row(
        "upstream health",
        settings
            .upstream_health
            .as_ref()
            .map_or_else(|| "not checked".to_owned(), health_text),
    );
    row("sticky", yes_no(settings.sticky));
    row(
        "upstream connections",
        settings
            .upstream_connections_max
            .map_or_else(|| "default".to_owned(), grouped),
    );
    row("preserve host", yes_no(settings.preserve_host));
    row("forward pass", yes_no(settings.forward_pass));
    row("sign requests", yes_no(settings.sign_requests));
    row(
        "known user targets",
        or_none(settings.known_user_targets.join("\n")),
    );
    row(
        "response timeout",
        settings
            .response_timeout_seconds
            .map_or_else(|| "default".to_owned(), seconds),
    );
}

/// One room with everything about it, a setting a row.
pub fn detail(room: &RoomView, now: Timestamp) -> Table {
    let mut table = table_of(&["setting", "value"]);
    let settings = &room.settings;
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let instant = |at: Option<Timestamp>, unset: &str| {
        at.map_or_else(|| unset.to_owned(), |at| distance_text(at, now))
    };
    row("room", settings.room.to_string());
    row(
        "phase",
        match idle::meaning(room, now) {
            Some(meaning) => format!("{}: {meaning}", phase_text(room)),
            None => phase_text(room),
        },
    );
    row("title", settings.title.clone());
    row("hosts", hosts_text(settings));
    service_rows(settings, &mut row);
    row("CORS origins", or_none(settings.cors_origins.join("\n")));
    row(
        "stream idle",
        settings
            .stream_idle_seconds
            .map_or_else(|| "no limit".to_owned(), seconds),
    );
    row("paths", or_none(settings.paths.join("\n")));
    row("exempt", or_none(settings.exempt.join("\n")));
    row(
        "new users per minute",
        grouped(settings.new_users_per_minute),
    );
    row(
        "rate ceiling",
        settings
            .rate_ceiling_per_minute
            .map_or_else(|| "none".to_owned(), grouped),
    );
    row(
        "call batch",
        settings
            .call_batch
            .map_or_else(|| "none, calls come evenly".to_owned(), grouped),
    );
    row("while the line fails", fail_text(settings));
    row("total active users", grouped(settings.total_active_users));
    row("session", session_text(room));
    row("queueing method", wire_word(&settings.queueing_method));
    row("queue all", yes_no(settings.queue_all));
    row(
        "prequeue opens",
        instant(settings.prequeue_opens_at, "never"),
    );
    row("opens", instant(settings.opens_at, "by command"));
    row("closes", instant(settings.closes_at, "by command"));
    row("claim window", seconds(settings.claim_window_seconds));
    row("absence timeout", seconds(settings.absence_timeout_seconds));
    row(
        "draw requires presence",
        yes_no(settings.draw_requires_presence),
    );
    row("place max age", seconds(settings.place_max_age_seconds));
    row(
        "missed turn grace",
        seconds(settings.missed_turn_grace_seconds),
    );
    row("challenge", wire_word(&settings.challenge));
    row("access codes", or_none(settings.access_codes.join("\n")));
    row(
        "message",
        or_none(settings.message.clone().unwrap_or_default()),
    );
    row("suspended", yes_no(settings.suspended));
    row("draw commitment", room.draw_commitment.clone());
    row("version", room.version.to_string());
    row("created", past_text(room.created_at, now));
    row("updated", past_text(room.updated_at, now));
    table
}

/// What changes, before and after.
pub fn change(differences: &[Difference]) -> Table {
    let mut table = table_of(&["setting", "before", "after"]);
    for it in differences {
        table.add_row([
            Cell::new(&it.setting),
            coloured(value_text(&it.before), Color::Red),
            coloured(value_text(&it.after), Color::Green),
        ]);
    }
    table
}

/// How a room stands, in a sentence.
pub fn standing(room: &RoomView, now: Timestamp) -> String {
    let name = &room.settings.room;
    let phase = phase_text(room);
    match idle::meaning(room, now) {
        Some(meaning) => format!("Room {name} is {phase}: {meaning}."),
        None => format!("Room {name} is {phase}."),
    }
}

/// The phase, and why it is that when a manager said so.
pub fn phase_text(room: &RoomView) -> String {
    let phase = wire_word(&room.phase);
    let by = match room.overridden {
        None => return phase,
        Some(Override::Open) => "opened by command",
        Some(Override::Pause) => "paused by command",
        Some(Override::Close) => "closed by command",
    };
    let reason = room.paused_reason.as_deref();
    match reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) => format!("{phase} ({by}: {reason})"),
        None => format!("{phase} ({by})"),
    }
}

fn session_text(room: &RoomView) -> String {
    let settings = &room.settings;
    let length = seconds(settings.session_duration_seconds);
    if settings.session_renewal {
        format!(
            "{length}, renewed up to {}",
            seconds(settings.session_max_seconds)
        )
    } else {
        format!("{length}, not renewed")
    }
}

/// The word of a wire enum.
pub fn wire_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => "?".to_owned(),
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn phase_cell(phase: Phase) -> Cell {
    let colour = match phase {
        Phase::Idle => Color::Grey,
        Phase::Prequeue => Color::Cyan,
        Phase::Queueing => Color::Green,
        Phase::Paused => Color::Yellow,
        Phase::Closed => Color::Red,
    };
    coloured(wire_word(&phase), colour)
}

fn number(number: u64) -> Cell {
    Cell::new(grouped(number)).set_alignment(CellAlignment::Right)
}

fn seconds(seconds: u64) -> String {
    span_text(std::time::Duration::from_secs(seconds))
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// The hosts that a room answers for.
fn hosts_text(settings: &RoomSettings) -> String {
    match settings.hosts.as_slice() {
        [] => "any, for its paths".to_owned(),
        hosts => hosts.join("\n"),
    }
}

/// What becomes of visitors while the line cannot be used.
fn fail_text(settings: &RoomSettings) -> String {
    match settings.fail_mode {
        FailMode::Closed => "closed".to_owned(),
        FailMode::Open => format!(
            "open after {} for {}, {} a minute and gateway",
            seconds(settings.fail_open_after_seconds),
            seconds(settings.fail_open_max_seconds),
            grouped(settings.fail_open_rate_per_minute),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn room() -> RoomView {
        serde_json::from_value(json!({
            "room": "eras", "newUsersPerMinute": 1200, "opensAt": "2026-11-22T10:00:00Z",
            "phase": "paused", "override": "pause", "pausedReason": "Back soon.",
            "drawCommitment": "aa", "version": 3,
            "createdAt": "2026-11-22T09:00:00Z", "updatedAt": "2026-11-22T09:30:00Z"
        }))
        .unwrap()
    }

    fn text(mut table: Table) -> String {
        table.force_no_tty();
        table.trim_fmt()
    }

    #[test]
    fn a_list_has_a_row_for_each_room() {
        let now = Timestamp::parse("2026-11-22T09:50:00Z").unwrap();
        let text = text(list(&[room(), room()], now));
        assert_eq!(text.matches("eras").count(), 2, "{text}");
        assert!(
            text.contains("1,200") && text.contains("(in 10 min)"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_detail_says_who_paused_and_why() {
        let now = Timestamp::parse("2026-11-22T09:50:00Z").unwrap();
        let text = text(detail(&room(), now));
        assert!(
            text.contains("paused (paused by command: Back soon.)"),
            "{text}"
        );
        assert!(text.contains("10 min, renewed up to 30 min"), "{text}");
    }

    #[test]
    fn a_pause_without_a_reason_gives_none() {
        for reason in [None, Some(String::new()), Some("  ".to_owned())] {
            let mut room = room();
            room.paused_reason = reason;
            assert_eq!(phase_text(&room), "paused (paused by command)");
        }
    }

    #[test]
    fn an_idle_room_says_that_it_holds_nobody_up() {
        let now = Timestamp::parse("2026-11-22T09:50:00Z").unwrap();
        let mut room = room();
        (room.phase, room.overridden, room.paused_reason) = (Phase::Idle, None, None);
        let told = "idle: everyone passes through until 2026-11-22 10:00:00 UTC (in 10 min)";
        assert!(
            standing(&room, now).contains(told),
            "{}",
            standing(&room, now)
        );
        let detail = text(detail(&room, now));
        assert!(detail.contains(told), "{detail}");
    }

    #[test]
    fn what_the_gateway_did_just_now_is_not_to_come() {
        let mut room = room();
        room.created_at = Timestamp::parse("2026-11-22T09:50:03Z").unwrap();
        let now = Timestamp::parse("2026-11-22T09:50:00Z").unwrap();
        let text = text(detail(&room, now));
        assert!(text.contains("09:50:03 UTC (just now)"), "{text}");
    }

    #[test]
    fn a_change_shows_both_sides() {
        let difference = Difference {
            setting: "message".to_owned(),
            before: Value::Null,
            after: json!("Soon."),
        };
        let text = text(change(&[difference]));
        let row = text.lines().find(|line| line.contains("message")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["message", "none", "Soon."]);
    }

    #[test]
    fn colours_come_only_when_enforced() {
        let now = Timestamp::EPOCH;
        let mut table = list(&[room()], now);
        table.force_no_tty().enforce_styling();
        assert!(table.trim_fmt().contains('\u{1b}'));
    }
}
