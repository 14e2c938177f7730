//! Metrics that every listener records.

metric_families::declare! {
    /// Requests that were answered, by part, route, method and status. What passes the gate to
    /// the booking core counts in both parts.
    pub counter REQUESTS_TOTAL = "ropeline_http_requests_total";
    /// Time from the head of a request to the head of its answer, by part and route.
    pub histogram(metric_families::LATENCY_SECONDS) REQUEST_SECONDS =
        "ropeline_http_request_seconds";
}
