//! Order keys: the score a place has in the line.
//!
//! | Range | Who | Value |
//! | --- | --- | --- |
//! | `[0, 2^52)` | prequeue | the draw: HMAC-SHA256 of room and nonce under the seed |
//! | `[0, 2^52)` | joined after the opening of a room that goes by lot | a lot: HMAC-SHA256 of room and nonce under a key that stays secret |
//! | `[2^52, 2^53)` | joined live | `2^52` + a hybrid logical clock |
//!
//! Everything stays below `2^53`, so that a key is exact as a Redis score and in JavaScript.

use std::time::Duration;

use contract::{RoomId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// First order key of those who join live; the draw stays below.
pub const LIVE_BASE: u64 = 1 << 52;

/// Bits of the hybrid clock that count joins within a millisecond; a millisecond with more joins
/// runs into the next one. The other 42 bits count milliseconds since the room was made, which is
/// enough for 139 years. In a room made by a version with 16 bits here the clock only counts on.
pub const CLOCK_COUNTER_BITS: u32 = 10;

/// The highest value of the live clock, of a key that JavaScript and Redis still tell exactly.
pub const CLOCK_MAX: u64 = LIVE_BASE - 1;

/// Most lifts of a room's clock that are remembered, to know which keys do not tell the time.
pub const LIFTS_MAX: usize = 16;

/// How far behind a lift keys are taken not to tell the time, in milliseconds of the clock. After a
/// lift the clock only counts until the time has caught up, a millisecond for a thousand joins.
const LIFT_MS: u64 = 60_000;

/// Values of the live clock that one server of the store may give, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Numbers the ranges of a room: the later, the higher its keys.
    pub term: u64,
    /// The clock before the first.
    pub after: u64,
    /// The last.
    pub limit: u64,
    /// Whether `after` is ahead of the time.
    pub is_ahead: bool,
}

/// What the draw's HMAC begins with.
const DRAW_CONTEXT: &[u8] = b"ropeline-draw-v1";

/// How the draw is computed, for the public draw document.
pub const DRAW_ALGORITHM: &str = "orderKey = first 8 bytes, big-endian, of HMAC-SHA256(key = seed, \
message = \"ropeline-draw-v1\" || 0x00 || room || 0x00 || nonce (16 bytes)), shifted right by 12 bits; \
commitment = SHA-256(seed)";

/// A place's score in the line: the smaller, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(u64);

