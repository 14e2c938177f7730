//! What came of an opening.

use serde::Serialize;

use crate::pace::Quantiles;

/// The figures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Opening {
    pub fans: u64,
    pub join_seconds: f64,
    /// CPU time for each join.
    pub gateway_micros: f64,
    pub redis_micros: f64,
    /// Latency of joins over connections that each send as soon as they are answered.
    pub joins: Quantiles,
    /// Joins that were sent again because the line was busy.
    pub joins_repeated: u64,
    pub redis_bytes_per_fan: f64,
    pub gateway_bytes: u64,
    /// Reading the room's figures, for which the gateway reads the line's snapshot.
    pub snapshots: Quantiles,
    pub calls: u64,
    pub claims: u64,
    /// Calls of the slowest and of the busiest ten seconds.
    pub calls_in_ten_seconds: (u64, u64),
}

impl Opening {
    /// What each figure is called, and what it is.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let quantiles =
            |of: &Quantiles| format!("{:.2} / {:.2} / {:.2}", of.p50_ms, of.p99_ms, of.max_ms);
        let (slowest, busiest) = self.calls_in_ten_seconds;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let per_second = self.fans as f64 / self.join_seconds;
        vec![
            ("fans", self.fans.to_string()),
            ("joining took, s", format!("{:.0}", self.join_seconds)),
            ("joins a second", format!("{per_second:.0}")),
            (
                "gateway, CPU µs a join",
                format!("{:.1}", self.gateway_micros),
            ),
            ("Redis, CPU µs a join", format!("{:.1}", self.redis_micros)),
            ("join, ms: p50 / p99 / longest", quantiles(&self.joins)),
            ("joins sent again", self.joins_repeated.to_string()),
            (
                "Redis, bytes a fan",
                format!("{:.0}", self.redis_bytes_per_fan),
            ),
            ("gateway, MiB", (self.gateway_bytes >> 20).to_string()),
            (
                "figures of the room, ms: p50 / p99 / longest",
                quantiles(&self.snapshots),
            ),
            ("calls", self.calls.to_string()),
            ("claimed and ended", self.claims.to_string()),
            (
                "calls in ten seconds, fewest and most",
                format!("{slowest}–{busiest}"),
            ),
        ]
    }
}
