//! Names of the metrics at the edge.

metric_families::declare! {
    /// Open client connections by listener, switched ones included.
    pub gauge CONNECTIONS = "ropeline_edge_connections";
    /// Connections refused because there were too many, by listener.
    pub counter CONNECTIONS_REFUSED_TOTAL = "ropeline_edge_connections_refused_total";
    /// Times the system would not accept a connection, by listener.
    pub counter ACCEPT_FAILURES_TOTAL = "ropeline_edge_accept_failures_total";
    /// Requests refused for being too many, by limit.
    pub counter RATE_LIMITED_TOTAL = "ropeline_edge_rate_limited_total";
    /// Addresses and places a limit remembers.
    pub gauge RATE_LIMIT_KEYS = "ropeline_edge_rate_limit_keys";
}
