//! Holds that the sweeper skips for a while, because they cannot be expired.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contract::Timestamp;
use uuid::Uuid;

use crate::config::{SET_ASIDE_FOR, SET_ASIDE_MAX};

/// The skipped holds, each with the end of its skip.
#[derive(Debug, Default)]
pub(crate) struct SetAside(Mutex<HashMap<Uuid, Timestamp>>);

impl SetAside {
    /// The holds to skip at `now`.
    pub(crate) fn present(&self, now: Timestamp) -> Vec<Uuid> {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.retain(|_, until| *until > now);
        holds.keys().copied().collect()
    }

    pub(crate) fn add(&self, hold_id: Uuid, now: Timestamp) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() < SET_ASIDE_MAX {
            holds.insert(hold_id, now.plus(SET_ASIDE_FOR));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_set_aside_comes_back_and_has_a_limit() {
        let start = Timestamp::from_ms(1_790_000_000_000);
        let aside = SetAside::default();
        aside.add(Uuid::from_u128(1), start);
        assert_eq!(aside.present(start), [Uuid::from_u128(1)]);
        assert!(aside.present(start.plus(SET_ASIDE_FOR)).is_empty());
        for n in 0..u128::try_from(SET_ASIDE_MAX).unwrap() + 5 {
            aside.add(Uuid::from_u128(n), start.plus(Duration::from_secs(1)));
        }
        assert_eq!(aside.present(start).len(), SET_ASIDE_MAX);
    }
}
