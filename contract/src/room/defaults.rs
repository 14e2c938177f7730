//! What a room has whose settings do not say.

use crate::upstreams::UpstreamSetting;

pub(super) fn upstream() -> UpstreamSetting {
    UpstreamSetting::embedded()
}
pub(super) fn new_users_per_minute() -> u64 {
    600
}
pub(super) fn total_active_users() -> u64 {
    1000
}
pub(super) fn fail_open_after_seconds() -> u64 {
    30
}
pub(super) fn fail_open_max_seconds() -> u64 {
    300
}
pub(super) fn fail_open_rate_per_minute() -> u64 {
    60
}
pub(super) fn session_duration_seconds() -> u64 {
    600
}
pub(super) fn yes() -> bool {
    true
}
pub(super) fn session_max_seconds() -> u64 {
    1800
}
pub(super) fn claim_window_seconds() -> u64 {
    60
}
pub(super) fn absence_timeout_seconds() -> u64 {
    300
}
pub(super) fn place_max_age_seconds() -> u64 {
    86_400
}
pub(super) fn missed_turn_grace_seconds() -> u64 {
    600
}
