//! Credit: calls that may be made, as the rate gives them.

use std::time::Duration;

/// Credit is counted in millionths of a call, so that the slowest rate accrues exactly.
pub const CREDIT_ONE: u64 = 1_000_000;

/// What `calls_per_minute` come to in `span`, millionths of a call.
pub(super) fn worth(span: Duration, calls_per_minute: u64) -> u64 {
    let calls = ms(span).saturating_mul(calls_per_minute);
    calls.saturating_mul(CREDIT_ONE) / 60_000
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
