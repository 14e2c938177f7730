//! The waiting page.

use std::time::Duration;

use contract::line::{
    Phase, PlaceState, RoomDocument, StatusDocument, Stock, StockLevel, StockOutlook,
};
use contract::{ProblemCode, RoomId, Timestamp};
use serde::Serialize;

use crate::engine::render;
use crate::moment;
use crate::percent::encode;
use crate::texts::{fill, find, text};
use crate::wait;

/// Limits of the pause before a page without JavaScript reloads by itself, in seconds.
const REFRESH_SECONDS_MIN: u64 = 3;
const REFRESH_SECONDS_MAX: u64 = 120;
/// The pause while the line does not answer, in seconds.
const REFRESH_SECONDS_UNAVAILABLE: u64 = 10;

/// The facts of a room, the same for every visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomFacts {
    /// The room.
    pub room: RoomId,
    /// Its title.
    pub title: String,
    /// Its phase.
    pub phase: Phase,
    /// When calling starts.
    pub opens_at: Option<Timestamp>,
    /// Visitors in the line.
    pub users_in_line: u64,
    /// The stock.
    pub stock: Stock,
    /// The manager's message.
    pub message: Option<String>,
    /// Why the room is paused.
    pub paused_reason: Option<String>,
    /// SHA-256 of the draw's seed, hexadecimal.
    pub draw_commitment: String,
    /// Whether a join needs an access code.
    pub asks_access_code: bool,
    /// Whether the order of places is or was drawn.
    pub has_draw: bool,
    /// The link for a visitor who does not get in: a path of this site that no room protects.
    pub way_out: Option<String>,
}

impl From<&RoomDocument> for RoomFacts {
    /// A room without access codes, draw and way out, which the document does not contain.
    fn from(room: &RoomDocument) -> Self {
        Self {
            room: room.room.clone(),
            title: room.title.clone(),
            phase: room.phase,
            opens_at: room.opens_at,
            users_in_line: room.users_in_line,
            stock: room.stock,
            message: room.message.clone(),
            paused_reason: room.paused_reason.clone(),
            draw_commitment: room.draw_commitment.clone(),
            asks_access_code: false,
            has_draw: false,
            way_out: None,
        }
    }
}

/// The visitor's standing, as far as the gateway knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The visitor has no place. With JavaScript the page joins by itself, otherwise it shows a
    /// form.
    Outside {
        /// Why the join by the form, just before, was refused.
        refused: Option<ProblemCode>,
        /// Whether the join by the form, just before, gave a place whose cookie the browser did not
        /// return.
        cookie_lost: bool,
    },
    /// The visitor has a place.
    Placed(Box<StatusDocument>),
    /// The line does not answer.
    Unavailable,
}

/// The waiting page of one visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingPage {
    /// The room.
    pub room: RoomFacts,
    /// The return target: a path of this site. The caller has checked it.
    pub to: String,
    /// The present.
    pub now: Timestamp,
    /// The visitor's standing.
    pub standing: Standing,
}

/// The texts for a visitor; `js/wording.js` makes the same ones.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wording {
    mood: &'static str,
    headline: String,
    lede: String,
    ahead: Option<String>,
    wait: Option<String>,
    in_line: Option<String>,
    queue_number: Option<String>,
    stock: Option<String>,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a part of the page that is shown or not"
)]
struct View<'a> {
    room: &'a str,
    title: &'a str,
    to: &'a str,
    api: String,
    enter: String,
    join: String,
    leave: String,
    again: String,
    now: Timestamp,
    phase: Phase,
    opens_at: Option<Timestamp>,
    opens_in: Option<String>,
    commitment: &'a str,
    message: Option<&'a str>,
    refused: Option<String>,
    asks_access_code: bool,
    has_draw: bool,
    auto_join: bool,
    way_out: Option<&'a str>,
    cookie_lost: bool,
    can_join: bool,
    can_enter: bool,
    can_leave: bool,
    join_label: &'static str,
    progress: Option<u32>,
    turn_left: Option<String>,
    refresh: Option<u64>,
    status: Option<String>,
    wording: Wording,
}

/// The waiting page as HTML.
pub fn waiting(page: &WaitingPage) -> String {
    render("waiting.html", &view(page))
}

