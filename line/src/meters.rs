//! Metrics of one room, looked up once. What only its leader knows is looked up where it is
//! recorded, so that other gateways do not show it as zero.

use contract::RoomId;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::telemetry;

/// The metrics of a room.
pub struct Meters {
    /// Connections of waiting fans.
    pub sockets: Gauge,
    /// Frames sent to them.
    pub frames: Counter,
    /// Ticks that failed.
    pub tick_failures: Counter,
    /// Length of a tick.
    pub tick_seconds: Histogram,
    /// Visitors in one batch at the door.
    pub door_batch: Histogram,
    /// Batches at the door that failed.
    pub door_failures: Counter,
    /// Reads of snapshots and notices that failed.
    pub follower_failures: Counter,
    /// Visitors that went straight in, in stand-by.
    pub straight: Counter,
    /// Batches of these that failed.
    pub standby_failures: Counter,
    /// What the gate decided about requests to the room's paths.
    pub gate: Decisions,
}

/// Requests to protected paths, by what the gate decided.
pub struct Decisions {
    /// Passed with a session.
    pub admitted: Counter,
    /// Passed with a session that began with the request, in stand-by.
    pub standby: Counter,
    /// Passed because the room's settings exempt it, or because it is a preflight.
    pub exempt: Counter,
    /// Passed because the fan holds or bought what it is about.
    pub holder: Counter,
    /// Passed with the link to a booking, which the booking core found to be good.
    pub link: Counter,
    /// Passed because the end of the session led there.
    pub last_page: Counter,
    /// Sent to wait.
    pub refused: Counter,
}

impl Decisions {
    /// Passed because the booking core found that the fan owns what it is about.
    pub fn owner(&self, by_link: bool) -> &Counter {
        if by_link { &self.link } else { &self.holder }
    }
}

impl Meters {
    /// Those of `room`, in the recorder that is in force.
    pub fn of(room: &RoomId) -> Self {
        let room = || room.to_string();
        let decided = |outcome: &'static str| counter!(telemetry::GATE, "room" => room(), "outcome" => outcome);
        Self {
            sockets: gauge!(telemetry::SOCKETS, "room" => room()),
            frames: counter!(telemetry::FRAMES, "room" => room()),
            tick_failures: counter!(telemetry::TICK_FAILURES, "room" => room()),
            tick_seconds: histogram!(telemetry::TICK_SECONDS, "room" => room()),
            door_batch: histogram!(telemetry::DOOR_BATCH, "room" => room()),
            door_failures: counter!(telemetry::DOOR_FAILURES, "room" => room()),
            follower_failures: counter!(telemetry::FOLLOWER_FAILURES, "room" => room()),
            straight: counter!(telemetry::STRAIGHT, "room" => room()),
            standby_failures: counter!(telemetry::STANDBY_FAILURES, "room" => room()),
            gate: Decisions {
                admitted: decided("admitted"),
                standby: decided("standby"),
                exempt: decided("exempt"),
                holder: decided("holder"),
                link: decided("link"),
                last_page: decided("last-page"),
                refused: decided("refused"),
            },
        }
    }
}
