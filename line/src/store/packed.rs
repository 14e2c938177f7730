//! Numbers that go to a script and come back many at a time, packed into one string as little-endian
//! doubles, in which Lua keeps its numbers.
//!
//! Redis and its client spend more time on a value that is sent by itself than most scripts do on
//! what it stands for.

use super::{StoreError, StoreResult};

/// Bytes of a number.
pub(super) const NUMBER_BYTES: usize = 8;
/// The largest number that a script may answer: up to here doubles are exact.
const NUMBER_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

/// A number that is packed.
pub(super) type PackedNumber = [u8; NUMBER_BYTES];

/// Packs a number of up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(super) fn pack(number: u64) -> PackedNumber {
    (number as f64).to_le_bytes()
}

/// The whole number that a script answered.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole numbers from 0 to 2^53 are exact in both forms"
)]
pub(super) fn unpack(number: PackedNumber) -> StoreResult<u64> {
    let number = f64::from_le_bytes(number);
    let is_exact = number >= 0.0 && number <= NUMBER_MAX as f64 && number.fract() == 0.0;
    is_exact
        .then_some(number as u64)
        .ok_or_else(|| StoreError::Corrupt(format!("number {number}")))
}

/// Splits what a script answered into numbers.
pub(super) fn split(packed: &[u8]) -> StoreResult<&[PackedNumber]> {
    match packed.as_chunks() {
        (numbers, []) => Ok(numbers),
        _ => Err(StoreError::Corrupt("a part of a number".to_owned())),
    }
}

/// All numbers that a script answered.
pub(super) fn unpack_all(packed: &[u8]) -> StoreResult<Vec<u64>> {
    split(packed)?
        .iter()
        .map(|number| unpack(*number))
        .collect()
}