fn view(page: &WaitingPage) -> View<'_> {
    let room = &page.room;
    let status = match &page.standing {
        Standing::Placed(status) => Some(&**status),
        Standing::Outside { .. } | Standing::Unavailable => None,
    };
    let state = status.map(|status| status.state);
    let phase = status.map_or(room.phase, |status| status.phase);
    let to = encode(&page.to, b"/");
    let path = format!("/_line/rooms/{}", room.room);
    let open = phase != Phase::Closed && room.stock.level != StockLevel::Gone;
    let cookie_lost = matches!(
        page.standing,
        Standing::Outside {
            cookie_lost: true,
            ..
        }
    );
    let can_join = match page.standing {
        Standing::Outside { .. } => open && !cookie_lost,
        // A visitor who missed their turn returns by joining, which gives the same place.
        Standing::Placed(_) => {
            let away = matches!(
                state,
                Some(PlaceState::Left | PlaceState::Ended | PlaceState::Missed)
            );
            open && away
        }
        Standing::Unavailable => false,
    };
    let refused = match page.standing {
        Standing::Outside { .. } if cookie_lost => Some(text("refused.cookies").to_owned()),
        Standing::Outside { refused, .. } => refused.map(refusal),
        Standing::Placed(_) | Standing::Unavailable => None,
    };
    View {
        room: room.room.as_str(),
        title: &room.title,
        to: &page.to,
        api: format!("/_line/v1/rooms/{}", room.room),
        enter: format!("{path}/enter?to={to}"),
        join: format!("{path}/join?to={to}"),
        leave: format!("{path}/leave?to={to}"),
        again: format!("{path}?to={to}"),
        now: page.now,
        phase,
        opens_at: room.opens_at,
        opens_in: opens_in(room, phase, page.now),
        commitment: &room.draw_commitment,
        message: status
            .map_or(&room.message, |status| &status.message)
            .as_deref(),
        asks_access_code: room.asks_access_code,
        has_draw: room.has_draw,
        auto_join: can_join && status.is_none() && refused.is_none() && !room.asks_access_code,
        way_out: room.way_out.as_deref(),
        cookie_lost,
        can_join,
        can_enter: matches!(state, Some(PlaceState::Called | PlaceState::Admitted)),
        can_leave: matches!(
            state,
            Some(PlaceState::Prequeue | PlaceState::Waiting | PlaceState::Missed)
        ),
        join_label: join_label(state, phase),
        progress: status.and_then(|status| status.progress).map(percent),
        turn_left: status
            .filter(|status| status.state == PlaceState::Called)
            .and_then(|status| status.claim_by)
            .map(|by| fill("turn.left", &[("span", &moment::span(by.since(page.now)))])),
        refresh: refresh(&page.standing),
        status: status.map(public_json),
        refused,
        wording: wording(room, &page.standing),
    }
}

/// The status without the tokens that some responses contain, because a page may be stored or
/// shared.
fn public_json(status: &StatusDocument) -> String {
    let mut status = status.clone();
    status.pass = None;
    status.place = None;
    serde_json::to_string(&status).unwrap_or_default()
}

fn opens_in(room: &RoomFacts, phase: Phase, now: Timestamp) -> Option<String> {
    let opens_at = room.opens_at.filter(|_| phase == Phase::Prequeue)?;
    let left = opens_at.since(now);
    (left > Duration::ZERO).then(|| moment::span(left))
}

fn percent(progress: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=100 first"
    )]
    let percent = (progress * 100.0).clamp(0.0, 100.0).round() as u32;
    percent
}

fn refresh(standing: &Standing) -> Option<u64> {
    match standing {
        Standing::Outside { .. } => None,
        Standing::Unavailable => Some(REFRESH_SECONDS_UNAVAILABLE),
        Standing::Placed(status) => match status.state {
            PlaceState::Prequeue
            | PlaceState::Waiting
            | PlaceState::Called
            | PlaceState::Missed => Some(
                status
                    .poll_after_ms
                    .div_ceil(1000)
                    .clamp(REFRESH_SECONDS_MIN, REFRESH_SECONDS_MAX),
            ),
            PlaceState::Admitted | PlaceState::Left | PlaceState::Ended | PlaceState::SoldOut => {
                None
            }
        },
    }
}

fn refusal(code: ProblemCode) -> String {
    find(&format!("refused.{}", code.as_str()))
        .unwrap_or_else(|| text("refused.other"))
        .to_owned()
}

fn join_label(state: Option<PlaceState>, phase: Phase) -> &'static str {
    let key = match (state, phase) {
        (Some(PlaceState::Missed), _) => "join.back",
        (Some(_), _) => "join.again",
        (None, Phase::Idle) => "join.through",
        (None, Phase::Prequeue) => "join.draw",
        (None, Phase::Queueing | Phase::Paused | Phase::Closed) => "join.button",
    };
    find(key).unwrap_or_default()
}

fn wording(room: &RoomFacts, standing: &Standing) -> Wording {
    match standing {
        Standing::Outside { .. } => outside(room),
        Standing::Unavailable => said("pause", "outside.unavailable"),
        Standing::Placed(status) => placed(status),
    }
}

fn said(mood: &'static str, key: &str) -> Wording {
    Wording {
        mood,
        headline: text(&format!("{key}.headline")).to_owned(),
        lede: text(&format!("{key}.lede")).to_owned(),
        ..Wording::default()
    }
}

fn outside(room: &RoomFacts) -> Wording {
    let (mood, key) = match room.phase {
        Phase::Closed => ("over", "outside.closed"),
        _ if room.stock.level == StockLevel::Gone => ("over", "outside.soldOut"),
        Phase::Idle => ("turn", "outside.idle"),
        Phase::Prequeue => ("gather", "outside.prequeue"),
        Phase::Queueing => ("wait", "outside.queueing"),
        Phase::Paused => ("pause", "outside.paused"),
    };
    let mut wording = said(mood, key);
    if let (Phase::Paused, Some(reason)) = (room.phase, &room.paused_reason) {
        wording.lede.clone_from(reason);
    }
    if mood != "over" && room.phase != Phase::Idle {
        wording.in_line = Some(wait::count(room.users_in_line));
        wording.stock = stock(&room.stock);
    }
    wording
}

