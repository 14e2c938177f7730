//! Ids and secrets, from the clock and one seeded generator.

use std::sync::{Mutex, PoisonError};

use contract::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use uuid::Uuid;

/// Characters of a booking code: no vowels and no two that look alike.
const CODE_LETTERS: &[u8; 24] = b"23456789BCDFGHJKMNPQRTVX";
/// Length of a booking code: there are 24^9 codes.
const CODE_LENGTH: usize = 9;

/// The process's source of randomness.
#[derive(Debug)]
pub(crate) struct Randomness(Mutex<ChaCha20Rng>);

impl Randomness {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(ChaCha20Rng::from_seed(seed)))
    }

    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A time-ordered id.
    pub(crate) fn uuid(&self, now: Timestamp) -> Uuid {
        let ms = u64::try_from(now.as_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &self.bytes()).into_uuid()
    }

    /// A code that a person can read out.
    pub(crate) fn booking_code(&self) -> String {
        let mut code = String::with_capacity(CODE_LENGTH);
        while code.len() < CODE_LENGTH {
            for byte in self.bytes::<32>() {
                // 240 is the largest multiple of 24 up to 256; a modulo of larger bytes would
                // favour some letters.
                if byte < 240 && code.len() < CODE_LENGTH {
                    code.push(char::from(CODE_LETTERS[usize::from(byte % 24)]));
                }
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_differ() {
        let randomness = Randomness::new([7; 32]);
        let early = randomness.uuid(Timestamp::from_ms(1_000));
        let late = randomness.uuid(Timestamp::from_ms(2_000));
        assert!(early < late);
        assert_ne!(late, randomness.uuid(Timestamp::from_ms(2_000)));
        assert_eq!(early.get_version_num(), 7);
    }

    #[test]
    fn codes_have_only_their_letters() {
        let code = Randomness::new([7; 32]).booking_code();
        assert_eq!(code.len(), CODE_LENGTH);
        assert!(code.bytes().all(|b| CODE_LETTERS.contains(&b)), "{code}");
    }
}
