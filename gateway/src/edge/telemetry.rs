//! Names of the metrics at the edge.

/// Open client connections by listener, switched ones included.
pub const CONNECTIONS: &str = "ropeline_edge_connections";
/// Connections refused because there were too many, by listener.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "ropeline_edge_connections_refused_total";
/// Times the system would not accept a connection, by listener.
pub const ACCEPT_FAILURES_TOTAL: &str = "ropeline_edge_accept_failures_total";
/// Requests refused for being too many, by limit.
pub const RATE_LIMITED_TOTAL: &str = "ropeline_edge_rate_limited_total";
/// Addresses and places a limit remembers.
pub const RATE_LIMIT_KEYS: &str = "ropeline_edge_rate_limit_keys";
