//! Names of the proxy's metrics.

/// Requests by upstream and outcome, counted when the answer's head or the failure is known.
pub const REQUESTS_TOTAL: &str = "ropeline_proxy_requests_total";
/// Answer bodies by upstream and how they ended.
pub const BODIES_TOTAL: &str = "ropeline_proxy_bodies_total";
/// Seconds from handing a request to an upstream to the head of its answer.
pub const HEAD_SECONDS: &str = "ropeline_proxy_head_seconds";
/// Requests and tunnels that hold a slot of an upstream at the moment.
pub const IN_FLIGHT: &str = "ropeline_proxy_in_flight";
/// Requests sent a second time because the first connection broke before any answer.
pub const RETRIES_TOTAL: &str = "ropeline_proxy_retries_total";
/// 0 closed, 1 half open, 2 open.
pub const BREAKER_STATE: &str = "ropeline_proxy_breaker_state";
