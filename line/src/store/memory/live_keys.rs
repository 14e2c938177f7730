//! The right to give live keys in the model.

use contract::Timestamp;

use crate::policy::order::{KeyRange, LIFTS_MAX, LIVE_BASE};
use crate::store::live_keys::KeyState;

/// The right to give live keys, as one room has it.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptKeys {
    /// The server that is confirmed.
    server: Option<u64>,
    term: u64,
    limit: u64,
    lifts: Vec<u64>,
    /// Only places with keys up to this clock value are called before then.
    calls: Option<(u64, Timestamp)>,
}

impl KeptKeys {
    /// Who may give them, as the server `own` with the live clock `clock` says.
    pub(super) fn state(&self, own: u64, clock: u64) -> KeyState {
        KeyState {
            is_confirmed: self.is_confirmed(own),
            term: self.term,
            clock,
            limit: self.limit,
            lifts: self.lifts.clone(),
        }
    }

    /// Confirms the server `own`, unless a term as new is in force. Whether it did.
    pub(super) fn confirm(
        &mut self,
        own: u64,
        clock: u64,
        now: Timestamp,
        range: &KeyRange,
        kept_until: Timestamp,
    ) -> bool {
        if self.term >= range.term {
            return false;
        }
        if range.is_ahead {
            self.lifts.push(range.after);
            let over = self.lifts.len().saturating_sub(LIFTS_MAX);
            self.lifts.drain(..over);
        }
        if self.server.is_some_and(|server| server != own) {
            self.keep_calls(clock, now, kept_until);
        }
        (self.server, self.term, self.limit) = (Some(own), range.term, range.limit);
        true
    }

    /// Raises the limit of `term`, if that is in force. Whether it is.
    pub(super) fn extend(&mut self, term: u64, limit: u64) -> bool {
        let is_in_force = self.term == term && term > 0;
        if is_in_force {
            self.limit = self.limit.max(limit);
        }
        is_in_force
    }

    /// The highest key that may be called at `now`, where that is limited.
    pub(super) fn callable(&self, now: Timestamp) -> Option<u64> {
        let kept = self.calls.filter(|(_, until)| *until > now);
        kept.map(|(clock, _)| LIVE_BASE + clock)
    }

    /// Whether whatever a server before `own` lost was lost long before `at`.
    pub(super) fn is_whole(&self, own: u64, at: Timestamp) -> bool {
        self.is_confirmed(own) && self.callable(at).is_none()
    }

    /// Limits calls to the keys up to `clock` before `until`, or to fewer if they are limited.
    fn keep_calls(&mut self, clock: u64, now: Timestamp, until: Timestamp) {
        let kept = self.calls.filter(|(_, until)| *until > now);
        let clock = kept.map_or(clock, |(kept, _)| kept.min(clock));
        self.calls = Some((clock, until));
    }

    /// Whether the server `own` is confirmed.
    pub(super) fn is_confirmed(&self, own: u64) -> bool {
        self.server == Some(own)
    }

    /// The highest clock value that the server `own` may give, 0 unless it is confirmed.
    pub(super) fn limit_of(&self, own: u64) -> u64 {
        if self.is_confirmed(own) {
            self.limit
        } else {
            0
        }
    }
}
