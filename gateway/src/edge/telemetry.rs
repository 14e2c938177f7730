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
    /// Connections of HTTP/2 closed for their misuse, by listener and reason.
    pub counter HTTP2_CLOSED_TOTAL = "ropeline_edge_http2_closed_total";
    /// Streams of HTTP/2 reset because the client took nothing of their answers, by listener.
    pub counter HTTP2_STALLED_STREAMS_TOTAL = "ropeline_edge_http2_stalled_streams_total";
    /// TLS handshakes by listener and kind.
    pub counter TLS_HANDSHAKES_TOTAL = "ropeline_edge_tls_handshakes_total";
    /// When the certificate in force expires, in seconds since 1970, by listener.
    pub gauge TLS_CERTIFICATE_EXPIRY = "ropeline_edge_tls_certificate_expiry_timestamp_seconds";
    /// Times a certificate could not be taken into use, by listener.
    pub counter TLS_CERTIFICATE_FAILURES_TOTAL = "ropeline_edge_tls_certificate_failures_total";
    /// Certificates ordered by ACME, by outcome.
    pub counter ACME_ORDERS_TOTAL = "ropeline_edge_acme_orders_total";
    /// Connections refused for what they began with instead of a PROXY header, by listener.
    pub counter PROXY_HEADERS_REFUSED_TOTAL = "ropeline_edge_proxy_headers_refused_total";
    /// Lines of the access log that were not written, by reason.
    pub counter ACCESS_LOG_DROPPED_TOTAL = "ropeline_edge_access_log_dropped_total";
}
