//! Values as the tables have them.

/// Ordinals and 53-bit order keys always fit.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
