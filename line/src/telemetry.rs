//! Metrics of rooms and of their records. Units are the last word of a name; counters end in
//! `_total`.

metric_families::declare! {
    /// Places in the line, by room.
    pub gauge IN_LINE = "ropeline_line_places";
    /// Popped, called and active places, by room.
    pub gauge OCCUPIED = "ropeline_line_occupied_places";
    /// Calls made, by room.
    pub counter CALLS = "ropeline_line_calls_total";
    /// Visitors that went straight in without a page, in stand-by, by room: calls too.
    pub counter STRAIGHT = "ropeline_line_straight_entries_total";
    /// Batches of visitors that were not all let straight in, by room and reason.
    pub counter STANDBY_CLOSED = "ropeline_line_standby_closed_total";
    /// Batches of visitors to be let straight in that failed, by room.
    pub counter STANDBY_FAILURES = "ropeline_line_standby_failures_total";
    /// Passes given without a limit, by room and by why: `idle`, `passthrough` or `suspended`.
    pub counter UNMETERED_PASSES = "ropeline_line_unmetered_passes_total";
    /// Calls claimed, by room, as seen by its leader.
    pub counter ENTRIES = "ropeline_line_entries_total";
    /// Share of the calls that are claimed, by room: what the return of no-shows' credit goes by.
    pub gauge SHOW_SHARE = "ropeline_line_show_ratio";
    /// Share of the configured rate that the upstream gets, by room, as seen by its leader.
    pub gauge UPSTREAM_SHARE = "ropeline_line_upstream_share_ratio";
    /// Ticks as leader, by room and by what limited the calls.
    pub counter TICKS = "ropeline_line_ticks_total";
    /// How far this gateway's clock is ahead of the store's; beyond 2 either way it does not lead.
    pub gauge CLOCK_SKEW_SECONDS = "ropeline_clock_skew_seconds";
    /// Ticks that failed, by room.
    pub counter TICK_FAILURES = "ropeline_line_tick_failures_total";
    /// Length of a tick, by room.
    pub histogram(metric_families::LATENCY_SECONDS) TICK_SECONDS = "ropeline_line_tick_seconds";
    /// Wait of live joiners until they are called, by room.
    pub histogram(metric_families::WAIT_SECONDS) WAIT_SECONDS = "ropeline_line_wait_seconds";
    /// Difference between the estimated median wait and the actual one of live joiners who are
    /// called, as a share of the actual one, by room.
    pub histogram(metric_families::RATIOS) ESTIMATE_ERROR = "ropeline_line_estimate_error_ratio";
    /// The same waits, by room and whether they were `within` the estimated p90 or `beyond`.
    pub counter ESTIMATES = "ropeline_line_estimates_total";
    /// Visitors in one batch at the door, by room.
    pub histogram(metric_families::BATCH_SIZES) DOOR_BATCH = "ropeline_line_door_batch_visitors";
    /// Batches at the door that failed, by room.
    pub counter DOOR_FAILURES = "ropeline_line_door_failures_total";
    /// Admissions of the log that were added to a line, because it was made again or went back, by
    /// room.
    pub counter REBUILT = "ropeline_line_rebuilt_admissions_total";
    /// Reads of snapshots and notices that failed, by room.
    pub counter FOLLOWER_FAILURES = "ropeline_line_follower_failures_total";
    /// Places marked as absent because their gateway was gone, by room.
    pub counter LAPSED = "ropeline_line_lapsed_places_total";
    /// Rooms that rest on this gateway, because nobody is there.
    pub gauge RESTING_ROOMS = "ropeline_line_resting_rooms";
    /// Connections of waiting fans on this gateway, by room.
    pub gauge SOCKETS = "ropeline_line_sockets";
    /// Frames sent to waiting fans, by room.
    pub counter FRAMES = "ropeline_line_frames_total";
    /// Decisions of the gate, by room and outcome.
    pub counter GATE = "ropeline_gate_requests_total";
    /// Calls to PostgreSQL for rooms and logs.
    pub histogram(metric_families::LATENCY_SECONDS) RECORDS_CALL_SECONDS =
        "ropeline_records_call_seconds";
    /// Tasks of the process, calls to PostgreSQL included.
    pub gauge RECORDS_TASKS = "ropeline_records_tasks";
    /// Connections to PostgreSQL in the pool for rooms and logs.
    pub gauge RECORDS_CONNECTIONS = "ropeline_records_connections";
    /// Outcomes of admissions that were forgotten: no line that is made again asks for them.
    pub counter OUTCOMES_FORGOTTEN = "ropeline_records_outcomes_forgotten_total";
    /// Calls to PostgreSQL for rooms and logs that failed, by kind.
    pub counter RECORDS_ERRORS = "ropeline_records_errors_total";
}
