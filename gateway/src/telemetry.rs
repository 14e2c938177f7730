//! Metrics of the gate and the operators' listener. The metrics of rooms, the proxy and the edge
//! are declared in their own modules.

metric_families::declare! {
    /// Forged passes: signatures that were checked, and forgeries that were known already.
    pub counter GATE_FORGED = "ropeline_gate_forged_passes_total";
    /// Always 1; the label `version` says which build runs.
    pub gauge BUILD_INFO = "ropeline_build_info";
    /// Requests to the operators' API without a valid token.
    pub counter OPS_UNAUTHORIZED = "ropeline_ops_unauthorized_total";
}