impl OrderKey {
    /// The key `value`, or `None` from `2^53` on.
    pub const fn new(value: u64) -> Option<Self> {
        if value < 2 * LIVE_BASE {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The key in `[0, 2^52)` that a MAC stands for.
    pub(crate) fn drawn(mac: &[u8; 32]) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&mac[..8]);
        Self(u64::from_be_bytes(bytes) >> 12)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether it was given to a live joiner, not drawn.
    pub const fn is_live(self) -> bool {
        self.0 >= LIVE_BASE
    }
}

/// The draw: a key in `[0, 2^52)` that depends on the committed seed and the fan's nonce only
/// (DRAW).
pub fn draw(seed: &[u8; 32], room: &RoomId, nonce: &[u8; 16]) -> OrderKey {
    OrderKey::drawn(&draw_mac(seed, room, nonce))
}

fn draw_mac(seed: &[u8; 32], room: &RoomId, nonce: &[u8; 16]) -> [u8; 32] {
    let mut mac = hmac_key(seed);
    for part in [DRAW_CONTEXT, &[0], room.as_str().as_bytes(), &[0], nonce] {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA256 under a 32-byte key.
#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub(crate) fn hmac_key(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// What is published when a room is made: SHA-256 of the seed, hexadecimal.
pub fn commitment(seed: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(seed))
}

/// The smallest clock value (without [`LIVE_BASE`]) at `now` for a room made at `made_at`.
pub fn clock_floor(made_at: Timestamp, now: Timestamp) -> u64 {
    let ms = u64::try_from(now.since(made_at).as_millis()).unwrap_or(u64::MAX);
    ms.min((LIVE_BASE >> CLOCK_COUNTER_BITS) - 1) << CLOCK_COUNTER_BITS
}

/// How many clock values `span` is.
pub fn clock_span(span: Duration) -> u64 {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    ms.min(CLOCK_MAX >> CLOCK_COUNTER_BITS) << CLOCK_COUNTER_BITS
}

/// How long someone with the live clock value `clock` has waited in a room of this age; `None` for
/// a key that does not tell when it was given, because the clock was ahead of the time after one
/// of `lifts`.
pub fn waited(age: Duration, clock: u64, lifts: &[u64]) -> Option<Duration> {
    let is_lifted = |lift: &u64| (*lift..=lift + (LIFT_MS << CLOCK_COUNTER_BITS)).contains(&clock);
    if lifts.iter().any(is_lifted) {
        return None;
    }
    age.checked_sub(Duration::from_millis(clock >> CLOCK_COUNTER_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draw_is_a_function_of_seed_room_and_nonce() {
        let room: RoomId = "eras".parse().unwrap();
        let other: RoomId = "other".parse().unwrap();
        let key = draw(&[1; 32], &room, &[2; 16]);
        assert_eq!(key, draw(&[1; 32], &room, &[2; 16]));
        assert_ne!(key, draw(&[3; 32], &room, &[2; 16]));
        assert_ne!(key, draw(&[1; 32], &other, &[2; 16]));
        assert_ne!(key, draw(&[1; 32], &room, &[3; 16]));
    }

    /// Computed with Python's `hmac` module from the published algorithm.
    #[test]
    fn the_draw_matches_the_published_algorithm() {
        let room: RoomId = "eras".parse().unwrap();
        let nonce: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(draw(&[7; 32], &room, &nonce).get(), DRAW_VECTOR);
    }

    const DRAW_VECTOR: u64 = 1_208_488_790_336_942;

    #[test]
    fn drawn_keys_are_spread_evenly_and_come_before_live_ones() {
        let room: RoomId = "eras".parse().unwrap();
        let draws = 20_000u32;
        let mut buckets = [0u32; 16];
        for n in 0..draws {
            let mut nonce = [0; 16];
            nonce[..4].copy_from_slice(&n.to_be_bytes());
            let key = draw(&[9; 32], &room, &nonce);
            assert!(!key.is_live());
            buckets[usize::try_from(key.get() >> 48).unwrap()] += 1;
        }
        // Chi-squared with 15 degrees of freedom: 37.7 is passed once in a thousand.
        let expected = f64::from(draws) / 16.0;
        let chi: f64 = buckets
            .iter()
            .map(|n| (f64::from(*n) - expected).powi(2) / expected)
            .sum();
        assert!(chi < 37.7, "{chi}: {buckets:?}");
    }

    #[test]
    fn a_key_from_after_a_lift_does_not_tell_how_long_its_fan_has_waited() {
        let clock = |seconds: u64| clock_span(Duration::from_secs(seconds));
        let (age, lifts) = (Duration::from_secs(10_000), [clock(4_200), clock(8_000)]);
        let waits = |clock| waited(age, clock, &lifts).map(|wait| wait.as_secs());
        assert_eq!(waits(clock(4_199)), Some(5_801));
        assert_eq!(waits(clock(4_200) + 1), None);
        assert_eq!(waits(clock(4_261)), Some(5_739));
        assert_eq!(waits(clock(8_000) + 99_999), None);
        assert_eq!(waits(clock(9_999)), Some(1));
        assert_eq!(waits(clock(10_001)), None);
    }

    #[test]
    fn the_clock_grows_with_time_and_stays_in_range() {
        let made = Timestamp::from_ms(1_000);
        assert_eq!(clock_floor(made, made), 0);
        assert_eq!(
            clock_floor(made, made.plus(Duration::from_millis(3))),
            3 << CLOCK_COUNTER_BITS
        );
        let far = clock_floor(made, Timestamp::from_ms(i64::MAX));
        let last = (1 << CLOCK_COUNTER_BITS) - 1;
        assert!(OrderKey::new(LIVE_BASE + far + last).is_some());
        // A century on, the clock still follows the time.
        let century = made.plus(Duration::from_hours(100 * 366 * 24));
        let later = century.plus(Duration::from_millis(1));
        assert!(clock_floor(made, later) > clock_floor(made, century));
    }
}
