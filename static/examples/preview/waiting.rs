//! The waiting page in every state.

use std::time::Duration;

use contract::line::{
    Phase, PlaceState, StatusDocument, Stock, StockLevel, StockOutlook, WaitEstimate,
};
use contract::{ProblemCode, Timestamp};
use pages::WaitingPage;
use pages::waiting::{RoomFacts, Standing, waiting};

/// Names and HTML.
pub(crate) fn pages() -> Vec<(String, String)> {
    let states = [
        ("prequeue", Phase::Prequeue, PlaceState::Prequeue),
        ("waiting", Phase::Queueing, PlaceState::Waiting),
        ("paused", Phase::Paused, PlaceState::Waiting),
        ("called", Phase::Queueing, PlaceState::Called),
        ("admitted", Phase::Queueing, PlaceState::Admitted),
        ("missed", Phase::Queueing, PlaceState::Missed),
        ("left", Phase::Queueing, PlaceState::Left),
        ("ended", Phase::Queueing, PlaceState::Ended),
        ("sold-out", Phase::Queueing, PlaceState::SoldOut),
    ];
    let mut pages: Vec<_> = states
        .into_iter()
        .map(|(name, phase, state)| {
            let standing = Standing::Placed(Box::new(status(phase, state)));
            (format!("waiting-{name}"), waiting(&page(phase, standing)))
        })
        .collect();
    let mut first = status(Phase::Queueing, PlaceState::Waiting);
    first.users_ahead = Some(0);
    first.users_ahead_exact = true;
    first.progress = Some(1.0);
    first.estimated_wait = None;
    let standing = Standing::Placed(Box::new(first));
    pages.push((
        "waiting-next".to_owned(),
        waiting(&page(Phase::Queueing, standing)),
    ));
    for (name, phase) in [
        ("idle", Phase::Idle),
        ("prequeue", Phase::Prequeue),
        ("queueing", Phase::Queueing),
        ("paused", Phase::Paused),
        ("closed", Phase::Closed),
    ] {
        let standing = Standing::Outside {
            refused: None,
            cookie_lost: false,
        };
        pages.push((format!("outside-{name}"), waiting(&page(phase, standing))));
    }
    let standing = Standing::Outside {
        refused: Some(ProblemCode::RateLimited),
        cookie_lost: false,
    };
    pages.push((
        "outside-refused".to_owned(),
        waiting(&page(Phase::Queueing, standing)),
    ));
    let standing = Standing::Outside {
        refused: None,
        cookie_lost: true,
    };
    pages.push((
        "outside-cookie-lost".to_owned(),
        waiting(&page(Phase::Queueing, standing)),
    ));
    pages.push((
        "unavailable".to_owned(),
        waiting(&page(Phase::Queueing, Standing::Unavailable)),
    ));
    pages
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap_or_default()
}

fn page(phase: Phase, standing: Standing) -> WaitingPage {
    WaitingPage {
        room: RoomFacts {
            room: "monsoon".parse().expect("a slug"),
            title: "Monsoon Strings, Live in Mumbai".to_owned(),
            phase,
            opens_at: Some(now().plus(Duration::from_secs(754))),
            users_in_line: 48_211,
            stock: Stock::default(),
            message: None,
            paused_reason: None,
            draw_commitment: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                .to_owned(),
            asks_access_code: false,
            has_draw: phase == Phase::Prequeue,
            way_out: Some("/".to_owned()),
        },
        to: "/shows/monsoon-mumbai-1".to_owned(),
        now: now(),
        standing,
    }
}

fn status(phase: Phase, state: PlaceState) -> StatusDocument {
    let drawn = phase != Phase::Prequeue;
    StatusDocument {
        kind: "status".to_owned(),
        room: "monsoon".parse().expect("a slug"),
        phase,
        state,
        queue_number: drawn.then_some(48_211),
        users_ahead: drawn.then_some(12_345),
        users_ahead_exact: false,
        users_in_line: 400_210,
        estimated_wait: (phase == Phase::Queueing).then_some(WaitEstimate {
            p50_seconds: 620,
            p90_seconds: 810,
        }),
        progress: drawn.then_some(0.64),
        claim_by: (state == PlaceState::Called).then(|| now().plus(Duration::from_secs(58))),
        stock: Stock {
            level: StockLevel::Low,
            remaining: Some(1_213),
            outlook: StockOutlook::Uncertain,
        },
        message: drawn.then(|| "Doors at 18:30. Bags larger than A4 stay outside.".to_owned()),
        paused_reason: (phase == Phase::Paused)
            .then(|| "We are fixing a problem with payments. About five minutes.".to_owned()),
        updated_at: now(),
        poll_after_ms: 5_000,
        pass: None,
        place: None,
        order_key: None,
    }
}