fn placed(status: &StatusDocument) -> Wording {
    let (mood, key) = match (status.state, status.phase, status.users_ahead) {
        (PlaceState::Called, ..) => ("turn", "state.called"),
        (PlaceState::Admitted, ..) => ("turn", "state.admitted"),
        (PlaceState::Left, ..) => ("over", "state.left"),
        (PlaceState::Ended, ..) => ("over", "state.ended"),
        (PlaceState::SoldOut, ..) => ("over", "state.soldOut"),
        (_, Phase::Closed, _) => ("over", "state.closed"),
        (_, Phase::Paused, _) => ("pause", "state.paused"),
        (PlaceState::Missed, ..) => ("wait", "state.missed"),
        (PlaceState::Prequeue, ..) => ("gather", "state.prequeue"),
        (PlaceState::Waiting, _, Some(0)) => ("wait", "state.next"),
        (PlaceState::Waiting, ..) => ("wait", "state.waiting"),
    };
    let mut wording = said(mood, key);
    if let ("pause", Some(reason)) = (mood, &status.paused_reason) {
        wording.lede.clone_from(reason);
    }
    match status.state {
        PlaceState::Prequeue => wording.in_line = Some(wait::count(status.users_in_line)),
        PlaceState::Waiting | PlaceState::Missed if mood != "over" => {
            wording.ahead = Some(status.users_ahead.map_or_else(unknown, |users| {
                wait::ahead(users, status.users_ahead_exact)
            }));
            wording.wait = Some(status.estimated_wait.map_or_else(unknown, wait::estimate));
            wording.in_line = Some(wait::count(status.users_in_line));
            wording.queue_number = status.queue_number.map(wait::count);
            wording.stock = stock(&status.stock);
        }
        _ => {}
    }
    wording
}

fn unknown() -> String {
    text("unknown").to_owned()
}

fn stock(stock: &Stock) -> Option<String> {
    let level = match (stock.level, stock.remaining) {
        (StockLevel::Low, Some(left)) => Some(fill(
            "stock.lowCount",
            &[("count", &wait::count(wait::roughly(left)))],
        )),
        (StockLevel::Low, None) => Some(text("stock.low").to_owned()),
        (StockLevel::Gone, _) => Some(text("stock.gone").to_owned()),
        (StockLevel::Plenty | StockLevel::Unknown, _) => None,
    };
    let outlook = match stock.outlook {
        StockOutlook::Likely => find("stock.likely"),
        StockOutlook::Uncertain => find("stock.uncertain"),
        StockOutlook::Unlikely => find("stock.unlikely"),
        StockOutlook::Unknown => None,
    };
    match (level, outlook) {
        (Some(level), Some(outlook)) => Some(format!("{level} {outlook}")),
        (Some(level), None) => Some(level),
        (None, outlook) => outlook.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(changes: &Value) -> StatusDocument {
        let mut status = json!({
            "type": "status", "room": "monsoon", "phase": "queueing", "state": "waiting",
            "queueNumber": 48211, "usersAhead": 100, "usersAheadExact": false,
            "usersInLine": 400_210, "estimatedWait": null, "progress": null, "claimBy": null,
            "stock": {"level": "unknown", "remaining": null, "outlook": "unknown"},
            "message": null, "pausedReason": null,
            "updatedAt": "2026-11-22T10:00:00.000Z", "pollAfterMs": 5000
        });
        for (key, value) in changes.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_server_says_what_the_browser_says() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("js/tests/wording.json")).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let said = serde_json::to_value(placed(&status(&case["status"]))).unwrap();
            for (key, expected) in case["expected"].as_object().unwrap() {
                assert_eq!(&said[key], expected, "{}: {key}", case["name"]);
            }
        }
    }

    #[test]
    fn tokens_never_reach_the_page() {
        let mut status = status(&json!({"state": "admitted"}));
        status.place = Some("secret-place".to_owned());
        status.pass = Some(contract::line::PassGrant {
            access_token: "secret-pass".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
        });
        let json = public_json(&status);
        assert!(!json.contains("secret"), "{json}");
    }

    #[test]
    fn a_page_that_can_change_loads_itself_again_within_bounds() {
        let every = |changes: &Value| refresh(&Standing::Placed(Box::new(status(changes))));
        assert_eq!(every(&json!({"pollAfterMs": 5000})), Some(5));
        assert_eq!(every(&json!({"pollAfterMs": 1})), Some(REFRESH_SECONDS_MIN));
        assert_eq!(
            every(&json!({"pollAfterMs": 3_600_000})),
            Some(REFRESH_SECONDS_MAX)
        );
        assert_eq!(every(&json!({"state": "left"})), None);
        assert!(refresh(&Standing::Unavailable).is_some());
    }
}
