//! How a room has the addresses of its upstream checked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the addresses of an upstream are checked: a `GET` of a path at each of them, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamHealth {
    /// The path, below that of the address. An answer of 2xx or 3xx is good.
    #[schema(max_length = 1024, pattern = r"^/[!-~]*$")]
    pub path: String,
    /// Time from one check to the next.
    #[serde(default = "interval")]
    #[schema(minimum = 1, maximum = 3_600)]
    pub interval_seconds: u64,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    #[schema(minimum = 1, maximum = 60)]
    pub timeout_seconds: u64,
    /// Good answers in a row after which an address is used again.
    #[serde(default = "healthy_after")]
    #[schema(minimum = 1, maximum = 100)]
    pub healthy_after: u64,
    /// Failed checks in a row after which an address is not used.
    #[serde(default = "unhealthy_after")]
    #[schema(minimum = 1, maximum = 100)]
    pub unhealthy_after: u64,
}

const fn interval() -> u64 {
    5
}

const fn timeout() -> u64 {
    2
}

const fn healthy_after() -> u64 {
    2
}

const fn unhealthy_after() -> u64 {
    3
}
