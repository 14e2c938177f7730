//! Names of the proxy's metrics.

metric_families::declare! {
    /// Requests by upstream and outcome, counted when the answer's head or the failure is known.
    pub counter REQUESTS_TOTAL = "ropeline_proxy_requests_total";
    /// Answer bodies by upstream and how they ended.
    pub counter BODIES_TOTAL = "ropeline_proxy_bodies_total";
    /// Seconds from handing a request to an upstream to the head of its answer.
    pub histogram(metric_families::LATENCY_SECONDS) HEAD_SECONDS = "ropeline_proxy_head_seconds";
    /// Requests and tunnels that hold a slot of an upstream at the moment.
    pub gauge IN_FLIGHT = "ropeline_proxy_in_flight";
    /// Requests sent again because the connection broke before any answer, to this address or, from
    /// it, to another.
    pub counter RETRIES_TOTAL = "ropeline_proxy_retries_total";
    /// Whether requests are sent to an address: 1, or 0 while it, one of several, is left out.
    pub gauge UP = "ropeline_proxy_upstream_up";
    /// Times that one of several addresses was left out because requests failed.
    pub counter EJECTIONS_TOTAL = "ropeline_proxy_ejections_total";
    /// 0 closed, 1 half open, 2 open.
    pub gauge BREAKER_STATE = "ropeline_proxy_breaker_state";
}
