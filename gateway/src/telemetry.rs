//! Names of the metrics of the line and the gate. Names of the proxy's and the edge's stand with
//! them. Units are the last word of a name; counters end in `_total`.

/// Places in the line, by room.
pub const IN_LINE: &str = "ropeline_line_places";
/// Popped, called and active places, by room.
pub const OCCUPIED: &str = "ropeline_line_occupied_places";
/// Calls made, by room.
pub const CALLS: &str = "ropeline_line_calls_total";
/// Ticks as leader, by room and by what limited the calls.
pub const TICKS: &str = "ropeline_line_ticks_total";
/// Ticks that failed.
pub const TICK_FAILURES: &str = "ropeline_line_tick_failures_total";
/// Length of a tick.
pub const TICK_SECONDS: &str = "ropeline_line_tick_seconds";
/// Wait of live joiners until they are called.
pub const WAIT_SECONDS: &str = "ropeline_line_wait_seconds";
/// Visitors in one batch at the door.
pub const DOOR_BATCH: &str = "ropeline_line_door_batch_visitors";
/// Batches at the door that failed.
pub const DOOR_FAILURES: &str = "ropeline_line_door_failures_total";
/// Reads of snapshots and notices that failed.
pub const FOLLOWER_FAILURES: &str = "ropeline_line_follower_failures_total";
/// Connections of waiting fans on this gateway.
pub const SOCKETS: &str = "ropeline_line_sockets";
/// Frames sent to waiting fans.
pub const FRAMES: &str = "ropeline_line_frames_total";
/// Decisions of the gate, by outcome.
pub const GATE: &str = "ropeline_gate_requests_total";
