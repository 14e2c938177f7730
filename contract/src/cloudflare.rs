//! The status of a visitor in the words of Cloudflare's waiting room, for clients written for that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::line::{Phase, PlaceState, StatusDocument};

/// What Cloudflare's waiting room answers to a client that asks for JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CloudflareStatus {
    /// The members.
    #[serde(rename = "cfWaitingRoom")]
    pub waiting_room: CfWaitingRoom,
}

/// The members of Cloudflare's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Cloudflare's answer has them so"
)]
pub struct CfWaitingRoom {
    /// Whether the visitor has to wait.
    pub in_waiting_room: bool,
    /// Whether the wait can be estimated.
    pub wait_time_known: bool,
    /// The estimated wait in minutes: half of those in this place wait no longer. 0 when unknown.
    pub wait_time: u64,
    /// The same.
    #[serde(rename = "waitTime50Percentile")]
    pub wait_time_50_percentile: u64,
    /// The estimated wait, for people.
    pub wait_time_formatted: String,
    /// Whether nobody else is taken.
    pub queue_is_full: bool,
    /// Whether everyone has to wait.
    pub queue_all: bool,
    /// When these figures were taken.
    pub last_updated: Timestamp,
    /// When to ask again.
    pub refresh_interval_seconds: u64,
    /// Whether the line goes by the order of arrival.
    #[serde(rename = "isFIFOQueue")]
    pub is_fifo_queue: bool,
    /// Whether the line goes by lot.
    pub is_random_queue: bool,
    /// Whether whoever is here before the opening draws lots at it.
    pub shuffle_at_event_start: bool,
    /// Minutes until the opening, before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_until_event_start: Option<u64>,
}

/// What the room itself says.
#[derive(Clone, Copy, Debug)]
pub struct RoomSays {
    /// What it is doing.
    pub phase: Phase,
    /// Everyone has to wait.
    pub queue_all: bool,
    /// The line goes by lot.
    pub is_random: bool,
    /// Lots are drawn at the opening.
    pub draws: bool,
    /// When it opens.
    pub opens_at: Option<Timestamp>,
    /// When to ask again.
    pub poll_after_ms: u64,
}

impl CloudflareStatus {
    /// The status of a visitor: as `place` has it, or of one who has no place.
    pub fn of(place: Option<&StatusDocument>, room: RoomSays, now: Timestamp) -> Self {
        let waits = place.is_some_and(|place| {
            matches!(
                place.state,
                PlaceState::Prequeue | PlaceState::Waiting | PlaceState::Missed
            )
        });
        let estimate = place
            .filter(|_| waits)
            .and_then(|place| place.estimated_wait.as_ref());
        let minutes = estimate.map_or(0, |wait| u64::from(wait.p50_seconds.div_ceil(60)));
        let until_opening = room
            .opens_at
            .filter(|opens_at| *opens_at > now)
            .map(|opens_at| opens_at.since(now).as_secs().div_ceil(60));
        Self {
            waiting_room: CfWaitingRoom {
                in_waiting_room: waits,
                wait_time_known: estimate.is_some(),
                wait_time: minutes,
                wait_time_50_percentile: minutes,
                wait_time_formatted: formatted(estimate.is_some(), minutes),
                queue_is_full: room.phase == Phase::Closed,
                queue_all: room.queue_all,
                last_updated: place.map_or(now, |place| place.updated_at),
                refresh_interval_seconds: place
                    .map_or(room.poll_after_ms, |place| place.poll_after_ms)
                    .div_ceil(1000),
                is_fifo_queue: !room.is_random,
                is_random_queue: room.is_random,
                shuffle_at_event_start: room.draws,
                time_until_event_start: until_opening,
            },
        }
    }
}

fn formatted(is_known: bool, minutes: u64) -> String {
    match minutes {
        _ if !is_known => "unavailable".to_owned(),
        0 => "less than a minute".to_owned(),
        1 => "1 minute".to_owned(),
        2..=59 => format!("{minutes} minutes"),
        _ => {
            let (hours, rest) = (minutes / 60, minutes % 60);
            let hour = if hours == 1 { "hour" } else { "hours" };
            format!("{hours} {hour} {rest} minutes")
        }
    }
}
